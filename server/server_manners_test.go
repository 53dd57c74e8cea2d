package server_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"countersign/keys"
	"countersign/server"
	"countersign/store/storetest"
)

// lines are the log so far, one record each.
func (a *app) lines() []map[string]any {
	a.t.Helper()
	var all []map[string]any
	scan := bufio.NewScanner(strings.NewReader(a.logs.String()))
	scan.Buffer(nil, 1<<20)
	for scan.Scan() {
		var line map[string]any
		if err := json.Unmarshal(scan.Bytes(), &line); err != nil {
			a.t.Fatalf("log line is not JSON: %s", scan.Bytes())
		}
		all = append(all, line)
	}
	return all
}

// last is the newest log record with a message.
func (a *app) last(msg string) map[string]any {
	a.t.Helper()
	all := a.lines()
	for i := len(all) - 1; i >= 0; i-- {
		if all[i]["msg"] == msg {
			return all[i]
		}
	}
	a.t.Fatalf("no %q in the log", msg)
	return nil
}

// everywhere has requests to every part of the server.
var everywhere = []struct{ method, path string }{
	{"POST", "/oauth/token"}, {"GET", "/oauth/token"}, {"POST", "/oauth/revoke"}, {"POST", "/oauth/introspect"}, {"GET", "/oauth/introspect"}, {"POST", "/oauth/challenge"},
	{"GET", "/userinfo"}, {"PUT", "/userinfo"}, {"POST", "/signup"}, {"GET", "/signup"},
	{"GET", "/.well-known/jwks.json"}, {"GET", "/.well-known/openid-configuration"}, {"POST", "/.well-known/jwks.json"},
	{"GET", "/healthz"}, {"GET", "/readyz"}, {"GET", "/"}, {"GET", "/nothing"}, {"GET", "/oauth/authorize"}, {"OPTIONS", "/oauth/token"}, {"BREW", "/oauth/token"},
}

func TestEveryAnswerHasARequestID(t *testing.T) {
	f := &faults{}
	a := newApp(t, withFaults(f))
	seen := map[string]bool{}
	check := func() {
		t.Helper()
		for _, r := range everywhere {
			for _, header := range [][]string{nil, {"Origin", origin}, {"Origin", "https://evil.example"}} {
				got := a.do(r.method, r.path, "", append(header, "Access-Control-Request-Method", "POST")...)
				ids := got.Header().Values("X-Request-Id")
				if len(ids) != 1 || len(ids[0]) < 16 || seen[ids[0]] {
					t.Errorf("%s %s: X-Request-Id = %q, want one that is new", r.method, r.path, ids)
					continue
				}
				seen[ids[0]] = true
				if logged := a.last("request")["request_id"]; logged != ids[0] {
					t.Errorf("%s %s: the log says %v, the answer %s", r.method, r.path, logged, ids[0])
				}
			}
		}
	}
	check()
	f.set(func(context.Context, string) error { panic("boom") })
	check()
	f.set(func(context.Context, string) error { return context.DeadlineExceeded })
	check()
}

// Security events have the id of their request, so another caller doesn't choose it.
func TestRequestIDOfAStrangerIsReplaced(t *testing.T) {
	const id = "0198c0de-0000-7000-8000-000000000000"
	for _, trusted := range [][]string{nil, {"192.0.2.2", "198.51.100.0/24"}} {
		a := newApp(t, func(o *server.Options, _ *keys.Options) { o.TrustedProxies = trusted })
		a.signup("alice")
		a.do(http.MethodPost, "/oauth/token", passwordForm("alice").Encode(), "X-Request-Id", id, "X-Forwarded-For", "198.51.100.7")
		for _, event := range storetest.Events(t, a.db) {
			if strings.Contains(event, id) {
				t.Errorf("trusted %q: event %s", trusted, event)
			}
		}
		if got := a.last("request")["request_id"]; got == id {
			t.Errorf("trusted %q: the log has the stranger's id", trusted)
		}
	}
}

