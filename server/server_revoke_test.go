package server_test

import (
	"context"
	"database/sql/driver"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"countersign/audit"
	"countersign/caller"
	"countersign/clients"
)

const formKind = "application/x-www-form-urlencoded"

// revokeForm posts a form to the revocation endpoint.
func (a *app) revokeForm(f url.Values, header ...string) *response {
	a.t.Helper()
	return a.do(http.MethodPost, "/oauth/revoke", f.Encode(), append([]string{"Content-Type", formKind}, header...)...)
}

// revoke revokes a token for the client that the header names.
func (a *app) revoke(token string, header ...string) *response {
	a.t.Helper()
	return a.revokeForm(form("token", token), header...)
}

// revokeAs revokes a token for a client that authenticates in the body.
func (a *app) revokeAs(id, clientSecret, token string, more ...string) *response {
	a.t.Helper()
	return a.revokeForm(form(append([]string{"client_id", id, "client_secret", clientSecret, "token", token}, more...)...))
}

// wantRevoked fails the test unless the answer says that the token is no longer valid: 200
// and no body (RFC 7009 section 2.2).
func (r *response) wantRevoked() *response {
	r.t.Helper()
	r.want(http.StatusOK)
	if r.Body.Len() != 0 || r.Header().Get("Cache-Control") != "no-store" {
		r.t.Errorf("body = %q, Cache-Control = %q, want none and no-store", r.Body, r.Header().Get("Cache-Control"))
	}
	return r
}

// wantAlive fails the test unless the tokens of a sign-in at spa work.
func (a *app) wantAlive(login *response) {
	a.t.Helper()
	a.userinfo(login.text("access_token")).want(http.StatusOK)
	if got := a.ask(login.text("access_token")).json()["active"]; got != true {
		a.t.Errorf("introspection: active = %v, want true", got)
	}
}

// wantEnded fails the test if a token of a sign-in at spa works.
func (a *app) wantEnded(login *response) {
	a.t.Helper()
	a.userinfo(login.text("access_token")).wantError(http.StatusUnauthorized, "invalid_token")
	a.ask(login.text("access_token")).wantInactive()
	a.refresh(login.text("refresh_token")).wantDead()
}

// Requirement: line 55.
func TestOwnTokenEndsItsSession(t *testing.T) {
	tests := map[string]func(a *app, login *response) (token string){
		"current refresh token": func(_ *app, login *response) string { return login.text("refresh_token") },
		"access token":          func(_ *app, login *response) string { return login.text("access_token") },
		"refresh token superseded a moment ago": func(a *app, login *response) string {
			a.next(login.text("refresh_token"))
			return login.text("refresh_token")
		},
		"refresh token superseded long ago": func(a *app, login *response) string {
			a.next(login.text("refresh_token"))
			time.Sleep(2 * time.Minute)
			return login.text("refresh_token")
		},
		"narrowed access token": func(a *app, login *response) string {
			return a.refresh(login.text("refresh_token"), "scope", "profile").want(http.StatusOK).text("access_token")
		},
	}
	for name, token := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				a := newApp(t)
				id := a.signup("alice")
				login, elsewhere := a.login("alice"), a.login("alice")
				revoked := token(a, login)
				a.wantAlive(login)

				a.revokeAs("spa", "", revoked).wantRevoked()
				a.wantEnded(login)
				a.wantAlive(elsewhere)
				a.revokeAs("spa", "", revoked).wantRevoked()
				a.revokeAs("spa", "", login.text("refresh_token")).wantRevoked()
				events := a.events(audit.SessionRevoked)
				if len(events) != 1 || events[0].UserID.String() != id || events[0].ClientID != "spa" || events[0].Address == "" {
					t.Errorf("events = %+v, want one of alice at spa", events)
				}
				if n := len(a.events(audit.SessionReused)); n != 0 {
					t.Errorf("%d reuses were recorded", n)
				}
				a.wantAlive(elsewhere)
			})
		})
	}
}

