package server_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"countersign/caller"
	"countersign/keys"
	"countersign/server"
)

// pipes is a listener in memory, so that a server can run in a synctest bubble.
type pipes struct {
	conns  chan net.Conn
	closed chan struct{}
	once   sync.Once
}

func newPipes() *pipes { return &pipes{conns: make(chan net.Conn), closed: make(chan struct{})} }

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error   { p.once.Do(func() { close(p.closed) }); return nil }
func (p *pipes) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 8080} }

// dial connects, or fails once the server has stopped listening.
func (p *pipes) dial() (net.Conn, error) {
	ours, theirs := net.Pipe()
	select {
	case p.conns <- theirs:
		return ours, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

// running is a server between Run and its end.
type running struct {
	*app
	pipes *pipes
	admin *pipes             // the admin listener
	stop  context.CancelFunc // as SIGTERM does
	done  chan error
}

// run starts an App. It must be called in a synctest bubble.
func run(t *testing.T, change ...func(*server.Options, *keys.Options)) *running {
	a := newApp(t, change...)
	ctx, cancel := context.WithCancel(t.Context())
	r := &running{app: a, pipes: newPipes(), admin: newPipes(), stop: cancel, done: make(chan error, 1)}
	var running sync.WaitGroup
	running.Go(func() { r.done <- a.Run(ctx, r.pipes, r.admin) })
	t.Cleanup(func() { // before the database is closed
		cancel()
		running.Wait()
	})
	return r
}

// open connects and sends text.
func (r *running) open(text string) net.Conn {
	r.t.Helper()
	c, err := r.pipes.dial()
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { c.Close() })
	go io.WriteString(c, text)
	return c
}

// answer reads one response, or says why there is none.
func answer(c net.Conn) (status int, body string, err error) {
	got, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		return 0, "", err
	}
	defer got.Body.Close()
	b, err := io.ReadAll(got.Body)
	return got.StatusCode, string(b), err
}

const getHealth = "GET /healthz HTTP/1.1\r\nHost: auth.example.com\r\n\r\n"

func TestDrainFinishesWhatIsUnderWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &faults{}
		r := run(t, withFaults(f), func(o *server.Options, _ *keys.Options) { o.ShutdownTimeout = 10 * time.Second })
		r.signup("alice")
		release := make(chan struct{})
		f.set(func(context.Context, string) error { <-release; return nil })
		body := passwordForm("alice").Encode()
		under := r.open(fmt.Sprintf("POST /oauth/token HTTP/1.1\r\nHost: auth.example.com\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: %d\r\n\r\n%s", len(body), body))
		idle := r.open(getHealth)
		if status, _, err := answer(idle); status != http.StatusOK {
			t.Fatalf("before the drain: %d %v", status, err)
		}
		synctest.Wait()
		r.stop()
		synctest.Wait()

		if _, err := r.pipes.dial(); !errors.Is(err, net.ErrClosed) {
			t.Error("it still takes connections")
		}
		if _, err := idle.Read(make([]byte, 1)); err == nil {
			t.Error("an idle connection was not closed")
		}
		if r.Ready(t.Context()) == nil {
			t.Error("it calls itself ready")
		}
		r.do(http.MethodGet, "/healthz", "").want(http.StatusOK)
		select {
		case err := <-r.done:
			t.Fatalf("Run returned (%v) with a request under way", err)
		default:
		}
		time.Sleep(9 * time.Second)
		close(release)
		if status, got, err := answer(under); status != http.StatusOK || !strings.Contains(got, "refresh_token") {
			t.Errorf("the request under way got %d %s (%v), want its tokens", status, got, err)
		}
		if err := <-r.done; err != nil {
			t.Errorf("Run = %v, want nil", err)
		}
	})
}

