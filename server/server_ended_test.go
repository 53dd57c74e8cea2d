package server_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"countersign/caller"
	"countersign/ids"
	"countersign/server"
	"countersign/tokens"
)

// lateBody is a request's body that arrives only after another action.
type lateBody struct {
	body  io.Reader
	first func()
}

func (b *lateBody) Read(p []byte) (int, error) {
	if b.first != nil {
		b.first()
		b.first = nil
	}
	return b.body.Read(p)
}

// An attacker who got into an account can't hold a request open, wait until the owner
// has ended all sessions, and then complete it.
func TestEndedSessionsCompleteNothing(t *testing.T) {
	const resetTo = "reset by the owner"
	for what, request := range map[string][3]string{
		"change of address":   {"POST", "/account/email", `{"email":"thief@example.net"}`},
		"with the password":   {"POST", "/account/email", `{"email":"thief@example.net","current_password":"` + password + `"}`},
		"change of password":  {"POST", "/account/password", `{"current_password":"` + password + `","new_password":"password of the thief"}`},
		"change of profile":   {"PUT", "/account/profile", `{"name":"Thief"}`},
		"deletion":            {"DELETE", "/account", `{}`},
		"deletion with proof": {"DELETE", "/account", `{"current_password":"` + password + `"}`},
	} {
		for how, end := range map[string]func(owner *page, in *response, mailed string){
			"reset": func(owner *page, _ *response, mailed string) { owner.reset(mailed, resetTo).want(http.StatusNoContent) },
			"sign-out": func(owner *page, in *response, _ string) {
				owner.bearer("DELETE", "/account/sessions", "", in).want(http.StatusNoContent)
			},
		} {
			t.Run(what+"/"+how, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					a, box := simulated(t)
					a.signup("alice")
					box.take(t)
					owner := a.page()
					owner.forgot("alice@example.net").want(http.StatusAccepted)
					mailed := token(t, box.take(t))
					in := owner.signIn("alice", password).want(http.StatusOK)
					thief := a.page()
					thief.signIn("alice", password).want(http.StatusOK)

					r := a.send(request[0], request[1], &lateBody{strings.NewReader(request[2]), func() { end(owner, in, mailed) }},
						"Content-Type", "application/json", "Origin", origin, "Cookie", refreshName+"="+thief.cookie(refreshName))
					// After a reset the old password is the first thing that is wrong.
					if r.Code != http.StatusUnauthorized && !(how == "reset" && r.Code == http.StatusBadRequest) {
						t.Errorf("status = %d: %s", r.Code, r.Body)
					}
					if r.Code == http.StatusUnauthorized {
						r.wantProblem(http.StatusUnauthorized, "login_required")
					}
					time.Sleep(2 * time.Second)
					sent, _ := box.empty()
					for _, m := range sent {
						if m.To != "alice@example.net" {
							t.Errorf("mail to %s: %s", m.To, m.Subject)
						}
					}
					current := password
					if how == "reset" {
						current = resetTo
					}
					in = owner.signIn("alice", current).want(http.StatusOK)
					if got := owner.bearer("GET", "/account/profile", "", in).want(http.StatusOK).Body.String(); got != "{}\n" {
						t.Errorf("the profile is %s", got)
					}
				})
			})
		}
	}
}

// Of all changes that rest on one password one succeeds, and its password is the new
// one.
func TestOnePasswordOneChange(t *testing.T) {
	a := newApp(t, withOptions(func(o *server.Options) { o.Hashing.MaxConcurrentHashes = 8 }))
	a.signup("alice")
	p := a.page()
	p.signIn("alice", password).want(http.StatusOK)
	cookie := refreshName + "=" + p.cookie(refreshName)
	chosen := func(i int) string { return "good password number " + string(rune('a'+i)) }
	var won atomic.Int64
	var winner atomic.Int64
	var wg sync.WaitGroup
	for i := range 20 {
		wg.Go(func() {
			body := strings.NewReader(`{"current_password":"` + password + `","new_password":"` + chosen(i) + `"}`)
			r := httptest.NewRequestWithContext(context.Background(), "POST", "/account/password", body)
			r.Header.Set("Content-Type", "application/json")
			r.Header.Set("Cookie", cookie)
			w := httptest.NewRecorder()
			a.ServeHTTP(w, r)
			switch w.Code {
			case http.StatusNoContent:
				won.Add(1)
				winner.Store(int64(i))
			case http.StatusBadRequest, http.StatusTooManyRequests, http.StatusServiceUnavailable: // wrong by now; too many guesses; no place in the queue
			default:
				t.Errorf("change %d: %d %s", i, w.Code, w.Body)
			}
		})
	}
	wg.Wait()
	if won.Load() != 1 {
		t.Fatalf("%d changes were done, want 1", won.Load())
	}
	p.refresh().want(http.StatusOK)
	p.signIn("alice", chosen(int(winner.Load()))).want(http.StatusOK)
}