func TestRequestIDOfATrustedProxyIsTakenOverIfWellFormed(t *testing.T) {
	a := newApp(t, withProxy)
	for _, id := range []string{"12345678", "0198c0de-0000-7000-8000-000000000000", strings.Repeat("a", 64)} {
		if got := a.do(http.MethodGet, "/healthz", "", "X-Request-Id", id).Header().Get("X-Request-Id"); got != id {
			t.Errorf("%q became %q", id, got)
		}
	}
	for _, id := range []string{
		"", "1234567", strings.Repeat("a", 65), "with space", "semi;colon-x", "new\nline-xxx", "quote\"xxxxx", "<script>x", "한국어한국어한국어", "../../etc/passwd", "cs_rt_abcdefgh", "a.b.c.d.e.f",
	} {
		got := a.do(http.MethodGet, "/healthz", "", "X-Request-Id", id).Header().Get("X-Request-Id")
		if got == id || len(got) < 16 {
			t.Errorf("%q became %q, want a new one", id, got)
		}
		if logged := a.last("request")["request_id"]; logged != got {
			t.Errorf("%q: the log says %v, the answer %q", id, logged, got)
		}
	}
}

func TestPathsAreExact(t *testing.T) {
	for _, base := range []string{"", "/tenant"} {
		a := newApp(t, func(o *server.Options, _ *keys.Options) { o.Issuer = issuer + base })
		for _, path := range []string{
			"/oauth/token/", "//oauth/token", "/oauth//token", "/OAUTH/TOKEN", "/oauth/./token", "/oauth/../oauth/token", "/oauth/token/x", "/oauth", "/oauth/",
			"/userinfo/", "//userinfo", "/UserInfo", "/signup/", "//signup", "/.well-known/jwks.json/", "//.well-known/jwks.json", "/.well-known//jwks.json",
			"/.well-known/openid-configuration/", "/.well-known/", "//", "/oauth/token%2F", "/oauth%2Ftoken", "/oauth%2ftoken", "/oauth/%74oken", "/oauth%2F%2Ftoken", "/oauth/token;x=y", "/oauth/token%00", "/oauth\\token",
		} {
			for _, method := range []string{"GET", "POST", "HEAD"} {
				r := httptest.NewRequestWithContext(t.Context(), method, "/", nil)
				r.URL.Opaque = "" // as net/http hands it over: nothing is cleaned
				u, err := r.URL.Parse("http://auth.example.com" + base + strings.NewReplacer("./", "%2E/", "\\", "%5C").Replace(path))
				if err != nil {
					t.Fatal(err)
				}
				r.URL.Path, r.URL.RawPath = strings.ReplaceAll(strings.ReplaceAll(u.Path, "%2E", "."), "%5C", "\\"), u.RawPath
				w := httptest.NewRecorder()
				a.ServeHTTP(w, r)
				if w.Code != http.StatusNotFound || w.Header().Get("Location") != "" {
					t.Errorf("%s %s%s = %d, Location %q, want 404 and none", method, base, path, w.Code, w.Header().Get("Location"))
				}
				if method != "HEAD" && w.Header().Get("Content-Type") != "application/problem+json" {
					t.Errorf("%s %s%s: Content-Type = %q", method, base, path, w.Header().Get("Content-Type"))
				}
			}
		}
	}
}