// Requirement: line 55.
func TestInvalidTokensCountAsRevoked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newApp(t)
		a.signup("alice")
		login := a.login("alice")
		refresh, access := login.text("refresh_token"), login.text("access_token")
		tokens := map[string]string{
			"random":                      "x",
			"white space":                 " ",
			"not ASCII":                   "토큰",
			"cut refresh token":           refresh[:len(refresh)-1],
			"longer refresh token":        refresh + "A",
			"forged refresh token":        refresh[:len(refresh)-2] + "AA",
			"bare prefix":                 "cs_rt_",
			"forged access token":         access[:len(access)-4] + "AAAA",
			"unsigned access token":       access[:strings.LastIndex(access, ".")+1],
			"ID token":                    login.text("id_token"),
			"access token of no session":  a.forge(login, func(_, claims map[string]any) { claims["sid"] = "0198c0de-0000-7000-8000-000000000000" }),
			"access token of odd sid":     a.forge(login, func(_, claims map[string]any) { claims["sid"] = "x" }),
			"access token of another iss": a.forge(login, func(_, claims map[string]any) { claims["iss"] = "https://evil.example" }),
		}
		for name, token := range tokens {
			for _, hint := range []string{"", "refresh_token", "access_token"} {
				if got := a.revokeAs("spa", "", token, "token_type_hint", hint); got.Code != http.StatusOK || got.Body.Len() != 0 {
					t.Errorf("%s, hint %q: %d %s", name, hint, got.Code, got.Body)
				}
			}
		}
		a.wantAlive(login)
		time.Sleep(11 * time.Minute)
		a.revokeAs("spa", "", access).wantRevoked() // an expired access token ends no session
		a.refresh(refresh).want(http.StatusOK)
	})
}

// Requirement: line 56.
func TestTokenOfAnotherClientLivesOn(t *testing.T) {
	a := newApp(t)
	a.signup("alice")
	login := a.login("alice")
	own := a.token(ownToken, "Authorization", basic("api", "dev-secret")).want(http.StatusOK).text("access_token")
	for _, member := range []string{"refresh_token", "access_token"} {
		token := login.text(member)
		for _, hint := range []string{"", "refresh_token", "access_token", "nonsense"} {
			a.revokeAs("other", "", token, "token_type_hint", hint).wantError(http.StatusBadRequest, "invalid_grant")
			a.revokeAs("web", secret, token, "token_type_hint", hint).wantError(http.StatusBadRequest, "invalid_grant")
			a.revokeAs("reader", secret, token, "token_type_hint", hint).wantError(http.StatusBadRequest, "invalid_grant")
			a.revoke(token, "Authorization", basic("api", "dev-secret")).wantError(http.StatusBadRequest, "invalid_grant")
		}
		a.revokeAs("web", "wrong", token).wantChallenge()
		a.revokeAs("spa", "wrong", token).wantChallenge()
		a.revokeAs("nobody", "", token).wantChallenge()
		a.revoke(token).wantChallenge()
		a.revoke(token, "Authorization", basic("web", "")).wantChallenge()
		a.revoke(token, "Authorization", "Bearer "+login.text("access_token")).wantChallenge()
	}
	a.revokeAs("spa", "", own).wantError(http.StatusBadRequest, "invalid_grant")
	a.wantAlive(login)
	if n := len(a.events(audit.SessionRevoked)); n != 0 {
		t.Errorf("%d ends of sessions were recorded", n)
	}
	a.refresh(login.text("refresh_token")).want(http.StatusOK)
}

// Requirement: line 57.
func TestUnknownHintIsIgnored(t *testing.T) {
	a := newApp(t)
	a.signup("alice")
	for _, hint := range []string{"refresh_token", "access_token", "id_token", "nonsense", "토큰", "'\"\\"} {
		for _, member := range []string{"refresh_token", "access_token"} {
			login := a.login("alice")
			a.revokeAs("spa", "", login.text(member), "token_type_hint", hint, "unknown", "parameter").wantRevoked()
			a.wantEnded(login)
		}
	}
}

// A client's own access token has no session, so it lives until it expires. The server
// tells the client so (RFC 7009 section 2.2.1).
func TestClientsOwnTokenIsNotRevocable(t *testing.T) {
	a := newApp(t)
	token := a.token(ownToken, "Authorization", basic("api", "dev-secret")).want(http.StatusOK).text("access_token")
	a.revoke(token, "Authorization", basic("api", "dev-secret")).wantError(http.StatusBadRequest, "unsupported_token_type")
	a.resourceServer("self", issuer+"/userinfo")
	if got := a.introspectAs("self", secret, token).json()["active"]; got != true {
		t.Errorf("active = %v, want true", got)
	}
}

