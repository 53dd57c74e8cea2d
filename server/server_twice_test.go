package server_test

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"countersign/audit"
	"countersign/server"
)

// Twice is not an error: a link that has just worked says so when it is used again, until it
// expires or what it did is no longer so. Nothing changes by it.
func TestUsedLinksSayThatTheyHaveWorked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, box := simulated(t)
		p, other := a.page(), a.page()
		a.signup("alice")
		verify := token(t, box.take(t))
		p.verify(verify).want(http.StatusNoContent)
		p.signIn("alice", password).want(http.StatusOK)
		for range 2 {
			other.verify(verify).wantDoneAlready()
		}
		if n := countEvents(t, a, audit.UserEmailVerified); n != 1 {
			t.Errorf("%d events", n)
		}
		p.do("GET", "/session", "").want(http.StatusOK)

		// A reset: the same password is done, another one changes nothing and is a guess.
		ask := func() string {
			t.Helper()
			p.forgot("alice@example.net").want(http.StatusAccepted)
			return token(t, box.take(t))
		}
		older, reset := ask(), ask()
		p.reset(reset, "another good password").want(http.StatusNoContent)
		box.take(t) // the notice, and no second one later
		other.reset(reset, "another good password").wantDoneAlready()
		if other.cookie(deviceName) == "" {
			t.Error("the browser is not known after a double click")
		}
		for _, wrong := range []string{"yet another good one", "short", password, ""} {
			p.reset(reset, wrong).wantProblem(http.StatusBadRequest, "invalid_input")
		}
		p.reset(older, "another good password").wantProblem(http.StatusBadRequest, "invalid_input")
		p.verify(reset).wantProblem(http.StatusBadRequest, "invalid_input")
		other.reset(verify, "another good password").wantProblem(http.StatusBadRequest, "invalid_input")
		if n := countEvents(t, a, audit.UserPasswordChanged); n != 1 {
			t.Errorf("%d events", n)
		}
		guesser := a.page()
		var last *response
		for range 15 {
			last = guesser.reset(reset, "yet another good one")
		}
		last.want(http.StatusTooManyRequests)

		// A change of the address; then both are overtaken.
		in := p.signIn("alice", "another good password").want(http.StatusOK)
		p.bearer("POST", "/account/email", `{"email":"new@example.net"}`, in).want(http.StatusAccepted)
		change := token(t, box.takeBoth(t, "alice@example.net"))
		p.verify(change).want(http.StatusNoContent)
		box.take(t)
		p.verify(change).wantDoneAlready()
		p.verify(verify).wantProblem(http.StatusBadRequest, "invalid_input")
		p.reset(reset, "another good password").wantProblem(http.StatusBadRequest, "invalid_input")
		p.bearer("POST", "/account/password", `{"current_password":"another good password","new_password":"`+password+`"}`, in).want(http.StatusNoContent)
		box.take(t)
		p.verify(change).wantProblem(http.StatusBadRequest, "invalid_input")

		// Two at once, and the end of its time.
		p.forgot("new@example.net").want(http.StatusAccepted)
		reset = token(t, box.take(t))
		var answers [2]*response
		var wg sync.WaitGroup
		for i := range answers {
			wg.Go(func() { answers[i] = a.page().reset(reset, "one more good password") })
		}
		wg.Wait()
		if one, two := answers[0].Code, answers[1].Code; min(one, two) != http.StatusOK || max(one, two) != http.StatusNoContent {
			t.Errorf("two at once: %d, %d", one, two)
		}
		time.Sleep(31 * time.Minute)
		p.reset(reset, "one more good password").wantProblem(http.StatusBadRequest, "invalid_input")
	})
}

