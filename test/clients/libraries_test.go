package clients_test

import (
	"encoding/json"
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/cookiejar"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"

	"countersign/test/programs"
)

// Libraries of other languages run with the clients and the configuration that presets make,
// unchanged. It is one test, so that they start beside each other.
func TestRealLibraries(t *testing.T) {
	s := serve(t)
	person := s.person(t)
	standard := s.apiClient(t, person, "api-standard")
	apis := map[string]apiClient{}
	for _, preset := range []string{"spring-resource-server", "simplejwt", "pyjwt", "python-jose"} {
		apis[preset] = s.apiClient(t, person, preset, "--preset", preset)
	}
	spring := apis["spring-resource-server"]

	for _, boot := range []string{"3.5.7", "4.0.7"} {
		t.Run("Spring Boot "+boot, func(t *testing.T) {
			t.Parallel()
			wantResourceServer(t, s, startSpring(t, spring.configuration, boot), spring, standard)
		})
	}
	t.Run("Python", func(t *testing.T) {
		t.Parallel()
		socket, base := listen(t)
		configurations := map[string]string{}
		for preset, client := range apis {
			configurations[preset] = client.configuration
		}
		for _, preset := range []string{"authlib", "django-allauth"} {
			configurations[preset] = s.create(t, preset, "--preset", preset, "--app-url", base).Configuration
		}
		startPython(t, socket, s, configurations)

		t.Run("Authlib", func(t *testing.T) { s.wantSignIn(t, base+"/login") })
		t.Run("allauth", func(t *testing.T) { s.wantSignIn(t, base+"/accounts/oidc/countersign/login/") })
		t.Run("Authlib's validator of RFC 9068", func(t *testing.T) {
			wantResourceServer(t, s, base+"/authlib", standard, spring)
		})
		for path, preset := range map[string]string{
			"/simplejwt": "simplejwt", "/pyjwt": "pyjwt", "/python-jose": "python-jose", "/python-jose-all-keys": "python-jose",
		} {
			t.Run(path[1:], func(t *testing.T) { wantResourceServer(t, s, base+path, apis[preset], standard) })
		}
	})
	t.Run("Auth.js and next-auth", func(t *testing.T) {
		t.Parallel()
		const application = "http://127.0.0.1:3000" // no program listens there, as with callback
		configurations := map[string]string{}
		for _, preset := range []string{"authjs", "nextauth"} {
			configurations[preset] = s.create(t, preset, "--preset", preset, "--app-url", application).Configuration
		}
		runNode(t, s, "authjs.test.js", "APPLICATION="+application, asPresets(t, configurations))
	})
}

// asPresets is the variable that tells a program the configurations of presets.
func asPresets(t *testing.T, configurations map[string]string) string {
	t.Helper()
	text, err := json.Marshal(configurations)
	if err != nil {
		t.Fatal(err)
	}
	return "PRESETS=" + string(text)
}

// created is what clients create tells of a client with a generated secret.
type created struct {
	Secret        string `json:"client_secret"`
	Configuration string // of the preset's library
}

func (s *server) create(t *testing.T, id string, flags ...string) created {
	t.Helper()
	cmd := programs.Command(t, programs.Path(t, "countersign"),
		append([]string{"clients", "create", "--data", s.data, "--json", "--id", id, "--generate-secret"}, flags...)...)
	cmd.Env = append(cmd.Env, "COUNTERSIGN_ISSUER="+s.issuer)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("clients create %s: %v\n%s", id, err, &stderr)
	}
	var client created
	if err := json.Unmarshal(out, &client); err != nil {
		t.Fatal(err)
	}
	return client
}

// An apiClient is an application that calls APIs, with tokens for the user.
type apiClient struct {
	configuration string // of an API, by the preset
	access        string // the access token for webAPI
	other         string // the access token for filesAPI
	id            string // the ID token
}

// apiClient makes a client with these flags, and signs the user in at it.
func (s *server) apiClient(t *testing.T, p *person, id string, flags ...string) apiClient {
	t.Helper()
	client := s.create(t, id, append(flags, "--first-party", "--grant", "authorization_code", "--redirect-uri", callback,
		"--scope", "openid", "--scope", "read", "--scope", "roles", "--scope", "groups",
		"--audience", webAPI, "--audience", filesAPI)...)
	c := s.goClient(t, id, oidc.ScopeOpenID, "read", "roles", "groups")
	c.config.ClientSecret = client.Secret
	web, _ := c.signIn(t, p, oauth2.SetAuthURLParam("resource", webAPI))
	files, _ := c.signIn(t, p, oauth2.SetAuthURLParam("resource", filesAPI))
	idToken, _ := web.Extra("id_token").(string)
	return apiClient{client.Configuration, web.AccessToken, files.AccessToken, idToken}
}

func startSpring(t *testing.T, configuration, boot string) string {
	t.Helper()
	classes, err := programs.JavaProgram("spring", "boot="+boot)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "application.yaml")
	if err := os.WriteFile(file, []byte(configuration), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := programs.Command(t, "java", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-cp", classes, "countersign.Api",
		"--spring.config.location="+file, "--server.address=127.0.0.1", "--server.port=0")
	return programs.Start(t, cmd, programs.Listening)
}

// listen returns a socket for a program, whose address others can know before it starts.
func listen(t *testing.T) (socket *os.File, url string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if socket, err = l.(*net.TCPListener).File(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { socket.Close() })
	return socket, "http://" + l.Addr().String()
}

func startPython(t *testing.T, socket *os.File, s *server, configurations map[string]string) {
	t.Helper()
	packages, err := programs.PythonPackages("python/requirements.txt")
	if err != nil {
		t.Fatal(err)
	}
	cmd := programs.Command(t, "python3", "python/main.py")
	cmd.ExtraFiles = []*os.File{socket}
	cmd.Env = append(cmd.Env, "PYTHONPATH="+packages, "PYTHONNOUSERSITE=1", "PYTHONDONTWRITEBYTECODE=1",
		"ISSUER="+s.issuer, "AUDIENCE="+webAPI, asPresets(t, configurations))
	programs.Start(t, cmd, programs.Listening)
}

// wantResourceServer checks that an API takes the right token of one client, and nothing else.
func wantResourceServer(t *testing.T, s *server, api string, right, wrong apiClient) {
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
		"as other libraries take":   wrong.access,
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
