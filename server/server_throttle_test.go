package server_test

import (
	"fmt"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"countersign/audit"
	"countersign/server"
)

func someEvent() audit.Event { return audit.Event{Time: time.Now(), Kind: audit.ClientUpdated} }

// More than a hundred failures on one account: strangers are refused until it has
// been quiet; other accounts are unaffected, and the owner gets in from a browser
// that was there before, and before that from another network.
func TestLine22StrangersHaveABudget(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newApp(t, proxied)
		a.signup("alice")
		a.signup("bob")
		home := a.page()
		home.address = "198.51.100.1"
		home.signIn("alice", password).want(http.StatusOK)

		let, refused := 0, 0
		attack := func(i int) {
			p := a.page()
			p.address = fmt.Sprintf("203.0.113.%d", i%100)
			switch r := p.signIn("alice", fmt.Sprintf("guess %d", i)); r.Code {
			case http.StatusUnauthorized:
				let++
			case http.StatusTooManyRequests:
				refused++
			default:
				t.Fatalf("%d %s", r.Code, r.Body)
			}
		}
		for i := range 90 {
			attack(i)
		}
		elsewhere := a.page()
		elsewhere.address = "198.51.100.77"
		elsewhere.signIn("alice", password).want(http.StatusOK) // a stranger with the right password
		for i := range 400 {
			attack(i)
		}
		if let != 100 || refused != 390 {
			t.Errorf("%d guesses were let through and %d refused, want 100 and 390", let, refused)
		}
		stranger := a.page()
		stranger.address = "198.51.100.78"
		r := stranger.signIn("alice", password).wantProblem(http.StatusTooManyRequests, "throttled")
		if got := r.Header().Get("Retry-After"); got != "3600" {
			t.Errorf("Retry-After = %q, want 3600", got)
		}
		stranger.signIn("bob", password).want(http.StatusOK)

		// The owner signs in at will, and even mistypes, from both browsers.
		for _, p := range []*page{home, elsewhere} {
			for range 5 {
				p.signIn("alice", "mistyped").want(http.StatusUnauthorized)
				p.signIn("alice", password).want(http.StatusOK)
			}
			p.address = "198.51.100.200" // and from elsewhere
			p.signIn("alice", password).want(http.StatusOK)
		}
		attack(0)
		if let != 100 {
			t.Error("the owner's success has refilled the strangers' budget")
		}
		time.Sleep(time.Hour + time.Second)
		stranger.signIn("alice", password).want(http.StatusOK)
	})
}

// A known browser has a budget, too: it may have been stolen, or lent.
func TestKnownBrowserHasItsOwnBudget(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newApp(t, proxied)
		a.signup("alice")
		home, phone := a.page(), a.page()
		home.signIn("alice", password).want(http.StatusOK)
		phone.signIn("alice", password).want(http.StatusOK)
		for i := range 11 {
			home.address = fmt.Sprintf("198.51.100.%d", i) // whatever the network
			home.signIn("alice", "wrong").want(http.StatusUnauthorized)
		}
		home.signIn("alice", password).wantProblem(http.StatusTooManyRequests, "throttled")
		phone.signIn("alice", password).want(http.StatusOK)
		a.page().signIn("alice", password).want(http.StatusOK) // strangers' weren't touched
		time.Sleep(time.Second)
		home.signIn("alice", password).want(http.StatusOK)
	})
}

// The cookie of a known browser is signed, and of no use to another account.
func TestKnownBrowserCookieCannotBeMade(t *testing.T) {
	a := newApp(t, proxied, withOptions(func(o *server.Options) { o.StrangersPerAccount = 5 }))
	a.signup("alice")
	a.signup("mallory")
	mallory := a.page()
	mallory.signIn("mallory", password).want(http.StatusOK)
	known := mallory.cookie(deviceName)
	other := newApp(t)
	other.signup("alice")
	foreign := other.page()
	foreign.signIn("alice", password).want(http.StatusOK)
	for i := range 5 {
		p := a.page()
		p.address = fmt.Sprintf("203.0.113.%d", i)
		p.signIn("alice", "wrong").want(http.StatusUnauthorized)
	}
	for name, value := range map[string]string{
		"mallory's": known, "another installation's": foreign.cookie(deviceName), "nonsense": "AAAA", "cut": known[:20],
	} {
		p := a.page()
		p.keep(deviceName, value)
		if r := p.signIn("alice", password); r.Code != http.StatusTooManyRequests {
			t.Errorf("%s cookie: %d", name, r.Code)
		}
	}
	c := mallory.signIn("mallory", password).setCookie(deviceName)
	if !c.HttpOnly || !c.Secure || c.SameSite != http.SameSiteStrictMode {
		t.Errorf("cookie = %s", c.Raw)
	}
	mallory.do("DELETE", "/session", "").want(http.StatusNoContent)
	if mallory.cookie(deviceName) == "" {
		t.Error("signing out forgets the browser")
	}
}

// Known and unknown accounts are throttled alike, answer for answer.
func TestThrottleDoesNotTellAccountsApart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newApp(t, proxied, withOptions(func(o *server.Options) { o.StrangersPerAccount = 20 }))
		a.signup("alice")
		for i := range 60 {
			var answers [2]string
			for j, name := range []string{"alice", "nobody"} {
				p := a.page()
				p.address = fmt.Sprintf("203.0.113.%d", i%7)
				r := p.signIn(name, "wrong")
				answers[j] = fmt.Sprint(r.Code, r.Header().Get("Retry-After"), r.Body)
			}
			if answers[0] != answers[1] {
				t.Fatalf("guess %d:\n%s\n%s", i, answers[0], answers[1])
			}
			time.Sleep(time.Second)
		}
	})
}
