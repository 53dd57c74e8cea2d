package clients_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/golang-jwt/jwt/v5"

	"countersign/test/programs"
)

// examples start an example resource server on a free port and return its URL.
var examples = map[string]func(t *testing.T, env ...string) string{
	"go": func(t *testing.T, env ...string) string {
		return startExample(t, "", env, programs.Path(t, "resource-server-go"))
	},
	"node": func(t *testing.T, env ...string) string {
		dir, err := nodeExample()
		if err != nil {
			t.Fatal(err)
		}
		return startExample(t, dir, env, "node", "server.js")
	},
}

func startExample(t *testing.T, dir string, env []string, name string, args ...string) string {
	t.Helper()
	cmd := programs.Command(t, name, args...)
	cmd.Dir = dir
	cmd.Env = append(append(cmd.Env, "LISTEN=127.0.0.1:0"), env...)
	return programs.Start(t, cmd, programs.Listening)
}

// hello calls an example, and returns the status, the challenge and the body.
func hello(t *testing.T, base, authorization string) (int, string, map[string]string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, base+"/hello", nil)
	if err != nil {
		t.Fatal(err)
	}
	if authorization != "" {
		r.Header.Set("Authorization", authorization)
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	var said map[string]string
	if resp.StatusCode == http.StatusOK {
		if err := json.Unmarshal(body, &said); err != nil {
			t.Fatalf("body %q: %v", body, err)
		}
	}
	return resp.StatusCode, resp.Header.Get("WWW-Authenticate"), said
}

// exampleAPI is the examples' name in the tokens of these tests.
const exampleAPI = "http://localhost:8081"

// An API reads the token from a cookie only if the operator has named one.
func TestExampleResourceServersWithACookie(t *testing.T) {
	s := serve(t, "COUNTERSIGN_TOKENS_AUDIENCE="+exampleAPI)
	_, _, token := discover(t, s)
	const page = "http://localhost:5173"
	for name, start := range examples {
		t.Run(name, func(t *testing.T) {
			get := func(base string) *http.Response {
				r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, base+"/hello", nil)
				if err != nil {
					t.Fatal(err)
				}
				r.Header.Set("Origin", page)
				r.Header.Set("Cookie", "other=1; countersign_access="+token.AccessToken+"; last=2")
				resp, err := http.DefaultClient.Do(r)
				if err != nil {
					t.Fatal(err)
				}
				resp.Body.Close()
				return resp
			}
			with := get(start(t, "ISSUER="+s.issuer, "AUDIENCE="+exampleAPI, "ORIGINS="+page, "ACCESS_COOKIE=countersign_access"))
			if with.StatusCode != http.StatusOK || with.Header.Get("Access-Control-Allow-Credentials") != "true" {
				t.Errorf("told to: %d %v", with.StatusCode, with.Header)
			}
			without := get(start(t, "ISSUER="+s.issuer, "AUDIENCE="+exampleAPI, "ORIGINS="+page))
			if without.StatusCode != http.StatusUnauthorized || without.Header.Get("Access-Control-Allow-Credentials") != "" {
				t.Errorf("not told to: %d %v", without.StatusCode, without.Header)
			}
		})
	}
}

func wantRefused(t *testing.T, base, authorization, challenge string) {
	t.Helper()
	if status, got, _ := hello(t, base, authorization); status != http.StatusUnauthorized || got != challenge {
		t.Errorf("got %d with WWW-Authenticate %q, want 401 with %q", status, got, challenge)
	}
}

const invalidToken = `Bearer error="invalid_token"`

