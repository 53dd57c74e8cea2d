package server_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"countersign/audit"
	"countersign/caller"
	"countersign/keys"
	"countersign/server"
)

// A user adds a passkey, and signs in with it alone, in any browser.
func TestPasskeySignsIn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newApp(t)
		a.signup("alice")
		elsewhere := a.page()
		elsewhere.signIn("alice", password).want(http.StatusOK)
		p := a.ownPage()
		p.signIn("alice", password).want(http.StatusOK)
		options := p.do(http.MethodPost, "/account/factors/passkeys/options", "{}").want(http.StatusOK).json()["publicKey"].(map[string]any)
		rp, user, chosen := options["rp"].(map[string]any), options["user"].(map[string]any), options["authenticatorSelection"].(map[string]any)
		if rp["id"] != "auth.example.com" || rp["name"] != "Countersign" || user["name"] != "alice" || options["attestation"] != "none" ||
			chosen["residentKey"] != "required" || chosen["userVerification"] != "required" {
			t.Errorf("options = %v", options)
		}
		d, recovery := p.newDevice(true)
		if len(recovery) != 10 {
			t.Errorf("recovery codes: %v", recovery)
		}
		elsewhere.refresh().want(http.StatusUnauthorized) // a password alone opened it
		list := p.do(http.MethodGet, "/account/factors", "").want(http.StatusOK).json()
		factor := list["factors"].([]any)[0].(map[string]any)
		if factor["kind"] != "passkey" || factor["name"] != "laptop" || factor["last_used_at"] != nil {
			t.Errorf("factor = %v", factor)
		}
		if got, want := fmt.Sprint(list["accepted_passkeys"]), fmt.Sprintf("map[allAcceptedCredentialIds:[%s] rpId:auth.example.com userId:%s]", b64(d.key.ID), b64(d.user)); got != want {
			t.Errorf("accepted = %s, want %s", got, want)
		}
		time.Sleep(time.Hour)
		for _, where := range []*page{a.ownPage(), p, a.ownPage()} {
			r := where.signInWith(d).want(http.StatusOK)
			if got := r.json()["user"].(map[string]any)["username"]; got != "alice" {
				t.Errorf("signed in as %v", got)
			}
			_, claims := r.claims("access_token")
			if got := fmt.Sprint(claims["amr"], claims["acr"], claims["auth_time"] == float64(time.Now().Unix())); got != "[swk user mfa]phrtrue" {
				t.Errorf("methods: %s", got)
			}
			_, claims = where.refresh().want(http.StatusOK).claims("access_token")
			if got := fmt.Sprint(claims["amr"], claims["acr"]); got != "[swk user mfa]phr" {
				t.Errorf("methods after a refresh: %s", got)
			}
		}
		// It may be added once, and by no other user.
		r := p.addPasskey(d, issuer)
		r.wantProblem(http.StatusBadRequest, "invalid_input")
		a.signup("mallory")
		q := a.ownPage()
		q.signIn("mallory", password).want(http.StatusOK)
		q.addPasskey(d, issuer).wantProblem(http.StatusBadRequest, "invalid_input")
	})
}