// A load balancer asks every few seconds, and sends requests on connections that
// it keeps until it knows.
func TestDrainServesOnUntilALoadBalancerHasSeenIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const delay = 5 * time.Second
		r := run(t, func(o *server.Options, _ *keys.Options) { o.ShutdownDelay = delay })
		ask := func(path string) *http.Response {
			t.Helper()
			c := r.open("GET " + path + " HTTP/1.1\r\nHost: x\r\n\r\n")
			defer c.Close()
			res, err := http.ReadResponse(bufio.NewReader(c), nil)
			if err != nil {
				t.Fatal(err)
			}
			defer res.Body.Close()
			return res
		}
		if res := ask("/readyz"); res.StatusCode != http.StatusOK || res.Close {
			t.Errorf("before: status %d, closes %v", res.StatusCode, res.Close)
		}
		r.stop()
		time.Sleep(delay - time.Second)
		if res := ask("/readyz"); res.StatusCode != http.StatusServiceUnavailable || !res.Close {
			t.Errorf("told to stop: status %d, closes %v, want 503 and closed", res.StatusCode, res.Close)
		}
		if res := ask("/.well-known/jwks.json"); res.StatusCode != http.StatusOK || !res.Close {
			t.Errorf("told to stop: JWKS has status %d, closes %v, want 200 and closed", res.StatusCode, res.Close)
		}
		time.Sleep(2 * time.Second)
		if _, err := r.pipes.dial(); err == nil {
			t.Error("it still listens after the delay")
		}
		if err := <-r.done; err != nil {
			t.Error(err)
		}
	})
}

func TestDrainCutsOffWhatHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &faults{}
		r := run(t, withFaults(f), func(o *server.Options, _ *keys.Options) { o.ShutdownTimeout = 5 * time.Second })
		r.signup("alice")
		token := r.login("alice").text("access_token")
		f.set(func(ctx context.Context, verb string) error {
			<-ctx.Done()
			return ctx.Err()
		})
		hanging := r.open("GET /userinfo HTTP/1.1\r\nHost: auth.example.com\r\nAuthorization: Bearer " + token + "\r\n\r\n")
		synctest.Wait()
		began := time.Now()
		r.stop()
		if err := <-r.done; err != nil {
			t.Errorf("Run = %v, want nil", err)
		}
		if took := time.Since(began); took < 5*time.Second || took > 6*time.Second {
			t.Errorf("the drain took %v, want the shutdown timeout, 5s", took)
		}
		if _, _, err := answer(hanging); err == nil {
			t.Error("the hanging request was answered")
		}
		r.last("requests were cut off")
	})
}

// The background work ends before Run does, so that nothing uses the database
// after it.
func TestRunWaitsForItsBackgroundWork(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &faults{}
		r := run(t, withFaults(f))
		var begun, ended int
		busy := make(chan struct{})
		f.set(func(_ context.Context, verb string) error {
			if verb == "PurgeSessions" {
				begun++
				busy <- struct{}{}
				time.Sleep(3 * time.Second) // a statement that is not to be interrupted
				ended++
			}
			return nil
		})
		<-busy
		r.stop()
		if err := <-r.done; err != nil {
			t.Fatal(err)
		}
		if begun != 1 || ended != 1 {
			t.Errorf("cleaning begun %d times and ended %d times when Run returned, want 1 and 1", begun, ended)
		}
		r.db.Close()
		time.Sleep(10 * time.Minute)
		for _, line := range r.lines() {
			if line["level"] == "ERROR" || line["level"] == "WARN" {
				t.Errorf("after the end: %v", line)
			}
		}
	})
}

// The first page may call when the database has just gone away. It must be able to read
// the error.
func TestRunKnowsTheClientsOriginsBeforeTheFirstRequest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &faults{}
		r := run(t, withFaults(f))
		synctest.Wait()
		f.set(func(context.Context, string) error { return context.DeadlineExceeded })
		c := r.open("POST /oauth/token HTTP/1.1\r\nHost: x\r\nOrigin: " + clientOrigin + "\r\n" +
			"Content-Type: application/x-www-form-urlencoded\r\nContent-Length: 55\r\n\r\ngrant_type=refresh_token&client_id=spa&refresh_token=x_")
		defer c.Close()
		res, err := http.ReadResponse(bufio.NewReader(c), nil)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		if got := res.Header.Get("Access-Control-Allow-Origin"); res.StatusCode != http.StatusServiceUnavailable || got != clientOrigin {
			t.Errorf("status %d for the origin %q, want 503 for %q", res.StatusCode, got, clientOrigin)
		}
	})
}

