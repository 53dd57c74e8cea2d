package server_test

import (
	"context"
	"net/http"
	"path/filepath"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"countersign/keys"
	"countersign/seal"
	"countersign/server"
)

// at returns the same browser at another server.
func (p *person) at(a *app) *person { return &person{a: a, jar: p.jar, language: p.language} }

// wantNoSessions fails the test unless the user has no session.
func (a *app) wantNoSessions(user string) {
	a.t.Helper()
	u, err := a.Users.ByUsername(a.t.Context(), user)
	if err != nil {
		a.t.Fatal(err)
	}
	sessions, err := a.Tokens.OfUser(a.t.Context(), time.Now(), u.ID)
	if err != nil {
		a.t.Fatal(err)
	}
	if len(sessions) != 0 {
		a.t.Fatalf("sessions = %+v, want none", sessions)
	}
}

// If many callers present a code at the same moment, at most one gets tokens, and those
// are void once the other requests were handled (RFC 6749 section 4.1.2): all callers
// but one stole the code, and the server can't know which.
//
// Requirement: line 63.
func TestCodePresentedByManyAtOnceLeavesNoSession(t *testing.T) {
	const callers = 32
	for name, n := range map[string]int{"one server": 1, "two servers on one database": 2} {
		t.Run(name, func(t *testing.T) {
			all := replicas(t, n)
			all[0].signup("alice")
			p := all[0].person()
			ask := authorization("spa", "scope", "profile", "nonce", "") // without an ID token, whose signing would be most of the work
			code := p.signIn(p.authorize(ask), "alice").code(spaCallback)
			got := 0
			for round := range max(2, raceRounds/50) {
				answers := make([]*response, callers)
				start := make(chan struct{})
				var wg sync.WaitGroup
				for i := range answers {
					wg.Go(func() {
						<-start
						answers[i] = all[i%n].exchange(code)
					})
				}
				close(start)
				wg.Wait()
				winners := 0
				for _, r := range answers {
					if r.Code != http.StatusOK {
						r.wantError(http.StatusBadRequest, "invalid_grant")
						continue
					}
					winners++
					for _, a := range all {
						a.refresh(r.text("refresh_token")).wantError(http.StatusBadRequest, "invalid_grant")
						a.userinfo(r.text("access_token")).want(http.StatusUnauthorized)
					}
				}
				if winners > 1 {
					t.Fatalf("round %d: %d callers got tokens", round, winners)
				}
				got += winners
				all[n-1].wantNoSessions("alice")
				code = p.at(all[round%n]).authorize(ask).code(spaCallback) // alice is still signed in to the browser
			}
			all[n-1].exchange(code).want(http.StatusOK)
			if got == 0 {
				t.Error("no caller ever got tokens: this test shows nothing")
			}
		})
	}
}

// A user who signs out of the browser while an application exchanges its code is signed
// out, in either order.
func TestSignOutWhileACodeIsExchanged(t *testing.T) {
	all := replicas(t, 2)
	all[0].signup("alice")
	p := all[0].person()
	ask := authorization("spa", "scope", "profile", "nonce", "")
	before := 0
	for range max(10, raceRounds/10) {
		code := p.signIn(p.authorize(ask), "alice").code(spaCallback)
		var r, out *response
		var wg sync.WaitGroup
		wg.Go(func() { r = all[1].exchange(code) })
		wg.Go(func() { out = p.submit("/logout", form()) })
		wg.Wait()
		out.want(http.StatusSeeOther)
		if r.Code == http.StatusOK {
			before++
			all[0].refresh(r.text("refresh_token")).wantError(http.StatusBadRequest, "invalid_grant")
		} else {
			r.wantError(http.StatusBadRequest, "invalid_grant")
		}
		all[0].wantNoSessions("alice")
		p.authorize(authorization("spa", "prompt", "none")).refuses(spaCallback, "login_required")
	}
	t.Logf("%d exchanges came first", before)
}

// After a restart the server still knows a browser's login, a code, and that a code was
// used.
func TestLoginsAndCodesSurviveARestart(t *testing.T) {
	path, key := filepath.Join(t.TempDir(), "countersign.db"), seal.Generate()
	a := openApp(t, path, key, quick)
	a.signup("alice")
	p := a.person()
	used := p.signIn(p.authorize(authorization("spa")), "alice").code(spaCallback)
	tokens := a.exchange(used).want(http.StatusOK)
	unused, login := p.authorize(authorization("spa")).code(spaCallback), a.person().authorize(authorization("spa"))
	if err := a.db.Close(); err != nil {
		t.Fatal(err)
	}

	b := openApp(t, path, key, quick)
	b.exchange(unused).want(http.StatusOK)
	p.at(b).authorize(authorization("spa", "prompt", "none")).code(spaCallback)
	b.person().signIn(login, "alice").code(spaCallback) // the page from before the restart
	b.refresh(tokens.text("refresh_token")).want(http.StatusOK)
	b.exchange(used).wantError(http.StatusBadRequest, "invalid_grant")
	b.refresh(tokens.text("refresh_token")).wantError(http.StatusBadRequest, "invalid_grant")
}

// The janitor removes expired logins and codes, but keeps a used code long enough to
// notice a second use.
func TestExpiredLoginsAndCodesAreRemoved(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const idle = 30 * time.Minute
		a := newApp(t, quick, func(o *server.Options, _ *keys.Options) { o.Tokens.RefreshIdleTTL = idle })
		ctx, stop := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		wg.Go(func() { a.Background(ctx) })
		defer wg.Wait()
		defer stop()

		p, _ := a.newPerson(t, "alice")
		code := p.authorize(authorization("spa")).code(spaCallback)
		tokens := a.exchange(code).want(http.StatusOK)
		time.Sleep(time.Minute + 9*time.Minute + 50*time.Second) // the code has expired ten minutes ago, almost
		a.exchange(code).wantError(http.StatusBadRequest, "invalid_grant")
		a.refresh(tokens.text("refresh_token")).wantError(http.StatusBadRequest, "invalid_grant")

		// The test counts what is left by removing it.
		left := func(purge func(context.Context, time.Time, int) (int64, error)) int64 {
			t.Helper()
			n, err := purge(t.Context(), time.Now().Add(1000*time.Hour), 1000)
			if err != nil {
				t.Fatal(err)
			}
			return n
		}
		if n := left(a.db.PurgeCodes); n != 2 {
			t.Errorf("%d codes are left after ten minutes, want both", n)
		}
		for range 3 {
			p.authorize(authorization("spa", "prompt", "none")).code(spaCallback)
		}
		time.Sleep(time.Minute + 10*time.Minute + 2*time.Minute)
		if n := left(a.db.PurgeCodes); n != 0 {
			t.Errorf("%d codes are left after thirteen minutes", n)
		}
		p.authorize(authorization("spa", "prompt", "none")).code(spaCallback) // the login isn't idle
		time.Sleep(idle + 8*time.Minute)
		if n := left(a.db.PurgeLogins); n != 0 {
			t.Errorf("%d logins are left", n)
		}
	})
}
