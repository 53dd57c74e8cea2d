package server_test

import (
	"net/http"
	"testing"

	"countersign/accounts"
	"countersign/caller"
	"countersign/server"
	"countersign/upstreams"
	"time"
)

// pair is a server and another one that it signs users in with.
type pair struct{ own, other *listening }

// newPair starts both. change changes the settings of the provider, and the server's.
func newPair(t *testing.T, change func(*upstreams.Settings), options ...func(string, *server.Options)) pair {
	t.Helper()
	var p pair
	p.other = listen(t)
	p.own = listen(t, append(options, func(_ string, o *server.Options) {
		o.Upstreams = append(o.Upstreams, p.other.provide("other", func(s *upstreams.Settings) {
			if change != nil {
				change(s)
			}
		}))
	})...)
	p.other.declare("other", p.own)
	return p
}

// person makes an account with an address, proven or not.
func (l *listening) person(name, address string, proven bool) accounts.User {
	l.t.Helper()
	u, err := l.Users.Create(l.t.Context(), time.Now(), accounts.NewUser{Username: name, Email: address, EmailVerified: proven, Password: password}, caller.Operator())
	if err != nil {
		l.t.Fatal(err)
	}
	return u
}

// A user of another server gets an account here with the first sign-in, comes back to it with
// the next, and finds it at /me/security.
func TestUsersSignInWithAnotherProvider(t *testing.T) {
	p := newPair(t, nil)
	p.other.person("alice", "alice@example.com", true)
	s := newSurfer(t)
	s.open(p.own.url+"/login").at(p.own, "/login", http.StatusOK, "Continue with Other").
		submit("with-other").at(p.other, "/login", http.StatusOK).
		submit("login-form", "username", "alice", "password", password).at(p.own, "/me", http.StatusOK, "alice@example.com", "Confirmed")
	s.open(p.own.url+"/me/security").at(p.own, "/me/security", http.StatusOK, "Other", "Your account has no password")
}
