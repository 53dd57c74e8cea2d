package clients_test

import (
	"encoding/json"
	"net/http"
	"slices"
	"testing"

	"github.com/coreos/go-oidc/v3/oidc"
	"github.com/go-jose/go-jose/v4"
	"golang.org/x/oauth2"

	"countersign/test/programs"
)

// discover signs the user in at spa with only the issuer's URL.
func discover(t *testing.T, s *server) (*oidc.Provider, *oauth2.Config, *oauth2.Token) {
	t.Helper()
	provider, err := oidc.NewProvider(t.Context(), s.issuer)
	if err != nil {
		t.Fatalf("discovery: %v", err)
	}
	endpoint := provider.Endpoint()
	endpoint.AuthStyle = oauth2.AuthStyleInParams // the default tries twice, and hides a failure
	config := &oauth2.Config{
		ClientID: "spa", Endpoint: endpoint,
		Scopes: []string{oidc.ScopeOpenID, "profile", "email", oidc.ScopeOfflineAccess},
	}
	token, err := config.PasswordCredentialsToken(t.Context(), username, password)
	if err != nil {
		t.Fatalf("password grant: %v", err)
	}
	return provider, config, token
}

func TestRealClientGoOIDCVerifiesIDTokens(t *testing.T) {
	s := serve(t)
	provider, config, token := discover(t, s)
	refreshed, err := config.TokenSource(t.Context(), &oauth2.Token{RefreshToken: token.RefreshToken}).Token()
	if err != nil {
		t.Fatalf("refresh: %v", err)
	}
	verifier := provider.Verifier(&oidc.Config{ClientID: "spa"})
	for name, token := range map[string]*oauth2.Token{"password": token, "refreshed": refreshed} {
		raw, _ := token.Extra("id_token").(string)
		id, err := verifier.Verify(t.Context(), raw)
		if err != nil {
			t.Fatalf("%s: verify the ID token: %v", name, err)
		}
		if id.Subject != s.subject {
			t.Errorf("%s: sub = %q, want %q", name, id.Subject, s.subject)
		}
		if err := id.VerifyAccessToken(token.AccessToken); err != nil {
			t.Errorf("%s: at_hash: %v", name, err)
		}
		if _, err := verifier.Verify(t.Context(), token.AccessToken); err == nil {
			t.Errorf("%s: the access token passes for an ID token", name)
		}
	}
}

func TestRealClientGoOIDCVerifiesAccessTokenSignatures(t *testing.T) {
	s := serve(t)
	provider, _, token := discover(t, s)
	var metadata struct {
		JWKSURI string `json:"jwks_uri"`
	}
	if err := provider.Claims(&metadata); err != nil {
		t.Fatal(err)
	}
	payload, err := oidc.NewRemoteKeySet(t.Context(), metadata.JWKSURI).VerifySignature(t.Context(), token.AccessToken)
	if err != nil {
		t.Fatalf("verify the access token's signature: %v", err)
	}
	var claims struct{ Iss, Sub string }
	if err := json.Unmarshal(payload, &claims); err != nil || claims.Iss != s.issuer || claims.Sub != s.subject {
		t.Errorf("iss, sub = %q, %q (%v), want %q, %q", claims.Iss, claims.Sub, err, s.issuer, s.subject)
	}
}

// A server that answers must also be able to sign ID tokens, from its first request on:
// otherwise it turns away the first users who sign in.
func TestFreshServerHasAllItsKeysFromTheFirstRequest(t *testing.T) {
	issuer, _ := programs.Serve(t)
	provider, err := oidc.NewProvider(t.Context(), issuer)
	if err != nil {
		t.Fatalf("discovery: %v", err)
	}
	var metadata struct {
		JWKSURI    string   `json:"jwks_uri"`
		Algorithms []string `json:"id_token_signing_alg_values_supported"`
	}
	if err := provider.Claims(&metadata); err != nil || len(metadata.Algorithms) < 2 {
		t.Fatalf("algorithms = %v, %v; want several", metadata.Algorithms, err)
	}
	resp, err := http.Get(metadata.JWKSURI)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var jwks jose.JSONWebKeySet
	if err := json.NewDecoder(resp.Body).Decode(&jwks); err != nil {
		t.Fatal(err)
	}
	for _, alg := range metadata.Algorithms {
		if !slices.ContainsFunc(jwks.Keys, func(k jose.JSONWebKey) bool { return k.Algorithm == alg }) {
			t.Errorf("the metadata promises %s, and the JWKS has no key for it", alg)
		}
	}
}

func TestRealClientGoOIDCUserInfo(t *testing.T) {
	s := serve(t)
	provider, config, token := discover(t, s)
	info, err := provider.UserInfo(t.Context(), config.TokenSource(t.Context(), token))
	if err != nil {
		t.Fatalf("userinfo: %v", err)
	}
	if info.Subject != s.subject || info.Email != "alice@example.net" || info.EmailVerified {
		t.Errorf("sub, email, verified = %q, %q, %v; want %q, alice@example.net, false", info.Subject, info.Email, info.EmailVerified, s.subject)
	}
	if _, err := provider.UserInfo(t.Context(), oauth2.StaticTokenSource(&oauth2.Token{AccessToken: "wrong"})); err == nil {
		t.Error("a wrong token gets an answer")
	}
}