func TestConfidentialClientsRevokeByBasicAndPost(t *testing.T) {
	a := newApp(t)
	a.signup("alice")
	login := func() string {
		return a.token(with(passwordForm("alice"), "client_id", "web", "client_secret", secret)).want(http.StatusOK).text("refresh_token")
	}
	for _, revoke := range []func(token string) *response{
		func(token string) *response { return a.revoke(token, "Authorization", basic("web", secret)) },
		func(token string) *response { return a.revokeAs("web", secret, token) },
		func(token string) *response {
			return a.revokeForm(form("client_id", "web", "token", token), "Authorization", basic("web", secret))
		},
	} {
		token := login()
		revoke(token).wantRevoked()
		a.refreshAs("web", secret, token).wantDead()
	}
}

// aboutTokens are the endpoints that take a token from a client.
var aboutTokens = []string{"/oauth/revoke", "/oauth/introspect"}

func TestRequestsAboutTokensAreStrict(t *testing.T) {
	a := newApp(t)
	a.signup("alice")
	login := a.login("alice")
	token := url.QueryEscape(login.text("refresh_token"))
	// This client may revoke and introspect.
	if _, err := a.Clients.Put(t.Context(), time.Now(), clients.Client{
		ID: "both",
		Settings: clients.Settings{
			Name: "Both", MayIntrospect: true, Grants: []string{"refresh_token"},
		},
	}, secret, caller.Operator()); err != nil {
		t.Fatal(err)
	}
	auth := []string{"Authorization", basic("both", secret)}
	for _, path := range aboutTokens {
		for name, c := range map[string]struct {
			query, kind, body string
			header            []string
		}{
			"no token":             {body: ""},
			"empty token":          {body: "token="},
			"repeated token":       {body: "token=x&token=" + token},
			"repeated alike":       {body: "token=" + token + "&token=" + token},
			"repeated hint":        {body: "token=" + token + "&token_type_hint=access_token&token_type_hint=refresh_token"},
			"repeated empty":       {body: "token=" + token + "&token="},
			"token in the URL":     {query: "?token=" + token},
			"token in both":        {query: "?token=" + token, body: "token=" + token},
			"client in the URL":    {query: "?client_id=both", body: "token=" + token},
			"bare question mark":   {query: "?", body: "token=" + token},
			"JSON":                 {kind: "application/json", body: `{"token":"` + token + `"}`},
			"multipart":            {kind: "multipart/form-data; boundary=x", body: "token=" + token},
			"no content type":      {kind: "-", body: "token=" + token},
			"plain text":           {kind: "text/plain", body: "token=" + token},
			"larger than 64 KiB":   {body: "token=" + token + "&x=" + strings.Repeat("x", 64<<10)},
			"token of 64 KiB":      {body: "token=" + strings.Repeat("x", 64<<10)},
			"bad escape":           {body: "token=%zz"},
			"semicolon":            {body: "token=x;token=" + token},
			"not UTF-8":            {body: "token=%ff"},
			"two ways to say who":  {body: "token=" + token + "&client_secret=" + url.QueryEscape(secret)},
			"another client":       {body: "token=" + token + "&client_id=spa"},
			"repeated credentials": {body: "token=" + token, header: []string{"Authorization", basic("both", secret)}},
		} {
			kind := []string{"Content-Type", formKind}
			if c.kind == "-" {
				kind = nil
			} else if c.kind != "" {
				kind[1] = c.kind
			}
			header := append(append(kind, auth...), c.header...)
			t.Run(path+"/"+name, func(t *testing.T) {
				got := a.in(t).do(http.MethodPost, path+c.query, c.body, header...).wantError(http.StatusBadRequest, "invalid_request")
				if strings.Contains(got.Body.String(), "active") {
					t.Errorf("a refused request was told about the token: %s", got.Body)
				}
			})
		}
		for _, method := range []string{http.MethodGet, http.MethodHead, http.MethodPut, http.MethodDelete} {
			got := a.do(method, path+"?token="+token, "", auth...).want(http.StatusMethodNotAllowed)
			if allow := got.Header().Get("Allow"); allow != http.MethodPost {
				t.Errorf("%s %s: Allow = %q, want POST", method, path, allow)
			}
			if method == http.MethodGet {
				got.wantError(http.StatusMethodNotAllowed, "invalid_request")
			}
		}
	}
	a.wantAlive(login)
}

