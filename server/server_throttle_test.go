package server_test

import (
	"fmt"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"countersign/audit"
	"countersign/caller"
	"countersign/server"
	"countersign/test/soak"
)

func someEvent() audit.Event { return audit.Event{Time: time.Now(), Kind: audit.ClientUpdated} }

// More than a hundred failures on one account: strangers are refused until the window
// has passed without a failure. Other accounts are unaffected, and the owner signs in
// from a browser that is known to the account.
//
// Requirement: line 22.
func TestStrangersHaveABudget(t *testing.T) {
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

// A known browser has a budget, too: an attacker may use it.
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
		a.page().signIn("alice", password).want(http.StatusOK) // the strangers' budget wasn't touched
		time.Sleep(time.Second)
		home.signIn("alice", password).want(http.StatusOK)
	})
}

// The operator forgets all wrong guesses at an account, wherever they came from and
// whatever the account was called by.
func TestUnlockedAccountHasItsBudgetsAgain(t *testing.T) {
	a := newApp(t, proxied, withOptions(func(o *server.Options) { o.Throttle.StrangersPerAccount = 12 }))
	a.signup("alice")
	a.signup("bob")
	alice, err := a.Users.ByUsername(t.Context(), "alice")
	if err != nil {
		t.Fatal(err)
	}
	if alice, err = a.Users.SetEmail(t.Context(), time.Now(), alice, "alice@example.com", true, caller.Operator()); err != nil {
		t.Fatal(err)
	}
	unlock := func(want bool) {
		t.Helper()
		if got, err := a.Users.Unlock(t.Context(), time.Now(), alice.ID, caller.Operator()); err != nil || got != want {
			t.Errorf("unlocked: %v, %v, want %v", got, err, want)
		}
	}
	home, stranger := a.page(), a.page()
	home.address, stranger.address = "198.51.100.1", "203.0.113.1"
	home.signIn("alice", password).want(http.StatusOK)
	unlock(false)
	for range 11 {
		home.signIn("alice", "wrong").want(http.StatusUnauthorized)
		stranger.signIn("alice@example.com", "wrong").want(http.StatusUnauthorized)
		stranger.signIn("bob", "wrong").want(http.StatusUnauthorized)
	}
	another := a.page()
	another.address = "203.0.113.2"
	another.signIn("alice", "wrong").want(http.StatusUnauthorized)
	for _, p := range []*page{home, stranger, another} {
		p.signIn("alice", password).wantProblem(http.StatusTooManyRequests, "throttled")
	}
	unlock(true)
	for _, p := range []*page{home, stranger, another} {
		p.signIn("alice", password).want(http.StatusOK)
	}
	stranger.signIn("bob", password).wantProblem(http.StatusTooManyRequests, "throttled")
	if n := len(a.events(audit.UserUnlocked)); n != 1 {
		t.Errorf("%d events, want 1", n)
	}
	unlock(false)
}

// A new password makes former browsers less known. Strangers don't lock them out, but
// an attacker who knew the old password could have made any number of them, so all of
// them together have no more guesses than strangers.
func TestFormerBrowsersShareABudget(t *testing.T) {
	a := newApp(t, proxied, withOptions(func(o *server.Options) { o.Throttle.StrangersPerAccount = 5 }))
	a.signup("alice")
	home, phone := a.page(), a.page()
	in := home.signIn("alice", password).want(http.StatusOK)
	phone.signIn("alice", password).want(http.StatusOK)
	var insider []*page
	for range 6 {
		p := a.page()
		p.signIn("alice", password).want(http.StatusOK)
		insider = append(insider, p)
	}
	const changed = "another good password"
	home.bearer("POST", "/account/password", `{"current_password":"`+password+`","new_password":"`+changed+`"}`, in).want(http.StatusNoContent)
	for i := range 6 {
		p := a.page()
		p.address = fmt.Sprintf("203.0.113.%d", i)
		want := http.StatusUnauthorized
		if i == 5 {
			want = http.StatusTooManyRequests
		}
		p.signIn("alice", password).want(want)
	}
	phone.signIn("alice", changed).want(http.StatusOK) // strangers are no match for it
	for i, p := range insider {
		want := http.StatusUnauthorized
		if i == 5 {
			want = http.StatusTooManyRequests
		}
		p.signIn("alice", password).want(want)
	}
	home.signIn("alice", changed).want(http.StatusOK)
	phone.signIn("alice", changed).want(http.StatusOK) // it is known again
}

// A browser is known to an account, not to a username.
func TestKnownBrowserOfAFormerAccount(t *testing.T) {
	a := newApp(t, proxied, withOptions(func(o *server.Options) { o.Throttle.StrangersPerAccount = 2 }))
	a.signup("alice")
	p := a.page()
	in := p.signIn("alice", password).want(http.StatusOK)
	p.bearer("DELETE", "/account", "", in).want(http.StatusNoContent)
	a.signup("alice")
	for range 2 {
		p.signIn("alice", "wrong").want(http.StatusUnauthorized)
	}
	p.signIn("alice", password).wantProblem(http.StatusTooManyRequests, "throttled")
}

