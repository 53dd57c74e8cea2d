// Package clients_test runs client libraries as their users get them, unmodified,
// against a running countersign, and calls the example resource servers. What
// these tests assert is small: that a library which checks what the standards
// say is content, and that our examples refuse what they must.
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

	// The client web is confidential; its secret has characters that RFC 6749
	// section 2.3.1 wants percent-encoded in Basic.
	webSecret = "s3cret:with%odd+chars and space"
	webAPI    = "https://api.example.com" // its audience
)

func TestMain(m *testing.M) { programs.Main(m) }

// server is a running countersign, with the clients of --dev and one named web,
// and one person.
type server struct {
	issuer  string
	subject string // the person's sub
}

// serve launches one and makes the client and the person.
func serve(t *testing.T, env ...string) *server {
	t.Helper()
	issuer, data := programs.Serve(t, env...)
	s := &server{issuer: issuer}
	create := programs.Command(t, programs.Path(t, "countersign"), "clients", "create", "--data", data, "--id", "web", "--secret-stdin",
		"--grant", "password", "--grant", "refresh_token", "--grant", "client_credentials", "--first-party",
		"--scope", "openid", "--scope", "profile", "--scope", "offline_access", "--scope", "read", "--audience", webAPI)
	create.Stdin = strings.NewReader(webSecret)
	if out, err := create.CombinedOutput(); err != nil {
		t.Fatalf("clients create: %v\n%s", err, out)
	}

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