func TestExampleResourceServersWithARealServer(t *testing.T) {
	s := serve(t, "COUNTERSIGN_TOKENS_AUDIENCE="+exampleAPI)
	_, _, token := discover(t, s)
	idToken, _ := token.Extra("id_token").(string)
	resp, err := http.PostForm(s.issuer+"/oauth/token", url.Values{
		"grant_type": {"client_credentials"}, "client_id": {"web"}, "client_secret": {clientSecret}, "scope": {"read"},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var other struct {
		AccessToken string `json:"access_token"`
	}
	if err := json.NewDecoder(resp.Body).Decode(&other); err != nil || other.AccessToken == "" {
		t.Fatalf("client credentials grant: %s, %v", resp.Status, err)
	}

	for name, start := range examples {
		t.Run(name, func(t *testing.T) {
			api := start(t, "ISSUER="+s.issuer, "AUDIENCE="+exampleAPI)
			status, _, said := hello(t, api, "Bearer "+token.AccessToken)
			want := map[string]string{"subject": s.subject, "scope": token.Extra("scope").(string)}
			if status != http.StatusOK || !maps.Equal(said, want) {
				t.Errorf("got %d %v, want 200 %v", status, said, want)
			}
			wantRefused(t, api, "Bearer "+idToken, invalidToken)
			wantRefused(t, api, "Bearer "+token.RefreshToken, invalidToken)
			wantRefused(t, api, "Bearer "+other.AccessToken, invalidToken) // the token of another API
			wantRefused(t, api, "", "Bearer")
			wantRefused(t, api, "Basic YWxpY2U6cGFzc3dvcmQ=", "Bearer")
		})
	}
}

// The Go example says what it asks of the sign-in (RFC 9470), and what it says is what the
// authorization endpoint takes.
func TestExampleResourceServerAsksForMore(t *testing.T) {
	s := serve(t, "COUNTERSIGN_TOKENS_AUDIENCE="+exampleAPI)
	_, _, token := discover(t, s)
	vault := func(api string) *http.Response {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, api+"/vault", nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Authorization", "Bearer "+token.AccessToken)
		resp, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		return resp
	}
	resp := vault(examples["go"](t, "ISSUER="+s.issuer, "AUDIENCE="+exampleAPI))
	const want = `Bearer error="insufficient_user_authentication", error_description="sign in again, with more", acr_values="mfa", max_age="300"`
	if got := resp.Header.Get("WWW-Authenticate"); resp.StatusCode != http.StatusUnauthorized || got != want {
		t.Errorf("after a password alone: %s %s, want 401 %s", resp.Status, got, want)
	}
	if resp := vault(examples["go"](t, "ISSUER="+s.issuer, "AUDIENCE="+exampleAPI, "ACR=pwd")); resp.StatusCode != http.StatusOK {
		t.Errorf("where a password is enough: %s", resp.Status)
	}
}

func TestExampleResourceServersAnswerPages(t *testing.T) {
	issuer, _ := programs.Serve(t)
	ask := func(t *testing.T, method, url, origin string) *http.Response {
		t.Helper()
		r, err := http.NewRequestWithContext(t.Context(), method, url, nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Origin", origin)
		resp, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		return resp
	}
	const page, other = "https://app.example.com", "https://app.example.com.evil.example"
	for name, start := range examples {
		t.Run(name, func(t *testing.T) {
			api := start(t, "ISSUER="+issuer, "ORIGINS=http://localhost:3000,"+page)
			resp := ask(t, http.MethodOptions, api+"/hello", page)
			if resp.StatusCode != http.StatusNoContent || resp.Header.Get("Access-Control-Allow-Headers") != "Authorization" {
				t.Errorf("preflight: %s %v", resp.Status, resp.Header)
			}
			for origin, want := range map[string]string{page: page, other: ""} {
				resp := ask(t, http.MethodGet, api+"/hello", origin)
				if got := resp.Header.Get("Access-Control-Allow-Origin"); got != want || resp.StatusCode != http.StatusUnauthorized {
					t.Errorf("%s: %s for %q, want 401 for %q", origin, resp.Status, got, want)
				}
				if resp.Header.Get("Vary") != "Origin" || resp.Header.Get("Access-Control-Allow-Credentials") != "" {
					t.Errorf("%s: %v", origin, resp.Header)
				}
			}
		})
	}
}

// Each of these tokens is right except for one thing. The test signs them itself,
// because Countersign would not.
func TestExampleResourceServersCheckEverything(t *testing.T) {
	const issuer, audience = "https://auth.example.com", "https://api.example.com"
	es256, es384, rs256, stranger := ecKey(t, elliptic.P256()), ecKey(t, elliptic.P384()), rsaKey(t), ecKey(t, elliptic.P256())
	jwks := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		json.NewEncoder(w).Encode(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{
			{Key: es256.Public(), KeyID: "es256", Algorithm: "ES256", Use: "sig"},
			{Key: es384.Public(), KeyID: "es384", Algorithm: "ES384", Use: "sig"},
			{Key: rs256.Public(), KeyID: "rs256", Algorithm: "RS256", Use: "sig"},
		}})
	}))
	defer jwks.Close()
	public, err := x509.MarshalPKIXPublicKey(es256.Public())
	if err != nil {
		t.Fatal(err)
	}

	// change makes a valid token with the given changes.
	change := func(alter func(token *jwt.Token, claims jwt.MapClaims)) func() (*jwt.Token, any) {
		return func() (*jwt.Token, any) {
			claims := jwt.MapClaims{
				"iss": issuer, "aud": audience, "sub": "alice", "scope": "read", "client_id": "spa", "jti": "1",
				"iat": time.Now().Unix(), "exp": time.Now().Add(time.Minute).Unix(),
			}
			token := jwt.NewWithClaims(jwt.SigningMethodES256, claims)
			token.Header["typ"], token.Header["kid"] = "at+jwt", "es256"
			alter(token, claims)
			return token, es256
		}
	}
	claim := func(name string, value any) func() (*jwt.Token, any) {
		return change(func(_ *jwt.Token, claims jwt.MapClaims) {
			claims[name] = value
			if value == nil {
				delete(claims, name)
			}
		})
	}
	header := func(name string, value any) func() (*jwt.Token, any) {
		return change(func(token *jwt.Token, _ jwt.MapClaims) {
			token.Header[name] = value
			if value == nil {
				delete(token.Header, name)
			}
		})
	}
	signed := func(method jwt.SigningMethod, kid string, key any) func() (*jwt.Token, any) {
		return func() (*jwt.Token, any) {
			token, _ := header("kid", kid)()
			token.Method, token.Header["alg"] = method, method.Alg()
			return token, key
		}
	}
	soon, past := time.Now().Add(time.Hour).Unix(), time.Now().Add(-5*time.Minute).Unix()
	tokens := map[string]struct {
		token func() (*jwt.Token, any)
		ok    bool
	}{
		"right":                  {claim("scope", "read"), true},
		"RS256":                  {signed(jwt.SigningMethodRS256, "rs256", rs256), true},
		"typ in full":            {header("typ", "application/at+jwt"), true},
		"one of several aud":     {claim("aud", []string{"https://other.example.com", audience}), true},
		"typ of an ID token":     {header("typ", "JWT"), false},
		"no typ":                 {header("typ", nil), false},
		"unknown crit":           {header("crit", []string{"exp"}), false},
		"unknown kid":            {header("kid", "unknown"), false},
		"another issuer":         {claim("iss", issuer+".evil.example"), false},
		"no issuer":              {claim("iss", nil), false},
		"another audience":       {claim("aud", "https://other.example.com"), false},
		"no audience":            {claim("aud", nil), false},
		"expired":                {claim("exp", past), false},
		"no expiry":              {claim("exp", nil), false},
		"not valid yet":          {claim("nbf", soon), false},
		"no subject":             {claim("sub", nil), false},
		"a stranger's signature": {signed(jwt.SigningMethodES256, "es256", stranger), false},
		"alg not listed":         {signed(jwt.SigningMethodES384, "es384", es384), false},
		"alg of another key":     {signed(jwt.SigningMethodES256, "rs256", es256), false},
		"none":                   {signed(jwt.SigningMethodNone, "es256", jwt.UnsafeAllowNoneSignatureType), false},
		"HMAC with the public key": {signed(jwt.SigningMethodHS256, "es256",
			pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: public})), false},
	}
	for name, start := range examples {
		t.Run(name, func(t *testing.T) {
			api := start(t, "ISSUER="+issuer, "AUDIENCE="+audience, "JWKS_URL="+jwks.URL)
			for _, name := range slices.Sorted(maps.Keys(tokens)) {
				t.Run(name, func(t *testing.T) {
					unsigned, key := tokens[name].token()
					token, err := unsigned.SignedString(key)
					if err != nil {
						t.Fatal(err)
					}
					if !tokens[name].ok {
						wantRefused(t, api, "Bearer "+token, invalidToken)
						return
					}
					for _, scheme := range []string{"Bearer ", "bearer "} {
						if status, _, said := hello(t, api, scheme+token); status != http.StatusOK || said["subject"] != "alice" || said["scope"] != "read" {
							t.Errorf("got %d %v, want 200 with subject alice and scope read", status, said)
						}
					}
				})
			}
			unsigned, key := claim("scope", "openid profiles")()
			token, err := unsigned.SignedString(key)
			if err != nil {
				t.Fatal(err)
			}
			if status, challenge, _ := hello(t, api, "Bearer "+token); status != http.StatusForbidden || challenge != `Bearer error="insufficient_scope", scope="profile"` {
				t.Errorf("without the scope: %d %s", status, challenge)
			}
			for _, token := range []string{"", "x", "a.b.c", "..", "é"} {
				wantRefused(t, api, "Bearer "+token, invalidToken)
			}
		})
	}
}

func ecKey(t *testing.T, curve elliptic.Curve) crypto.Signer {
	t.Helper()
	key, err := ecdsa.GenerateKey(curve, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func rsaKey(t *testing.T) crypto.Signer {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	return key
}
