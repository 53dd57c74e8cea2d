package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"countersign/store/storetest"
)

// The tests of crash_test.go, rotation_test.go, signal_test.go and those that use
// honest_test.go run the binary that users run, as processes that can be killed.

// withProgram is a testing.M that has a folder for the binary.
type withProgram struct{ storetest.Main }

var programFolder string

func (m withProgram) Run() int {
	folder, err := os.MkdirTemp("", "countersign")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(folder)
	programFolder = folder
	return m.Main.Run()
}

// program builds the binary, once, and returns its path.
var program = sync.OnceValues(func() (string, error) {
	path := filepath.Join(programFolder, "countersign")
	build := exec.Command("go", "build", "-o", path, ".")
	if out, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("go build: %w\n%s", err, out)
	}
	return path, nil
})

// environment returns the environment of a test's processes: none of our variables from
// outside, the cheapest password hash that is allowed, more guesses than a test makes, an
// issuer that doesn't depend on the port, and more.
func environment(given ...string) []string {
	env := slices.DeleteFunc(os.Environ(), func(s string) bool { return strings.HasPrefix(s, "COUNTERSIGN_") })
	return append(append(env,
		"COUNTERSIGN_PASSWORDS_ARGON2_MEMORY=7MiB", "COUNTERSIGN_PASSWORDS_ARGON2_ITERATIONS=5",
		"COUNTERSIGN_THROTTLE_FREE_FAILURES=1000", "COUNTERSIGN_THROTTLE_STRANGERS_PER_ACCOUNT=1000",
		"COUNTERSIGN_ISSUER="+processIssuer, "COUNTERSIGN_LISTEN=127.0.0.1:0"), given...)
}

const processIssuer = "http://localhost"

// database returns the variable that makes processes on a data folder use MariaDB, if the
// tests run on it.
func database(t *testing.T, data string) []string {
	if !storetest.OnMariaDB() {
		return nil
	}
	return []string{"COUNTERSIGN_DATABASE_URL=" + storetest.MariaDBURL(t, data)}
}

// process is a running server.
type process struct {
	t      *testing.T
	cmd    *exec.Cmd
	client *http.Client
	base   string        // http://127.0.0.1:PORT, once it serves
	ended  chan struct{} // closed when the process has ended
	err    error         // how it ended

	mu     sync.Mutex
	lines  []string
	logged map[string]chan struct{} // by message, closed when it was logged
}

// launch starts a server on a data folder and any free port, without waiting until it
// serves. It is killed when the test ends.
func launch(t *testing.T, data string, env ...string) *process {
	t.Helper()
	path, err := program()
	if err != nil {
		t.Fatal(err)
	}
	return launchBuild(t, path, data, env...)
}

// launchBuild is launch for another build.
func launchBuild(t *testing.T, path, data string, env ...string) *process {
	t.Helper()
	p := &process{
		t: t, cmd: exec.Command(path, "serve", "--dev", "--data", data),
		client: &http.Client{
			Transport: &http.Transport{MaxIdleConnsPerHost: 16}, Timeout: 30 * time.Second,
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
		ended: make(chan struct{}), logged: map[string]chan struct{}{},
	}
	p.cmd.Env = environment(append(database(t, data), env...)...)
	stderr, err := p.cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(p.ended)
		p.read(stderr)
		p.err = p.cmd.Wait()
	}()
	t.Cleanup(func() {
		p.kill()
		if lines := p.remarks(); t.Failed() && len(lines) > 0 {
			t.Logf("process %d logged:\n%s", p.cmd.Process.Pid, strings.Join(lines, "\n"))
		}
	})
	return p
}

