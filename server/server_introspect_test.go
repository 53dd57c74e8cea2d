package server_test

import (
	"encoding/json"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"countersign/audit"
	"countersign/caller"
	"countersign/clients"
	"countersign/ids"
	"countersign/keys"
	"countersign/server"
)

// introspect asks about a token for the client that the header names.
func (a *app) introspect(token string, header ...string) *response {
	a.t.Helper()
	return a.do(http.MethodPost, "/oauth/introspect", form("token", token).Encode(), append([]string{"Content-Type", formKind}, header...)...)
}

// introspectAs asks about a token for a client that authenticates in the body.
func (a *app) introspectAs(id, clientSecret, token string, more ...string) *response {
	a.t.Helper()
	f := form(append([]string{"client_id", id, "client_secret", clientSecret, "token", token}, more...)...)
	return a.do(http.MethodPost, "/oauth/introspect", f.Encode(), "Content-Type", formKind)
}

// ask asks about a token as the resource server that the default audience names.
func (a *app) ask(token string) *response {
	a.t.Helper()
	return a.introspect(token, "Authorization", basic("reader", secret))
}

// wantInactive fails the test unless the answer tells nothing of the token (RFC
// 7662 section 2.2).
func (r *response) wantInactive() *response {
	r.t.Helper()
	r.want(http.StatusOK)
	if got := strings.TrimSpace(r.Body.String()); got != `{"active":false}` {
		r.t.Errorf("body = %s, want {\"active\":false} and nothing else", got)
	}
	return r.wantIntrospection()
}

// wantIntrospection fails the test unless the answer is JSON that no cache may keep.
func (r *response) wantIntrospection() *response {
	r.t.Helper()
	if kind, cache := r.Header().Get("Content-Type"), r.Header().Get("Cache-Control"); kind != "application/json" || cache != "no-store" {
		r.t.Errorf("Content-Type = %q, Cache-Control = %q, want application/json and no-store", kind, cache)
	}
	return r
}

// wantActive fails the test unless the answer has exactly these members.
func (r *response) wantActive(want map[string]any) {
	r.t.Helper()
	r.want(http.StatusOK).wantIntrospection()
	if diff := cmp.Diff(want, r.json()); diff != "" {
		r.t.Errorf("members (-want +got):\n%s", diff)
	}
}

// forge is an access token like that of an answer, changed and signed with our
// own key, which takes the master key.
func (a *app) forge(login *response, change func(header, claims map[string]any)) string {
	a.t.Helper()
	header, claims := login.claims("access_token")
	change(header, claims)
	_, key := a.signingKey("ES256")
	token, err := (&jwt.Token{Header: header, Claims: jwt.MapClaims(claims), Method: jwt.SigningMethodES256}).SignedString(key)
	if err != nil {
		a.t.Fatal(err)
	}
	return token
}

// resourceServer registers a client that only introspects.
func (a *app) resourceServer(id string, audiences ...string) {
	a.t.Helper()
	_, err := a.Clients.Put(a.t.Context(), time.Now(), clients.Client{
		ID: ids.Client(id),
		Settings: clients.Settings{
			Name: "Resource server", MayIntrospect: true, Audiences: audiences,
		},
	}, secret, caller.Operator())
	if err != nil {
		a.t.Fatal(err)
	}
}

// Requirement: line 58.
func TestIntrospectionNeedsAnAuthenticatedClient(t *testing.T) {
	a := newApp(t)
	a.signup("alice")
	token := a.login("alice").text("access_token")
	for name, got := range map[string]*response{
		"nobody":                 a.introspect(token),
		"no secret":              a.introspectAs("reader", "", token),
		"no secret in Basic":     a.introspect(token, "Authorization", basic("reader", "")),
		"wrong secret":           a.introspectAs("reader", "wrong", token),
		"wrong secret in Basic":  a.introspect(token, "Authorization", basic("reader", "wrong")),
		"unknown client":         a.introspectAs("nobody", secret, token),
		"public client":          a.introspectAs("spa", "", token),
		"public client in Basic": a.introspect(token, "Authorization", basic("spa", "")),
		"public client's guess":  a.introspectAs("spa", secret, token),
		"the token itself":       a.introspect(token, "Authorization", "Bearer "+token),
		"another scheme":         a.introspect(token, "Authorization", "Digest x"),
	} {
		if strings.Contains(got.Body.String(), "active") {
			t.Errorf("%s: told about the token: %s", name, got.Body)
		}
		got.wantChallenge()
	}
	for _, method := range []string{http.MethodGet, http.MethodHead} {
		got := a.do(method, "/oauth/introspect?token="+token, "", "Authorization", basic("reader", secret)).want(http.StatusMethodNotAllowed)
		if allow := got.Header().Get("Allow"); allow != http.MethodPost {
			t.Errorf("%s: Allow = %q, want POST", method, allow)
		}
	}
}

