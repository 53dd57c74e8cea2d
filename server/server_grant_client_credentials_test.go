package server_test

import (
	"net/http"
	"testing"
	"time"

	"countersign/audit"
	"countersign/caller"
	"countersign/clients"
	"countersign/ids"
)

func TestClientCredentialsAreTheClientsOwnToken(t *testing.T) {
	a := newApp(t)
	for name, c := range map[string]struct {
		id, secret, audience, ask, want string
	}{
		"all it may have":           {"api", "dev-secret", issuer + "/userinfo", "", "read write"},
		"narrowed":                  {"api", "dev-secret", issuer + "/userinfo", "write", "write"},
		"less what is about a user": {"web", secret, "https://api.example.com", "", "read write"},
	} {
		t.Run(name, func(t *testing.T) {
			a := a.in(t)
			r := a.token(with(ownToken, "scope", c.ask), "Authorization", basic(c.id, c.secret)).want(http.StatusOK)
			if got := r.text("scope"); got != c.want {
				t.Errorf("scope = %q, want %q", got, c.want)
			}
			for _, member := range []string{"refresh_token", "id_token"} { // RFC 6749 section 4.4.3
				if _, ok := r.json()[member]; ok {
					t.Errorf("the answer has %s", member)
				}
			}
			_, access := r.claims("access_token")
			if access["sub"] != c.id || access["client_id"] != c.id {
				t.Errorf("sub = %v, client_id = %v, want the client's id for both", access["sub"], access["client_id"])
			}
			for _, claim := range []string{"sid", "auth_time", "roles"} { // they speak of a user
				if value, ok := access[claim]; ok {
					t.Errorf("%s = %v, there is no user", claim, value)
				}
			}
			if _, err := a.jwks().verify(r.text("access_token"), "at+jwt", c.audience); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestClientCredentialsHaveNoScopeAboutAUser(t *testing.T) {
	a := newApp(t)
	for _, scope := range []string{"openid", "profile", "email", "roles", "offline_access", "read openid"} {
		a.token(with(ownToken, "scope", scope), "Authorization", basic("web", secret)).wantNothing().wantError(http.StatusBadRequest, "invalid_scope")
	}
}

func TestClientCredentialsOpenNoSession(t *testing.T) {
	a := newApp(t)
	for range 3 {
		a.token(ownToken, "Authorization", basic("api", "dev-secret")).want(http.StatusOK)
	}
	if n := len(a.events(audit.SessionCreated)); n != 0 {
		t.Errorf("%d sessions were opened", n)
	}
}

// A client whose id is a user's "sub" must not pass for that user (RFC 9700 section
// 4.15).
func TestClientNamedLikeAUserIsNotThatUser(t *testing.T) {
	a := newApp(t)
	alice := a.signup("alice")
	if _, err := a.Clients.Create(t.Context(), time.Now(), clients.Client{
		ID: ids.Client(alice),
		Settings: clients.Settings{
			Name: "Impostor", Grants: []string{"client_credentials"}, Scopes: []string{"openid", "profile", "email"},
		},
	}, secret, caller.Operator()); err != nil {
		return // refusing such a name is fine, too
	}
	r := a.token(ownToken, "Authorization", basic(alice, secret)).want(http.StatusOK)
	if info := a.userinfo(r.text("access_token")); info.Code == http.StatusOK {
		t.Errorf("userinfo told the client about a user: %s", info.Body)
	}
}
