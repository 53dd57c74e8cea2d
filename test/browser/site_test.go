package browser_test

import (
	"bytes"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"countersign/examples/spa"
	"countersign/test/programs"
)

// cheapHashes is the cheapest password hash that is allowed.
var cheapHashes = []string{"COUNTERSIGN_PASSWORDS_ARGON2_MEMORY=7MiB", "COUNTERSIGN_PASSWORDS_ARGON2_ITERATIONS=5"}

// exampleAPI is the name of the example API.
const exampleAPI = "https://api.example.com"

const password = "correct horse battery staple"

// site is a server with the demo app and the example API, behind a proxy that a test
// can make fail.
type site struct {
	url string // of the proxy: the issuer
	api string
	// refreshed replaces the server's answer said to a refresh, which the server has
	// already done. nil: the answer passes unchanged.
	refreshed atomic.Pointer[func(w http.ResponseWriter, said *httptest.ResponseRecorder)]
	refreshes atomic.Int64 // how many reached the server
	// opened replaces the answer to a sign-in at /session in the same way.
	opened atomic.Pointer[func(w http.ResponseWriter, said *httptest.ResponseRecorder)]
	// listed replaces the answer with a list of sessions in the same way.
	listed atomic.Pointer[func(w http.ResponseWriter, said *httptest.ResponseRecorder)]
	asked  record // the addresses and referrers that the proxy received
	log    record
}

// record collects lines.
type record struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (r *record) Write(line []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.text.Write(line)
}

func (r *record) String() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.text.String()
}

// newSite starts a site; env changes the server's configuration.
func newSite(t *testing.T, env ...string) *site {
	t.Helper()
	s := &site{}
	proxy := httptest.NewUnstartedServer(nil)
	t.Cleanup(proxy.Close)
	s.url = localhost("http://" + proxy.Listener.Addr().String())
	server := programs.ServeLogged(t, &s.log, slices.Concat(cheapHashes, []string{"COUNTERSIGN_ISSUER=" + s.url, "COUNTERSIGN_TOKENS_AUDIENCE=" + exampleAPI}, env)...)
	proxy.Config.Handler = s.proxy(httputil.NewSingleHostReverseProxy(&url.URL{Scheme: "http", Host: server.Listen}))
	proxy.Start()

	cmd := programs.Command(t, programs.Path(t, "resource-server-go"))
	cmd.Env = append(cmd.Env, "ISSUER="+s.url, "AUDIENCE="+exampleAPI, "LISTEN=127.0.0.1:0", "ORIGINS="+s.url, "ACCESS_COOKIE=countersign_access_"+s.url[strings.LastIndexByte(s.url, ':')+1:])
	s.api = localhost(programs.Start(t, cmd, programs.Listening))
	return s
}

// serveHTTP serves on localhost, which is the same site for all ports.
func serveHTTP(t *testing.T, handler http.Handler) (origin string) {
	t.Helper()
	srv := httptest.NewServer(handler)
	t.Cleanup(srv.Close)
	return localhost(srv.URL)
}

func localhost(url string) string { return strings.Replace(url, "127.0.0.1", "localhost", 1) }

func (s *site) proxy(server http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(&s.asked, "%s referrer %q\n", r.RequestURI, r.Referer())
		switch r.URL.Path {
		case "/demo/config.js": // the API's port is different in each test
			w.Header().Set("Content-Type", "text/javascript")
			fmt.Fprint(w, s.config("location.origin"))
		case "/session/refresh":
			s.refreshes.Add(1)
			answerBy(s.refreshed.Load(), server, w, r)
		case "/account/sessions":
			if r.Method == http.MethodGet {
				answerBy(s.listed.Load(), server, w, r)
				return
			}
			server.ServeHTTP(w, r)
		case "/session":
			if r.Method == http.MethodPost {
				answerBy(s.opened.Load(), server, w, r)
				return
			}
			server.ServeHTTP(w, r)
		default:
			server.ServeHTTP(w, r)
		}
	})
}

// answerBy lets answer, if not nil, replace the server's answer.
func answerBy(answer *func(http.ResponseWriter, *httptest.ResponseRecorder), server http.Handler, w http.ResponseWriter, r *http.Request) {
	if answer == nil {
		server.ServeHTTP(w, r)
		return
	}
	said := httptest.NewRecorder()
	server.ServeHTTP(said, r)
	(*answer)(w, said)
}

var addresses = regexp.MustCompile(`(?m)^export const (server|resourceServer) = .*$`)

// config returns the demo's config.js with the addresses of this site.
func (s *site) config(server string) string {
	config, err := spa.Files.ReadFile("config.js")
	if err != nil {
		panic(err) // the file is embedded, so this can't fail
	}
	return fmt.Sprintf("const here = { server: %s, resourceServer: %q };\n", server, s.api) +
		addresses.ReplaceAllString(string(config), "export const $1 = here.$1;")
}

// elsewhere serves the demo's files from another origin than the server's.
func (s *site) elsewhere(t *testing.T) (origin string) {
	t.Helper()
	files := http.FileServerFS(spa.Files)
	return serveHTTP(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/config.js" {
			w.Header().Set("Content-Type", "text/javascript")
			fmt.Fprint(w, s.config(fmt.Sprintf("%q", s.url)))
			return
		}
		files.ServeHTTP(w, r)
	}))
}

// signUp creates an account through the demo, which signs in to it.
func (s *site) signUp(b *tab, username string) {
	b.t.Helper()
	b.open(s.url + "/demo#signup")
	b.fill("Username", username)
	b.fill("Password", password)
	b.press("Create account")
	b.isAt("Profile")
}

// signIn signs in through the demo.
func (s *site) signIn(b *tab, username string) {
	b.t.Helper()
	b.open(s.url + "/demo")
	b.fill("Username", username)
	b.fill("Password", password)
	b.press("Sign in")
	b.isAt("Profile")
}