// RFC 7662 section 2.3 points to RFC 6749 section 5.2, where a client that is not
// authorized for what it asks is a 400.
func TestIntrospectionIsForClientsThatMay(t *testing.T) {
	a := newApp(t)
	a.signup("alice")
	login := a.token(with(passwordForm("alice"), "client_id", "web", "client_secret", secret)).want(http.StatusOK)
	for _, token := range []string{login.text("access_token"), login.text("refresh_token"), "x", ""} {
		a.introspectAs("web", secret, token).wantError(http.StatusBadRequest, "unauthorized_client")
		a.introspect(token, "Authorization", basic("api", "dev-secret")).wantError(http.StatusBadRequest, "unauthorized_client")
	}
}

// Requirement: line 59.
func TestLiveTokenOfAUser(t *testing.T) {
	a := newApp(t)
	id := a.signup("alice")
	login := a.login("alice")
	_, said := login.claims("access_token")
	for _, hint := range []string{"", "access_token", "refresh_token", "nonsense"} {
		a.introspectAs("reader", secret, login.text("access_token"), "token_type_hint", hint).wantActive(map[string]any{
			"active": true, "token_type": "Bearer", "username": "alice",
			"iss": issuer, "sub": id, "aud": issuer, "client_id": "spa",
			"scope": login.text("scope"),
			"exp":   said["exp"], "iat": said["iat"], "jti": said["jti"], "sid": said["sid"], "auth_time": said["auth_time"],
			"acr": "pwd", "amr": []any{"pwd"},
		})
	}
	// Numbers are written as such (RFC 7662 section 2.2), and not as 1.8e+09.
	var members map[string]json.RawMessage
	if err := json.Unmarshal(a.ask(login.text("access_token")).Body.Bytes(), &members); err != nil {
		t.Fatal(err)
	}
	for _, member := range []string{"exp", "iat", "auth_time"} {
		if strings.Trim(string(members[member]), "0123456789") != "" {
			t.Errorf("%s = %s, want an integer", member, members[member])
		}
	}
	narrow := a.refresh(login.text("refresh_token"), "scope", "openid").want(http.StatusOK)
	got := a.ask(narrow.text("access_token")).json()
	if _, roles := got["roles"]; roles || got["scope"] != "openid" {
		t.Errorf("scope = %v, roles there: %v, want openid and no roles", got["scope"], roles)
	}
}

// Requirement: line 59.
func TestLiveTokenOfAClient(t *testing.T) {
	a := newApp(t)
	_, err := a.Clients.Put(t.Context(), time.Now(), clients.Client{
		ID: "service", Settings: clients.Settings{FirstParty: true, Grants: []string{"client_credentials"}, Scopes: []string{"read", "write"}},
	}, secret, caller.Operator())
	if err != nil {
		t.Fatal(err)
	}
	issued := a.token(ownToken, "Authorization", basic("service", secret)).want(http.StatusOK)
	_, said := issued.claims("access_token")
	a.ask(issued.text("access_token")).wantActive(map[string]any{
		"active": true, "token_type": "Bearer",
		"iss": issuer, "sub": "service", "aud": issuer, "client_id": "service", "scope": "read write",
		"exp": said["exp"], "iat": said["iat"], "jti": said["jti"],
	})
	if err := a.Clients.Delete(t.Context(), time.Now(), "service", caller.Operator()); err != nil {
		t.Fatal(err)
	}
	a.ask(issued.text("access_token")).wantInactive()
}

// Requirement: line 59.
func TestInvalidTokensAreInactive(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newApp(t)
		a.signup("alice")
		login := a.login("alice")
		access := login.text("access_token")
		claim := func(name string, value any) string {
			return a.forge(login, func(_, claims map[string]any) { claims[name] = value })
		}
		header := func(name string, value any) string {
			return a.forge(login, func(header, _ map[string]any) { header[name] = value })
		}
		if a.ask(a.forge(login, func(_, _ map[string]any) {})).json()["active"] != true {
			t.Fatal("what is signed with our own key is inactive")
		}
		for name, token := range map[string]string{
			"random":            "x",
			"white space":       " ",
			"not ASCII":         "토큰",
			"ID token":          login.text("id_token"),
			"forged":            access[:len(access)-4] + "AAAA",
			"unsigned":          access[:strings.LastIndex(access, ".")+1],
			"with more parts":   access + ".x",
			"white space after": access + " ",
			"very long":         claim("x", strings.Repeat("x", 10_000)),
			"expired":           claim("exp", time.Now().Unix()),
			"no exp":            claim("exp", nil),
			"another issuer":    claim("iss", "https://evil.example"),
			"unknown session":   claim("sid", "0198c0de-0000-7000-8000-000000000000"),
			"odd session":       claim("sid", "x"),
			"another audience":  claim("aud", "https://api.example.com"),
			"no audience":       claim("aud", []string{}),
			"another typ":       header("typ", "logout+jwt"),
			"like an ID token": a.forge(login, func(header, claims map[string]any) {
				header["typ"] = "JWT"
				delete(claims, "client_id")
			}),
			"unknown kid":   header("kid", "x"),
			"crit":          header("crit", []string{"exp"}),
			"refresh token": login.text("refresh_token"), // of another client
			"bare prefix":   "cs_rt_",
		} {
			for _, hint := range []string{"", "access_token", "refresh_token"} {
				got := a.introspectAs("reader", secret, token, "token_type_hint", hint)
				if got.Code != http.StatusOK || strings.TrimSpace(got.Body.String()) != `{"active":false}` {
					t.Errorf("%s, hint %q: %d %s", name, hint, got.Code, got.Body)
				}
				got.wantInactive()
			}
		}
		time.Sleep(10*time.Minute - time.Second)
		a.wantAlive(login)
		time.Sleep(time.Second)
		a.ask(access).wantInactive()
	})
}

