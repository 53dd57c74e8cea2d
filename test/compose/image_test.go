package compose_test

import (
	"bufio"
	"debug/elf"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/compose-spec/compose-go/v2/types"

	"countersign/store/storetest"
	"countersign/test/mariadb"
)

// workDir holds the programs that are built once for all tests.
var workDir string

func TestMain(m *testing.M) {
	var err error
	if workDir, err = os.MkdirTemp("", "countersign-compose-"); err != nil {
		panic(err)
	}
	code := m.Run()
	os.RemoveAll(workDir)
	os.Exit(code)
}

// program builds the program by the Dockerfile's own command, and returns its path.
func program(t *testing.T) string {
	t.Helper()
	command, output := dockerfile(t).buildCommand(t)
	path := filepath.Join(workDir, filepath.Base(output))
	built.Do(func() {
		// go test must not reuse a cached result when the program has changed. It
		// notices changes of files that a test has looked at.
		err := filepath.WalkDir(top, func(name string, d fs.DirEntry, err error) error {
			switch {
			case err == nil && d.IsDir() && slices.Contains([]string{".git", "node_modules"}, d.Name()):
				return fs.SkipDir
			case strings.HasSuffix(name, ".go") || strings.HasSuffix(name, ".sql"):
				_, err = os.Stat(name)
			}
			return err
		})
		if err != nil {
			t.Error(err)
		}
		build := exec.Command("sh", "-c", strings.Replace(command, " -o "+output+" ", " -o '"+path+"' ", 1))
		build.Dir = top
		build.Env = append(os.Environ(), "GOFLAGS=-buildvcs=auto") // the default
		if commit() == "" {
			build.Env = append(build.Env, "GOFLAGS=-buildvcs=false")
		}
		if out, err := build.CombinedOutput(); err != nil {
			t.Errorf("%s: %v\n%s", command, err, out)
		}
	})
	if _, err := os.Stat(path); err != nil {
		t.Fatal(err)
	}
	return path
}

var built sync.Once

// commit returns the commit that is checked out, if this is a git checkout.
func commit() string {
	out, err := exec.Command("git", "-C", top, "rev-parse", "HEAD").Output()
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(out))
}

// A container imitates what an engine makes of the image and a service: a folder as the
// root (if the test runs as root); the image's user; only the service's variables; its
// secrets, readable only by that user. Nothing in it is writable.
type container struct {
	t    *testing.T
	root string
	env  []string
	attr *syscall.SysProcAttr
	addr string // where the server must listen
}

// database is a private server with the database of the service db, and the secret of
// that database's user.
func database(t *testing.T) (*mariadb.Server, string) {
	t.Helper()
	storetest.Need(t, mariadb.Available())
	server, err := mariadb.Start()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { server.Close() })
	const password = "O2Iq+7sUSh0fB3bVb0t1V6lqL2q7r0n3m/yPV2kM3Yg="
	db := project(t).Services["db"]
	user, name := env(db, "MYSQL_USER"), env(db, "MYSQL_DATABASE")
	if err := server.Exec("CREATE DATABASE "+name, "CREATE USER '"+user+"'@'%' IDENTIFIED BY '"+password+"'",
		"GRANT ALL ON "+name+".* TO '"+user+"'@'%'"); err != nil {
		t.Fatal(err)
	}
	return server, password
}