// The cookie of a known browser is signed, and of no use to another account.
func TestKnownBrowserCookieCannotBeMade(t *testing.T) {
	a := newApp(t, proxied, withOptions(func(o *server.Options) { o.Throttle.StrangersPerAccount = 5 }))
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

// Ten thousand guesses from a hundred addresses at two replicas: the budget lets few
// through, the owner can always sign in, and nothing distinguishes the account from an
// unknown one.
func TestThousandsOfGuesses(t *testing.T) {
	guesses := soak.Size(10_000, 1_500)
	synctest.Test(t, func(t *testing.T) {
		a := newApp(t, proxied)
		replicas := []*app{a, openApp(t, a.path, a.master, proxied)}
		a.signup("alice")
		owner := a.page()
		owner.address = "198.51.100.1"
		owner.signIn("alice", password).want(http.StatusOK)
		began := time.Now()
		answers := map[int]int{}
		guess := func(name string, i int) *response {
			p := replicas[i/100%2].page()
			p.address = fmt.Sprintf("203.0.113.%d", i%100)
			return p.signIn(name, fmt.Sprintf("guess %d", i))
		}
		told := func(r *response) string { return fmt.Sprint(r.Code, r.Header().Get("Retry-After"), r.Body) }
		for i := range guesses {
			known, unknown := guess("alice", i), guess("nobody", i)
			if told(known) != told(unknown) {
				t.Fatalf("guess %d:\n%s\n%s", i, told(known), told(unknown))
			}
			answers[known.Code]++
			if i%50 == 0 {
				owner.a = replicas[i/50%2]
				owner.signIn("alice", password).want(http.StatusOK)
			}
			time.Sleep(time.Second)
		}
		windows := 1 + int(time.Since(began)/time.Hour)
		t.Logf("of %d guesses in %v %v", guesses, time.Since(began), answers)
		if let := answers[http.StatusUnauthorized]; let != 100*windows {
			t.Errorf("%d guesses were let through in %d hours begun, want 100 in each", let, windows)
		}
		if answers[http.StatusUnauthorized]+answers[http.StatusTooManyRequests] != guesses {
			t.Errorf("answers: %v", answers)
		}
	})
}

// Sign-ups with taken names cost guesses; successful sign-ups don't.
func TestSignupHasABudgetForTakenNames(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newApp(t)
		for i := range 30 {
			a.signup(fmt.Sprint("user", i))
		}
		try := func() *response {
			return a.post("/signup", `{"username":"user1","password":"`+password+`"}`)
		}
		for range 11 {
			try().wantProblem(http.StatusConflict, "taken")
		}
		if got := try().wantProblem(http.StatusTooManyRequests, "throttled").Header().Get("Retry-After"); got != "1" {
			t.Errorf("Retry-After = %q, want 1", got)
		}
		time.Sleep(time.Second)
		a.signup("somebody")
	})
}

// An attacker who tries one password at many accounts guesses once at each. The network
// has a budget over all of them, which no success of the attacker's refills. Known
// browsers and other networks are unaffected.
func TestSprayingHasABudget(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newApp(t, proxied)
		for _, name := range []string{"alice", "mallory"} {
			a.signup(name)
		}
		home := a.page()
		home.address = "203.0.113.1" // the attacker's network, too
		home.signIn("alice", password).want(http.StatusOK)

		let := 0
		spray := func(address string, i int) int {
			name := fmt.Sprint("user", i)
			if i%3 == 0 {
				name = fmt.Sprintf("no name %d", i) // malformed ones count alike
			}
			var r *response
			if i%2 == 0 {
				p := a.page()
				p.address = address
				r = p.signIn(name, "Summer2026!")
			} else {
				f := passwordForm(name)
				f.Set("password", "Summer2026!")
				r = a.token(f, "X-Forwarded-For", address)
			}
			switch r.Code {
			case http.StatusUnauthorized, http.StatusBadRequest:
				let++
			case http.StatusTooManyRequests:
				if r.Header().Get("Retry-After") == "" {
					t.Fatal("no Retry-After")
				}
			default:
				t.Fatalf("%d %s", r.Code, r.Body)
			}
			return r.Code
		}
		for i := range 300 {
			if spray("203.0.113.1", i) != http.StatusTooManyRequests && i%10 == 0 {
				p := a.page()
				p.address = "203.0.113.1"
				p.signIn("mallory", password).want(http.StatusOK)
			}
		}
		if let != 200 {
			t.Errorf("%d guesses were let through, want 200", let)
		}
		stranger := a.page()
		stranger.address = "203.0.113.1"
		r := stranger.signIn("alice", password).wantProblem(http.StatusTooManyRequests, "throttled")
		if got := r.Header().Get("Retry-After"); got != "18" {
			t.Errorf("Retry-After = %q, want 18", got)
		}
		home.signIn("alice", "mistyped").want(http.StatusUnauthorized)
		home.signIn("alice", password).want(http.StatusOK)
		stranger.address = "203.0.113.2"
		stranger.signIn("alice", password).want(http.StatusOK)

		// Each failure is given back by itself.
		time.Sleep(18 * time.Second)
		if spray("203.0.113.1", 1) == http.StatusTooManyRequests || spray("203.0.113.1", 2) != http.StatusTooManyRequests {
			t.Error("want one guess after 18 seconds")
		}

		// A /48 has 65,536 networks, but not their budgets.
		let = 0
		for i := range 1000 {
			spray(fmt.Sprintf("2001:db8:1:%x::1", i), i)
		}
		if let != 800 {
			t.Errorf("%d guesses from one site were let through, want 800", let)
		}
		stranger.address = "2001:db8:2::1"
		stranger.signIn("alice", password).want(http.StatusOK)
	})
}