// Everything that a passkey's answer must say is looked at (WebAuthn Level 3, section 7.2).
//
// Requirement: line 77.
func TestPasskeysAreRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newApp(t)
		_, d, _ := a.withPasskey("alice", false)
		d.count = 1
		q := a.ownPage()
		for name, change := range map[string]func(*answerOf){
			"another site's page":              func(o *answerOf) { o.client["origin"] = "https://auth.example.com.evil.example" },
			"an own application's, elsewhere":  func(o *answerOf) { o.client["origin"] = origin },
			"plain http":                       func(o *answerOf) { o.client["origin"] = "http://auth.example.com" },
			"another port":                     func(o *answerOf) { o.client["origin"] = issuer + ":8443" },
			"a host below, not an application": func(o *answerOf) { o.client["origin"] = "https://blog.auth.example.com" },
			"no origin":                        func(o *answerOf) { delete(o.client, "origin") },
			"a cross-origin frame":             func(o *answerOf) { o.client["crossOrigin"] = true },
			"a frame of another site":          func(o *answerOf) { o.client["topOrigin"] = "https://evil.example" },
			"another relying party":            func(o *answerOf) { o.rpID = "example.com" },
			"the user was not there":           func(o *answerOf) { o.present = false },
			"the user was not verified":        func(o *answerOf) { o.checked = false },
			"a new passkey's answer":           func(o *answerOf) { o.client["type"] = "webauthn.create" },
			"another challenge":                func(o *answerOf) { o.client["challenge"] = b64([]byte("another challenge of 32 bytes...")) },
			"no challenge":                     func(o *answerOf) { delete(o.client, "challenge") },
			"another user":                     func(o *answerOf) { o.user = []byte("another user1234") },
			"may be on other devices now":      func(o *answerOf) { o.synced = true },
		} {
			t.Log(name)
			if r := q.signInWith(d, change); r.Code != http.StatusUnauthorized || !strings.HasSuffix(r.text("type"), ":invalid_credentials") || r.json()["unknown_passkey"] != nil {
				t.Errorf("%s: %d %s", name, r.Code, r.Body)
			}
		}
		stranger := &device{key: newKey(), user: d.user}
		r := q.signInWith(stranger).wantProblem(http.StatusUnauthorized, "invalid_credentials")
		if got, want := fmt.Sprint(r.json()["unknown_passkey"]), "map[credentialId:"+b64(stranger.key.ID)+" rpId:auth.example.com]"; got != want {
			t.Errorf("a passkey that is unknown here: %s", r.Body)
		}
		stranger.key.ID = d.key.ID // with alice's id, and a key of its own
		q.signInWith(stranger).wantProblem(http.StatusUnauthorized, "invalid_credentials")
		for _, garbage := range []string{`"x"`, `[]`, `{}`, `{"id":"AA","rawId":"AA","type":"public-key","response":{}}`, `{"id":1}`} {
			challenge, _ := q.askPasskey()
			q.passkey(challenge, garbage).wantProblem(http.StatusUnauthorized, "invalid_credentials")
		}
		q.do(http.MethodPost, "/session/passkey", `{}`).wantProblem(http.StatusBadRequest, "invalid_input")
		challenge, _ := q.askPasskey()
		q.passkey(challenge, `null`).wantProblem(http.StatusBadRequest, "invalid_input") // null is as absent
		if r := q.signInWith(d).want(http.StatusOK); r.json()["user"] == nil {
			t.Errorf("at last: %s", r.Body)
		}
	})
}

// A challenge is one browser's, for five minutes and one sign-in, and of one purpose.
//
// Requirement: line 78.
func TestPasskeyChallenges(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newApp(t)
		_, d, _ := a.withPasskey("alice", true)
		q, other := a.ownPage(), a.ownPage()
		challenge, options := q.askPasskey()
		other.askPasskey()
		credential := d.use(options)
		for name, bad := range map[string]string{"made up": "cs_ch_x", "changed": challenge[:len(challenge)-2] + "AA", "long": strings.Repeat("x", 10_000)} {
			t.Log(name)
			q.passkey(bad, credential).wantProblem(http.StatusUnauthorized, "invalid_challenge")
		}
		other.passkey(challenge, credential).wantProblem(http.StatusUnauthorized, "invalid_challenge")
		a.ownPage().passkey(challenge, credential).wantProblem(http.StatusUnauthorized, "invalid_challenge")
		q.passkey(challenge, credential).want(http.StatusOK)
		q.passkey(challenge, credential).wantProblem(http.StatusUnauthorized, "invalid_challenge")
		challenge, options = q.askPasskey()
		time.Sleep(5*time.Minute - time.Second)
		q.passkey(challenge, d.use(options)).want(http.StatusOK)
		challenge, options = q.askPasskey()
		time.Sleep(5 * time.Minute)
		q.passkey(challenge, d.use(options)).wantProblem(http.StatusUnauthorized, "invalid_challenge")

		second := q.signIn("alice", password).wantProblem(http.StatusUnauthorized, "second_factor_required")
		q.passkey(second.text("challenge"), d.use(second.json()["public_key"])).wantProblem(http.StatusUnauthorized, "invalid_challenge")
		alone, options := q.askPasskey()
		q.secondPasskey(alone, d.use(options)).wantProblem(http.StatusUnauthorized, "invalid_challenge")
	})
}

