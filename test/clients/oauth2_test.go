package clients_test

import (
	"errors"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"

	"golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"
)

// styles are all ways in which golang.org/x/oauth2 authenticates a client.
// AutoDetect tries Basic first and would hide a refusal of it by trying again.
var styles = map[string]oauth2.AuthStyle{
	"header": oauth2.AuthStyleInHeader,
	"params": oauth2.AuthStyleInParams,
	"auto":   oauth2.AuthStyleAutoDetect,
}

// passwordClients may use the password grant: one with a secret, and one
// without, for which the library sends Basic with an empty one.
var passwordClients = map[string]string{"web": clientSecret, "spa": ""}

func (s *server) config(client string, style oauth2.AuthStyle) *oauth2.Config {
	return &oauth2.Config{
		ClientID:     client,
		ClientSecret: passwordClients[client],
		Endpoint:     oauth2.Endpoint{TokenURL: s.issuer + "/oauth/token", AuthStyle: style},
		Scopes:       []string{"openid", "profile", "offline_access"},
	}
}

func TestRealClientOAuth2PasswordAndRefresh(t *testing.T) {
	// The library treats a token as expired ten seconds early, so this one refreshes
	// at every call, and the test doesn't have to wait.
	s := serve(t, "COUNTERSIGN_TOKENS_ACCESS_TTL=10s")
	for client := range passwordClients {
		for name, style := range styles {
			t.Run(client+"/"+name, func(t *testing.T) {
				config := s.config(client, style)
				token, err := config.PasswordCredentialsToken(t.Context(), username, password)
				if err != nil {
					t.Fatalf("password grant: %v", err)
				}
				if token.RefreshToken == "" || token.Type() != "Bearer" {
					t.Fatalf("refresh token = %q, type = %q; want one, and Bearer", token.RefreshToken, token.Type())
				}
				source := config.TokenSource(t.Context(), token)
				for range 3 {
					next, err := source.Token()
					if err != nil {
						t.Fatalf("refresh: %v", err)
					}
					if next.AccessToken == token.AccessToken || next.RefreshToken == token.RefreshToken {
						t.Fatalf("the tokens are the old ones: %v, %v", next.AccessToken == token.AccessToken, next.RefreshToken == token.RefreshToken)
					}
					token = next
				}
				// Applications use the client like this: it refreshes by itself.
				resp, err := oauth2.NewClient(t.Context(), source).Get(s.issuer + "/userinfo")
				if err != nil {
					t.Fatalf("userinfo: %v", err)
				}
				defer resp.Body.Close()
				body, err := io.ReadAll(resp.Body)
				if err != nil || resp.StatusCode != http.StatusOK || !strings.Contains(string(body), s.subject) {
					t.Fatalf("userinfo: %s %s, %v; want 200 with the subject %s", resp.Status, body, err, s.subject)
				}
			})
		}
	}
}

func TestRealClientOAuth2KeepsAFreshToken(t *testing.T) {
	s := serve(t)
	config := s.config("spa", oauth2.AuthStyleInParams)
	token, err := config.PasswordCredentialsToken(t.Context(), username, password)
	if err != nil {
		t.Fatalf("password grant: %v", err)
	}
	again, err := config.TokenSource(t.Context(), token).Token()
	if err != nil || again.AccessToken != token.AccessToken {
		t.Fatalf("a token that was just issued is renewed already: expires_in = %d, %v", token.ExpiresIn, err)
	}
}

func TestRealClientOAuth2UnderstandsRefusals(t *testing.T) {
	s := serve(t)
	for _, tt := range []struct {
		name, client, secret, password, code string
		status                               int
	}{
		{"wrong password", "spa", "", "wrong horse", "invalid_grant", http.StatusBadRequest},
		{"wrong secret", "web", "wrong", password, "invalid_client", http.StatusUnauthorized},
	} {
		t.Run(tt.name, func(t *testing.T) {
			config := s.config(tt.client, oauth2.AuthStyleInHeader)
			config.ClientSecret = tt.secret
			_, err := config.PasswordCredentialsToken(t.Context(), username, tt.password)
			refusal, ok := errors.AsType[*oauth2.RetrieveError](err)
			if !ok || refusal.ErrorCode != tt.code || refusal.Response.StatusCode != tt.status {
				t.Fatalf("error = %v, want %d %s", err, tt.status, tt.code)
			}
			if refusal.ErrorDescription == "" {
				t.Error("the library found no error_description")
			}
		})
	}
}

func TestRealClientOAuth2ClientCredentials(t *testing.T) {
	s := serve(t)
	for client, secret := range map[string]string{"web": clientSecret, "api": "dev-secret"} {
		for name, style := range styles {
			t.Run(client+"/"+name, func(t *testing.T) {
				config := clientcredentials.Config{
					ClientID: client, ClientSecret: secret, TokenURL: s.issuer + "/oauth/token",
					Scopes: []string{"read"}, AuthStyle: style,
				}
				token, err := config.Token(t.Context())
				if err != nil {
					t.Fatalf("client credentials grant: %v", err)
				}
				if token.RefreshToken != "" {
					t.Error("there is a refresh token, for a client that can always ask again (RFC 6749 section 4.4.3)")
				}
				scope, _ := token.Extra("scope").(string)
				if !slices.Equal(strings.Fields(scope), []string{"read"}) {
					t.Errorf("scope = %q, want read", scope)
				}
			})
		}
	}
}
