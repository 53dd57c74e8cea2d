package browser_test

import (
	"bytes"
	"encoding/json"
	"io/fs"
	"mime"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/net/websocket"

	"countersign/test/programs"
	"countersign/test/soak"
)

// apps has the built examples, and the pages of packages, with what the packages ship
// installed as npm installs it.
var apps = sync.OnceValues(func() (string, error) {
	workspaces := []string{"react", "vue"}
	if soak.On() {
		workspaces = append(workspaces, "nextjs")
	}
	dir, err := programs.NodeWorkspaces("examples", workspaces, "web")
	if err != nil {
		return "", err
	}
	react := filepath.Join(dir, "react")
	if err := os.CopyFS(react, os.DirFS("packages")); err != nil {
		return "", err
	}
	build := func(workspace string, env []string, args ...string) error {
		cmd := exec.Command(filepath.Join(dir, "node_modules", ".bin", args[0]), args[1:]...)
		cmd.Dir = filepath.Join(dir, workspace)
		cmd.Env = append(os.Environ(), env...)
		return programs.Run(cmd)
	}
	if soak.On() {
		if err := build("nextjs", []string{"NEXT_TELEMETRY_DISABLED=1"}, "next", "build"); err != nil {
			return "", err
		}
		err = build("react", nil, "tsc")
	} else {
		err = build("react", nil, "tsc", "--project", "tsconfig.packages.json") // also the example for Next.js
	}
	if err != nil {
		return "", err
	}
	if err := build("react", []string{"NODE_ENV=development"}, "vite", "build", "--config", "vite.packages.js"); err != nil {
		return "", err
	}
	return dir, build("vue", nil, "vite", "build")
})

// serveApp serves an app's files, which look for the servers at the addresses of a site.
func serveApp(t *testing.T, files fs.FS, s *site, api string) (origin string) {
	t.Helper()
	host := func(url string) []byte { return []byte(strings.TrimPrefix(url, "http://")) }
	return serveHTTP(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		name := strings.TrimPrefix(r.URL.Path, "/")
		if name == "" {
			name = "index.html"
		}
		body, err := fs.ReadFile(files, name)
		if err != nil {
			http.NotFound(w, r)
			return
		}
		body = bytes.ReplaceAll(body, []byte("localhost:8080"), host(s.url))
		body = bytes.ReplaceAll(body, []byte("localhost:8081"), host(api))
		w.Header().Set("Content-Type", mime.TypeByExtension(path.Ext(name)))
		w.Write(body)
	}))
}

// strictAPI is an API that takes access tokens.
type strictAPI struct {
	refuse  atomic.Bool  // the token that comes next is refused, now and later
	refused sync.Map     // the values of Authorization that are
	sockets atomic.Int64 // how many WebSockets were opened with a token
}

func (a *strictAPI) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == "/live" {
		websocket.Handler(a.live).ServeHTTP(w, r)
		return
	}
	w.Header().Set("Access-Control-Allow-Origin", r.Header.Get("Origin"))
	w.Header().Set("Access-Control-Allow-Headers", "Authorization")
	if r.Method == http.MethodOptions {
		return
	}
	token := r.Header.Get("Authorization")
	if strings.HasPrefix(token, "Bearer eyJ") && a.refuse.Swap(false) {
		a.refused.Store(token, true)
	}
	if _, refused := a.refused.Load(token); refused || !strings.HasPrefix(token, "Bearer eyJ") {
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	json.NewEncoder(w).Encode(map[string]string{"at": r.URL.Path})
}

// live says how many WebSockets there were, and ends the first.
func (a *strictAPI) live(ws *websocket.Conn) {
	defer ws.Close()
	var first struct {
		AccessToken string `json:"access_token"`
	}
	if err := websocket.JSON.Receive(ws, &first); err != nil || !strings.HasPrefix(first.AccessToken, "eyJ") {
		return
	}
	n := a.sockets.Add(1)
	if websocket.Message.Send(ws, "no. "+strconv.FormatInt(n, 10)) != nil || n == 1 {
		return
	}
	websocket.Message.Receive(ws, new(string)) // until the page closes it
}

// What npm packs is what the packages say they have, and no more.
func TestPackagesShipTheirFiles(t *testing.T) {
	dir, err := apps()
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string][]string{
		"browser": {"LICENSE", "README.md", "countersign.d.ts", "countersign.js", "package.json"},
		"react":   {"LICENSE", "README.md", "index.d.ts", "index.js", "package.json"},
	} {
		installed := filepath.Join(dir, "node_modules", "@countersign", name)
		entries, err := os.ReadDir(installed)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, e := range entries {
			got = append(got, e.Name())
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s ships %q, want %q", name, got, want)
		}
		ours, err1 := os.ReadFile(filepath.Join("..", "..", "LICENSE"))
		shipped, err2 := os.ReadFile(filepath.Join(installed, "LICENSE"))
		if err1 != nil || err2 != nil || !bytes.Equal(ours, shipped) {
			t.Errorf("%s ships another LICENSE than ours", name)
		}
	}
}