func (p *page) secondPasskey(challenge, credential string) *response {
	p.a.t.Helper()
	return p.do(http.MethodPost, "/session/factor", `{"challenge":"`+challenge+`","method":"passkey","credential":`+credential+`}`)
}

// A user with a passkey proves it after the password, too; or a recovery code.
func TestPasskeyIsASecondFactor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newApp(t)
		_, d, recovery := a.withPasskey("alice", false)
		_, his, _ := a.withPasskey("bob", false)
		q := a.ownPage()
		r := q.signIn("alice", password).wantProblem(http.StatusUnauthorized, "second_factor_required")
		if got := fmt.Sprint(r.json()["methods"]); got != "[passkey recovery_code]" {
			t.Errorf("methods = %s", got)
		}
		options := r.json()["public_key"].(map[string]any)
		if allowed, _ := json.Marshal(options["allowCredentials"]); string(allowed) != `[{"id":"`+b64(d.key.ID)+`","type":"public-key"}]` {
			t.Errorf("allowed = %s", allowed)
		}
		challenge := r.text("challenge")
		q.secondPasskey(challenge, his.use(options)).wantProblem(http.StatusUnauthorized, "invalid_code")
		q.secondPasskey(challenge, d.use(options, func(o *answerOf) { o.checked = false })).wantProblem(http.StatusUnauthorized, "invalid_code")
		q.do(http.MethodPost, "/session/factor", `{"challenge":"`+challenge+`","method":"passkey"}`).wantProblem(http.StatusBadRequest, "invalid_input")
		r = q.secondPasskey(challenge, d.use(options)).want(http.StatusOK)
		_, claims := r.claims("access_token")
		if got := fmt.Sprint(claims["amr"], claims["acr"]); got != "[pwd hwk user mfa]phr" {
			t.Errorf("methods: %s", got)
		}
		q.secondPasskey(challenge, d.use(options)).wantProblem(http.StatusUnauthorized, "invalid_challenge")
		fresh := a.ownPage()
		fresh.answer(fresh.challenged("alice"), "recovery_code", recovery[0]).want(http.StatusOK)
		a.loginWith("alice", password).wantError(http.StatusBadRequest, "insufficient_authorization")
	})
}

// A counter that goes back is an event. It keeps out a passkey that is on one device.
func TestPasskeyCounters(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newApp(t)
		for _, synced := range []bool{false, true} {
			_, d, _ := a.withPasskey(fmt.Sprint("alice", synced), synced)
			q := a.ownPage()
			d.count = 5
			q.signInWith(d).want(http.StatusOK)
			before := len(a.events(audit.FactorCounterRegressed))
			status := map[bool]int{false: http.StatusUnauthorized, true: http.StatusOK}[synced]
			for i, count := range []uint32{5, 4, 0} {
				d.count = count
				q.signInWith(d).want(status)
				if got := len(a.events(audit.FactorCounterRegressed)); got != before+i+1 {
					t.Errorf("counter %d: %d events", count, got-before)
				}
			}
			d.count = 6
			q.signInWith(d).want(http.StatusOK)
		}
	})
}