func TestEveryAnswerHasSecurityHeaders(t *testing.T) {
	f := &faults{}
	a := newApp(t, withFaults(f))
	for _, hook := range []func(context.Context, string) error{nil, func(context.Context, string) error { panic("boom") }} {
		f.set(hook)
		for _, r := range everywhere {
			h := a.do(r.method, r.path, "").Header()
			for name, want := range map[string]string{
				"X-Content-Type-Options":    "nosniff",
				"Referrer-Policy":           "no-referrer",
				"X-Frame-Options":           "DENY",
				"Strict-Transport-Security": "max-age=31536000",
			} {
				hosted := r.path == "/" || r.path == "/oauth/authorize" || r.path == "/signup" && r.method == http.MethodGet
				if name == "Referrer-Policy" && hosted { // browsers tell our pages where our forms come from
					want = "same-origin"
				}
				if got := h.Get(name); got != want {
					t.Errorf("%s %s: %s = %q, want %q", r.method, r.path, name, got, want)
				}
			}
			if csp := h.Get("Content-Security-Policy"); !strings.Contains(csp, "frame-ancestors 'none'") || !strings.Contains(csp, "default-src 'none'") {
				t.Errorf("%s %s: Content-Security-Policy = %q", r.method, r.path, csp)
			}
			for _, name := range []string{"Server", "X-Powered-By"} {
				if h.Get(name) != "" {
					t.Errorf("%s %s: %s = %q", r.method, r.path, name, h.Get(name))
				}
			}
		}
	}
	f.set(nil)
	// HSTS over plain HTTP would lock a developer's localhost into TLS.
	dev := newApp(t, func(o *server.Options, _ *keys.Options) { o.Issuer, o.Dev = "http://localhost:8080", true })
	if got := dev.do(http.MethodGet, "/healthz", "").Header().Get("Strict-Transport-Security"); got != "" {
		t.Errorf("issuer without TLS: Strict-Transport-Security = %q", got)
	}
}

func TestPanicIsA500ThatOnlyTheLogExplains(t *testing.T) {
	f := &faults{}
	a := newApp(t, withFaults(f))
	a.signup("alice")
	token := a.login("alice").text("access_token")
	f.set(func(context.Context, string) error { panic("pq: relation secrets is on fire") })
	for path, got := range map[string]*response{
		"/oauth/token": a.token(passwordForm("alice")).wantError(http.StatusInternalServerError, "server_error"),
		"/userinfo":    a.userinfo(token).wantError(http.StatusInternalServerError, "server_error"),
		"/signup":      a.post("/signup", account("bob", password)).wantProblem(http.StatusInternalServerError, "internal"),
		"unmatched":    a.do(http.MethodGet, "/userinfo", "", "Origin", "https://unknown.example").want(http.StatusInternalServerError), // in the CORS policy itself
		"/readyz":      a.do(http.MethodGet, "/readyz", "").wantProblem(http.StatusInternalServerError, "internal"),
	} {
		for _, inside := range []string{"goroutine", ".go:", "panic", "relation", "runtime", "countersign/server"} {
			if strings.Contains(got.Body.String(), inside) {
				t.Errorf("%s: the answer tells of our insides: %s", path, got.Body)
			}
		}
		id := got.Header().Get("X-Request-Id")
		var logged, requested bool
		for _, line := range a.lines() {
			if line["request_id"] != id {
				continue
			}
			if line["msg"] == "panic" {
				logged = line["level"] == "ERROR" && strings.Contains(fmt.Sprint(line["err"]), "on fire") && strings.Contains(fmt.Sprint(line["stack"]), "faults_test.go")
			}
			requested = requested || line["msg"] == "request" && line["status"] == 500.0
		}
		if !logged || !requested {
			t.Errorf("%s: panic in the log with its stack: %v, request with status 500: %v", path, logged, requested)
		}
	}
	f.set(nil)
	a.login("alice") // the server goes on
}

func TestUnexpectedErrorIsLoggedAndNotTold(t *testing.T) {
	f := &faults{}
	a := newApp(t, withFaults(f))
	a.signup("alice")
	token := a.login("alice").text("access_token")
	f.set(func(context.Context, string) error { return errors.New("no such column: users.secret") })
	for _, got := range []*response{
		a.token(passwordForm("alice")).wantError(http.StatusInternalServerError, "server_error"),
		a.userinfo(token).wantError(http.StatusInternalServerError, "server_error"),
		a.post("/signup", account("bob", password)).wantProblem(http.StatusInternalServerError, "internal"),
	} {
		if strings.Contains(got.Body.String(), "column") {
			t.Errorf("the answer tells of our insides: %s", got.Body)
		}
		found := false
		for _, line := range a.lines() {
			found = found || line["level"] == "ERROR" && line["request_id"] == got.Header().Get("X-Request-Id") && strings.Contains(fmt.Sprint(line["err"]), "no such column")
		}
		if !found {
			t.Error("the reason is not in the log")
		}
	}
}