// A caller that doesn't authenticate learns nothing about the rest of its request.
func TestRequestsAboutTokensAuthenticateFirst(t *testing.T) {
	a := newApp(t)
	for _, path := range aboutTokens {
		for _, header := range [][]string{nil, {"Authorization", basic("web", "wrong")}, {"Authorization", basic("nobody", "x")}} {
			for _, body := range []string{"", "token=x", "token=cs_rt_x&token_type_hint=x"} {
				a.do(http.MethodPost, path, body, append([]string{"Content-Type", formKind}, header...)...).wantChallenge()
			}
		}
	}
}

func TestRequestsAboutTokensShareTheBudgetOfSecrets(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newApp(t)
		wrong := []string{"Authorization", basic("reader", "wrong")}
		for n := range 11 {
			path := append(aboutTokens, "/oauth/token")[n%3]
			a.do(http.MethodPost, path, "grant_type=client_credentials&token=x", append([]string{"Content-Type", formKind}, wrong...)...).wantChallenge()
		}
		for _, path := range aboutTokens {
			for _, authorization := range []string{wrong[1], basic("reader", secret)} {
				a.do(http.MethodPost, path, "token=x", "Content-Type", formKind, "Authorization", authorization).wantWait(time.Second)
			}
		}
		time.Sleep(time.Second)
		a.introspect("x", "Authorization", basic("reader", secret)).wantInactive()
	})
}

func TestRequestsAboutTokensWithTheDatabaseAway(t *testing.T) {
	f := &faults{}
	a := newApp(t, withFaults(f))
	a.signup("alice")
	login := a.login("alice")
	for verb, requests := range map[string]map[string]func() *response{
		"Client": {
			"revoke":     func() *response { return a.revokeAs("spa", "", login.text("refresh_token")) },
			"introspect": func() *response { return a.ask(login.text("access_token")) },
		},
		"Session": {
			"revoke refresh token":    func() *response { return a.revokeAs("spa", "", login.text("refresh_token")) },
			"revoke access token":     func() *response { return a.revokeAs("spa", "", login.text("access_token")) },
			"introspect access token": func() *response { return a.ask(login.text("access_token")) },
		},
		"User": {
			"introspect access token": func() *response { return a.ask(login.text("access_token")) },
		},
	} {
		f.set(func(_ context.Context, asked string) error {
			if asked == verb {
				return driver.ErrBadConn
			}
			return nil
		})
		for name, request := range requests {
			a.restart() // or it might remember what it needs
			got := request()
			if got.Code != http.StatusServiceUnavailable || got.Header().Get("Retry-After") == "" {
				t.Errorf("%s without %s: %d %s, want 503", name, verb, got.Code, got.Body)
			}
			got.wantError(http.StatusServiceUnavailable, "temporarily_unavailable")
		}
	}
	f.set(nil)
	a.wantAlive(login)
}

func TestRequestsAboutTokensAreForListedOrigins(t *testing.T) {
	a := newApp(t)
	for _, path := range aboutTokens {
		a.preflight(path, origin, http.MethodPost).want(http.StatusNoContent)
		for _, authorization := range []string{basic("reader", secret), basic("reader", "wrong"), ""} {
			for _, from := range []string{origin, "https://client.example.com", "https://evil.example"} {
				want := from
				if from == "https://evil.example" {
					want = ""
				}
				got := a.do(http.MethodPost, path, "token=x", "Content-Type", formKind, "Authorization", authorization, "Origin", from)
				if open := got.Header().Get("Access-Control-Allow-Origin"); open != want {
					t.Errorf("%s for %s: %d, Access-Control-Allow-Origin = %q, want %q", path, from, got.Code, open, want)
				}
			}
		}
	}
}

func TestManyRevokeAtOnce(t *testing.T) {
	a := newApp(t)
	a.signup("alice")
	login := a.login("alice")
	var wg sync.WaitGroup
	answers := make([]*response, 16)
	for i := range answers {
		wg.Go(func() {
			member := []string{"refresh_token", "access_token"}[i%2]
			answers[i] = a.revokeAs("spa", "", login.text(member))
		})
	}
	wg.Wait()
	for _, got := range answers {
		got.wantRevoked()
	}
	if n := len(a.events(audit.SessionRevoked)); n != 1 {
		t.Errorf("%d ends of the session were recorded, want 1", n)
	}
	a.wantEnded(login)
}
