package server_test

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"

	"countersign/server"
)

// A signed-in user proves the password whatever strangers do, and in one session whatever
// a thief of another does, who has no more guesses than any caller.
func TestProofInASessionHasItsOwnBudget(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newApp(t, proxied)
		a.signup("alice")
		app, stolen := a.login("alice"), a.login("alice")
		for i := range 110 {
			f := with(passwordForm("alice"), "password", "guess")
			a.token(f, "X-Forwarded-For", fmt.Sprintf("203.0.113.%d", i))
		}
		a.token(passwordForm("alice")).wantError(http.StatusTooManyRequests, "temporarily_unavailable")

		change := func(session *response, current, next string) *response {
			return a.post("/account/password", `{"current_password":"`+current+`","new_password":"`+next+`"}`, "Authorization", "Bearer "+session.text("access_token"))
		}
		let := 0
		for i := range 100 {
			// Whatever the network, and whichever endpoint takes the proof.
			from := fmt.Sprintf("198.51.100.%d", i)
			var r *response
			if i%2 == 0 {
				r = change(stolen, "guess", "another good password")
			} else {
				r = a.do("DELETE", "/account", `{"current_password":"guess"}`, "X-Forwarded-For", from, "Content-Type", "application/json", "Authorization", "Bearer "+stolen.text("access_token"))
			}
			switch r.Code {
			case http.StatusBadRequest:
				let++
			case http.StatusTooManyRequests:
			default:
				t.Fatalf("%d %s", r.Code, r.Body)
			}
		}
		if let != 11 {
			t.Errorf("%d guesses in a stolen session, want 11", let)
		}
		change(stolen, password, "another good password").wantProblem(http.StatusTooManyRequests, "throttled")
		change(app, "mistyped", "another good password").wantProblem(http.StatusBadRequest, "invalid_input")
		change(app, password, "another good password").want(http.StatusNoContent)
	})
}

// A thief of a browser's login may start any number of sessions. Their guesses count
// together.
func TestProofsInAllSessionsShareABudget(t *testing.T) {
	a := newApp(t, withOptions(func(o *server.Options) { o.Throttle.StrangersPerAccount = 5 }))
	a.signup("alice")
	for i := range 6 {
		r := a.do("DELETE", "/account", `{"current_password":"guess"}`, "Content-Type", "application/json", "Authorization", "Bearer "+a.login("alice").text("access_token"))
		if want := map[bool]int{true: http.StatusTooManyRequests, false: http.StatusBadRequest}[i == 5]; r.Code != want {
			t.Errorf("session %d: %d, want %d", i, r.Code, want)
		}
	}
}

func TestDeviceTokenIsToAnAppWhatTheCookieIsToABrowser(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newApp(t, proxied)
		a.signup("alice")
		a.signup("bob")
		a.signup("mallory")
		app := func(user, device string, more ...string) *response {
			f := passwordForm(user)
			if device != "" {
				f.Set("device_token", device)
			}
			for i := 0; i < len(more); i += 2 {
				f.Set(more[i], more[i+1])
			}
			return a.token(f)
		}
		first := app("alice", "").want(http.StatusOK).text("device_token")
		both := app("bob", first).want(http.StatusOK).text("device_token")
		mallorys := app("mallory", "").want(http.StatusOK).text("device_token")
		browser := a.page()
		browser.signIn("mallory", password).want(http.StatusOK)
		if !strings.HasPrefix(first, "cs_dt_") {
			t.Errorf("%q has no prefix", first)
		}
		if again := a.refresh(app("alice", both).text("refresh_token")); again.json()["device_token"] != nil {
			t.Error("a refresh has a device token")
		}
		app("alice", first, "password", "wrong").wantError(http.StatusBadRequest, "invalid_grant")

		for _, name := range []string{"alice", "bob"} {
			for i := range 105 {
				a.token(with(passwordForm(name), "password", "guess"), "X-Forwarded-For", fmt.Sprintf("203.0.113.%d", i))
			}
		}
		foreign := newApp(t)
		foreign.signup("alice")
		for name, token := range map[string]string{
			"none": "", "nonsense": "nonsense", "mallory's": mallorys, "another installation's": foreign.login("alice").text("device_token"),
			"cut": first[:len(first)-1], "longer": first + "A", "without its prefix": strings.TrimPrefix(first, "cs_dt_"), "a space more": first + " ",
			"a browser's cookie": "cs_dt_" + browser.cookie(deviceName), "a refresh token": a.login("mallory").text("refresh_token"), "huge": "cs_dt_" + strings.Repeat("A", 50_000),
		} {
			if r := app("alice", token); r.Code != http.StatusTooManyRequests {
				t.Errorf("%s: %d %s", name, r.Code, r.Body)
			}
			if r := app("mallory", token); r.Code != http.StatusOK { // a bad one is as none
				t.Errorf("%s, for another account: %d %s", name, r.Code, r.Body)
			}
		}
		twice := passwordForm("alice")
		twice["device_token"] = []string{first, first}
		a.token(twice).wantError(http.StatusBadRequest, "invalid_request")
		other := url.Values{"grant_type": {"client_credentials"}, "client_id": {"web"}, "client_secret": {secret}, "device_token": {first}}
		if r := a.token(other).want(http.StatusOK); r.json()["device_token"] != nil {
			t.Error("another grant has a device token")
		}

		// The owners sign in, and the app's budget is one, whichever of its tokens it sends.
		app("alice", both).want(http.StatusOK)
		app("bob", both).want(http.StatusOK)
		for i := range 11 {
			app("alice", []string{first, both}[i%2], "password", "wrong").wantError(http.StatusBadRequest, "invalid_grant")
		}
		app("alice", first).wantError(http.StatusTooManyRequests, "temporarily_unavailable")
		app("bob", both).want(http.StatusOK)
	})
}