// The module and its types work in a bundle as they do from our server. What a server renders
// with the package for React says "loading" and opens no connection, and a browser hydrates it.
func TestPackagesInABundle(t *testing.T) {
	dir, err := apps()
	if err != nil {
		t.Fatal(err)
	}
	render := programs.Command(t, "node", "render.js")
	render.Dir = filepath.Join(dir, "react")
	out, err := render.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	var rendered struct {
		HTML, Refused string
		Opened        int
	}
	if err := json.Unmarshal(out, &rendered); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if rendered.HTML != "<h1>Loading</h1>" || rendered.Opened != 0 || !strings.Contains(rendered.Refused, "in a browser") {
		t.Errorf("the server rendered %+v", rendered)
	}
	dist := os.DirFS(filepath.Join(dir, "react", "dist"))
	document, err := fs.ReadFile(dist, "hydrate.html")
	if err != nil {
		t.Fatal(err)
	}
	document = bytes.Replace(document, []byte(`<div id="root">`), []byte(`<div id="root">`+rendered.HTML), 1)

	s := newSite(t)
	app := serveApp(t, overlay{dist, map[string][]byte{"hydrate.html": document}}, s, s.api)
	b := newProfile(t).newTab()
	b.open(app + "/bundle.html")
	b.wait("the app", "!!window.journey")
	const want = `[[null,true,"taken","username",null,["signed_in","signed_out"]],[{"address":{"locality":"Seoul"}},200,0,"no_consent"]]`
	if got := evaluate[string](b, "window.journey($1)", password); got != want {
		t.Errorf("the app saw %s, want %s", got, want)
	}
	b.keepsNoSecrets(password)

	b.open(app + "/hydrate.html")
	b.isAt("no user, no token")
	s.signIn(b, "alice")
	b.open(app + "/hydrate.html")
	b.isAt("alice, a token")
	if got := evaluate[string](b, "JSON.stringify([mismatches, answers])"); got != "[[],[]]" {
		t.Errorf("mismatches and answers: %s", got)
	}
}

// overlay has some files of its own instead of another's.
type overlay struct {
	fs.FS
	own map[string][]byte
}

func (o overlay) ReadFile(name string) ([]byte, error) {
	if body, ok := o.own[name]; ok {
		return body, nil
	}
	return fs.ReadFile(o.FS, name)
}

// The examples sign a user in on the server's page and call an API. Six tabs of the one for
// React stay signed in, refresh one at a time, and are signed out together.
func TestWebExamples(t *testing.T) {
	t.Parallel()
	dir, err := apps()
	if err != nil {
		t.Fatal(err)
	}
	const life = 5 * time.Second
	s := newSite(t, "COUNTERSIGN_TOKENS_ACCESS_TTL="+life.String())
	api := &strictAPI{}
	apiURL := serveHTTP(t, api)
	s.signUp(newProfile(t).newTab(), "alice")

	p := newProfile(t)
	signIn := func(b *tab, files fs.FS) (app string) {
		app = serveApp(t, files, s, apiURL)
		b.open(app + "/#there")
		b.isAt("Welcome")
		b.press("Sign in")
		b.identify("alice")
		b.isAt("Hello, alice")
		for _, url := range append(b.history(), evaluate[string](b, "location.href")) {
			if strings.Contains(url, "code=") {
				t.Errorf("the code is left in %s", url)
			}
		}
		return app
	}
	call := func(b *tab, button, want string) {
		api.refuse.Store(true)
		b.press(button)
		b.shows(want)
		if api.refuse.Load() {
			t.Errorf("%s sent no token", button)
		}
	}

	b := p.newTab()
	app := signIn(b, os.DirFS(filepath.Join(dir, "react", "dist")))
	b.wait("the view before signing in", "location.hash === '#there'")
	call(b, "Call with fetch", `{"at":"/hello"}`)
	evaluate[any](b, "void (document.querySelector('[role=status]').textContent = '')")
	call(b, "Call with axios", `{"at":"/hello"}`)
	b.shows("News: no. 2") // the first WebSocket was closed

	all := []*tab{b}
	for range 5 {
		b := p.newTab()
		b.open(app)
		all = append(all, b)
	}
	for _, b := range all {
		b.shows("The access token has")
	}
	var now, most atomic.Int64
	one := func(w http.ResponseWriter, said *httptest.ResponseRecorder) {
		if n := now.Add(1); n > most.Load() {
			most.Store(n)
		}
		time.Sleep(100 * time.Millisecond)
		now.Add(-1)
		pass(w, said, said.Body.Len())
	}
	s.refreshed.Store(&one)
	before := s.refreshes.Load()
	time.Sleep(2 * life)
	refreshes := s.refreshes.Load() - before
	if most.Load() != 1 || refreshes < 1 || refreshes > 5 {
		t.Errorf("%d refreshes, %d of them at once", refreshes, most.Load())
	}
	for _, b := range all {
		b.isAt("Hello, alice")
		b.shows("The access token has")
	}
	b.press("Sign out")
	for _, b := range all {
		b.isAt("Welcome")
	}

	for _, files := range []fs.FS{os.DirFS(filepath.Join(dir, "vue", "dist")), os.DirFS(filepath.Join(dir, "plain"))} {
		signIn(b, files)
		call(b, "Call with fetch", `{"at":"/hello"}`)
		b.press("Sign out")
		b.isAt("Welcome")
	}
}