// What has ended, or may not sign in, a passkey doesn't open.
func TestPasskeyOfAnAccountThatMayNotSignIn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newApp(t)
		p, d, _ := a.withPasskey("alice", true)
		user, err := a.Users.ByUsername(t.Context(), "alice")
		if err != nil {
			t.Fatal(err)
		}
		if err := a.Users.Disable(t.Context(), time.Now(), user.ID, caller.Operator()); err != nil {
			t.Fatal(err)
		}
		a.ownPage().signInWith(d).wantProblem(http.StatusForbidden, "account_disabled")
		if err := a.Users.Enable(t.Context(), time.Now(), user.ID, caller.Operator()); err != nil {
			t.Fatal(err)
		}
		p.signInWith(d).want(http.StatusOK)
		id := p.do(http.MethodGet, "/account/factors", "").want(http.StatusOK).json()["factors"].([]any)[0].(map[string]any)["id"].(string)
		p.do(http.MethodPatch, "/account/factors/"+id, `{"name":"blue key"}`).want(http.StatusNoContent)
		q := a.ownPage()
		challenge, options := q.askPasskey()
		p.do(http.MethodDelete, "/account/factors/"+id, "").want(http.StatusNoContent)
		if r := q.passkey(challenge, d.use(options)).wantProblem(http.StatusUnauthorized, "invalid_credentials"); r.json()["unknown_passkey"] == nil {
			t.Errorf("a removed passkey: %s", r.Body)
		}
		a.ownPage().signIn("alice", password).want(http.StatusOK) // nothing is left to ask for
	})
}

// A new passkey needs a proof, is of the session that asked, and a challenge makes one.
//
// Requirement: line 79.
func TestNewPasskeysNeedAProof(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newApp(t)
		a.signup("alice")
		p, other := a.ownPage(), a.ownPage()
		p.signIn("alice", password).want(http.StatusOK)
		other.signIn("alice", password).want(http.StatusOK)
		fresh := func() *device { return &device{key: newKey()} }
		options := p.do(http.MethodPost, "/account/factors/passkeys/options", "").want(http.StatusOK)
		refused := func(name string, from *page, request string) {
			t.Helper()
			t.Log(name)
			r := from.do(http.MethodPost, "/account/factors/passkeys", request).wantProblem(http.StatusBadRequest, "invalid_input")
			if got := r.json()["errors"].([]any)[0].(map[string]any)["field"]; got != "credential" {
				t.Errorf("field %v is wrong", got)
			}
		}
		refused("another session's", other, p.newPasskey(fresh(), options, issuer))
		refused("another site's page", p, p.newPasskey(fresh(), options, "https://evil.example"))
		refused("an application's page that is no part of the host", p, p.newPasskey(fresh(), options, origin))
		for name, weak := range weakKeys(t) {
			refused(name, p, p.newPasskey(&device{key: weak}, options, issuer))
		}
		refused("garbage", p, `{"credential":{"id":"x"}}`)
		refused("nothing", p, `{"credential":null}`)
		sent := p.newPasskey(fresh(), options, issuer)
		p.do(http.MethodPost, "/account/factors/passkeys", sent).want(http.StatusCreated)
		refused("the challenge once more", p, p.newPasskey(fresh(), options, issuer))
		late := p.do(http.MethodPost, "/account/factors/passkeys/options", "").want(http.StatusOK)
		time.Sleep(5 * time.Minute)
		refused("too late", p, p.newPasskey(fresh(), late, issuer))
		time.Sleep(6 * time.Minute) // the sign-in is too long ago
		p.do(http.MethodPost, "/account/factors/passkeys/options", "").wantProblem(http.StatusForbidden, "reauthentication_required")
		p.do(http.MethodPost, "/account/factors/passkeys", sent).wantProblem(http.StatusForbidden, "reauthentication_required")
	})
}