// read reads the log.
func (p *process) read(stderr io.Reader) {
	lines := bufio.NewScanner(stderr)
	for lines.Scan() {
		var entry struct{ Msg, Listen string }
		json.Unmarshal(lines.Bytes(), &entry) // a line that isn't JSON has no message
		p.mu.Lock()
		p.lines = append(p.lines, lines.Text())
		if entry.Msg == "serving" {
			p.base = "http://" + entry.Listen
		}
		select {
		case <-p.message(entry.Msg):
		default:
			close(p.message(entry.Msg))
		}
		p.mu.Unlock()
	}
}

// remarks returns the unusual lines of the log.
func (p *process) remarks() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(p.lines), func(line string) bool {
		return strings.Contains(line, `"level":"INFO"`) && !strings.Contains(line, `"status":5`)
	})
}

// said returns the lines of the log that contain text.
func (p *process) said(text string) (lines []string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, line := range p.lines {
		if strings.Contains(line, text) {
			lines = append(lines, line)
		}
	}
	return lines
}

// message returns the channel of a message; p.mu must be held.
func (p *process) message(msg string) chan struct{} {
	if p.logged[msg] == nil {
		p.logged[msg] = make(chan struct{})
	}
	return p.logged[msg]
}

// await waits until the server logs the message.
func (p *process) await(msg string) {
	p.t.Helper()
	p.mu.Lock()
	logged := p.message(msg)
	p.mu.Unlock()
	select {
	case <-logged:
	case <-p.ended:
		p.t.Fatalf("the server ended before it said %q: %v", msg, p.err)
	case <-time.After(30 * time.Second):
		p.t.Fatalf("the server didn't say %q", msg)
	}
}

// serve starts a server and waits until it serves.
func serve(t *testing.T, data string, env ...string) *process {
	t.Helper()
	p := launch(t, data, env...)
	p.await("serving")
	return p
}

// kill ends the process as a power cut would, and waits until it is gone.
func (p *process) kill() {
	p.cmd.Process.Kill()
	<-p.ended
	p.client.CloseIdleConnections()
}

// answer is a server's answer.
type answer struct {
	status int
	header http.Header
	body   []byte
}

// member returns a text of the JSON body, empty if there is none.
func (a *answer) member(name string) string {
	var all map[string]any
	json.Unmarshal(a.body, &all)
	s, _ := all[name].(string)
	return s
}

func (a *answer) String() string { return fmt.Sprintf("%d %.200s", a.status, a.body) }

// do sends a request. Its error is one of the connection.
func (p *process) do(r *http.Request) (*answer, error) {
	res, err := p.client.Do(r)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		return nil, err
	}
	return &answer{res.StatusCode, res.Header, body}, nil
}

