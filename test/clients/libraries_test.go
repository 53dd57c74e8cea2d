package clients_test

import (
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"net/http/cookiejar"
	"strings"
	"testing"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"

	"countersign/test/programs"
)

// Libraries of other languages, configured as their own documentation says, with a client
// that has what each needs. It is one test, so that they start beside each other.
func TestRealLibraries(t *testing.T) {
	s := serve(t)
	standard := s.apiTokens(t, "api-standard")
	older := s.apiTokens(t, "api-older", "--access-token-typ", "JWT", "--access-token-alg", "RS256")
	for name, redirect := range map[string]string{
		"authlib":  "/authlib/callback",
		"allauth":  "/allauth/oidc/countersign/login/callback/",
		"authjs":   "/auth/callback/countersign",
		"nextauth": "/api/auth/callback/countersign",
	} {
		s.client(t, name, "--first-party", "--claims-in-id-token", "--id-token-alg", "RS256", "--grant", "authorization_code",
			"--redirect-uri", "http://127.0.0.1"+redirect, "--scope", "openid", "--scope", "profile", "--scope", "email")
	}

	for _, boot := range []string{"3.5.7", "4.0.7"} {
		t.Run("Spring Boot "+boot, func(t *testing.T) {
			t.Parallel()
			wantResourceServer(t, s, startSpring(t, s, boot), older, standard)
		})
	}
	t.Run("Python", func(t *testing.T) {
		t.Parallel()
		base := startPython(t, s)
		t.Run("Authlib", func(t *testing.T) { s.wantSignIn(t, base+"/authlib/login") })
		t.Run("allauth", func(t *testing.T) { s.wantSignIn(t, base+"/allauth/oidc/countersign/login/") })
		t.Run("Authlib's validator of RFC 9068", func(t *testing.T) {
			wantResourceServer(t, s, base+"/authlib", standard, older)
		})
		for _, name := range []string{"simplejwt", "pyjwt", "python-jose"} {
			t.Run(name, func(t *testing.T) { wantResourceServer(t, s, base+"/"+name, older, standard) })
		}
	})
	t.Run("Auth.js and next-auth", func(t *testing.T) {
		t.Parallel()
		runNode(t, s, "authjs.test.js")
	})
}

// apiTokens are tokens of one client for the user.
type apiTokens struct {
	access string // for webAPI
	other  string // the access token for filesAPI
	id     string
}

// apiTokens makes a client with access tokens as these flags of clients create say.
func (s *server) apiTokens(t *testing.T, id string, flags ...string) apiTokens {
	t.Helper()
	s.client(t, id, append(flags, "--first-party", "--grant", "authorization_code", "--redirect-uri", callback,
		"--scope", "openid", "--scope", "read", "--scope", "roles", "--scope", "groups",
		"--audience", webAPI, "--audience", filesAPI)...)
	c, p := s.goClient(t, id, oidc.ScopeOpenID, "read", "roles", "groups"), s.person(t)
	web, _ := c.signIn(t, p, oauth2.SetAuthURLParam("resource", webAPI))
	files, _ := c.signIn(t, p, oauth2.SetAuthURLParam("resource", filesAPI))
	idToken, _ := web.Extra("id_token").(string)
	return apiTokens{web.AccessToken, files.AccessToken, idToken}
}

func startSpring(t *testing.T, s *server, boot string) string {
	t.Helper()
	classes, err := programs.JavaProgram("spring", "boot="+boot)
	if err != nil {
		t.Fatal(err)
	}
	cmd := programs.Command(t, "java", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-cp", classes, "countersign.Api",
		"--server.address=127.0.0.1", "--server.port=0",
		"--spring.security.oauth2.resourceserver.jwt.issuer-uri="+s.issuer,
		"--spring.security.oauth2.resourceserver.jwt.audiences="+webAPI)
	return programs.Start(t, cmd, programs.Listening)
}

func startPython(t *testing.T, s *server) string {
	t.Helper()
	packages, err := programs.PythonPackages("python/requirements.txt")
	if err != nil {
		t.Fatal(err)
	}
	cmd := programs.Command(t, "python3", "python/main.py")
	cmd.Env = append(cmd.Env, "PYTHONPATH="+packages, "PYTHONNOUSERSITE=1", "PYTHONDONTWRITEBYTECODE=1",
		"ISSUER="+s.issuer, "AUDIENCE="+webAPI, "CLIENT_SECRET="+clientSecret)
	return programs.Start(t, cmd, programs.Listening)
}

// wantResourceServer checks that an API takes the right token of one client, and nothing else.
func wantResourceServer(t *testing.T, s *server, api string, right, wrong apiTokens) {
	t.Helper()
	status, _, said := hello(t, api, "Bearer "+right.access)
	if status != http.StatusOK || said["subject"] != s.subject {
		t.Errorf("got %d %v, want 200 with the subject %s", status, said, s.subject)
	}
	signed := func(token string) int { return strings.LastIndex(token, ".") }
	for name, token := range map[string]string{
		"another token's signature": right.access[:signed(right.access)] + right.other[signed(right.other):],
		"for another API":           right.other,
		"an ID token":               right.id,
		"as other clients have":     wrong.access,
		"none":                      "",
	} {
		if status, _, _ := hello(t, api, strings.TrimSuffix("Bearer "+token, " ")); status != http.StatusUnauthorized {
			t.Errorf("%s: got %d, want 401", name, status)
		}
	}
}

// wantSignIn signs the user in at an application that is a web server, and checks what it
// has learned.
func (s *server) wantSignIn(t *testing.T, login string) {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	browser := &http.Client{Jar: jar, CheckRedirect: func(r *http.Request, _ []*http.Request) error {
		if s.hosts(r.URL) {
			return http.ErrUseLastResponse
		}
		return nil
	}}
	p := s.person(t)
	resp, err := browser.Do(p.request(http.MethodGet, login, nil))
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	ask, err := resp.Location()
	if err != nil {
		t.Fatalf("%s: %s, want a redirect to the server", login, resp.Status)
	}
	if resp, err = browser.Do(p.visit(ask.String())); err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	var got map[string]string
	want := map[string]string{"subject": s.subject, "name": username, "email": "alice@example.net"}
	if err := json.Unmarshal(body, &got); err != nil || !maps.Equal(got, want) {
		t.Errorf("the application answers %s %s, want %v", resp.Status, body, want)
	}
}