// To net/http a caller that has finished sending looks like one that hung up. If that
// stopped the work half-way, the answer would tell how far it had come.
func TestWhoHasFinishedSendingIsServed(t *testing.T) {
	a := newApp(t)
	a.signup("alice")
	token := a.login("alice").text("access_token")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for _, r := range []struct {
		method, path, kind, body string
		want                     int
	}{
		{"POST", "/oauth/token", "application/x-www-form-urlencoded", passwordForm("alice").Encode(), http.StatusOK},
		{"POST", "/oauth/token", "application/x-www-form-urlencoded", passwordForm("nobody").Encode(), http.StatusBadRequest},
		{"POST", "/signup", "application/json", account("bob", password), http.StatusCreated},
		{"GET", "/userinfo", "", "", http.StatusOK},
	} {
		request := httptest.NewRequestWithContext(ctx, r.method, r.path, strings.NewReader(r.body))
		request.Header.Set("Content-Type", r.kind)
		if r.path == "/userinfo" {
			request.Header.Set("Authorization", "Bearer "+token)
		}
		answer := httptest.NewRecorder()
		a.ServeHTTP(answer, request)
		if answer.Code != r.want {
			t.Errorf("%s %s: status %d, want %d: %s", r.method, r.path, answer.Code, r.want, answer.Body)
		}
	}
}

func TestLogNamesWhatExistsAndNothingElse(t *testing.T) {
	a := newApp(t)
	id := a.signup("alice")
	login := a.login("alice")
	if line := a.last("request"); line["route"] != "/oauth/token" || line["client_id"] != "spa" || line["method"] != "POST" || line["status"] != 200.0 || line["address"] == "" {
		t.Errorf("log = %v, want the route, method, status, address and the client that is known", line)
	}
	a.userinfo(login.text("access_token"))
	if line := a.last("request"); line["subject"] != id || line["client_id"] != "spa" {
		t.Errorf("log = %v, want the subject %s and its client", line, id)
	}
	const marker = "Zx9-marker"
	f := passwordForm(marker)
	a.token(f)
	f.Set("client_id", marker)
	a.token(f)
	a.token(form("grant_type", "client_credentials"), "Authorization", basic(marker, marker))
	a.token(form("grant_type", marker, "client_id", "spa"))
	a.token(form("grant_type", "password", "client_id", "spa", "username", "alice", "password", "x", "scope", marker))
	a.refresh(marker)
	a.do("GET", "/"+marker, "")
	a.do("GET", "/oauth/token/"+marker, "")
	a.do("GET", "/userinfo?access_token="+marker, "")
	a.do("POST", "/oauth/token?"+marker+"="+marker, "")
	a.do(strings.ToUpper(marker), "/userinfo", "")
	a.userinfo(marker)
	a.post("/signup", account(marker, "x"))
	a.post("/signup", `{"`+marker+`":1}`)
	a.post("/signup", `{`+marker)
	a.do("GET", "/userinfo", "", "Origin", "https://"+marker, "Referer", "https://"+marker, "User-Agent", marker, "Cookie", marker, "X-Request-Id", marker+"_", "Host", marker)
	a.do("GET", "/userinfo", "", "X-Forwarded-For", marker, "X-Real-Ip", marker, "Forwarded", "for="+marker)
	if strings.Contains(strings.ToLower(a.logs.String()), strings.ToLower(marker)) {
		for _, line := range a.lines() {
			if strings.Contains(strings.ToLower(fmt.Sprint(line)), strings.ToLower(marker)) {
				t.Errorf("what a stranger wrote is in the log: %v", line)
			}
		}
	}
	for _, line := range a.lines() {
		if line["msg"] == "request" && line["route"] != "unmatched" && !regexp.MustCompile(`^/[a-z./_-]+$`).MatchString(line["route"].(string)) {
			t.Errorf("route = %v", line["route"])
		}
	}
}