// Requirement: line 59.
func TestTokensEndWithWhatTheyStandOn(t *testing.T) {
	for name, end := range map[string]func(a *app, id string, login *response) error{
		"session revoked": func(a *app, _ string, login *response) error {
			a.revokeAs("spa", "", login.text("refresh_token")).wantRevoked()
			return nil
		},
		"user disabled": func(a *app, id string, _ *response) error {
			return a.Users.Disable(a.t.Context(), time.Now(), ids.User(uuid.MustParse(id)), caller.Operator())
		},
		"user deleted": func(a *app, id string, _ *response) error {
			return a.Users.Delete(a.t.Context(), time.Now(), ids.User(uuid.MustParse(id)), caller.Operator())
		},
		"client deleted": func(a *app, _ string, _ *response) error {
			return a.Clients.Delete(a.t.Context(), time.Now(), "spa", caller.Operator())
		},
		"key revoked": func(a *app, _ string, login *response) error {
			header, _ := login.claims("access_token")
			return a.ring.Revoke(a.t.Context(), header["kid"].(string))
		},
	} {
		t.Run(name, func(t *testing.T) {
			a := newApp(t)
			id := a.signup("alice")
			login := a.login("alice")
			a.wantAlive(login)
			if err := end(a, id, login); err != nil {
				t.Fatal(err)
			}
			a.ask(login.text("access_token")).wantInactive()
		})
	}
}

// A resource server sees tokens that are meant for it, and its own.
//
// Requirement: line 59.
func TestTokensOfOthersAreInactive(t *testing.T) {
	const files, mails = "https://files.example.com", "https://mails.example.com"
	a := newApp(t)
	a.signup("alice")
	a.resourceServer("files", files)
	a.resourceServer("several", "https://nothing.example.com", files, mails)
	a.resourceServer("case", strings.ToUpper(files), files+"/", "https://files.example")
	client := func(id string, audiences ...string) {
		t.Helper()
		_, err := a.Clients.Put(t.Context(), time.Now(), clients.Client{
			ID: ids.Client(id),
			Settings: clients.Settings{
				Name: "Client", Grants: []string{"client_credentials", "password", "refresh_token"}, FirstParty: true, MayIntrospect: true,
				Scopes: []string{"read", "openid"}, Audiences: audiences,
			},
		}, secret, caller.Operator())
		if err != nil {
			t.Fatal(err)
		}
	}
	client("of-files", files)
	client("of-both", files, mails)
	client("of-mails", mails)
	client("of-default")
	readers := []string{"reader", "files", "several", "case", "of-files", "of-both", "of-mails", "of-default"}

	user := func(id, scope string) string {
		return a.token(with(passwordForm("alice"), "client_id", id, "client_secret", secret, "scope", scope)).want(http.StatusOK).text("access_token")
	}
	for _, c := range []struct {
		name, token string
		tell        []string
	}{
		{"for files", user("of-files", "read"), []string{"files", "several", "of-files", "of-both"}},
		{"for files, with openid", user("of-files", "openid"), []string{"files", "several", "of-files", "of-both"}},
		{"for both", user("of-both", "read"), []string{"files", "several", "of-files", "of-both", "of-mails"}},
		{"for mails", user("of-mails", "read"), []string{"several", "of-both", "of-mails"}},
		{"for the default", user("of-default", "read"), []string{"reader", "of-default"}},
		{"a client's own", a.token(ownToken, "Authorization", basic("of-mails", secret)).want(http.StatusOK).text("access_token"), []string{"several", "of-both", "of-mails"}},
	} {
		for _, reader := range readers {
			got := a.introspectAs(reader, secret, c.token)
			if slices.Contains(c.tell, reader) {
				if got.json()["active"] != true {
					t.Errorf("token %s: %s is told %s, want active", c.name, reader, got.Body)
				}
				continue
			}
			got.wantInactive()
		}
	}
	// The client that a token was issued to may ask about it, whatever its audience.
	moved := user("of-mails", "read")
	client("of-mails", files)
	if got := a.introspectAs("of-mails", secret, moved); got.json()["active"] != true {
		t.Errorf("its own client is told %s, want active", got.Body)
	}
}

