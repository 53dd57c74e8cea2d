package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"syscall"
	"testing"
	"time"
)

const processPassword = "correct horse battery staple"

// slowRequest is a request for tokens that the server has begun to read.
type slowRequest struct {
	net.Conn
	t    *testing.T
	body string
	from *bufio.Reader
}

// beginLogin sends all of a sign-in but its body, and waits until the server
// asks for that.
func beginLogin(p *process, username string) *slowRequest {
	p.t.Helper()
	conn, err := net.Dial("tcp", strings.TrimPrefix(p.base, "http://"))
	if err != nil {
		p.t.Fatal(err)
	}
	p.t.Cleanup(func() { conn.Close() })
	conn.SetDeadline(time.Now().Add(30 * time.Second))
	s := &slowRequest{
		Conn: conn, t: p.t, from: bufio.NewReader(conn),
		body: "grant_type=password&client_id=spa&username=" + username + "&password=" + strings.ReplaceAll(processPassword, " ", "+"),
	}
	fmt.Fprintf(conn, "POST /oauth/token HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/x-www-form-urlencoded\r\n"+
		"Content-Length: %d\r\nExpect: 100-continue\r\n\r\n", len(s.body))
	line, err := s.from.ReadString('\n')
	if err != nil || !strings.Contains(line, "100 Continue") {
		p.t.Fatalf("got %q (%v), want 100 Continue", line, err)
	}
	s.from.ReadString('\n') // the empty line
	return s
}

// finish sends the body and returns the status of the answer.
func (s *slowRequest) finish() int {
	s.t.Helper()
	io.WriteString(s.Conn, s.body)
	res, err := http.ReadResponse(s.from, nil)
	if err != nil {
		s.t.Fatalf("the request was cut off: %v", err)
	}
	defer res.Body.Close()
	if _, err := io.ReadAll(res.Body); err != nil {
		s.t.Fatalf("the answer was cut off: %v", err)
	}
	return res.StatusCode
}

// SIGHUP is what a closing terminal sends, and many a script that means "reload".
func TestTermAndHangUpLetRequestsFinishAndExitZero(t *testing.T) {
	// A signal that this process handles is its children's default, also where nohup has
	// the suite ignore it.
	handled := make(chan os.Signal, 1)
	signal.Notify(handled, syscall.SIGHUP)
	t.Cleanup(func() { signal.Stop(handled) })
	for name, sig := range map[string]os.Signal{"term": syscall.SIGTERM, "hang up": syscall.SIGHUP} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			testRequestsFinish(t, sig)
		})
	}
}

func testRequestsFinish(t *testing.T, sig os.Signal) {
	p := serve(t, t.TempDir())
	want(t, 201)(p.signup("alice", processPassword))
	slow := beginLogin(p, "alice")
	if err := p.cmd.Process.Signal(sig); err != nil {
		t.Fatal(err)
	}
	p.await("draining")
	eventually(t, 5*time.Second, "the server takes no more connections", func() bool {
		conn, err := net.Dial("tcp", strings.TrimPrefix(p.base, "http://"))
		if err == nil {
			conn.Close()
		}
		return err != nil
	})
	select {
	case <-p.ended:
		t.Fatalf("the server ended with a request under way: %v", p.err)
	default:
	}
	if status := slow.finish(); status != http.StatusOK {
		t.Fatalf("the request under way got %d, want 200", status)
	}
	select {
	case <-p.ended:
	case <-time.After(5 * time.Second):
		t.Fatal("the server didn't end")
	}
	if p.err != nil {
		t.Fatalf("the server ended with %v, want exit code 0", p.err)
	}
}

func TestSecondSignalEndsAtOnce(t *testing.T) {
	p := serve(t, t.TempDir(), "COUNTERSIGN_SHUTDOWN_TIMEOUT=1h")
	want(t, 201)(p.signup("alice", processPassword))
	beginLogin(p, "alice") // and never finishes
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	p.await("draining")
	took := eventually(t, 5*time.Second, "the server ends at the second signal", func() bool {
		p.cmd.Process.Signal(syscall.SIGTERM)
		select {
		case <-p.ended:
			return true
		default:
			return false
		}
	})
	exit, ok := errors.AsType[*exec.ExitError](p.err)
	if !ok || exit.Sys().(syscall.WaitStatus).Signal() != syscall.SIGTERM {
		t.Fatalf("the server ended with %v, want by the signal", p.err)
	}
	t.Logf("ended after %v", took)
}

// The program at the other end of the log's pipe may end: that is no reason to stop.
func TestServesOnWithoutItsLogReader(t *testing.T) {
	path, err := program()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(path, "serve", "--dev", "--data", t.TempDir())
	cmd.Env = environment()
	stdout, errOut := cmd.StdoutPipe()
	stderr, errErr := cmd.StderrPipe()
	if err := errors.Join(errOut, errErr, cmd.Start()); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	t.Cleanup(func() { cmd.Process.Kill() })
	var entry struct{ Msg, Listen string }
	for lines := bufio.NewScanner(stderr); entry.Msg != "serving" && lines.Scan(); {
		json.Unmarshal(lines.Bytes(), &entry)
	}
	if err := errors.Join(stdout.Close(), stderr.Close()); err != nil {
		t.Fatal(err)
	}
	go func() { ended <- cmd.Wait() }()
	for range 3 { // each leaves a line in the log
		resp, err := http.Get("http://" + entry.Listen + "/healthz")
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
	}
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	select {
	case err := <-ended:
		if err != nil {
			t.Fatalf("the server ended with %v, want exit code 0", err)
		}
	case <-time.After(20 * time.Second):
		t.Fatal("the server didn't end")
	}
}