func TestForwardedAddressesAreBelievedOfTrustedProxiesOnly(t *testing.T) {
	const peer = "192.0.2.1" // where httptest's requests come from
	for name, c := range map[string]struct {
		trusted []string
		header  []string
		want    string
	}{
		"no trusted proxy":             {nil, []string{"X-Forwarded-For", "198.51.100.7", "X-Real-Ip", "198.51.100.7", "Forwarded", "for=198.51.100.7"}, peer},
		"another trusted":              {[]string{"192.0.2.2"}, []string{"X-Forwarded-For", "198.51.100.7"}, peer},
		"trusted":                      {[]string{peer}, []string{"X-Forwarded-For", "198.51.100.7"}, "198.51.100.7"},
		"trusted network":              {[]string{"192.0.2.0/24"}, []string{"X-Forwarded-For", "198.51.100.7"}, "198.51.100.7"},
		"trusted, says nothing":        {[]string{peer}, nil, peer},
		"the caller began the list":    {[]string{peer}, []string{"X-Forwarded-For", "10.0.0.1, 198.51.100.7"}, "198.51.100.7"},
		"the caller sent its own line": {[]string{peer}, []string{"X-Forwarded-For", "10.0.0.1", "X-Forwarded-For", "198.51.100.7"}, "198.51.100.7"},
		"two proxies":                  {[]string{peer, "203.0.113.0/24"}, []string{"X-Forwarded-For", "10.0.0.1, 198.51.100.7, 203.0.113.9"}, "198.51.100.7"},
		"a zone":                       {[]string{peer}, []string{"X-Forwarded-For", "fe80::1%eth0"}, "fe80::1"},
		"a zone in a URL's form":       {[]string{peer}, []string{"X-Forwarded-For", "10.0.0.1, fe80::1%25en0"}, "fe80::1"},
		"nonsense":                     {[]string{peer}, []string{"X-Forwarded-For", "nonsense"}, peer},
		"nonsense before":              {[]string{peer}, []string{"X-Forwarded-For", "nonsense, 198.51.100.7"}, "198.51.100.7"},
		"IPv6":                         {[]string{peer}, []string{"X-Forwarded-For", "2001:db8::7"}, "2001:db8::7"},
		// Proxies that set the one header pass the other through.
		"another header":                 {[]string{peer}, []string{"X-Real-Ip", "198.51.100.7"}, peer},
		"another header beside nonsense": {[]string{peer}, []string{"X-Forwarded-For", "198.51.100.7:123456", "X-Real-Ip", "10.0.0.1"}, peer},
		"the platforms' headers":         {[]string{peer}, []string{"CF-Connecting-IP", "10.0.0.1", "X-Appengine-Remote-Addr", "10.0.0.1", "Fly-Client-IP", "10.0.0.1", "True-Client-IP", "10.0.0.1"}, peer},
	} {
		a := newApp(t, func(o *server.Options, _ *keys.Options) { o.TrustedProxies = c.trusted })
		a.do(http.MethodGet, "/healthz", "", c.header...)
		if got := a.last("request")["address"]; got != c.want {
			t.Errorf("%s: address = %v, want %s", name, got, c.want)
		}
	}
}

// A header that any caller may send must not give the caller a budget of its own.
func TestForgedAddressesBuyNoGuesses(t *testing.T) {
	a := newApp(t, func(o *server.Options, _ *keys.Options) { o.Throttle.FreeFailures = 3 })
	a.signup("alice")
	f := passwordForm("alice")
	f.Set("password", "wrong")
	throttled := false
	for i := range 6 {
		throttled = a.token(f, "X-Forwarded-For", fmt.Sprintf("198.51.100.%d", i), "X-Real-Ip", fmt.Sprintf("198.51.100.%d", i)).Code == http.StatusTooManyRequests
	}
	if !throttled {
		t.Error("six guesses with six forged addresses were all free")
	}
}

