// Package clients_test runs unmodified client libraries against a running countersign,
// and calls the example resource servers. The tests assert little: that a library which
// checks what the standards say accepts our answers, and that our examples refuse what
// they must.
package clients_test

import (
	"bytes"
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"countersign/test/programs"
)

const (
	username = "alice"
	password = "correct horse battery staple"

	// The secret of confidential clients has characters that RFC 6749 section
	// 2.3.1 wants percent-encoded in Basic.
	clientSecret = "s3cret:with/odd=chars and space"

	webAPI   = "https://api.example.com" // audience of the client web
	filesAPI = "https://files.example.com"
)

func TestMain(m *testing.M) { programs.Main(m) }

// server is a running countersign, with the clients of --dev, a client named web and one
// user.
type server struct {
	issuer  string
	data    string // the server's data folder
	subject string // the user's sub
}

// serve starts a server and makes the client and the user.
func serve(t *testing.T, env ...string) *server {
	t.Helper()
	s := &server{}
	s.issuer, s.data = programs.Serve(t, env...)
	s.client(t, "web", "--first-party", "--audience", webAPI,
		"--grant", "password", "--grant", "refresh_token", "--grant", "client_credentials",
		"--scope", "openid", "--scope", "profile", "--scope", "offline_access", "--scope", "read")

	body, _ := json.Marshal(map[string]string{"username": username, "password": password, "email": "alice@example.net"})
	resp, err := http.Post(s.issuer+"/signup", "application/json", bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var user struct{ ID string }
	if err := json.NewDecoder(resp.Body).Decode(&user); err != nil || resp.StatusCode != http.StatusCreated {
		t.Fatalf("signup: %s, %v", resp.Status, err)
	}
	s.subject = user.ID
	return s
}

// client registers a confidential client, with the flags of clients create.
func (s *server) client(t *testing.T, id string, flags ...string) {
	t.Helper()
	create := programs.Command(t, programs.Path(t, "countersign"),
		append([]string{"clients", "create", "--data", s.data, "--id", id, "--secret-stdin"}, flags...)...)
	create.Stdin = strings.NewReader(clientSecret)
	if out, err := create.CombinedOutput(); err != nil {
		t.Fatalf("clients create %s: %v\n%s", id, err, out)
	}
}

// callback is where applications get their codes. No program listens there: the user of
// these tests stops before, and the test passes the response to the application.
const (
	callback  = "http://127.0.0.1/callback"
	signedOut = "https://app.example.com/signed-out"
)

// codeClients adds clients that use authorization codes, as spa does. The client partner
// is a third party's, so that users are asked for consent, and has two APIs; legacy
// doesn't use PKCE.
func (s *server) codeClients(t *testing.T) {
	t.Helper()
	s.client(t, "partner", "--may-introspect",
		"--grant", "authorization_code", "--grant", "refresh_token", "--grant", "client_credentials",
		"--redirect-uri", callback, "--post-logout-redirect-uri", signedOut,
		"--scope", "openid", "--scope", "profile", "--scope", "email", "--scope", "offline_access", "--scope", "read",
		"--audience", webAPI, "--audience", filesAPI)
	s.client(t, "legacy", "--first-party", "--grant", "authorization_code", "--grant", "refresh_token",
		"--redirect-uri", callback, "--scope", "openid", "--scope", "profile", "--scope", "email", "--scope", "offline_access")
}

// algorithms are all algorithms of ID tokens; allAlgorithms configures a server for them.
var (
	algorithms    = []string{"ES256", "RS256", "PS256", "EdDSA"}
	allAlgorithms = "COUNTERSIGN_KEYS_ALGORITHMS=" + strings.Join(algorithms, ",")
)

// algorithmClients adds a client for each algorithm, named by it, whose ID tokens are
// signed with it.
func (s *server) algorithmClients(t *testing.T) {
	t.Helper()
	for _, alg := range algorithms {
		s.client(t, alg, "--id-token-alg", alg, "--first-party", "--grant", "authorization_code",
			"--redirect-uri", callback, "--scope", "openid")
	}
}