// A passkey or a code is a proof for a change of the account, as the password is.
//
// Requirement: line 79.
func TestFactorsProveASession(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newApp(t)
		p, d, _ := a.withPasskey("alice", true)
		begun := p.do(http.MethodPost, "/account/factors/totp", "").want(http.StatusCreated)
		secret := begun.text("secret")
		p.do(http.MethodPost, "/account/factors/totp/"+begun.text("id")+"/confirm", `{"code":"`+appCode(t, secret)+`"}`).want(http.StatusOK)
		_, his, _ := a.withPasskey("bob", true)
		prove := func(body string) *response { return p.do(http.MethodPost, "/account/proof", body) }
		byPasskey := func(d *device) *response {
			challenge, options := p.askPasskey()
			return prove(`{"challenge":"` + challenge + `","credential":` + d.use(options) + `}`)
		}
		for _, do := range []func() *response{
			func() *response { return byPasskey(d) },
			func() *response { return prove(`{"code":"` + appCode(t, secret) + `"}`) },
			func() *response { return prove(`{"code":"` + appCode(t, secret) + `","credential":null}`) }, // as absent
		} {
			time.Sleep(11 * time.Minute)
			p.do(http.MethodPost, "/account/factors/totp", "").wantProblem(http.StatusForbidden, "reauthentication_required")
			prove(`{"code":"000000"}`).wantProblem(http.StatusBadRequest, "invalid_input")
			byPasskey(his).wantProblem(http.StatusBadRequest, "invalid_input")
			do().want(http.StatusNoContent)
			p.do(http.MethodPost, "/account/factors/totp", "").want(http.StatusCreated)
		}
		prove(`{"challenge":"x"}`).wantProblem(http.StatusBadRequest, "invalid_input")
		prove(`{"challenge":"x","credential":{}}`).wantProblem(http.StatusUnauthorized, "invalid_challenge")
		prove(`{"code":"123456","current_password":"x"}`).wantProblem(http.StatusBadRequest, "invalid_input")
	})
}

// Where passkeys can't be, nothing offers them, and what there is stays asked for.
func TestPasskeysAreOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newApp(t)
		p, d, _ := a.withPasskey("alice", true)
		a.options.Factors.Passkeys = false
		a.restart()
		p.do(http.MethodPost, "/account/factors/passkeys/options", "").wantProblem(http.StatusForbidden, "factor_not_offered")
		a.ownPage().signInWith(d).want(http.StatusOK)
		a.ownPage().signIn("alice", password).wantProblem(http.StatusUnauthorized, "second_factor_required")
	})
	ip := newApp(t, func(o *server.Options, _ *keys.Options) { o.Issuer = "https://192.0.2.1" })
	q := ip.page()
	q.do(http.MethodPost, "/session/passkey/options", "").wantProblem(http.StatusNotFound, "passkeys_off")
}