// tokens asks for tokens as the client spa.
func (p *process) tokens(pairs ...string) (*answer, error) {
	f := url.Values{"client_id": {"spa"}}
	for i := 0; i < len(pairs); i += 2 {
		f.Set(pairs[i], pairs[i+1])
	}
	r, err := http.NewRequestWithContext(p.t.Context(), http.MethodPost, p.base+"/oauth/token", strings.NewReader(f.Encode()))
	if err != nil {
		return nil, err
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	return p.do(r)
}

func (p *process) login(username, password string, more ...string) (*answer, error) {
	return p.tokens(append([]string{"grant_type", "password", "username", username, "password", password}, more...)...)
}

func (p *process) refresh(token string) (*answer, error) {
	return p.tokens("grant_type", "refresh_token", "refresh_token", token)
}

// The code_verifier of all authorization requests, and its challenge (RFC 7636 appendix B).
const (
	pkceVerifier  = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
	pkceChallenge = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"
	callback      = "http://localhost/callback"
)

// authorize opens an authorization request of the client spa in a browser with those
// cookies, and returns the parameters of where that leads: a code, an error or a ticket.
func (p *process) authorize(cookies string, more ...string) (url.Values, error) {
	f := url.Values{
		"response_type": {"code"}, "client_id": {"spa"}, "redirect_uri": {callback},
		"code_challenge": {pkceChallenge}, "code_challenge_method": {"S256"},
	}
	for i := 0; i < len(more); i += 2 {
		f.Set(more[i], more[i+1])
	}
	r, err := http.NewRequestWithContext(p.t.Context(), http.MethodGet, p.base+"/oauth/authorize?"+f.Encode(), nil)
	if err != nil {
		return nil, err
	}
	r.Header.Set("Cookie", cookies)
	a, err := p.do(r)
	if err != nil {
		return nil, err
	}
	return a.led()
}

// led returns the parameters of an answer's redirect.
func (a *answer) led() (url.Values, error) {
	to, err := url.Parse(a.header.Get("Location"))
	if err != nil || a.status != http.StatusSeeOther {
		return nil, fmt.Errorf("the answer leads nowhere: %v", a)
	}
	return to.Query(), nil
}

// signInToBrowser signs in at the page, and returns the cookies and the first code.
func (p *process) signInToBrowser(username, password string) (cookies, code string, err error) {
	asked, err := p.authorize("")
	if err != nil {
		return "", "", err
	}
	f := url.Values{"ticket": asked["ticket"], "username": {username}, "password": {password}}
	r, err := http.NewRequestWithContext(p.t.Context(), http.MethodPost, p.base+"/login", strings.NewReader(f.Encode()))
	if err != nil {
		return "", "", err
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("Origin", processIssuer)
	a, err := p.do(r)
	if err != nil {
		return "", "", err
	}
	led, err := a.led()
	if err != nil {
		return "", "", err
	}
	for _, c := range (&http.Response{Header: a.header}).Cookies() {
		cookies += "; " + c.Name + "=" + c.Value
	}
	return strings.TrimPrefix(cookies, "; "), led.Get("code"), nil
}

func (p *process) exchange(code string) (*answer, error) {
	return p.tokens("grant_type", "authorization_code", "code", code, "redirect_uri", callback, "code_verifier", pkceVerifier)
}

func (p *process) signup(username, password string) (*answer, error) {
	body, err := json.Marshal(map[string]string{"username": username, "password": password})
	if err != nil {
		return nil, err
	}
	r, err := http.NewRequestWithContext(p.t.Context(), http.MethodPost, p.base+"/signup", bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	r.Header.Set("Content-Type", "application/json")
	return p.do(r)
}

// get fetches a path, as the bearer of an access token if one is given.
func (p *process) get(path, access string) (*answer, error) {
	r, err := http.NewRequestWithContext(p.t.Context(), http.MethodGet, p.base+path, nil)
	if err != nil {
		return nil, err
	}
	if access != "" {
		r.Header.Set("Authorization", "Bearer "+access)
	}
	return p.do(r)
}

// want fails the test unless the answer came and has the status:
//
//	access := want(t, 200)(p.refresh(token)).member("access_token")
func want(t *testing.T, status int) func(*answer, error) *answer {
	t.Helper()
	return func(a *answer, err error) *answer {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		if a.status != status {
			t.Fatalf("answer = %v, want status %d", a, status)
		}
		return a
	}
}

// command runs another command of the binary on a data folder, and returns
// what it prints. It must exit 0.
func command(t *testing.T, data, stdin string, args ...string) string {
	t.Helper()
	path, err := program()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), path, args...)
	cmd.Env, cmd.Stdin = environment(append(database(t, data), "COUNTERSIGN_DATA="+data)...), strings.NewReader(stdin)
	out, err := cmd.Output()
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		t.Fatalf("countersign %s: %v\n%s", strings.Join(args, " "), err, exit.Stderr)
	}
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}

// eventually repeats a check until it holds, and fails the test if that takes longer than
// within. It returns how long it took.
func eventually(t *testing.T, within time.Duration, what string, so func() bool) time.Duration {
	t.Helper()
	began := time.Now()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !so() {
		if time.Since(began) > within {
			t.Fatalf("not within %v: %s", within, what)
		}
		<-tick.C
	}
	return time.Since(began)
}
