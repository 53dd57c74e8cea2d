package compose_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"countersign/test/mariadb"
)

// caddyVersion is a version that the image in docker-compose.yml stands for.
const caddyVersion = "2.11.9"

// caddy builds the load balancer and returns its path.
func caddy(t *testing.T) string {
	t.Helper()
	if testing.Short() {
		t.Skip("building Caddy takes a while")
	}
	image := project(t).Services["balancer"].Image
	if !strings.HasPrefix("caddy:"+caddyVersion, image+".") {
		t.Fatalf("the balancer is %s, and tested is %s", image, caddyVersion)
	}
	caddyBuilt.Do(func() {
		build := exec.Command("go", "install", "github.com/caddyserver/caddy/v2/cmd/caddy@v"+caddyVersion)
		build.Env = append(os.Environ(), "GOBIN="+workDir, "GOFLAGS=")
		if out, err := build.CombinedOutput(); err != nil {
			t.Errorf("build Caddy: %v\n%s", err, out)
		}
	})
	path := filepath.Join(workDir, "caddy")
	if _, err := os.Stat(path); err != nil {
		t.Fatal(err)
	}
	return path
}

var caddyBuilt sync.Once

// caddyCommand returns a Caddy command without the caller's environment, with a folder
// for its certificates.
func caddyCommand(t *testing.T, data, issuer string, words ...string) *exec.Cmd {
	t.Helper()
	cmd := exec.Command(caddy(t), words...)
	cmd.Env = []string{"COUNTERSIGN_ISSUER=" + issuer, "HOME=/", "XDG_DATA_HOME=" + data, "XDG_CONFIG_HOME=/nowhere"}
	return cmd
}

func TestBalancerListensOnWhatIsPublished(t *testing.T) {
	for _, issuer := range []string{issuer, "https://localhost"} {
		out, err := caddyCommand(t, t.TempDir(), issuer, "adapt", "--config", filepath.Join(top, "deploy/Caddyfile")).Output()
		if err != nil {
			t.Fatalf("the Caddyfile: %v", err)
		}
		var config struct {
			Apps struct {
				HTTP struct {
					Servers map[string]struct{ Listen, Protocols []string }
				}
			}
		}
		if err := json.Unmarshal(out, &config); err != nil {
			t.Fatal(err)
		}
		for _, server := range config.Apps.HTTP.Servers {
			// Caddy opens 80 for the redirect by itself, and HTTP/3 would need 443/udp.
			if !slices.Equal(server.Listen, []string{":443"}) || slices.Contains(server.Protocols, "h3") || server.Protocols == nil {
				t.Errorf("for %s it listens on %q for %q, want :443 without h3", issuer, server.Listen, server.Protocols)
			}
		}
		if len(config.Apps.HTTP.Servers) != 1 {
			t.Errorf("for %s there are %d servers, want 1", issuer, len(config.Apps.HTTP.Servers))
		}
	}
}

// site is the balancer and two replicas over one database.
type site struct {
	t        *testing.T
	db       *mariadb.Server
	issuer   string
	client   *http.Client
	balancer *process
	replicas []*container
	running  []*process
}

const origin = "https://app.example.com"

