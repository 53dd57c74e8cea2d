// Package clients_test runs client libraries as their users get them, unmodified,
// against a running countersign, and calls the example resource servers. What
// these tests assert is small: that a library which checks what the standards
// say is content, and that our examples refuse what they must.
package clients_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"io/fs"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

const (
	username = "alice"
	password = "correct horse battery staple"

	// The client web is confidential; its secret has characters that RFC 6749
	// section 2.3.1 wants percent-encoded in Basic.
	webSecret = "s3cret:with%odd+chars and space"
	webAPI    = "https://api.example.com" // its audience
)

// workDir holds what is built once for all tests.
var workDir string

func TestMain(m *testing.M) {
	var err error
	if workDir, err = os.MkdirTemp("", "countersign-clients-"); err != nil {
		panic(err)
	}
	code := m.Run()
	os.RemoveAll(workDir)
	os.Exit(code)
}

// built are the programs under test.
var built = sync.OnceValues(func() (map[string]string, error) {
	// go test must not take an old result from its cache when the programs
	// have changed: it notices files that a test has looked at.
	err := filepath.WalkDir("../..", func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && slices.Contains([]string{".git", "node_modules"}, d.Name()):
			return fs.SkipDir
		case strings.HasSuffix(path, ".go") || strings.HasSuffix(path, ".sql") || d.Name() == "go.mod":
			_, err = os.Stat(path)
		}
		return err
	})
	programs := map[string]string{}
	for _, path := range []string{"cmd/countersign", "examples/resource-server-go"} {
		if err != nil {
			break
		}
		name := filepath.Base(path)
		programs[name] = filepath.Join(workDir, name)
		build := exec.Command("go", "build", "-o", programs[name], "./"+path)
		build.Dir = filepath.Join("..", "..")
		build.Stderr = os.Stderr
		err = build.Run()
	}
	return programs, err
})

// program is the path of a built one.
func program(t *testing.T, name string) string {
	t.Helper()
	programs, err := built()
	if err != nil {
		t.Fatalf("go build: %v", err)
	}
	return programs[name]
}

// start runs a command until the test ends, asks it to stop then, and returns
// what found makes of the first line of its stderr for which that isn't empty.
func start(t *testing.T, cmd *exec.Cmd, found func(line []byte) string) string {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stderr = w
	err = cmd.Start()
	w.Close()
	if err != nil {
		t.Fatalf("start %s: %v", cmd.Path, err)
	}
	first := make(chan string, 1)
	var logs bytes.Buffer
	logged := make(chan struct{})
	go func() {
		defer close(logged)
		defer close(first)
		told := false
		lines := bufio.NewReader(r)
		for {
			line, err := lines.ReadBytes('\n')
			logs.Write(line)
			if s := found(line); s != "" && !told {
				first <- s
				told = true
			}
			if err != nil {
				return
			}
		}
	}()
	t.Cleanup(func() {
		cmd.Process.Signal(syscall.SIGTERM)
		<-logged
		r.Close()
		cmd.Wait()
		if t.Failed() {
			t.Logf("%s said:\n%s", filepath.Base(cmd.Path), &logs)
		}
	})
	s, ok := <-first
	if !ok {
		t.Fatalf("%s ended before it was ready", cmd.Path)
	}
	return s
}

// command is one that doesn't outlive the test, also when the test is stuck:
// it is killed just before go test gives up.
func command(t *testing.T, name string, args ...string) *exec.Cmd {
	t.Helper()
	ctx := context.WithoutCancel(t.Context()) // what cleans up decides, not the end of the test
	if deadline, ok := t.Deadline(); ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithDeadline(ctx, deadline.Add(-5*time.Second))
		t.Cleanup(cancel)
	}
	cmd := exec.CommandContext(ctx, name, args...)
	// Nothing of the caller's own configuration.
	cmd.Env = slices.DeleteFunc(os.Environ(), func(v string) bool { return strings.HasPrefix(v, "COUNTERSIGN_") })
	return cmd
}

// server is a running countersign, with the clients of --dev and one named web,
// and one person.
type server struct {
	issuer  string
	subject string // the person's sub
}

// launch starts one over an empty data folder; env changes its configuration.
func launch(t *testing.T, env ...string) (issuer, data string) {
	t.Helper()
	data = t.TempDir()
	cmd := command(t, program(t, "countersign"), "serve", "--dev", "--listen", "127.0.0.1:0", "--data", data)
	cmd.Env = append(cmd.Env, env...)
	return start(t, cmd, func(line []byte) string {
		var record struct{ Msg, Issuer string }
		if json.Unmarshal(line, &record); record.Msg != "serving" {
			return ""
		}
		return record.Issuer
	}), data
}

// serve launches one and makes the client and the person.
func serve(t *testing.T, env ...string) *server {
	t.Helper()
	issuer, data := launch(t, env...)
	s := &server{issuer: issuer}
	create := command(t, program(t, "countersign"), "clients", "create", "--data", data, "--id", "web", "--secret-stdin",
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