// The hosted pages take a passkey in place of name and password, and after them.
func TestHostedPagesTakePasskeys(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newApp(t)
		_, d, recovery := a.withPasskey("alice", true)
		p := a.person()
		r := p.authorize(authorization("spa"))
		form := r.page("login-form")
		if policy := r.Header().Get("Content-Security-Policy"); !strings.Contains(policy, "connect-src 'self'") {
			t.Errorf("the page may not ask for a challenge: %s", policy)
		}
		ask := func() (string, any) {
			t.Helper()
			r := p.do(http.MethodPost, "/session/passkey/options", "", "Origin", issuer, "Sec-Fetch-Site", "same-origin").want(http.StatusOK)
			return r.text("challenge"), r.json()["publicKey"]
		}
		send := func(challenge, credential string) *response {
			t.Helper()
			form.Set("challenge", challenge)
			form.Set("credential", credential)
			return p.submit("/login", form)
		}
		challenge, options := ask()
		send("cs_ch_x", d.use(options)).says(http.StatusBadRequest, "took too long")
		send(challenge, "{}").says(http.StatusBadRequest, "didn’t work here")
		gone := &device{key: newKey(), user: d.user}
		send(challenge, gone.use(options)).says(http.StatusBadRequest, "data-unknown", b64(gone.key.ID))
		code := p.follow(send(challenge, d.use(options))).code(spaCallback)
		_, claims := a.exchange(code).want(http.StatusOK).claims("id_token")
		if got := fmt.Sprint(claims["amr"], claims["acr"]); got != "[swk user mfa]phr" {
			t.Errorf("methods: %s", got)
		}

		// After the password: the passkey or a recovery code.
		q := a.person()
		page := q.signIn(q.authorize(authorization("spa")), "alice")
		page.says(http.StatusOK, "passkey-form", "data-options")
		if strings.Contains(page.Body.String(), "factor-form") {
			t.Error("the page asks for a code of an app that the user doesn't have")
		}
		second := page.page("passkey-form")
		var asked any
		if err := json.Unmarshal([]byte(page.attribute("passkey-form", "data-options")), &asked); err != nil {
			t.Fatal(err)
		}
		second.Set("credential", d.use(asked, func(o *answerOf) { o.checked = false }))
		q.submit("/factor", second).says(http.StatusBadRequest, "didn’t work here")
		second.Set("credential", d.use(asked))
		code = q.follow(q.submit("/factor", second)).code(spaCallback)
		_, claims = a.exchange(code).want(http.StatusOK).claims("id_token")
		if got := fmt.Sprint(claims["amr"], claims["acr"]); got != "[pwd swk user mfa]phr" {
			t.Errorf("methods: %s", got)
		}
		last := a.person()
		last.signIn(last.authorize(authorization("spa")), "alice")
		byCode := last.open("/factor/recovery").want(http.StatusOK).page("factor-form")
		byCode.Set("code", recovery[0])
		last.submit("/factor", byCode).want(http.StatusSeeOther)
	})
}

// Users add and remove passkeys at /me/factors.
func TestAccountPagePasskeys(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newApp(t)
		p, _ := a.newPerson(t, "alice")
		add := func() (*response, *device) {
			t.Helper()
			page := p.open("/me/factors?do=passkey_add").want(http.StatusOK)
			form := page.page("passkey-form")
			d := &device{key: newKey(), synced: true}
			form.Set("name", "phone")
			form.Set("credential", d.makes(t, page.attribute("passkey-form", "data-options"), issuer))
			return p.submit("/me/factors", form), d
		}
		r, d := add()
		r.says(http.StatusOK, `id="codes"`)
		r, _ = add()
		p.follow(r.want(http.StatusSeeOther)).says(http.StatusOK, "Your passkey is set up.", "phone", "data-accepted", b64(d.key.ID))
		page := p.open("/me/factors?do=passkey_add").want(http.StatusOK)
		form := page.page("passkey-form")
		form.Set("credential", `{"id":"x"}`)
		p.submit("/me/factors", form).says(http.StatusBadRequest, "didn’t work here")
		p.open("/me/security").says(http.StatusOK, "Authenticator app or passkey added")
	})
}

// A user who must have a second factor may set up a passkey on the way to sign in.
func TestEnrolmentByPasskey(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newApp(t)
		a.signup("alice")
		elsewhere := a.page()
		elsewhere.signIn("alice", password).want(http.StatusOK)
		a.options.Factors.Required = []string{"all"}
		a.options.Factors.TOTP = false
		a.restart()
		p, other := a.person(), a.person()
		page := p.signIn(p.authorize(authorization("spa")), "alice").says(http.StatusOK, "Make a passkey")
		other.signIn(other.authorize(authorization("spa")), "alice").says(http.StatusOK, "Make a passkey")
		if r := p.open("/factor/enrol"); strings.Contains(r.Body.String(), "enrol-form") {
			t.Error("the page offers an app, which the operator has turned off")
		}
		p.submit("/factor/enrol", form("credential", "{}")).says(http.StatusBadRequest, "didn’t work here", "passkey-form")
		p.submit("/factor/enrol", form("code", "123456")).says(http.StatusForbidden, "can’t be set up here")
		d := &device{key: newKey(), synced: true}
		made := p.enrolPasskey(d, page).says(http.StatusOK, `id="codes"`)
		code := p.follow(p.submit("/factor/enrol", made.page("done-form"))).code(spaCallback)
		_, claims := a.exchange(code).want(http.StatusOK).claims("id_token")
		if got := fmt.Sprint(claims["amr"], claims["acr"]); got != "[pwd swk user mfa]phr" {
			t.Errorf("methods: %s", got)
		}
		other.open("/factor/enrol").says(http.StatusBadRequest, "took too long") // the account has changed
		elsewhere.refresh().want(http.StatusUnauthorized)
		a.ownPage().signInWith(d).want(http.StatusOK)
	})
}