// launch starts the balancer and the replicas as docker-compose.yml configures them, on
// free ports of the loopback interface, and makes a client and a user.
func launch(t *testing.T) *site {
	t.Helper()
	caddy(t)
	db, password := database(t)
	port := strings.TrimPrefix(freeAddr(t), "127.0.0.1")
	s := &site{t: t, db: db, issuer: "https://localhost" + port}

	config := read(t, "deploy/Caddyfile")
	config = strings.Replace(config, "\n{\n", "\n{\n\tdefault_bind 127.0.0.1\n\thttp_port "+strings.TrimPrefix(freeAddr(t), "127.0.0.1:")+"\n", 1)
	for _, service := range replicas(project(t)) {
		c := contain(t, service, db, password, map[string]string{
			"COUNTERSIGN_ISSUER":          s.issuer,
			"COUNTERSIGN_TRUSTED_PROXIES": "127.0.0.1",
		})
		config = strings.ReplaceAll(config, service.Name+":8080", strings.Replace(c.addr, "localhost", "127.0.0.1", 1))
		s.replicas = append(s.replicas, c)
		s.running = append(s.running, c.serve())
	}

	data := t.TempDir()
	name := filepath.Join(data, "Caddyfile")
	if err := os.WriteFile(name, []byte(config), 0o644); err != nil {
		t.Fatal(err)
	}
	s.balancer = start(t, caddyCommand(t, data, s.issuer, "run", "--config", name))
	roots := x509.NewCertPool()
	s.balancer.eventually("the balancer has made its certificate", func() bool {
		pem, err := os.ReadFile(filepath.Join(data, "caddy/pki/authorities/local/root.crt"))
		return err == nil && roots.AppendCertsFromPEM(pem)
	})
	s.client = &http.Client{
		Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}, MaxIdleConnsPerHost: 16},
		Timeout:   30 * time.Second,
	}
	s.balancer.eventually("the balancer answers", func() bool {
		res, err := s.client.Get(s.issuer + "/readyz")
		if err != nil {
			return false
		}
		res.Body.Close()
		return res.StatusCode == http.StatusOK
	})

	create := s.replicas[0].command("countersign", "clients", "create", "--id", "app", "--public", "--first-party", "--origin", origin,
		"--grant", "password", "--grant", "refresh_token", "--scope", "openid", "--scope", "offline_access")
	if out, err := create.CombinedOutput(); err != nil {
		t.Fatalf("clients create: %v\n%s", err, out)
	}
	if a := s.post("/signup", "application/json", `{"username":"alice","password":"correct horse battery staple"}`); a.status != http.StatusCreated {
		t.Fatalf("signup = %v", a)
	}
	return s
}

// An answer is the balancer's response; its status is 0 without one.
type answer struct {
	status int
	header http.Header
	body   string
}

func (a answer) String() string { return fmt.Sprintf("%d %v %s", a.status, a.header, a.body) }

// member returns a text of the JSON body.
func (a answer) member(name string) string {
	var all map[string]any
	json.Unmarshal([]byte(a.body), &all)
	text, _ := all[name].(string)
	return text
}

func (s *site) post(path, contentType, body string) answer {
	r, err := http.NewRequestWithContext(s.t.Context(), http.MethodPost, s.issuer+path, strings.NewReader(body))
	if err != nil {
		s.t.Error(err)
		return answer{}
	}
	r.Header.Set("Content-Type", contentType)
	r.Header.Set("Origin", origin)
	r.Header.Set("X-Forwarded-For", "203.0.113.9") // a client's false claim
	res, err := s.client.Do(r)
	if err != nil {
		return answer{body: err.Error()}
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		return answer{body: err.Error()}
	}
	return answer{res.StatusCode, res.Header, string(text)}
}

func (s *site) tokens(pairs ...string) answer {
	f := url.Values{"client_id": {"app"}}
	for i := 0; i < len(pairs); i += 2 {
		f.Set(pairs[i], pairs[i+1])
	}
	return s.post("/oauth/token", "application/x-www-form-urlencoded", f.Encode())
}

func (s *site) login() string {
	s.t.Helper()
	a := s.tokens("grant_type", "password", "username", "alice", "password", "correct horse battery staple", "scope", "openid offline_access")
	if a.status != http.StatusOK {
		s.t.Fatalf("sign-in = %v", a)
	}
	return a.member("refresh_token")
}

func (s *site) refresh(token string) answer {
	return s.tokens("grant_type", "refresh_token", "refresh_token", token)
}

// asked reports whether a replica got a token request since line from of its log.
func (s *site) asked(replica, from int) bool {
	return slices.ContainsFunc(s.running[replica].log(from), func(line string) bool { return strings.Contains(line, "/oauth/token") })
}

// If the balancer can't reach a replica, it sends the request to the other one.
func TestBalancerSendsElsewhereWhatCannotBeSent(t *testing.T) {
	s := launch(t)
	s.login()
	s.running[0].kill()
	var wg sync.WaitGroup
	for range 8 { // some go to the dead replica before the balancer checks its health
		wg.Go(func() {
			a := s.tokens("grant_type", "password", "username", "alice", "password", "correct horse battery staple")
			if a.status != http.StatusOK {
				t.Errorf("sign-in = %v", a)
			}
		})
	}
	wg.Wait()
}