func TestDefaultAudienceIsTheResourceServersWithoutItsOwn(t *testing.T) {
	const api = "https://api.example.com"
	a := newApp(t, func(o *server.Options, _ *keys.Options) {
		o.Tokens.Audience = []string{api, "https://api2.example.com"}
	})
	a.signup("alice")
	a.resourceServer("second", "https://api2.example.com")
	a.resourceServer("issuer", issuer)
	narrow := a.token(with(passwordForm("alice"), "scope", "profile")).want(http.StatusOK).text("access_token")
	for reader, want := range map[string]bool{"reader": true, "second": true, "issuer": false} {
		if got := a.introspectAs(reader, secret, narrow).json(); got["active"] != want {
			t.Errorf("%s: active = %v, want %v", reader, got["active"], want)
		}
	}
	got := a.ask(narrow).json()
	if diff := cmp.Diff([]any{api, "https://api2.example.com"}, got["aud"]); diff != "" {
		t.Errorf("aud (-want +got):\n%s", diff)
	}
}

func TestRefreshTokenIsToldToItsClientOnly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newApp(t)
		id := a.signup("alice")
		client := func(id string, grants ...string) {
			_, err := a.Clients.Put(t.Context(), time.Now(), clients.Client{
				ID: ids.Client(id),
				Settings: clients.Settings{
					Name: "Client", Grants: grants, FirstParty: true, MayIntrospect: true, Scopes: []string{"openid", "profile"},
				},
			}, secret, caller.Operator())
			if err != nil {
				t.Fatal(err)
			}
		}
		client("mine", "password", "refresh_token")
		client("yours", "password", "refresh_token")
		login := a.token(with(passwordForm("alice"), "client_id", "mine", "client_secret", secret)).want(http.StatusOK)
		_, said := login.claims("access_token")
		ask := func(token string) *response { return a.introspectAs("mine", secret, token) }
		members := map[string]any{
			"active": true, "username": "alice", "iss": issuer, "sub": id, "client_id": "mine", "scope": "openid profile",
			"sid": said["sid"], "auth_time": said["auth_time"], "acr": "pwd", "amr": []any{"pwd"}, "exp": float64(time.Now().Add(720 * time.Hour).Unix()),
		}
		first := login.text("refresh_token")
		for range 3 { // introspection renews nothing
			ask(first).wantActive(members)
			time.Sleep(time.Hour)
		}
		a.introspectAs("yours", secret, first).wantInactive()
		a.ask(first).wantInactive()

		second := a.refreshAs("mine", secret, first).want(http.StatusOK).text("refresh_token")
		later := maps.Clone(members)
		later["exp"] = float64(time.Now().Add(720 * time.Hour).Unix())
		ask(first).wantActive(later) // a lost response: it still gets the current one
		ask(second).wantActive(later)
		time.Sleep(time.Minute + time.Second)
		ask(first).wantInactive()
		ask(second).wantActive(later)
		ask(second[:len(second)-1]).wantInactive()
		if n := len(a.events(audit.SessionReused)) + len(a.events(audit.SessionRevoked)); n != 0 {
			t.Errorf("%d sessions ended by being asked about", n)
		}
		client("mine", "password") // it may not refresh any more
		ask(second).wantInactive()
		client("mine", "password", "refresh_token")
		a.refreshAs("mine", secret, second).want(http.StatusOK)

		time.Sleep(720 * time.Hour)
		ask(second).wantInactive()
	})
}

// Introspection agrees with our own endpoints in every state of a token.
func TestIntrospectionAgreesWithUserinfo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newApp(t)
		a.signup("alice")
		logins := []*response{a.login("alice"), a.login("alice")}
		agree := func() {
			t.Helper()
			for _, login := range logins {
				active := a.ask(login.text("access_token")).json()["active"] == true
				if works := a.userinfo(login.text("access_token")).Code == http.StatusOK; works != active {
					t.Errorf("after %v: userinfo works: %v, introspection says active: %v", time.Now(), works, active)
				}
			}
		}
		agree()
		a.revokeAs("spa", "", logins[0].text("access_token")).wantRevoked()
		agree()
		for range 5 {
			time.Sleep(2*time.Minute + 30*time.Second)
			agree()
		}
	})
}