// contain makes a container of a service that uses a database, with changed variables
// if given.
func contain(t *testing.T, s types.ServiceConfig, db *mariadb.Server, password string, changed map[string]string) *container {
	t.Helper()
	c := &container{t: t, root: t.TempDir(), attr: &syscall.SysProcAttr{}}
	uid, gid := os.Getuid(), os.Getgid()
	if uid == 0 {
		user, group, _ := strings.Cut(dockerfile(t).final().last(t, "USER"), ":")
		uid, gid = number(t, user), number(t, group)
		c.attr.Chroot = c.root
		c.attr.Credential = &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
	}

	c.put("/usr/local/bin/countersign", 0o555, readAll(t, program(t)))
	c.put("/etc/hosts", 0o444, []byte("127.0.0.1 localhost\n"))
	for _, secret := range s.Secrets {
		content := map[string]string{
			"db_password": password,
			"master_key":  "vwgfEI37wy7AXgUJNpY2/lN7ax0b3n4kh3nH+oMWfvU=",
		}[secret.Source]
		if content == "" {
			t.Fatalf("%s has the secret %s", s.Name, secret.Source)
		}
		path := c.put("/run/secrets/"+secret.Source, 0o400, []byte(content+"\n"))
		if err := os.Chown(path, uid, gid); err != nil {
			t.Fatal(err)
		}
	}
	c.chmodFolders(0o555)
	t.Cleanup(func() { c.chmodFolders(0o755) }) // so that the test can remove them

	c.addr = strings.Replace(freeAddr(t), "127.0.0.1", "localhost", 1)
	for name := range s.Environment {
		value := env(s, name)
		switch {
		case changed[name] != "":
			value = changed[name]
		case strings.HasSuffix(name, "_FILE"):
			value = c.inside(value)
		case name == "COUNTERSIGN_DATABASE_URL":
			value = strings.Replace(value, "@db:3306/", "@"+db.Addr()+"/", 1)
		}
		c.env = append(c.env, name+"="+value)
	}
	c.env = append(c.env, "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/",
		"COUNTERSIGN_LISTEN="+c.addr)
	return c
}

func number(t *testing.T, text string) int {
	t.Helper()
	n, err := strconv.Atoi(text)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func readAll(t *testing.T, path string) []byte {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// freeAddr returns a loopback address that no program listens on.
func freeAddr(t *testing.T) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	return ln.Addr().String()
}

// put adds a file and returns its path.
func (c *container) put(name string, mode fs.FileMode, content []byte) string {
	c.t.Helper()
	path := filepath.Join(c.root, name)
	if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, content, mode), os.Chmod(path, mode)); err != nil {
		c.t.Fatal(err)
	}
	return path
}

// inside returns a path as the program in the container sees it.
func (c *container) inside(path string) string {
	if c.attr.Chroot != "" {
		return path
	}
	return filepath.Join(c.root, path)
}

func (c *container) chmodFolders(mode fs.FileMode) {
	err := filepath.WalkDir(c.root, func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.IsDir() {
			err = os.Chmod(path, mode)
		}
		return err
	})
	if err != nil {
		c.t.Error(err)
	}
}

// files returns all files in the container, as text.
func (c *container) files() (all []string) {
	c.t.Helper()
	err := filepath.WalkDir(c.root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err == nil {
			all = append(all, fmt.Sprint(path, " ", info.Mode(), " ", info.Size(), " ", info.ModTime()))
		}
		return err
	})
	if err != nil {
		c.t.Fatal(err)
	}
	return all
}

// command returns a command that runs in the container as the image says.
func (c *container) command(words ...string) *exec.Cmd {
	cmd := exec.Command(c.inside("/usr/local/bin/"+words[0]), words[1:]...)
	cmd.Dir, cmd.Env, cmd.SysProcAttr = c.inside("/"), c.env, c.attr
	return cmd
}

// serve runs the image's program, and waits until its health check succeeds.
func (c *container) serve() *process {
	c.t.Helper()
	final := dockerfile(c.t).final()
	p := start(c.t, c.command(append(final.exec(c.t, "ENTRYPOINT"), final.exec(c.t, "CMD")...)...))
	p.eventually("the health check is content", func() bool {
		return c.command(final.exec(c.t, "HEALTHCHECK")...).Run() == nil
	})
	return p
}

// A process runs until the test ends it, at the latest at the end of the test.
type process struct {
	t     *testing.T
	cmd   *exec.Cmd
	ended chan struct{} // closed when the process has ended
	err   error         // how it ended

	mu    sync.Mutex
	lines []string // the process's stderr
}

