package clients_test

import (
	"strings"
	"sync"
	"testing"

	"countersign/test/programs"
)

var (
	nodeClients = sync.OnceValues(func() (string, error) { return programs.NodePackage("node") })
	nodeExample = sync.OnceValues(func() (string, error) { return programs.NodePackage("../../examples/resource-server-node") })
)

// runNode runs one file of tests with Node's own runner.
func runNode(t *testing.T, s *server, file string, env ...string) {
	t.Helper()
	dir, err := nodeClients()
	if err != nil {
		t.Fatal(err)
	}
	cmd := programs.Command(t, "node", "--test", "--test-reporter=tap", file)
	cmd.Dir = dir
	cmd.Env = append(cmd.Env, "ISSUER="+s.issuer, "SUBJECT="+s.subject, "USERNAME="+username, "PASSWORD="+password,
		"CLIENT_SECRET="+clientSecret, "WEB_API="+webAPI, "FILES_API="+filesAPI, "CALLBACK="+callback, "SIGNED_OUT="+signedOut,
		"ALGORITHMS="+strings.Join(algorithms, " "))
	cmd.Env = append(cmd.Env, env...)
	out, err := cmd.CombinedOutput()
	t.Logf("%s", out)
	if err != nil {
		t.Fatalf("node --test %s: %v", file, err)
	}
	// Node lets a file without tests pass, and skipped tests, too.
	if strings.Contains(string(out), "\n# pass 0\n") || !strings.Contains(string(out), "\n# skipped 0\n") {
		t.Fatal("no test ran, or some were skipped")
	}
}

// serveCode is serve with all clients that use authorization codes.
func serveCode(t *testing.T) *server {
	t.Helper()
	s := serve(t, allAlgorithms)
	s.codeClients(t)
	s.algorithmClients(t)
	return s
}

func TestRealClientJose(t *testing.T)         { runNode(t, serve(t), "jose.test.js") }
func TestRealClientOAuth4WebAPI(t *testing.T) { runNode(t, serve(t), "oauth4webapi.test.js") }
func TestRealClientOpenIDClient(t *testing.T) { runNode(t, serve(t), "openid-client.test.js") }

func TestRealClientOAuth4WebAPICode(t *testing.T) {
	runNode(t, serveCode(t), "oauth4webapi-code.test.js")
}
func TestRealClientOpenIDClientCode(t *testing.T) {
	runNode(t, serveCode(t), "openid-client-code.test.js")
}
