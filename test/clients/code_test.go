package clients_test

import (
	"crypto/rand"
	"errors"
	"net/http"
	"testing"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"
)

// goClient is an application made with go-oidc and x/oauth2. It knows only the issuer and
// its own client id and secret.
type goClient struct {
	provider *oidc.Provider
	config   *oauth2.Config
	pkce     bool
}

func (s *server) goClient(t *testing.T, id string, scopes ...string) *goClient {
	t.Helper()
	provider, err := oidc.NewProvider(t.Context(), s.issuer)
	if err != nil {
		t.Fatalf("discovery: %v", err)
	}
	c := &goClient{provider, &oauth2.Config{
		ClientID: id, Endpoint: provider.Endpoint(), RedirectURL: callback, Scopes: scopes,
	}, id != "legacy"}
	if id != "spa" {
		c.config.ClientSecret = clientSecret
	}
	return c
}

// signIn signs the person in at the application, as its documentation says, and
// returns the tokens and the ID token, verified.
func (c *goClient) signIn(t *testing.T, p *person, more ...oauth2.AuthCodeOption) (*oauth2.Token, *oidc.IDToken) {
	t.Helper()
	state, nonce, verifier := rand.Text(), rand.Text(), oauth2.GenerateVerifier()
	ask := append([]oauth2.AuthCodeOption{oidc.Nonce(nonce)}, more...)
	var exchange []oauth2.AuthCodeOption
	if c.pkce {
		ask = append(ask, oauth2.S256ChallengeOption(verifier))
		exchange = append(exchange, oauth2.VerifierOption(verifier))
	}
	r := p.visit(c.config.AuthCodeURL(state, ask...))
	if r.FormValue("state") != state || r.FormValue("iss") != p.s.issuer || r.FormValue("code") == "" {
		t.Fatalf("the application gets %s, want a code, the state %q, and the issuer", r.URL, state)
	}
	token, err := c.config.Exchange(t.Context(), r.FormValue("code"), exchange...)
	if err != nil {
		t.Fatalf("exchange the code: %v", err)
	}
	id := c.verify(t, token)
	if id.Nonce != nonce {
		t.Errorf("nonce = %q, want %q", id.Nonce, nonce)
	}
	return token, id
}

// verify fails the test unless a token came with an ID token that verifies.
func (c *goClient) verify(t *testing.T, token *oauth2.Token) *oidc.IDToken {
	t.Helper()
	raw, _ := token.Extra("id_token").(string)
	id, err := c.provider.Verifier(&oidc.Config{ClientID: c.config.ClientID}).Verify(t.Context(), raw)
	if err != nil {
		t.Fatalf("verify the ID token: %v", err)
	}
	if err := id.VerifyAccessToken(token.AccessToken); err != nil {
		t.Errorf("at_hash: %v", err)
	}
	return id
}

func TestRealClientGoOIDCCode(t *testing.T) {
	s := serve(t)
	s.codeClients(t)
	for _, client := range []string{"spa", "partner", "legacy"} {
		for name, style := range styles {
			t.Run(client+"/"+name, func(t *testing.T) {
				c := s.goClient(t, client, oidc.ScopeOpenID, "profile", "email", oidc.ScopeOfflineAccess)
				c.config.Endpoint.AuthStyle = style
				p := s.person(t)
				token, id := c.signIn(t, p)
				if id.Subject != s.subject {
					t.Errorf("sub = %q, want %q", id.Subject, s.subject)
				}
				info, err := c.provider.UserInfo(t.Context(), c.config.TokenSource(t.Context(), token))
				if err != nil || info.Subject != id.Subject || info.Email != "alice@example.net" {
					t.Errorf("userinfo: %v, %v", info, err)
				}
				refreshed, err := c.config.TokenSource(t.Context(), &oauth2.Token{RefreshToken: token.RefreshToken}).Token()
				if err != nil {
					t.Fatalf("refresh: %v", err)
				}
				if again := c.verify(t, refreshed); again.Subject != id.Subject || again.Nonce != "" {
					t.Errorf("refreshed: sub = %q, nonce = %q; want %q and none", again.Subject, again.Nonce, id.Subject)
				}
				// A signed-in user isn't asked again, and the application learns the time of sign-in.
				_, silent := c.signIn(t, p, oauth2.SetAuthURLParam("prompt", "none"))
				if authTime(t, silent) != authTime(t, id) || silent.Subject != id.Subject {
					t.Errorf("silently: auth_time = %v, sub = %q; want %v, %q", authTime(t, silent), silent.Subject, authTime(t, id), id.Subject)
				}
			})
		}
	}
}

func authTime(t *testing.T, id *oidc.IDToken) int64 {
	t.Helper()
	var claims struct {
		AuthTime int64 `json:"auth_time"`
	}
	if err := id.Claims(&claims); err != nil || claims.AuthTime == 0 {
		t.Fatalf("auth_time: %v", err)
	}
	return claims.AuthTime
}

func TestRealClientOAuth2UnderstandsRefusedCodes(t *testing.T) {
	s := serve(t)
	c := s.goClient(t, "spa", oidc.ScopeOpenID)
	p := s.person(t)

	verifier := oauth2.GenerateVerifier()
	refused := p.visit(c.config.AuthCodeURL("state", oauth2.S256ChallengeOption(verifier), oauth2.SetAuthURLParam("prompt", "none")))
	if got := refused.FormValue("error"); got != "login_required" || refused.FormValue("state") != "state" || refused.FormValue("iss") != s.issuer {
		t.Errorf("without a sign-in the application gets %s", refused.URL)
	}

	code := p.visit(c.config.AuthCodeURL("state", oauth2.S256ChallengeOption(verifier))).FormValue("code")
	wantInvalidGrant := func(name, verifier string) {
		t.Helper()
		_, err := c.config.Exchange(t.Context(), code, oauth2.VerifierOption(verifier))
		refusal, ok := errors.AsType[*oauth2.RetrieveError](err)
		if !ok || refusal.ErrorCode != "invalid_grant" || refusal.Response.StatusCode != http.StatusBadRequest {
			t.Errorf("%s: %v, want 400 invalid_grant", name, err)
		}
	}
	wantInvalidGrant("another verifier", oauth2.GenerateVerifier())
	token, err := c.config.Exchange(t.Context(), code, oauth2.VerifierOption(verifier))
	if err != nil {
		t.Fatalf("the code after a wrong verifier: %v", err)
	}
	wantInvalidGrant("the code a second time", verifier)
	if _, err := c.config.TokenSource(t.Context(), &oauth2.Token{RefreshToken: token.RefreshToken}).Token(); err == nil {
		t.Error("what the code got lives on after its second use (RFC 6749 section 4.1.2)")
	}
}

func TestRealClientGoOIDCVerifiesAllAlgorithms(t *testing.T) {
	s := serve(t, allAlgorithms)
	s.algorithmClients(t)
	for _, alg := range algorithms {
		t.Run(alg, func(t *testing.T) {
			c := s.goClient(t, alg, oidc.ScopeOpenID)
			token, id := c.signIn(t, s.person(t))
			if id.Subject != s.subject {
				t.Errorf("sub = %q, want %q", id.Subject, s.subject)
			}
			// The library accepts the algorithms in the metadata; the client has its own.
			raw, _ := token.Extra("id_token").(string)
			only := c.provider.Verifier(&oidc.Config{ClientID: alg, SupportedSigningAlgs: []string{alg}})
			if _, err := only.Verify(t.Context(), raw); err != nil {
				t.Errorf("%s alone: %v", alg, err)
			}
		})
	}
}