func TestHealthAndReadiness(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newApp(t)
		for path, status := range map[string]string{"/healthz": "ok", "/readyz": "ready"} {
			for _, method := range []string{http.MethodGet, http.MethodHead} {
				got := a.do(method, path, "").want(http.StatusOK)
				if got.Header().Get("Cache-Control") != "no-store" {
					t.Errorf("%s: Cache-Control = %q", path, got.Header().Get("Cache-Control"))
				}
			}
			if got := a.do(http.MethodGet, path, "").text("status"); got != status {
				t.Errorf("%s: status = %q, want %q", path, got, status)
			}
		}
		a.db.Close()
		time.Sleep(time.Second) // the server asks the database once a second, however many requests come
		got := a.do(http.MethodGet, "/readyz", "").wantProblem(http.StatusServiceUnavailable, "unavailable")
		if retry := got.Header().Get("Retry-After"); retry == "" {
			t.Error("no Retry-After")
		}
		if strings.Contains(got.Body.String(), "sql") {
			t.Errorf("the answer tells of our insides: %s", got.Body)
		}
		a.do(http.MethodGet, "/healthz", "").want(http.StatusOK) // a restart would mend nothing
	})
}

func TestReadinessDoesNotWaitForASlowDatabase(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &faults{}
		a := newApp(t, withFaults(f))
		f.set(func(ctx context.Context, _ string) error { <-ctx.Done(); return ctx.Err() })
		began := time.Now()
		a.do(http.MethodGet, "/readyz", "").wantProblem(http.StatusServiceUnavailable, "unavailable")
		if took := time.Since(began); took > 2*time.Second {
			t.Errorf("it took %v to say so", took)
		}
	})
}

func TestDatabaseAwayIsA503ButPublicDocumentsGoOn(t *testing.T) {
	for name, away := range map[string]func(*app, *faults){
		"closed": func(a *app, _ *faults) { a.db.Close() },
		"silent": func(_ *app, f *faults) {
			f.set(func(ctx context.Context, _ string) error { <-ctx.Done(); return ctx.Err() })
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := &faults{}
				a := newApp(t, withFaults(f))
				a.signup("alice")
				login := a.login("alice")
				time.Sleep(time.Minute)
				away(a, f)
				for _, call := range []func() *response{
					func() *response { return a.token(passwordForm("alice")) },
					func() *response { return a.refresh(login.text("refresh_token")) },
					func() *response {
						return a.token(form("grant_type", "client_credentials"), "Authorization", basic("api", "dev-secret"))
					},
					func() *response { return a.userinfo(login.text("access_token")) },
				} {
					if got := call().wantError(http.StatusServiceUnavailable, "temporarily_unavailable"); got.Header().Get("Retry-After") == "" {
						t.Error("no Retry-After")
					}
				}
				if got := a.post("/signup", account("bob", password)).wantProblem(http.StatusServiceUnavailable, "unavailable"); got.Header().Get("Retry-After") == "" {
					t.Error("no Retry-After")
				}
				a.do(http.MethodGet, "/.well-known/jwks.json", "", "Origin", "https://anybody.example").want(http.StatusOK)
				a.do(http.MethodGet, "/.well-known/openid-configuration", "").want(http.StatusOK)
				a.do(http.MethodGet, "/healthz", "").want(http.StatusOK)
				// A malformed request is refused without the database.
				a.token(form()).wantError(http.StatusBadRequest, "invalid_request")
				a.userinfo("nonsense").wantError(http.StatusUnauthorized, "invalid_token")
				a.refresh("cs_rt_nonsense").want(http.StatusServiceUnavailable) // the client is looked up first
				if name == "silent" {
					f.set(nil)
					a.refresh(login.text("refresh_token")).want(http.StatusOK)
					a.login("alice")
				}
			})
		})
	}
}