// What was asked for in a session ends with that session, however it ends, and whatever
// becomes of the account's other sessions. The notice to the owner goes out all the same.
func TestAChangeOfAddressEndsWithItsSession(t *testing.T) {
	sid := func(r *response) string {
		_, claims := r.claims("access_token")
		return claims["sid"].(string)
	}
	asks := func(p *page, in *response) {
		p.bearer("POST", "/account/email", `{"email":"thief@example.net","current_password":"`+password+`"}`, in).want(http.StatusAccepted)
	}
	type ending func(a *app, owner, thief *page, mine, theirs *response)
	inBrowser, inApp := map[string]ending{
		"the owner ends it": func(_ *app, owner, _ *page, mine, theirs *response) {
			owner.bearer("DELETE", "/account/sessions/"+sid(theirs), "", mine).want(http.StatusNoContent)
		},
		"the operator ends it": func(a *app, _, _ *page, _, theirs *response) {
			id, _ := ids.Parse[ids.Session](sid(theirs))
			if err := tokens.NewSessions(a.db).EndSession(context.Background(), time.Now(), id, caller.Operator()); err != nil {
				a.t.Fatal(err)
			}
		},
		"sign-out": func(_ *app, _, thief *page, _, _ *response) {
			thief.do("DELETE", "/session", "").want(http.StatusNoContent)
		},
		"another sign-in in the browser": func(_ *app, _, thief *page, _, _ *response) {
			thief.signIn("alice", password).want(http.StatusOK)
		},
		"its client is removed": func(a *app, _, _ *page, _, _ *response) {
			if err := a.Clients.Delete(context.Background(), time.Now(), "spa", caller.Operator()); err != nil {
				a.t.Fatal(err)
			}
		},
	}, map[string]ending{
		"the refresh token is revoked": func(a *app, _, _ *page, _, theirs *response) {
			a.revokeForm(form("client_id", "spa", "token", theirs.text("refresh_token"))).want(http.StatusOK)
		},
		"the access token is revoked": func(a *app, _, _ *page, _, theirs *response) {
			a.revokeForm(form("client_id", "spa", "token", theirs.text("access_token"))).want(http.StatusOK)
		},
		"a refresh token is reused": func(a *app, _, _ *page, _, theirs *response) {
			a.refresh(theirs.text("refresh_token")).want(http.StatusOK)
			time.Sleep(2 * time.Minute)
			a.refresh(theirs.text("refresh_token")).wantError(http.StatusBadRequest, "invalid_grant")
		},
		"it is one too many": func(a *app, _, _ *page, _, _ *response) {
			for range tokens.MaxSessions {
				time.Sleep(time.Second)
				a.login("alice")
			}
		},
	}
	try := func(t *testing.T, app bool, end ending) {
		synctest.Test(t, func(t *testing.T) {
			a, box := simulated(t, func(o *server.Options) { o.Throttle.StrangersPerAccount = 1000 })
			a.signup("alice")
			box.take(t)
			owner, thief := a.page(), a.page()
			mine := owner.signIn("alice", password).want(http.StatusOK)
			begin := func() *response {
				if app {
					return a.login("alice")
				}
				return thief.signIn("alice", password).want(http.StatusOK)
			}
			theirs := begin()
			asks(thief, theirs)
			mailed := token(t, box.takeBoth(t, "alice@example.net"))
			owner.bearer("POST", "/account/email", `{"email":"new@example.net"}`, mine).want(http.StatusAccepted)
			own := token(t, box.takeBoth(t, "alice@example.net"))
			end(a, owner, thief, mine, theirs)
			if r := a.page().verify(mailed); r.Code != http.StatusBadRequest {
				t.Errorf("the link of the session works: %d %s", r.Code, r.Body)
			}
			if client, err := a.Clients.ByID(t.Context(), "spa"); err == nil && client.ID != "" && !app {
				a.page().verify(own).want(http.StatusNoContent)
			}
		})
	}
	for name, end := range inBrowser {
		t.Run(name, func(t *testing.T) { try(t, false, end) })
	}
	for name, end := range inApp {
		t.Run(name, func(t *testing.T) { try(t, true, end) })
	}
	t.Run("before it is sent", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			a, box := simulated(t)
			a.signup("alice")
			box.take(t)
			thief := a.page()
			box.fail(errors.New("try later"))
			asks(thief, thief.signIn("alice", password).want(http.StatusOK))
			thief.do("DELETE", "/session", "").want(http.StatusNoContent)
			time.Sleep(2 * time.Second)
			box.fail(nil)
			box.empty()
			time.Sleep(30 * time.Minute)
			if sent, _ := box.empty(); len(sent) != 1 || sent[0].To != "alice@example.net" {
				t.Errorf("mails = %v, want the notice to the owner", sent)
			}
		})
	})
	// A session whose time is over has not been ended: the letter tells its own time.
	t.Run("not when it expires", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			a, box := simulated(t, func(o *server.Options) { o.Tokens.RefreshIdleTTL = 10 * time.Minute })
			a.signup("alice")
			box.take(t)
			p := a.page()
			asks(p, p.signIn("alice", password).want(http.StatusOK))
			mailed := token(t, box.takeBoth(t, "alice@example.net"))
			time.Sleep(50 * time.Minute)
			p.verify(mailed).want(http.StatusNoContent)
		})
	})
}
