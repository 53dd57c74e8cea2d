// Package readme_test runs the commands of README.md as they are written there.
package readme_test

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"countersign/test/programs"
)

func TestMain(m *testing.M) { programs.Main(m) }

var block = regexp.MustCompile("(?ms)^```sh\n(.*?)^```$")

// commands returns the block of commands in README.md that contains a text.
func commands(t *testing.T, text string) string {
	t.Helper()
	readme, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, found := range block.FindAllStringSubmatch(string(readme), -1) {
		if strings.Contains(found[1], text) {
			return found[1]
		}
	}
	t.Fatalf("README.md has no commands with %q", text)
	return ""
}

// replace replaces a text that must be there.
func replace(t *testing.T, text, old, by string) string {
	t.Helper()
	if !strings.Contains(text, old) {
		t.Fatalf("there is no %q in\n%s", old, text)
	}
	return strings.ReplaceAll(text, old, by)
}

// run runs a script as a reader does who stops at the first failure, and returns its output.
func run(t *testing.T, dir, script string) string {
	t.Helper()
	cmd := programs.Command(t, "sh", "-eu", "-c", script)
	cmd.Dir = dir
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Run(); err != nil {
		t.Fatalf("%v\n%s\nby\n%s", err, &out, script)
	}
	return out.String()
}

// The tour ends with an answer of the example API, after a sign-up, a sign-in and a
// refresh. The test changes only where the servers listen, as README.md suggests for ports
// that are in use.
func TestTour(t *testing.T) {
	if _, err := exec.LookPath("curl"); err != nil {
		t.Fatal("this test needs curl: install it")
	}
	const audience = "COUNTERSIGN_TOKENS_AUDIENCE=http://localhost:8081"
	commands(t, audience+" go run ./cmd/countersign serve --dev") // what programs.Serve runs
	issuer, _ := programs.Serve(t, audience)
	commands(t, "go run ./examples/resource-server-go")
	api := programs.Command(t, programs.Path(t, "resource-server-go"))
	api.Env = append(api.Env, "ISSUER="+issuer, "LISTEN=127.0.0.1:0")
	base := programs.Start(t, api, programs.Listening)

	tour := replace(t, commands(t, "grant_type=password"), "http://localhost:8080", issuer)
	tour = replace(t, tour, "http://localhost:8081", base)
	said := run(t, t.TempDir(), tour)
	for _, part := range []string{`"username":"alice"`, `"preferred_username":"alice"`, `"subject"`} {
		if !strings.Contains(said, part) {
			t.Errorf("the tour shows no %s:\n%s", part, said)
		}
	}
	if strings.Contains(said, `"error"`) || strings.Contains(said, "problem") {
		t.Errorf("the tour shows an error:\n%s", said)
	}
}

// These are all commands but the build, which other tests run, and the last, which doesn't
// end.
func TestProduction(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "repository")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(programs.Path(t, "countersign"), filepath.Join(dir, "countersign")); err != nil {
		t.Fatal(err)
	}
	var script []string
	for line := range strings.Lines(commands(t, "./countersign config check")) {
		if !strings.HasPrefix(line, "CGO_ENABLED=0 go build ") && !strings.HasPrefix(line, "./countersign serve ") {
			script = append(script, line)
		}
	}
	script = append(script, commands(t, "--id partner"), "./countersign clients list\n")
	said := run(t, dir, strings.Join(script, ""))
	for _, id := range []string{"spa", "partner"} {
		if !regexp.MustCompile(`(?m)^` + id + `\s`).MatchString(said) {
			t.Errorf("there is no client %s:\n%s", id, said)
		}
	}
	for _, file := range []string{"master.key", "data"} {
		info, err := os.Stat(filepath.Join(dir, "../production", file))
		if err != nil || info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s: %v, %v, want one for its owner alone", file, info, err)
		}
	}
}