// If a replica is killed, only the requests that it had begun fail: the others go to the
// other replica, and no session is lost.
func TestBalancerSparesClientsALostReplica(t *testing.T) {
	s := launch(t)
	const callers = 4
	var (
		mu     sync.Mutex
		good   int
		failed []string
	)
	successes := func() int {
		mu.Lock()
		defer mu.Unlock()
		return good
	}
	ctx, stop := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	for range callers {
		token := s.login()
		wg.Go(func() {
			for ctx.Err() == nil {
				a := s.refresh(token)
				mu.Lock()
				switch a.status {
				case http.StatusOK:
					good++
					token = a.member("refresh_token")
				case http.StatusBadGateway:
					failed = append(failed, a.String())
				default:
					t.Errorf("refresh = %v, want 200 or, if its replica was killed, 502", a)
					stop()
				}
				mu.Unlock()
			}
		})
	}
	for i, p := range s.running {
		mark := len(p.log(0))
		s.balancer.eventually(fmt.Sprintf("replica %d is in use", i+1), func() bool { return ctx.Err() != nil || s.asked(i, mark) })
		p.kill()
		before := successes()
		s.balancer.eventually("the other replica does the work", func() bool { return ctx.Err() != nil || successes() > before+100 })
		s.running[i] = s.replicas[i].serve()
		s.balancer.eventually("it is used again", func() bool { return ctx.Err() != nil || s.asked(i, 0) })
	}
	stop()
	wg.Wait()
	t.Logf("%d refreshes, %d of them cut off", good, len(failed))
	if most := callers * len(s.running); len(failed) > most {
		t.Errorf("%d requests failed, want at most the %d that were under way:\n%s", len(failed), most, strings.Join(failed, "\n"))
	}
}

func TestBalancerPassesOnWhyNoReplicaIsReady(t *testing.T) {
	s := launch(t)
	token := s.login()
	for _, c := range s.replicas { // wait until each replica has read the client's origin, which was registered later
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+c.addr+"/userinfo", nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Origin", origin)
		res, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		if got := res.Header.Get("Access-Control-Allow-Origin"); got != origin {
			t.Errorf("a replica lets in %q, want %q", got, origin)
		}
	}
	if err := s.db.Kill(); err != nil {
		t.Fatal(err)
	}
	mark := len(s.balancer.log(0))
	for _, c := range s.replicas {
		host := strings.Replace(c.addr, "localhost", "127.0.0.1", 1)
		s.balancer.eventually("the balancer has noticed", func() bool {
			return slices.ContainsFunc(s.balancer.log(mark), func(line string) bool {
				return strings.Contains(line, "status code out of tolerances") && strings.Contains(line, host)
			})
		})
	}
	a := s.refresh(token)
	if a.status != http.StatusServiceUnavailable || a.member("error") != "temporarily_unavailable" ||
		a.header.Get("Retry-After") == "" || a.header.Get("Access-Control-Allow-Origin") != origin {
		t.Errorf("refresh without a database = %v, want 503 temporarily_unavailable with Retry-After, for %s to read", a, origin)
	}
	if err := s.db.Restart(); err != nil {
		t.Fatal(err)
	}
	s.balancer.eventually("the session goes on", func() bool { return s.refresh(token).status == http.StatusOK })
	s.balancer.terminate(time.Duration(*project(t).Services["balancer"].StopGracePeriod))
}

func TestReplicasLearnTheCallersAddress(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("elsewhere the loopback interface has one address only")
	}
	s := launch(t)
	s.client.Transport.(*http.Transport).DialContext = (&net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 9)}}).DialContext
	s.client.CloseIdleConnections()
	marks := []int{len(s.running[0].log(0)), len(s.running[1].log(0))}
	s.login()
	s.balancer.eventually("a replica has logged it", func() bool { return s.asked(0, marks[0]) || s.asked(1, marks[1]) })
	for i, p := range s.running {
		for _, line := range p.log(marks[i]) {
			if strings.Contains(line, "/oauth/token") && !strings.Contains(line, `"address":"127.0.0.9"`) {
				t.Errorf("a replica logged %s, want the address 127.0.0.9", line)
			}
		}
	}
}
