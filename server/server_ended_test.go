package server_test

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"countersign/server"
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
