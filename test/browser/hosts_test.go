package browser_test

import (
	"crypto/tls"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"countersign/test/programs"
)

// The hosts. All hosts below example.test are one site.
const (
	authHost = "auth.example.test" // the server's host
	appHost  = "app.example.test"
	evilHost = "evil.example.test"
	farHost  = "app.other.test"
	evilFar  = "evil.other.test"
)

// hosts is a server behind TLS at authHost, and an empty page at /page of every host.
type hosts struct {
	t      *testing.T
	port   string
	data   string // the server's folder
	log    record
	client http.Client // reaches all hosts
}

// newHosts starts a server that allows the origins of two hosts.
func newHosts(t *testing.T, env ...string) *hosts {
	t.Helper()
	h := &hosts{t: t}
	routes := http.NewServeMux()
	page := func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		fmt.Fprint(w, `<!doctype html><title>page</title><link rel="icon" href="data:,">`)
	}
	routes.HandleFunc("/page", page)
	routes.HandleFunc(authHost+"/page", page)
	front := httptest.NewUnstartedServer(routes)
	h.port = front.Listener.Addr().String()
	h.port = h.port[strings.LastIndex(h.port, ":"):]
	server := programs.ServeLogged(t, &h.log, append(append([]string{
		"COUNTERSIGN_ISSUER=" + h.origin(authHost), "COUNTERSIGN_TRUSTED_PROXIES=127.0.0.1",
		"COUNTERSIGN_CORS_ALLOWED_ORIGINS=" + h.origin(appHost) + "," + h.origin(farHost),
	}, cheapHashes...), env...)...)
	h.data = server.Data
	target := &url.URL{Scheme: "http", Host: server.Listen}
	routes.Handle(authHost+"/", &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		r.SetURL(target)
		r.Out.Host = r.In.Host
		r.SetXForwarded()
	}})
	front.StartTLS()
	t.Cleanup(front.Close)
	transport := front.Client().Transport.(*http.Transport)
	transport.TLSClientConfig = &tls.Config{InsecureSkipVerify: true} // the certificate is for other names
	h.client.Transport = transport
	return h
}

func (h *hosts) origin(host string) string { return "https://" + host + h.port }

// browse starts a browser that finds the hosts here. Its user has allowed third-party
// cookies, or not.
func browse(t *testing.T, thirdParties bool) *profile {
	t.Helper()
	folder, preferences := t.TempDir(), `{"profile":{"cookie_controls_mode":1}}`
	if thirdParties {
		preferences = `{"profile":{"cookie_controls_mode":0}}`
	}
	if err := os.Mkdir(filepath.Join(folder, "Default"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(folder, "Default", "Preferences"), []byte(preferences), 0o600); err != nil {
		t.Fatal(err)
	}
	return startProfile(t, folder, chromedp.Flag("host-resolver-rules", "MAP *.test 127.0.0.1"), chromedp.Flag("ignore-certificate-errors", true))
}

// post sends a request of a program, without the browser. It returns the JSON of the
// answer, which must have the status.
func (h *hosts) post(path, kind, body string, status int) map[string]any {
	h.t.Helper()
	got, answer := h.try(path, kind, body)
	if got != status {
		h.t.Fatalf("POST %s: %d %v, want %d", path, got, answer, status)
	}
	return answer
}

func (h *hosts) try(path, kind, body string) (status int, answer map[string]any) {
	h.t.Helper()
	r, err := http.NewRequestWithContext(h.t.Context(), http.MethodPost, "https://127.0.0.1"+h.port+path, strings.NewReader(body))
	if err != nil {
		h.t.Fatal(err)
	}
	r.Host = authHost + h.port
	r.Header.Set("Content-Type", kind)
	resp, err := h.client.Do(r)
	if err != nil {
		h.t.Fatal(err)
	}
	defer resp.Body.Close()
	json.NewDecoder(resp.Body).Decode(&answer)
	return resp.StatusCode, answer
}

// signUp creates an account.
func (h *hosts) signUp(username string) {
	h.t.Helper()
	h.post("/signup", "application/json", fmt.Sprintf(`{"username":%q,"password":%q,"email":"%s@example.net"}`, username, password, username), http.StatusCreated)
}

// register adds a client that isn't first-party, with an origin.
func (h *hosts) register(id, origin string) {
	h.t.Helper()
	out, err := programs.Command(h.t, programs.Path(h.t, "countersign"), "clients", "create", "--id", id, "--public",
		"--grant", "refresh_token", "--origin", origin, "--data", h.data).CombinedOutput()
	if err != nil {
		h.t.Fatalf("%v: %s", err, out)
	}
	time.Sleep(2 * time.Second) // until the server has read it
}

// usernames returns the usernames of all accounts.
func (h *hosts) usernames() []string {
	h.t.Helper()
	out, err := programs.Command(h.t, programs.Path(h.t, "countersign"), "users", "list", "--json", "--data", h.data).Output()
	var users []struct{ Username string }
	if err == nil {
		err = json.Unmarshal(out, &users)
	}
	if err != nil {
		h.t.Fatal(err)
	}
	var names []string
	for _, u := range users {
		names = append(names, u.Username)
	}
	slices.Sort(names)
	return names
}

// token returns an access token with a scope.
func (h *hosts) token(username, scope string) string {
	h.t.Helper()
	form := url.Values{"grant_type": {"password"}, "client_id": {"spa"}, "username": {username}, "password": {password}, "scope": {scope}}
	return h.post("/oauth/token", "application/x-www-form-urlencoded", form.Encode(), http.StatusOK)["access_token"].(string)
}
