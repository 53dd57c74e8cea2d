// Package programs builds and runs the module's programs, and others, for tests. No
// program outlives its test.
package programs

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// Main runs the tests of a package that uses this one, from TestMain.
func Main(m interface{ Run() int }) {
	code := m.Run()
	if folder, err := workDir(); err == nil {
		os.RemoveAll(folder)
	}
	os.Exit(code)
}

// workDir holds the programs that are built and installed once for all tests of a package.
var workDir = sync.OnceValues(func() (string, error) { return os.MkdirTemp("", "countersign-test-") })

// root is the folder of the module.
var root = sync.OnceValues(func() (string, error) {
	out, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}").Output()
	return strings.TrimSpace(string(out)), err
})

// built are the programs, by name.
var built = sync.OnceValues(func() (map[string]string, error) {
	dir, err := root()
	if err != nil {
		return nil, err
	}
	// go test must not reuse a cached result when the programs have changed. It
	// notices changes of files that a test has looked at.
	err = filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && slices.Contains([]string{".git", "node_modules"}, d.Name()):
			return fs.SkipDir
		case slices.Contains([]string{".go", ".sql", ".js", ".html", ".css", ".svg", ".json", ".py", ".ts", ".tsx", ".vue"}, filepath.Ext(path)) || d.Name() == "go.mod":
			_, err = os.Stat(path)
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	folder, err := workDir()
	if err != nil {
		return nil, err
	}
	programs := map[string]string{}
	for _, path := range []string{"cmd/countersign", "examples/resource-server-go"} {
		name := filepath.Base(path)
		programs[name] = filepath.Join(folder, name)
		build := exec.Command("go", "build", "-o", programs[name], "./"+path)
		build.Dir = dir
		if out, err := build.CombinedOutput(); err != nil {
			return nil, fmt.Errorf("go build: %w\n%s", err, out)
		}
	}
	return programs, nil
})

// Path returns the path of a program of this module, by its name.
func Path(t *testing.T, name string) string {
	t.Helper()
	programs, err := built()
	if err != nil {
		t.Fatal(err)
	}
	return programs[name]
}

// Command returns a command that doesn't outlive the test, even if the test is stuck:
// it is killed just before go test gives up.
func Command(t *testing.T, name string, args ...string) *exec.Cmd {
	t.Helper()
	ctx := context.WithoutCancel(t.Context()) // the cleanup ends it, not the end of the test
	if deadline, ok := t.Deadline(); ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithDeadline(ctx, deadline.Add(-5*time.Second))
		t.Cleanup(cancel)
	}
	cmd := exec.CommandContext(ctx, name, args...)
	// The program must not see the caller's own configuration.
	cmd.Env = slices.DeleteFunc(os.Environ(), func(v string) bool { return strings.HasPrefix(v, "COUNTERSIGN_") })
	return cmd
}

// Start runs a command until the test ends, and then asks it to stop. It returns the
// first non-empty result of found for a line of the command's stderr.
func Start(t *testing.T, cmd *exec.Cmd, found func(line []byte) string) string {
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

var listening = regexp.MustCompile(`listening on (http://\S+)`)

// Listening finds where an example server says that it listens, for Start.
func Listening(line []byte) string {
	if m := listening.FindSubmatch(line); m != nil {
		return string(m[1])
	}
	return ""
}

// Serve runs a server over an empty data folder; env changes its configuration.
func Serve(t *testing.T, env ...string) (issuer, data string) {
	t.Helper()
	s := ServeLogged(t, io.Discard, env...)
	return s.Issuer, s.Data
}

// A Server is a running server.
type Server struct {
	Issuer string
	Listen string // host and port
	Data   string // its folder
}

// ServeLogged is Serve, and another goroutine writes the server's stderr to a log.
func ServeLogged(t *testing.T, log io.Writer, env ...string) Server {
	t.Helper()
	s := Server{Data: t.TempDir()}
	cmd := Command(t, Path(t, "countersign"), "serve", "--dev", "--listen", "127.0.0.1:0", "--data", s.Data)
	cmd.Env = append(cmd.Env, env...)
	serving := Start(t, cmd, func(line []byte) string {
		log.Write(line)
		var record struct{ Msg string }
		if json.Unmarshal(line, &record); record.Msg != "serving" {
			return ""
		}
		return string(line)
	})
	if err := json.Unmarshal([]byte(serving), &s); err != nil {
		t.Fatal(err)
	}
	return s
}

// NodePackage copies a Node package into a work folder, installs the versions of its lock
// file, and returns the folder. So tests neither change the source tree nor depend on
// packages that a developer installed there.
func NodePackage(source string) (string, error) {
	folder, err := workDir()
	if err != nil {
		return "", err
	}
	dir := filepath.Join(folder, "node-"+filepath.Base(source))
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
	return dir, npmInstall(dir)
}

// NodeWorkspaces copies a folder of the module that has Node workspaces, and the folders beside
// it that these install packages from, into a work folder. It installs some of the
// workspaces, and returns the copy of the first folder.
func NodeWorkspaces(source string, workspaces []string, beside ...string) (string, error) {
	module, err := root()
	if err != nil {
		return "", err
	}
	work, err := workDir()
	if err != nil {
		return "", err
	}
	for _, folder := range append(beside, source) {
		if err := copySource(filepath.Join(work, folder), filepath.Join(module, folder)); err != nil {
			return "", err
		}
	}
	var only []string
	for _, one := range workspaces {
		only = append(only, "--workspace="+one)
	}
	dir := filepath.Join(work, source)
	return dir, npmInstall(dir, only...)
}

// copySource copies a folder without what programs have made there.
func copySource(to, from string) error {
	return filepath.WalkDir(from, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rest, err := filepath.Rel(from, path)
		if err != nil {
			return err
		}
		if d.IsDir() {
			if slices.Contains([]string{"node_modules", "dist", ".next"}, d.Name()) {
				return fs.SkipDir
			}
			return os.MkdirAll(filepath.Join(to, rest), 0o700)
		}
		b, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		return os.WriteFile(filepath.Join(to, rest), b, 0o600)
	})
}

// npmInstall installs the versions of a folder's lock file.
func npmInstall(dir string, args ...string) error {
	for _, tool := range []string{"node", "npm"} {
		if _, err := exec.LookPath(tool); err != nil {
			return fmt.Errorf("%w: these tests need Node.js 20 or later with npm, install it (https://nodejs.org)", err)
		}
	}
	ci := exec.Command("npm", append([]string{"ci", "--prefer-offline", "--ignore-scripts", "--no-audit", "--no-fund"}, args...)...)
	ci.Dir = dir
	return Run(ci)
}
