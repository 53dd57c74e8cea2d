package server_test

import (
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"countersign/accounts"
	"countersign/caller"
	"countersign/server"
)

// A visitor stands before the doors of a server: a browser that is signed in at the hosted pages,
// and what the user of the account alice can do there.
type visitor struct {
	*app
	box     *outbox
	browser *person
	page    *page // in the same browser
	reset   string
	device  *device // with alice's passkey, if any
}

// told returns what an answer says in a few words: where it leads, the problem or error, or the
// status.
func told(r *response) string {
	to := r.Header().Get("Location")
	if strings.HasPrefix(to, spaCallback) {
		u, err := url.Parse(to)
		switch {
		case err != nil:
			return err.Error()
		case u.Query().Has("code"):
			return "code"
		}
		return u.Query().Get("error")
	}
	if to != "" {
		path, _, _ := strings.Cut(to, "?")
		return path
	}
	if r.Code == http.StatusOK || !strings.Contains(r.Header().Get("Content-Type"), "json") {
		return fmt.Sprint(r.Code)
	}
	if kind, ok := r.json()["type"].(string); ok {
		return strings.TrimPrefix(kind, "urn:countersign:problem:")
	}
	return r.text("error")
}

// The doors at which a user comes in, or stays in.
var doors = map[string]func(v *visitor) *response{
	"hosted sign-in": func(v *visitor) *response {
		return v.browser.submit("/login", form("username", "alice", "password", password))
	},
	"session":        func(v *visitor) *response { return v.page.signIn("alice", password) },
	"password grant": func(v *visitor) *response { return v.token(passwordForm("alice")) },
	"challenge endpoint": func(v *visitor) *response {
		return v.challenge(challengeForm("spa", "username", "alice", "password", password))
	},
	"passkey":        func(v *visitor) *response { return v.page.signInWith(v.device) },
	"hosted passkey": hostedPasskey,
	"reset": func(v *visitor) *response {
		asks := v.browser.authorize(authorization("spa", "prompt", "login")).page("login-form")
		return v.browser.submit("/reset", form("ticket", asks.Get("ticket"), "token", v.reset, "password", password))
	},
	"sign-up": func(v *visitor) *response {
		return v.browser.submit("/signup", form("username", "newcomer", "email", "newcomer@example.net", "password", password))
	},
	"account": func(v *visitor) *response { return v.browser.open("/me") },
	"continue": func(v *visitor) *response {
		user, err := v.Users.ByUsername(v.t.Context(), "alice")
		if err != nil {
			v.t.Fatal(err)
		}
		r := v.browser.open("/oauth/authorize?" + authorization("spa", "prompt", "select_account").Encode())
		u, err := url.Parse(r.Header().Get("Location"))
		if err != nil || !u.Query().Has("ticket") {
			return r
		}
		return v.browser.submit("/login", form("ticket", u.Query().Get("ticket"), "continue", "yes", "account", v.Users.AccountToken(time.Now(), user.ID)))
	},
}

// The states that an account may be in. Each begins with alice, whose browser is signed in at
// the hosted pages by the password, and has a link to set another.
var accountStates = map[string]func(v *visitor){
	"no factor": func(*visitor) {},
	"factor": func(v *visitor) {
		secret := v.enrolled()
		v.page, v.browser = v.app.page(), v.app.person()
		v.browser.submit("/login", form("username", "alice", "password", password)).goesTo("/factor")
		v.browser.submit("/factor", form("code", appCode(v.t, secret))).goesTo("/me")
	},
	"remembered": func(v *visitor) {
		secret := v.enrolled()
		v.page, v.browser = v.app.page(), v.app.person()
		v.browser.submit("/login", form("username", "alice", "password", password)).goesTo("/factor")
		v.browser.submit("/factor", form("code", appCode(v.t, secret), "remember", "yes")).goesTo("/me")
	},
	"passkey": withDevice,
	"passkey, disabled": func(v *visitor) {
		withDevice(v)
		disable(v)
	},
	"passkey, address due": func(v *visitor) {
		withDevice(v)
		v.options.Accounts.RequireVerifiedEmail = true
		v.restart()
	},
	"required, and missing": func(v *visitor) {
		v.options.Factors.Required = []string{"all"}
		v.restart()
	},
	"disabled": disable,
	"address due": func(v *visitor) {
		v.options.Accounts.RequireVerifiedEmail = true
		v.restart()
	},
}

func disable(v *visitor) {
	user, err := v.Users.ByUsername(v.t.Context(), "alice")
	if err = errors.Join(err, v.Users.Disable(v.t.Context(), time.Now(), user.ID, caller.Operator())); err != nil {
		v.t.Fatal(err)
	}
}

// hostedPasskey signs in by alice's passkey at the hosted pages.
func hostedPasskey(v *visitor) *response {
	r := v.browser.do(http.MethodPost, "/session/passkey/options", "", "Origin", issuer, "Sec-Fetch-Site", "same-origin").want(http.StatusOK)
	return v.browser.submit("/login", form("challenge", r.text("challenge"), "credential", v.device.use(r.json()["publicKey"])))
}

