package server_test

import (
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"countersign/accounts"
	"countersign/caller"
	"countersign/clients"
	"countersign/server"
)

// The page of a partner can use the partner's own tokens. What belongs to our own
// applications is as closed to it as to any other site.
func TestThirdPartyOriginsActOnlyAsTheirClient(t *testing.T) {
	a := newApp(t, withOptions(func(o *server.Options) { o.SessionCookie.AccessCookie = true }))
	a.signup("alice")
	p := a.page()
	p.signIn("alice", password).want(http.StatusOK)
	token := a.login("alice").text("access_token")
	cookies := []string{"Cookie", refreshName + "=" + p.cookie(refreshName), "Cookie", accessName + "=" + p.cookie(accessName)}
	proofs := map[string][]string{"cookies": cookies, "bearer": {"Authorization", "Bearer " + token}, "nothing": nil}

	for _, path := range []string{
		"/session", "/session/refresh", "/signup", "/account", "/account/sessions", "/account/export", "/account/consents", "/account/profile",
		"/account/password", "/account/email", "/account/password/forgot", "/account/password/reset", "/account/email/resend", "/account/email/verify",
	} {
		for _, method := range []string{http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodDelete} {
			if path == "/signup" && method != http.MethodPost {
				continue // a page
			}
			a.preflight(path, partnerOrigin, method).wantProblem(http.StatusForbidden, "origin_not_allowed")
			for with, proof := range proofs {
				for _, site := range []string{"cross-site", "same-site"} {
					got := a.do(method, path, `{"username":"mallory","password":"`+password+`"}`,
						append([]string{"Origin", partnerOrigin, "Sec-Fetch-Site", site, "Content-Type", "application/json"}, proof...)...)
					wantUnreadable(t, got)
					if got.Code != http.StatusForbidden && got.Code != http.StatusMethodNotAllowed {
						t.Errorf("%s %s with %s: %d %s", method, path, with, got.Code, got.Body)
					}
					if set := got.Header().Values("Set-Cookie"); len(set) > 0 {
						t.Errorf("%s %s with %s: cookies are set: %q", method, path, with, set)
					}
				}
			}
		}
	}
	// A cookie never counts from a page that isn't ours, even to read.
	for _, from := range []string{partnerOrigin, "https://evil.example", "null"} {
		for _, method := range []string{http.MethodGet, http.MethodPost} {
			a.do(method, "/userinfo", "", append([]string{"Origin", from}, cookies...)...).want(http.StatusForbidden)
		}
	}
	a.do(http.MethodGet, "/userinfo", "", append([]string{"Sec-Fetch-Site", "cross-site"}, cookies...)...).want(http.StatusForbidden)

	wantReadableWithoutCredentials(t, a.userinfo(token, "Origin", partnerOrigin).want(http.StatusOK), partnerOrigin)
	wantReadableWithoutCredentials(t, a.token(form("grant_type", "refresh_token", "client_id", "third", "refresh_token", "x"), "Origin", partnerOrigin).
		want(http.StatusBadRequest), partnerOrigin)
	for _, path := range []string{"/oauth/token", "/oauth/revoke", "/userinfo"} {
		h := a.preflight(path, partnerOrigin, http.MethodPost).want(http.StatusNoContent).Header()
		if h.Get("Access-Control-Allow-Origin") != partnerOrigin || len(h.Values("Access-Control-Allow-Credentials")) > 0 {
			t.Errorf("%s: preflight: %v", path, h)
		}
	}
	a.preflight("/oauth/introspect", partnerOrigin, http.MethodPost).wantProblem(http.StatusForbidden, "origin_not_allowed")

	p.refresh().want(http.StatusOK) // nothing has happened to the session
	if users, err := a.Users.List(t.Context(), accounts.User{}, 10); err != nil || len(users) != 1 {
		t.Errorf("%d accounts (%v), want 1", len(users), err)
	}
}

// Which of the two an origin is follows the clients that it is registered with: one
// first-party client is enough, and one that is demoted takes its pages along.
func TestOriginsFollowTheirClientsStanding(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newApp(t)
		put := func(firstParty bool) {
			t.Helper()
			c := clients.Client{ID: "ours", Settings: clients.Settings{
				Public: true, FirstParty: firstParty, Grants: []string{"refresh_token"}, Origins: []string{partnerOrigin},
			}}
			if _, err := a.Clients.Put(t.Context(), time.Now(), c, "", caller.Operator()); err != nil {
				t.Fatal(err)
			}
			time.Sleep(2 * time.Second)
		}
		put(true)
		wantReadable(t, a.do("POST", "/session/refresh", "", "Origin", partnerOrigin).want(http.StatusUnauthorized), partnerOrigin)
		wantReadable(t, a.token(form(), "Origin", partnerOrigin), partnerOrigin)
		put(false)
		wantUnreadable(t, a.do("POST", "/session/refresh", "", "Origin", partnerOrigin).wantProblem(http.StatusForbidden, "origin_not_allowed"))
		wantReadableWithoutCredentials(t, a.token(form(), "Origin", partnerOrigin), partnerOrigin)
	})
}

// An older version, or a server with another issuer, may have stored origins that this
// one refuses.
func TestStoredOriginsAreHeldToTheRules(t *testing.T) {
	a := newApp(t)
	c := clients.Client{ID: "old", CreatedAt: time.Now(), UpdatedAt: time.Now(), Settings: clients.Settings{
		Name: "Old", Public: true, FirstParty: true, Grants: []string{"refresh_token"},
		Origins: []string{"http://intranet.example.com", "https://app.example.org:0", "https://app.example.org:99999", "http://localhost:3000"},
	}}
	if err := a.db.CreateClient(t.Context(), c, someEvent()); err != nil {
		t.Fatal(err)
	}
	for _, from := range c.Origins {
		got := a.do("POST", "/session/refresh", "", "Origin", from)
		if from == "http://localhost:3000" {
			wantReadable(t, got, from)
			continue
		}
		wantUnreadable(t, got.wantProblem(http.StatusForbidden, "origin_not_allowed"))
		wantUnreadable(t, a.token(form(), "Origin", from))
	}
	for _, from := range c.Origins[:3] {
		if _, err := a.Clients.Create(t.Context(), time.Now(), clients.Client{ID: "new", Settings: clients.Settings{
			Public: true, Grants: []string{"refresh_token"}, Origins: []string{from},
		}}, "", caller.Operator()); err == nil {
			t.Errorf("%s can be registered", from)
		}
		o := a.options
		o.AllowedOrigins = []string{from}
		if _, err := server.New(o); err == nil {
			t.Errorf("%s can be configured", from)
		}
	}
}