func start(t *testing.T, cmd *exec.Cmd) *process {
	t.Helper()
	p := &process{t: t, cmd: cmd, ended: make(chan struct{})}
	stderr, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(p.ended)
		for lines := bufio.NewScanner(stderr); lines.Scan(); {
			p.mu.Lock()
			p.lines = append(p.lines, lines.Text())
			p.mu.Unlock()
		}
		p.err = cmd.Wait()
	}()
	t.Cleanup(func() {
		p.kill()
		if t.Failed() {
			lines := p.log(0)
			t.Logf("the end of what %s said:\n%s", filepath.Base(cmd.Path), strings.Join(lines[max(0, len(lines)-20):], "\n"))
		}
	})
	return p
}

// log returns what the process logged from the given line on.
func (p *process) log(from int) []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.lines[from:])
}

// kill ends the process as a power cut would.
func (p *process) kill() {
	p.cmd.Process.Kill()
	<-p.ended
}

// terminate stops the process as an engine does.
func (p *process) terminate(within time.Duration) {
	p.t.Helper()
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		p.t.Fatal(err)
	}
	select {
	case <-p.ended:
		if p.err != nil {
			p.t.Errorf("%s ended with %v, want exit code 0", filepath.Base(p.cmd.Path), p.err)
		}
	case <-time.After(within):
		p.t.Errorf("%s didn't stop within %v", filepath.Base(p.cmd.Path), within)
	}
}

// eventually repeats a check until it succeeds.
func (p *process) eventually(what string, so func() bool) {
	p.t.Helper()
	deadline := time.After(30 * time.Second)
	for tick := time.NewTicker(50 * time.Millisecond); !so(); {
		select {
		case <-tick.C:
		case <-p.ended:
			p.t.Fatalf("%s ended, with %v, before %s", filepath.Base(p.cmd.Path), p.err, what)
		case <-deadline:
			p.t.Fatalf("it didn't come to pass that %s", what)
		}
	}
}

func TestImageServesWithoutRights(t *testing.T) {
	db, password := database(t)
	service := replicas(project(t))[0]
	c := contain(t, service, db, password, nil)
	before := c.files()

	check := dockerfile(t).final().exec(t, "HEALTHCHECK")
	var exit *exec.ExitError
	if err := c.command(check...).Run(); !errors.As(err, &exit) || exit.ExitCode() != 1 {
		t.Errorf("with no server the health check says %v, want exit code 1", err)
	}
	p := c.serve()
	res, err := http.Get("http://" + c.addr + "/.well-known/openid-configuration")
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	var is struct{ Issuer string }
	if err := json.NewDecoder(res.Body).Decode(&is); err != nil || is.Issuer != issuer {
		t.Errorf("the server is %q (%v), want %q", is.Issuer, err, issuer)
	}
	p.terminate(time.Duration(*service.StopGracePeriod))

	if after := c.files(); !slices.Equal(after, before) {
		t.Errorf("something was written: there is\n%s\nand was\n%s", strings.Join(after, "\n"), strings.Join(before, "\n"))
	}
	for _, line := range p.log(0) {
		if strings.Contains(line, password) || strings.Contains(line, `"level":"WARN"`) {
			t.Errorf("the server said %s", line)
		}
	}
}

func TestImageKnowsItsCommit(t *testing.T) {
	want := commit()
	if want == "" {
		t.Skip("not a git checkout")
	}
	out, err := exec.Command(program(t), "version", "--json").Output()
	if err != nil {
		t.Fatal(err)
	}
	var got struct{ Version, Commit string }
	if err := json.Unmarshal(out, &got); err != nil || got.Commit != want || got.Version == "" {
		t.Errorf("the program says %s, want the commit %s", out, want)
	}
}

func TestProgramIsStatic(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("it is for Linux only that the Dockerfile makes one")
	}
	f, err := elf.Open(program(t))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for _, part := range f.Progs {
		if part.Type == elf.PT_INTERP {
			t.Error("the program wants a dynamic linker, which the image doesn't have")
		}
	}
}