// withDevice gives alice a passkey, and a new link to set a password.
func withDevice(v *visitor) {
	v.page, v.browser = v.app.ownPage(), v.app.person()
	v.page.signIn("alice", password).want(http.StatusOK)
	v.device, _ = v.page.newDevice(true)
	v.link()
	v.page = v.app.ownPage()
	hostedPasskey(v).goesTo("/me")
}

// enrolled gives alice an app, and a new link to set a password.
func (v *visitor) enrolled() (secret string) {
	v.t.Helper()
	v.page.signIn("alice", password).want(http.StatusOK)
	secret, _ = v.page.enrol()
	time.Sleep(time.Minute)
	v.box.empty()
	v.link()
	return secret
}

// link has the owner of the account ask for a link that sets another password.
func (v *visitor) link() {
	v.t.Helper()
	time.Sleep(11 * time.Minute)
	v.box.empty()
	v.app.person().submit("/forgot", form("email", "alice@example.net")).want(http.StatusOK)
	v.reset = v.box.token(v.t.(*testing.T))
}

// What a right password comes to at every door, for an account in every state.
func TestEveryDoorInEveryState(t *testing.T) {
	want := map[string]map[string]string{
		"no factor": {
			"hosted sign-in": "/me", "session": "200", "password grant": "200", "reset": "code", "sign-up": "/me", "account": "200", "continue": "code",
			"challenge endpoint": "200",
		},
		"factor": {
			"hosted sign-in": "/factor", "session": "second_factor_required", "password grant": "insufficient_authorization", "reset": "/factor",
			"account": "200", "continue": "code", "challenge endpoint": "insufficient_authorization",
		},
		"passkey": {
			"hosted sign-in": "/factor", "session": "second_factor_required", "password grant": "insufficient_authorization", "reset": "/factor",
			"account": "200", "continue": "code", "challenge endpoint": "insufficient_authorization", "passkey": "200", "hosted passkey": "/me",
		},
		"passkey, disabled": {
			"hosted sign-in": "403", "session": "account_disabled", "password grant": "invalid_grant", "reset": "400",
			"account": "/login", "continue": "/login", "challenge endpoint": "access_denied", "passkey": "account_disabled", "hosted passkey": "403",
		},
		"passkey, address due": { // the link of a reset proves the address, whose owner may not have made the account
			"hosted sign-in": "403", "session": "email_not_verified", "password grant": "invalid_grant", "reset": "code",
			"account": "200", "continue": "code", "challenge endpoint": "redirect_to_web", "passkey": "email_not_verified", "hosted passkey": "403",
		},
		"remembered": { // a browser, and no other program; and a mailbox is no second factor there either
			"hosted sign-in": "/me", "session": "200", "password grant": "insufficient_authorization", "reset": "/factor",
			"account": "200", "continue": "code", "challenge endpoint": "insufficient_authorization",
		},
		"required, and missing": { // who is signed in stays so, but not for applications
			"hosted sign-in": "/factor/enrol", "session": "factor_enrolment_required", "password grant": "redirect_to_web", "reset": "/factor/enrol",
			"sign-up": "/factor/enrol", "account": "200", "continue": "/login", "challenge endpoint": "redirect_to_web",
		},
		"disabled": {
			"hosted sign-in": "403", "session": "account_disabled", "password grant": "invalid_grant", "reset": "400",
			"account": "/login", "continue": "/login", "challenge endpoint": "access_denied",
		},
		"address due": { // the link of a reset proves the address
			"hosted sign-in": "403", "session": "email_not_verified", "password grant": "invalid_grant", "reset": "code",
			"sign-up": "200", "account": "200", "continue": "code", "challenge endpoint": "redirect_to_web",
		},
	}
	for _, state := range slices.Sorted(maps.Keys(accountStates)) {
		for _, door := range slices.Sorted(maps.Keys(doors)) {
			if _, there := want[state][door]; !there {
				if door != "sign-up" && !strings.Contains(door, "passkey") {
					t.Errorf("%s, %s: what comes of it?", state, door)
				}
				continue // a new account has no such state, or the account no passkey
			}
			t.Run(state+"/"+door, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					a, box := simulated(t, func(o *server.Options) { o.Factors.RememberBrowser = 720 * time.Hour })
					n := accounts.NewUser{Username: "alice", Password: password, Email: "alice@example.net", EmailVerified: !strings.Contains(state, "address due")}
					if _, err := a.Users.Create(t.Context(), time.Now(), n, caller.Operator()); err != nil {
						t.Fatal(err)
					}
					v := &visitor{app: a, box: box, browser: a.person(), page: a.page()}
					v.browser.submit("/login", form("username", "alice", "password", password)).goesTo("/me")
					v.link()
					accountStates[state](v)
					if state == "remembered" {
						v.page.jar = v.browser.jar
						if door == "hosted sign-in" { // where a user who is signed in proves anew
							v.browser.lapse()
						}
					}
					time.Sleep(time.Second)
					if got := told(doors[door](v)); got != want[state][door] {
						t.Errorf("got %q, want %q", got, want[state][door])
					}
				})
			})
		}
	}
}
