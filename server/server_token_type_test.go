package server_test

import (
	"fmt"
	"log/slog"
	"net/http"
	"reflect"
	"strings"
	"testing"
	"time"

	"countersign/accounts"
	"countersign/caller"
	"countersign/clients"
	"countersign/keys"
	"countersign/server"
)

// A client's access tokens may have the typ and the algorithm that its resource servers
// know. Even with the typ of an ID token, neither passes for the other here.
func TestAccessTokensOfTheTypeThatAResourceServerKnows(t *testing.T) {
	a := newApp(t)
	p, _ := a.newPerson(t, "alice")
	sign := func() (r *response, access, id string) {
		t.Helper()
		r = a.token(exchangeForm("legacy", p.authorize(authorization("legacy")).code(spaCallback))).want(http.StatusOK)
		return r, r.text("access_token"), r.text("id_token")
	}
	header := func(r *response) string {
		head, _ := r.claims("access_token")
		return fmt.Sprint(head["typ"], " ", head["alg"])
	}
	r, _, _ := sign()
	if got := header(r); got != "at+jwt ES256" {
		t.Errorf("default: %s", got)
	}
	a.alter("legacy", func(c *clients.Client) {
		c.AccessTokenType, c.AccessTokenAlg, c.MayIntrospect = "JWT", "RS256", true
	})
	r, access, id := sign()
	if got := header(r); got != "JWT RS256" {
		t.Errorf("chosen: %s", got)
	}
	a.userinfo(access).want(http.StatusOK)
	if got := a.introspectAs("legacy", secret, access).json(); got["active"] != true {
		t.Errorf("introspection of the access token: %v", got)
	}
	a.userinfo(id).want(http.StatusUnauthorized)
	a.introspectAs("legacy", secret, id).wantInactive()
	p.authorize(authorization("legacy", "id_token_hint", access)).refuses(spaCallback, "invalid_request")
	p.authorize(authorization("legacy", "id_token_hint", id)).code(spaCallback)
	// The client's choice holds for its later tokens, and the tokens of before stay good.
	a.alter("legacy", func(c *clients.Client) { c.AccessTokenType, c.AccessTokenAlg = "", "" })
	a.userinfo(access).want(http.StatusOK)
}

// Libraries that read the ID token only find there what the scopes open.
func TestClaimsOfScopesInTheIDToken(t *testing.T) {
	a := newApp(t)
	p, _ := a.newPerson(t, "alice")
	said := func() map[string]any {
		t.Helper()
		f := authorization("spa", "scope", "openid profile email")
		_, claims := a.exchange(p.authorize(f).code(spaCallback)).want(http.StatusOK).claims("id_token")
		return claims
	}
	if got := said(); got["name"] != nil || got["email"] != nil {
		t.Errorf("ID token without the setting: %v", got)
	}
	a.alter("spa", func(c *clients.Client) { c.ClaimsInIDToken = true })
	got := said()
	if got["name"] != "alice" || got["preferred_username"] != "alice" || got["iss"] != issuer || got["aud"] != "spa" {
		t.Errorf("ID token: %v", got)
	}
	if _, roles := got["roles"]; roles {
		t.Errorf("the ID token has claims of a scope that was not granted: %v", got)
	}
}

// groups has the same values as roles, under the name that many applications look for.
// Where there are none, neither is there.
func TestGroupsAndNoEmptyRoles(t *testing.T) {
	a := newApp(t)
	a.alter("spa", func(c *clients.Client) { c.Scopes, c.ClaimsInIDToken = append(c.Scopes, "groups"), true })
	a.signup("alice")
	if _, err := a.Users.Create(t.Context(), time.Now(), accounts.NewUser{Username: "boss", Password: password, Roles: []string{"admin", "staff"}}, caller.Operator()); err != nil {
		t.Fatal(err)
	}
	for user, want := range map[string]any{"boss": []any{"admin", "staff"}, "alice": nil} {
		r := a.token(with(passwordForm(user), "scope", "openid roles groups")).want(http.StatusOK)
		_, access := r.claims("access_token")
		_, id := r.claims("id_token")
		for place, claims := range map[string]map[string]any{
			"access token": access, "ID token": id, "userinfo": a.userinfo(r.text("access_token")).json(), "introspection": a.ask(r.text("access_token")).json(),
		} {
			for _, name := range []string{"roles", "groups"} {
				if got, there := claims[name]; there != (want != nil) || !reflect.DeepEqual(got, want) {
					t.Errorf("%s of %s: %s = %v (there: %t), want %v", place, user, name, got, there, want)
				}
			}
		}
	}
}

// Verifiers that take the first key of a JWKS for the only one look for RSA.
func TestRSAKeysComeFirst(t *testing.T) {
	a := newApp(t)
	body := a.do(http.MethodGet, "/.well-known/jwks.json", "").Body.String()
	if rsa, ec := strings.Index(body, `"RS256"`), strings.Index(body, `"ES256"`); rsa < 0 || rsa > ec {
		t.Errorf("JWKS: %s", body)
	}
}

// Libraries hide why a request was refused, so the log says it, without what the caller
// sent.
func TestTheLogSaysWhyARequestWasRefused(t *testing.T) {
	var text logs
	a := newApp(t, func(o *server.Options, _ *keys.Options) { o.Log = slog.New(slog.NewTextHandler(&text, nil)) })
	p, _ := a.newPerson(t, "alice")
	p.authorize(authorization("spa", "code_challenge", "", "code_challenge_method", "", "state", "hunter2")).refuses(spaCallback, "invalid_request")
	a.token(form("grant_type", "hunter2", "client_id", "spa")).want(http.StatusBadRequest)
	a.token(form("grant_type", "authorization_code", "client_id", "spa", "code", "hunter2", "redirect_uri", "hunter2")).want(http.StatusBadRequest)
	a.userinfo("hunter2").want(http.StatusUnauthorized)
	for _, want := range []string{
		`error=invalid_request error_description="code_challenge is missing`, `error=unsupported_grant_type error_description="grant_type is not one of`,
		`error=invalid_grant error_description=`, `error=invalid_token error_description=`,
	} {
		if !strings.Contains(text.String(), want) {
			t.Errorf("the log lacks %q:\n%s", want, &text)
		}
	}
	if strings.Contains(text.String(), "hunter2") {
		t.Errorf("the log says what a caller sent:\n%s", &text)
	}
}