// Where users must prove their address first, each of two equal sign-ups, one after the
// other or at once, says that the letter is on its way.
func TestSignupFormSentTwiceAndAddressDue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, box := simulated(t, func(o *server.Options) { o.Accounts.RequireVerifiedEmail = true })
		p := a.person()
		f := form("username", "alice", "email", "alice@example.net", "password", password)
		for range 2 {
			p.submit("/signup", f).says(http.StatusOK, "Check your mail")
		}
		welcome := box.take(t)
		for i, username := range []string{"bob", ""} {
			f.Set("username", username)
			f.Set("email", fmt.Sprintf("bob%d@example.net", i))
			var answers [4]*response
			var wg sync.WaitGroup
			for i := range answers {
				wg.Go(func() { answers[i] = a.person().submit("/signup", f) })
			}
			wg.Wait()
			for _, r := range answers {
				r.says(http.StatusOK, "Check your mail")
			}
			box.take(t) // one letter
			if n := countEvents(t, a, audit.UserCreated); n != 2+i {
				t.Errorf("%d accounts", n)
			}
		}
		f.Set("username", "bob")
		// Another password or address is another sign-up.
		f.Set("password", "yet another good one")
		p.submit("/signup", f).says(http.StatusBadRequest, "This username is taken.")
		f.Set("password", password)
		f.Set("email", "mallory@example.net")
		p.submit("/signup", f).says(http.StatusBadRequest, "This username is taken.")
		// It is no way in.
		p.submit("/login", f).says(http.StatusForbidden, "isn't confirmed yet")
		p.submit("/verify", form("token", token(t, welcome))).says(http.StatusOK, "E-mail address confirmed")
		f = form("username", "alice", "email", "alice@example.net", "password", password)
		p.follow(p.submit("/signup", f)).says(http.StatusOK, "alice") // proven meanwhile: signed in
	})
}

// A form that is sent twice ends where it ends when it is sent once.
func TestFormsSentTwice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, box := simulated(t)
		p := a.person()
		f := p.authorize(authorization("rp", "prompt", "create")).page("signup-form")
		f.Set("username", "alice")
		f.Set("email", "alice@example.net")
		f.Set("password", password)
		first, lost := p.submit("/signup", f), a.person()
		second := lost.submit("/signup", f) // the browser has dropped the first answer
		welcome := token(t, box.take(t))
		p.follow(first).page("consent-form")
		g := lost.follow(second).page("consent-form")
		f.Set("password", "yet another good one")
		p.submit("/signup", f).says(http.StatusBadRequest, "This username is taken.")
		f.Set("password", password)
		f.Set("email", "mallory@example.net")
		a.person().submit("/signup", f).says(http.StatusBadRequest, "This username is taken.")
		p.follow(p.submit("/signup", f)).page("consent-form") // the browser knows the account

		g.Set("decision", "allow")
		for range 2 {
			lost.submit("/consent", g).code(rpCallback)
		}
		time.Sleep(time.Second)
		in := p.authorize(authorization("spa", "prompt", "login")).page("login-form")
		in.Set("username", "alice")
		in.Set("password", password)
		for range 2 {
			p.submit("/login", in).code(spaCallback)
		}
		link := form("token", welcome)
		p.submit("/verify", link).says(http.StatusOK, "E-mail address confirmed")
		p.submit("/verify", link).says(http.StatusOK, "Already confirmed", "Go to sign-in")
		p.submit("/forgot", form("email", "alice"))
		link = form("token", token(t, box.take(t)), "password", "another good password")
		p.submit("/reset", link).says(http.StatusOK, "Password changed", "Go to sign-in")
		p.submit("/reset", link).says(http.StatusOK, "Password already changed", "Go to sign-in")
		link.Set("password", "yet another good one")
		if r := p.submit("/reset", link).says(http.StatusBadRequest, "This link has been used"); strings.Contains(r.Body.String(), "already changed") {
			t.Errorf("the page claims a change: %s", r.Body)
		}
		for range 2 {
			p.follow(p.submit("/logout", form())).says(http.StatusOK, "Signed out")
		}
		time.Sleep(11 * time.Minute)
		f.Set("email", "alice@example.net")
		f.Set("password", "another good password")
		a.person().submit("/signup", f).says(http.StatusBadRequest, "This username is taken.") // not a way to sign in
	})
}