// The last way in stays.
func TestLastPasskeyStaysWithoutAPassword(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newApp(t)
		p, d, _ := a.withPasskey("alice", true)
		factor := func(i int) string {
			t.Helper()
			return p.do(http.MethodGet, "/account/factors", "").want(http.StatusOK).json()["factors"].([]any)[i].(map[string]any)["id"].(string)
		}
		p.do(http.MethodDelete, "/account/password", "").want(http.StatusNoContent)
		a.ownPage().signIn("alice", password).wantProblem(http.StatusUnauthorized, "invalid_credentials")
		p.signInWith(d).want(http.StatusOK)
		first := factor(0)
		p.do(http.MethodDelete, "/account/factors/"+first, "").wantProblem(http.StatusConflict, "last_way_in")
		p.newDevice(true)
		elsewhere := a.ownPage()
		elsewhere.signInWith(d).want(http.StatusOK)
		p.do(http.MethodDelete, "/account/factors/"+first, "").want(http.StatusNoContent)
		elsewhere.do(http.MethodGet, "/account/factors", "").want(http.StatusUnauthorized) // the sign-ins with it end with it
		p.do(http.MethodDelete, "/account/factors/"+factor(1), "").wantProblem(http.StatusConflict, "last_way_in")
	})
}

// An attacker makes an account for another person's address, with a passkey. It is gone once
// the owner of the address takes the account over.
func TestPasskeyOfAStrangerEndsWithTheReset(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, box := simulated(t)
		a.signup("alice")
		time.Sleep(time.Minute) // until the letter about the address is sent
		box.empty()
		attacker := a.ownPage()
		attacker.signIn("alice", password).want(http.StatusOK)
		d, _ := attacker.newDevice(true)
		owner := a.page()
		owner.forgot("alice@example.net").want(http.StatusAccepted)
		owner.reset(token(t, box.take(t)), "another long password").want(http.StatusNoContent)
		if r := a.ownPage().signInWith(d).wantProblem(http.StatusUnauthorized, "invalid_credentials"); r.json()["unknown_passkey"] == nil {
			t.Errorf("the attacker's passkey: %s", r.Body)
		}
		owner.signIn("alice", "another long password").want(http.StatusOK)
		if got := len(a.events(audit.FactorsReset)); got != 1 {
			t.Errorf("%d events say so", got)
		}
	})
}

// A user without a password proves anew at the sign-in page who it is.
func TestPasskeyProvesAnewAtTheAccountPage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newApp(t)
		p, d, _ := a.withPasskey("alice", true)
		p.do(http.MethodDelete, "/account/password", "").want(http.StatusNoContent)
		own := a.person()
		v := &visitor{app: a, browser: own, device: d}
		hostedPasskey(v).goesTo("/me")
		time.Sleep(11 * time.Minute)
		own.open("/me/factors").says(http.StatusOK, `href="/login?again=yes&to=%2fme%2ffactors"`)
		own.submit("/me/factors", fill(own.open("/me/factors?do=codes_renew").page("factors-form"))).says(http.StatusForbidden, "sign in again first")
		own.open("/login?again=yes&to=/me/factors").says(http.StatusOK, "Sign in with a passkey")
		hostedPasskey(v).goesTo("/me")
		own.submit("/me/factors", fill(own.open("/me/factors?do=codes_renew").page("factors-form"))).says(http.StatusOK, `id="codes"`)
	})
}