// A page of a client that was just created may call at once, unless another page called
// a moment before.
func TestRunLetsANewClientsPagesInAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := run(t)
		synctest.Wait()
		const fresh = "https://fresh.example.com"
		client := testClients[0].Client
		client.Origins = append(slices.Clone(client.Origins), fresh)
		if _, err := r.Clients.Put(t.Context(), time.Now(), client, "", caller.Operator()); err != nil {
			t.Fatal(err)
		}
		if got := r.do(http.MethodGet, "/userinfo", "", "Origin", fresh).Header().Get("Access-Control-Allow-Origin"); got != fresh {
			t.Errorf("let in %q, want %q", got, fresh)
		}
	})
}

func TestRunReturnsWhyItCanNotListen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := run(t)
		r.pipes.Close()
		if err := <-r.done; !errors.Is(err, net.ErrClosed) {
			t.Errorf("Run = %v, want the listener's error", err)
		}
	})
}

// A caller that opens connections and sends nothing, or one byte a second, must not
// hold them.
func TestSlowCallersAreCutOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := run(t)
		for name, c := range map[string]struct {
			text   string
			within time.Duration
		}{
			"nothing":               {"", 5 * time.Second},
			"half a header":         {"GET /healthz HTTP/1.1\r\nHost: auth.exa", 5 * time.Second},
			"headers without end":   {"GET /healthz HTTP/1.1\r\nHost: auth.example.com\r\nX: y\r\n", 5 * time.Second},
			"a body that never was": {"POST /signup HTTP/1.1\r\nHost: auth.example.com\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{", 15 * time.Second},
			"idle after a request":  {getHealth, 5 * time.Minute},
		} {
			conn := r.open(c.text)
			began := time.Now()
			io.Copy(io.Discard, conn) // the answer doesn't matter
			if took := time.Since(began); took > c.within+time.Second {
				t.Errorf("%s: held for %v, want %v", name, took, c.within)
			} else if name == "idle after a request" && took < 4*time.Minute {
				t.Errorf("%s: closed after %v already", name, took)
			}
		}
		// One byte every four seconds is still too slow for a header.
		conn := r.open("")
		var writing sync.WaitGroup
		writing.Go(func() {
			for _, b := range []byte(getHealth) {
				if _, err := conn.Write([]byte{b}); err != nil {
					return
				}
				time.Sleep(4 * time.Second)
			}
		})
		began := time.Now()
		io.Copy(io.Discard, conn)
		if took := time.Since(began); took > 6*time.Second {
			t.Errorf("a byte at a time: held for %v, want 5s", took)
		}
		conn.Close()
		writing.Wait()
	})
}

func TestHugeHeadersAreA431(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := run(t)
		for size, want := range map[int]int{8 << 10: http.StatusOK, 64 << 10: http.StatusRequestHeaderFieldsTooLarge} {
			c := r.open("GET /healthz HTTP/1.1\r\nHost: auth.example.com\r\nCookie: " + strings.Repeat("x", size) + "\r\n\r\n")
			if status, body, err := answer(c); status != want {
				t.Errorf("%d bytes of header: %d %s (%v), want %d", size, status, body, err, want)
			}
		}
	})
}

// A request line or header that net/http refuses is answered before our code
// runs: it must reveal nothing, either.
func TestMalformedRequestsAreRefusedQuietly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := run(t)
		for _, text := range []string{
			"nonsense-Zx9\r\n\r\n",
			"GET /Zx9 HTTP/9.9\r\nHost: x\r\n\r\n",
			"GET /healthz HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n",
			"GET /healthz HTTP/1.1\r\n\r\n",
			"GET /healthz HTTP/1.1\r\nHost: x\r\nBad Header Zx9: y\r\n\r\n",
			"POST /signup HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n",
			"POST /signup HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: Zx9\r\n\r\n",
		} {
			status, body, err := answer(r.open(text))
			if err != nil || status < 400 || status > 599 {
				t.Errorf("%q: %d %v, want a refusal", text, status, err)
			}
			if strings.Contains(body, "goroutine") || strings.Contains(body, ".go") {
				t.Errorf("%q: %s", text, body)
			}
		}
		if strings.Contains(r.logs.String(), "Zx9") {
			t.Error("what a stranger wrote is in the log")
		}
	})
}
