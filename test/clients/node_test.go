package clients_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// installed copies a Node package into the work folder and installs what its
// lock file says, so that neither the source tree nor a test depends on what
// somebody installed there.
func installed(source string) (string, error) {
	for _, tool := range []string{"node", "npm"} {
		if _, err := exec.LookPath(tool); err != nil {
			return "", fmt.Errorf("%w: these tests need Node.js 20 or later with npm, install it (https://nodejs.org)", err)
		}
	}
	dir := filepath.Join(workDir, filepath.Base(source))
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", err
	}
	entries, err := os.ReadDir(source)
	if err != nil {
		return "", err
	}
	for _, e := range entries {
		if e.IsDir() { // node_modules
			continue
		}
		b, err := os.ReadFile(filepath.Join(source, e.Name()))
		if err == nil {
			err = os.WriteFile(filepath.Join(dir, e.Name()), b, 0o600)
		}
		if err != nil {
			return "", err
		}
	}
	ci := exec.Command("npm", "ci", "--prefer-offline", "--ignore-scripts", "--no-audit", "--no-fund")
	ci.Dir = dir
	if out, err := ci.CombinedOutput(); err != nil {
		return "", fmt.Errorf("npm ci in %s: %w\n%s", source, err, out)
	}
	return dir, nil
}

var (
	nodeClients = sync.OnceValues(func() (string, error) { return installed("node") })
	nodeExample = sync.OnceValues(func() (string, error) { return installed("../../examples/resource-server-node") })
)

// runNode runs one file of tests with Node's own runner.
func runNode(t *testing.T, file string) {
	t.Helper()
	dir, err := nodeClients()
	if err != nil {
		t.Fatal(err)
	}
	s := serve(t)
	cmd := command(t, "node", "--test", "--test-reporter=tap", file)
	cmd.Dir = dir
	cmd.Env = append(cmd.Env, "ISSUER="+s.issuer, "SUBJECT="+s.subject, "USERNAME="+username, "PASSWORD="+password,
		"WEB_SECRET="+webSecret, "WEB_API="+webAPI)
	out, err := cmd.CombinedOutput()
	t.Logf("%s", out)
	if err != nil {
		t.Fatalf("node --test %s: %v", file, err)
	}
	// For Node, a file without a test passes, and so do tests that are skipped.
	if strings.Contains(string(out), "\n# pass 0\n") || !strings.Contains(string(out), "\n# skipped 0\n") {
		t.Fatal("no test ran, or some were skipped")
	}
}

func TestRealClientJose(t *testing.T)         { runNode(t, "jose.test.js") }
func TestRealClientOAuth4WebAPI(t *testing.T) { runNode(t, "oauth4webapi.test.js") }
func TestRealClientOpenIDClient(t *testing.T) { runNode(t, "openid-client.test.js") }
