package server_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"countersign/accounts"
	"countersign/caller"
	"countersign/clients"
	"countersign/keys"
	"countersign/server"
)

const (
	clientOrigin  = "https://client.example.com"  // registered with the first-party client spa
	partnerOrigin = "https://partner.example.net" // registered with the client third
)

// list splits a header that is a list.
func list(values []string) []string {
	var all []string
	for one := range strings.SplitSeq(strings.Join(values, ","), ",") {
		all = append(all, strings.ToLower(strings.TrimSpace(one)))
	}
	return all
}

// wantReadable fails the test unless a page of the origin may read the answer
// and the headers it needs.
func wantReadable(t testing.TB, got *response, from string) {
	t.Helper()
	h := got.Header()
	if h.Get("Access-Control-Allow-Credentials") != "true" {
		t.Errorf("%d: Access-Control-Allow-Credentials = %q, want true", got.Code, h.Get("Access-Control-Allow-Credentials"))
	}
	wantAllowed(t, got, from)
}

// wantReadableWithoutCredentials fails the test unless a page of the origin may read the
// answer if it sent no cookie.
func wantReadableWithoutCredentials(t testing.TB, got *response, from string) {
	t.Helper()
	if credentials := got.Header().Values("Access-Control-Allow-Credentials"); len(credentials) > 0 {
		t.Errorf("%d: Access-Control-Allow-Credentials = %q, want none", got.Code, credentials)
	}
	wantAllowed(t, got, from)
}

func wantAllowed(t testing.TB, got *response, from string) {
	t.Helper()
	h := got.Header()
	if allowed := h.Values("Access-Control-Allow-Origin"); !slices.Equal(allowed, []string{from}) {
		t.Errorf("%d: Access-Control-Allow-Origin = %q, want %q", got.Code, allowed, from)
	}
	if !slices.Contains(list(h.Values("Vary")), "origin") {
		t.Errorf("%d: Vary = %q, want Origin in it", got.Code, h.Values("Vary"))
	}
	exposed := list(h.Values("Access-Control-Expose-Headers"))
	for _, name := range []string{"retry-after", "www-authenticate", "x-request-id", "dpop-nonce"} {
		if !slices.Contains(exposed, name) {
			t.Errorf("%d: Access-Control-Expose-Headers = %q, want %s in it", got.Code, exposed, name)
		}
	}
}

// wantUnreadable fails the test if any page may read the answer.
func wantUnreadable(t testing.TB, got *response) {
	t.Helper()
	for name := range got.Header() {
		if strings.HasPrefix(name, "Access-Control-") {
			t.Errorf("%d: %s = %q, want no such header", got.Code, name, got.Header().Values(name))
		}
	}
}

// preflight asks as a browser does before a request that is not a simple one.
func (a *app) preflight(path, origin, method string) *response {
	a.t.Helper()
	return a.do(http.MethodOptions, path, "", "Origin", origin,
		"Access-Control-Request-Method", method, "Access-Control-Request-Headers", "authorization,content-type,dpop,x-request-id")
}

// Requirement: line 69.
func TestOnlyListedOriginsAreEchoed(t *testing.T) {
	a := newApp(t, func(o *server.Options, _ *keys.Options) {
		o.AllowedOrigins = []string{origin, "https://odd.example.com:8443", "http://localhost:*", "http://127.0.0.1:*"}
	})
	a.signup("alice")
	for _, from := range []string{
		origin, clientOrigin, "https://odd.example.com:8443",
		"http://localhost", "http://localhost:1", "http://localhost:5173", "http://127.0.0.1:65535",
	} {
		wantReadable(t, a.token(passwordForm("alice"), "Origin", from).want(http.StatusOK), from)
		a.preflight("/oauth/token", from, http.MethodPost).want(http.StatusNoContent)
	}
	for _, from := range []string{
		"http://localhost:0", "http://localhost:65536", "http://localhost:99999", "http://localhost:080", "http://localhost:80", "http://127.0.0.1:00001",
		"null", "*", "https://*", "file://", "https://", "http://localhost:*",
		"https://app.example.com/", "https://app.example.com:443", "https://app.example.com.", "https://app.example.com:",
		"HTTPS://app.example.com", "https://APP.example.com", "http://app.example.com", "https://app.example.com:8443",
		"https://evil-app.example.com", "https://app.example.com.evil.example", "https://app.example.community",
		"https://evil.example/https://app.example.com", "https://app.example.com@evil.example", "https://sub.app.example.com",
		"https://app.example.com,https://evil.example", "https://app.example.com https://evil.example", "https://appXexample.com",
		"https://app.example.com\x00", "https://app.example.com%00", "https://xn--app-example.com", "https://odd.example.com",
		"https://odd.example.com:84430", "https://odd.example.com:844",
		"http://localhost.evil.example", "http://localhost:1.evil.example", "http://localhost:5173.evil.example",
		"http://localhost:5173/", "http://localhost:evil", "http://localhost:", "http://localhost:123456", "http://localhost:-1", "http://localhost: 1",
		"http://localhostevil:1", "https://localhost:1", "http://evil.localhost:1", "http://127.0.0.1.evil.example:1",
		"http://127.0.0.2:1", "http://[::1]:1", "http://localhost@evil.example:1", "http://evil@localhost:1",
	} {
		for _, got := range []*response{
			a.token(passwordForm("alice"), "Origin", from).want(http.StatusOK), // not a page, or it can't read it
			a.do(http.MethodGet, "/userinfo", "", "Origin", from).want(http.StatusUnauthorized),
			a.do(http.MethodGet, "/nothing", "", "Origin", from).want(http.StatusNotFound),
			a.post("/signup", `{}`, "Origin", from).wantProblem(http.StatusForbidden, "origin_not_allowed"),
			a.preflight("/oauth/token", from, http.MethodPost).wantProblem(http.StatusForbidden, "origin_not_allowed"),
		} {
			wantUnreadable(t, got)
			if !slices.Contains(list(got.Header().Values("Vary")), "origin") {
				t.Errorf("%q: Vary = %q, want Origin in it: a cache must not give this answer to others", from, got.Header().Values("Vary"))
			}
		}
	}
	if got := a.do(http.MethodGet, "/userinfo", ""); !slices.Contains(list(got.Header().Values("Vary")), "origin") {
		t.Errorf("without Origin: Vary = %q, want Origin in it", got.Header().Values("Vary"))
	}
}

func TestPublicDocumentsAreReadableByAnyOriginWithoutCredentials(t *testing.T) {
	a := newApp(t)
	for _, path := range append(documents, "/.well-known/jwks.json", "/.well-known/nothing", "/openapi.json") {
		for _, from := range []string{"", "null", origin, "https://anybody.example", issuer, "http://auth.example.com"} {
			var header []string
			if from != "" {
				header = []string{"Origin", from}
			}
			got := a.do(http.MethodGet, path, "", header...)
			if open := got.Header().Values("Access-Control-Allow-Origin"); !slices.Equal(open, []string{"*"}) {
				t.Errorf("%s for %q: Access-Control-Allow-Origin = %q, want *", path, from, open)
			}
			if credentials := got.Header().Get("Access-Control-Allow-Credentials"); credentials != "" {
				t.Errorf("%s for %q: Access-Control-Allow-Credentials = %q beside *", path, from, credentials)
			}
		}
		got := a.preflight(path, "https://anybody.example", http.MethodGet).want(http.StatusNoContent)
		if open := got.Header().Get("Access-Control-Allow-Origin"); open != "*" {
			t.Errorf("%s: preflight: Access-Control-Allow-Origin = %q, want *", path, open)
		}
	}
}

// Requirement: line 70.
func TestPreflightsAreAnsweredBeforeAllElse(t *testing.T) {
	f := &faults{}
	a := newApp(t, withFaults(f), func(o *server.Options, _ *keys.Options) { o.Throttle.FreeFailures = 1 })
	a.signup("alice")
	wrong := passwordForm("alice")
	wrong.Set("password", "wrong")
	a.token(wrong)
	a.token(wrong)
	a.token(wrong).want(http.StatusTooManyRequests)
	check := func() {
		t.Helper()
		for _, from := range []string{origin, clientOrigin} {
			for path, method := range map[string]string{"/oauth/token": "POST", "/userinfo": "GET", "/signup": "POST", "/session": "DELETE", "/account/profile": "PUT", "/nothing": "POST"} {
				got := a.preflight(path, from, method).want(http.StatusNoContent)
				h := got.Header()
				if h.Get("Access-Control-Allow-Origin") != from || h.Get("Access-Control-Allow-Credentials") != "true" {
					t.Errorf("%s: preflight: %v", path, h)
				}
				if !slices.Contains(list(h.Values("Access-Control-Allow-Methods")), strings.ToLower(method)) {
					t.Errorf("%s: Access-Control-Allow-Methods = %q, want %s in it", path, h.Values("Access-Control-Allow-Methods"), method)
				}
				allowed := list(h.Values("Access-Control-Allow-Headers"))
				for _, name := range []string{"authorization", "content-type", "dpop", "x-request-id"} {
					if !slices.Contains(allowed, name) {
						t.Errorf("%s: Access-Control-Allow-Headers = %q, want %s in it", path, allowed, name)
					}
				}
				if slices.Contains(allowed, "*") || h.Get("Access-Control-Max-Age") == "" || !slices.Contains(list(h.Values("Vary")), "origin") {
					t.Errorf("%s: preflight: %v", path, h)
				}
				if got.Body.Len() != 0 {
					t.Errorf("%s: preflight has a body: %s", path, got.Body)
				}
			}
		}
	}
	check()
	f.set(func(_ context.Context, verb string) error { return context.DeadlineExceeded })
	check()
	f.set(nil)
	// OPTIONS from another program than a browser is no preflight.
	a.do(http.MethodOptions, "/oauth/token", "").want(http.StatusMethodNotAllowed)
}

func TestErrorsOfEveryStatusCarryCORSHeaders(t *testing.T) {
	f := &faults{}
	a := newApp(t, withFaults(f), func(o *server.Options, _ *keys.Options) { o.Throttle.FreeFailures = 1 })
	shut := newApp(t, func(o *server.Options, _ *keys.Options) { o.SignupEnabled = false })
	a.signup("alice")
	token := a.login("alice").text("access_token")
	narrow := a.loginFor("alice", "profile").text("access_token")
	a.signup("throttled")
	wrong := passwordForm("throttled")
	wrong.Set("password", "wrong")
	a.token(wrong)

	formType := []string{"Content-Type", "application/x-www-form-urlencoded"}
	good, bad := passwordForm("alice").Encode(), form("grant_type", "password", "client_id", "unknown", "username", "x", "password", "y").Encode()
	account := func(username string) string {
		b, _ := json.Marshal(map[string]string{"username": username, "password": password})
		return string(b)
	}
	jsonType := []string{"Content-Type", "application/json"}
	bearer := func(token string) []string { return []string{"Authorization", "Bearer " + token} }
	down := func(context.Context, string) error { return context.DeadlineExceeded }
	panics := func(_ context.Context, verb string) error {
		if verb != "Origins" { // who may read the answer is asked before
			panic("SELECT secret FROM users")
		}
		return nil
	}
	broken := func(_ context.Context, verb string) error {
		if verb != "Origins" {
			return errors.New("no such table: users")
		}
		return nil
	}
	type call struct {
		status             int
		app                *app
		method, path, body string
		header             []string
		hook               func(context.Context, string) error
	}
	away := newApp(t)
	away.do(http.MethodGet, "/nothing", "", "Origin", clientOrigin) // so that the origins are known
	away.db.Close()
	calls := []call{
		{200, a, "POST", "/oauth/token", good, formType, nil},
		{400, a, "POST", "/oauth/token", "", formType, nil},
		{401, a, "POST", "/oauth/token", bad, formType, nil},
		{405, a, "GET", "/oauth/token", "", nil, nil},
		{405, a, "TRACE", "/oauth/token", "", nil, nil},
		{429, a, "POST", "/oauth/token", wrong.Encode(), formType, nil},
		{500, a, "POST", "/oauth/token", good, formType, panics},
		{500, a, "POST", "/oauth/token", good, formType, broken},
		{503, a, "POST", "/oauth/token", good, formType, down},

		{200, a, "GET", "/userinfo", "", bearer(token), nil},
		{400, a, "GET", "/userinfo?access_token=x", "", bearer(token), nil},
		{401, a, "GET", "/userinfo", "", nil, nil},
		{401, a, "GET", "/userinfo", "", bearer("x"), nil},
		{403, a, "GET", "/userinfo", "", bearer(narrow), nil},
		{405, a, "PUT", "/userinfo", "", nil, nil},
		{500, a, "GET", "/userinfo", "", bearer(token), panics},
		{500, a, "GET", "/userinfo", "", bearer(token), broken},
		{503, a, "GET", "/userinfo", "", bearer(token), down},

		{201, a, "POST", "/signup", account("bob%d"), jsonType, nil},
		{400, a, "POST", "/signup", "{", jsonType, nil},
		{403, shut, "POST", "/signup", account("bob"), jsonType, nil},
		{405, a, "DELETE", "/signup", "", nil, nil},
		{409, a, "POST", "/signup", account("alice"), jsonType, nil},
		{413, a, "POST", "/signup", account(strings.Repeat("x", 65<<10)), jsonType, nil},
		{415, a, "POST", "/signup", account("bob"), formType, nil},
		{500, a, "POST", "/signup", account("carol"), jsonType, panics},
		{500, a, "POST", "/signup", account("carol"), jsonType, broken},
		{503, a, "POST", "/signup", account("carol"), jsonType, down},

		{404, a, "GET", "/nothing", "", nil, nil},
		{404, a, "POST", "/oauth/token/", good, formType, nil},
		{404, a, "POST", "//oauth/token", good, formType, nil},
		{200, a, "GET", "/healthz", "", nil, nil},
		{200, a, "GET", "/readyz", "", nil, nil},
		{503, away, "GET", "/readyz", "", nil, nil},
	}
	seen := map[int]bool{}
	for i, c := range calls {
		for j, from := range []string{origin, clientOrigin, "https://evil.example"} {
			if c.app == a && c.hook != nil {
				a.do(http.MethodGet, "/nothing", "", "Origin", from) // so that the origins are known
				f.set(c.hook)
			}
			if c.status == http.StatusTooManyRequests {
				a.token(wrong) // the wait after it has just begun
			}
			body := strings.ReplaceAll(c.body, "bob%d", fmt.Sprintf("bob%d-%d", i, j))
			got := c.app.do(c.method, c.path, body, append(slices.Clone(c.header), "Origin", from)...)
			f.set(nil)
			if from == "https://evil.example" {
				wantUnreadable(t, got)
				continue
			}
			if got.Code != c.status {
				t.Errorf("%s %s from %s: %d %s, want %d", c.method, c.path, from, got.Code, got.Body, c.status)
			}
			wantReadable(t, got, from)
			seen[got.Code] = true
			if retry := got.Header().Get("Retry-After"); (got.Code == 429 || got.Code == 503) && (retry == "" || retry == "0") {
				t.Errorf("%s %s: %d with Retry-After = %q", c.method, c.path, got.Code, retry)
			}
			if text := got.Body.String(); strings.Contains(text, "SELECT") || strings.Contains(text, "table") || strings.Contains(text, "goroutine") || strings.Contains(text, "deadline") {
				t.Errorf("%s %s: the answer tells of our insides: %s", c.method, c.path, text)
			}
		}
	}
	for _, status := range []int{200, 400, 401, 403, 404, 405, 413, 415, 429, 500, 503} {
		if !seen[status] {
			t.Errorf("no answer had status %d", status)
		}
	}
}

func TestPagesNeverCarryCORSHeaders(t *testing.T) {
	a := newApp(t)
	for _, path := range []string{"/oauth/authorize", "/oauth/logout"} {
		for _, from := range []string{origin, clientOrigin, "null", issuer} {
			for _, method := range []string{http.MethodGet, http.MethodPost, http.MethodDelete} {
				wantUnreadable(t, a.do(method, path, "", "Origin", from))
				wantUnreadable(t, a.preflight(path, from, method))
			}
		}
	}
}

func TestOriginsOfClientsComeAndGo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &faults{}
		a := newApp(t, withFaults(f))
		const late = "https://late.example.com"
		allowed := func() bool {
			return a.do(http.MethodGet, "/userinfo", "", "Origin", late).Header().Get("Access-Control-Allow-Origin") == late
		}
		client := clients.Client{ID: "late", Settings: clients.Settings{Name: "Late", Public: true, FirstParty: true, Grants: []string{"password"}, Origins: []string{late}}}
		if allowed() {
			t.Fatal("allowed before it is registered")
		}
		if _, err := a.Clients.Put(t.Context(), time.Now(), client, "", caller.Operator()); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * time.Second)
		if !allowed() {
			t.Error("not allowed two seconds after it was registered")
		}
		f.set(func(context.Context, string) error { return context.DeadlineExceeded })
		time.Sleep(time.Minute)
		if !allowed() {
			t.Error("not allowed any more because the database is away")
		}
		f.set(nil)
		if err := a.Clients.Delete(t.Context(), time.Now(), "late", caller.Operator()); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * time.Second)
		f.set(nil)
		if allowed() {
			t.Error("still allowed two seconds after its client was deleted")
		}
	})
}

// browserLets does what a browser does for a page of the origin: whether the
// page may send the request and read the answer.
func (a *app) browserLets(from, method, path string) bool {
	a.t.Helper()
	if from == issuer { // its own server's pages: the browser asks nothing
		got := a.do(method, path, "{}", "Origin", from, "Content-Type", "application/json")
		return !strings.Contains(got.Body.String(), "origin_not_allowed")
	}
	grants := func(got *response) bool {
		allowed := got.Header().Get("Access-Control-Allow-Origin")
		return allowed == from || allowed == "*" && got.Header().Get("Access-Control-Allow-Credentials") == ""
	}
	if method != http.MethodGet && method != http.MethodHead {
		asked := a.preflight(path, from, method)
		if asked.Code != http.StatusNoContent || !grants(asked) ||
			!slices.Contains(list(asked.Header().Values("Access-Control-Allow-Methods")), strings.ToLower(method)) {
			return false
		}
	}
	return grants(a.do(method, path, "{}", "Origin", from, "Content-Type", "application/json"))
}

func TestCORSExplainAgreesWithTheEngine(t *testing.T) {
	for _, base := range []string{"", "/tenant"} {
		configured := []string{origin, "http://localhost:*"}
		a := newApp(t, func(o *server.Options, _ *keys.Options) { o.AllowedOrigins, o.Issuer = configured, issuer+base })
		policy := server.NewCORS(issuer+base, configured, a.db.Origins)
		let := 0
		for _, from := range []string{
			origin, clientOrigin, partnerOrigin, issuer, "http://auth.example.com", "http://localhost", "http://localhost:5173", "http://localhost:80", "http://localhost:99999",
			"https://evil.example", "null", "https://app.example.com/", "https://app.example.com:443", "https://APP.example.com", "http://app.example.com",
			"http://localhost:*", "http://localhost:x", "https://localhost:5173",
		} {
			for _, path := range []string{
				"/oauth/token", "/oauth/revoke", "/oauth/introspect", "/userinfo", "/signup", "/session", "/account", "/account/password/forgot", "/healthz", "/nothing", "/oauth/token/", "/oauth/authorize", "/oauth/logout",
				"/.well-known/jwks.json", "/.well-known/openid-configuration", "/.well-known/oauth-authorization-server",
			} {
				if path != "/.well-known/oauth-authorization-server" {
					path = base + path
				} else {
					path += base
				}
				for _, method := range []string{"GET", "HEAD", "POST", "DELETE", "PUT", "PATCH"} {
					why, said := policy.Explain(t.Context(), from, method, path)
					if does := a.browserLets(from, method, path); said != does {
						t.Errorf("%s %s from %s: the engine lets it in: %v, but the explanation is: %s", method, path, from, does, why)
					}
					if lower, _ := policy.Explain(t.Context(), from, strings.ToLower(method), path); lower != why {
						t.Errorf("%s in small letters is explained otherwise: %s", method, lower)
					}
					if said {
						let++
					}
					if !strings.Contains(why, from) || strings.Contains(why, "\n") {
						t.Errorf("the explanation is not one sentence on %s: %s", from, why)
					}
				}
			}
		}
		if let < 100 {
			t.Errorf("only %d cases were let in: this test shows little", let)
		}
	}
}

func TestSignupIsForListedAndOwnPagesOnly(t *testing.T) {
	a := newApp(t)
	n := 0
	try := func(header ...string) int {
		n++
		return a.post("/signup", fmt.Sprintf(`{"username":"user%d","password":%q}`, n, password), header...).Code
	}
	for name, header := range map[string][]string{
		"no browser":               {},
		"listed":                   {"Origin", origin},
		"of a client":              {"Origin", clientOrigin, "Sec-Fetch-Site", "cross-site"},
		"own":                      {"Origin", issuer, "Sec-Fetch-Site", "same-origin"},
		"typed into the bar":       {"Sec-Fetch-Site", "none"},
		"same-origin, no Origin":   {"Sec-Fetch-Site", "same-origin"},
		"listed, on the same site": {"Origin", origin, "Sec-Fetch-Site", "same-site"},
		"own, without more":        {"Origin", issuer},
	} {
		if got := try(header...); got != http.StatusCreated {
			t.Errorf("%s: %d, want 201", name, got)
		}
	}
	for name, header := range map[string][]string{
		"foreign":                    {"Origin", "https://evil.example"},
		"null":                       {"Origin", "null"},
		"empty":                      {"Origin", ""},
		"our host without TLS":       {"Origin", "http://auth.example.com"},
		"our host, another port":     {"Origin", "https://auth.example.com:8443"},
		"two, the first listed":      {"Origin", origin, "Origin", "https://evil.example"},
		"two, the second listed":     {"Origin", "https://evil.example", "Origin", origin},
		"cross-site without Origin":  {"Sec-Fetch-Site", "cross-site"},
		"another host of our domain": {"Sec-Fetch-Site", "same-site"},
		"listed, with an odd fetch":  {"Origin", origin, "Sec-Fetch-Site", "odd"},
		"own, but cross-site":        {"Origin", issuer, "Sec-Fetch-Site", "cross-site"},
		"foreign, but same-origin":   {"Origin", "https://evil.example", "Sec-Fetch-Site", "same-origin"},
	} {
		if got := try(header...); got != http.StatusForbidden {
			t.Errorf("%s: %d, want 403", name, got)
		}
	}
	if users, err := a.Users.List(t.Context(), accounts.User{}, 100); err != nil || len(users) != 8 {
		t.Errorf("%d accounts (%v), want 8: a refused request must change nothing", len(users), err)
	}
}

var localhost = regexp.MustCompile(`^http://localhost(:[0-9]{1,5})?$`)

// FuzzOrigin looks for an Origin that is let in without being listed.
func FuzzOrigin(f *testing.F) {
	a := newApp(f, func(o *server.Options, _ *keys.Options) {
		o.AllowedOrigins = []string{origin, "http://localhost:*"}
		o.Log = discard
	})
	for _, seed := range []string{
		origin, clientOrigin, "null", "", "http://localhost", "http://localhost:5173", "https://app.example.com.", "http://localhost:1.evil.example",
		"https://auth.example.com", "http://auth.example.com", "HTTPS://APP.EXAMPLE.COM", "http://localhost:*",
	} {
		f.Add(seed, "/oauth/token", "POST")
		f.Add(seed, "/userinfo", "GET")
		f.Add(seed, "/oauth/authorize", "OPTIONS")
		f.Add(seed, "/.well-known/jwks.json", "GET")
	}
	f.Fuzz(func(t *testing.T, from, path, method string) {
		if !strings.HasPrefix(path, "/") || strings.ContainsAny(path, " \r\n?#") || strings.ContainsFunc(method, func(r rune) bool { return r < 'A' || r > 'Z' }) || method == "" {
			return // no request that net/http would pass on
		}
		u, err := url.ParseRequestURI(path)
		if err != nil {
			return // no request that net/http would pass on
		}
		for _, m := range []string{method, http.MethodOptions} {
			got := a.doContext(t.Context(), m, path, "Origin", from, "Access-Control-Request-Method", method)
			allowed := got.Header().Values("Access-Control-Allow-Origin")
			public := strings.HasPrefix(u.Path, "/.well-known/")
			switch {
			case len(allowed) == 0 && !public:
			case len(allowed) != 1:
				t.Errorf("%s %s from %q: %d Access-Control-Allow-Origin headers", m, path, from, len(allowed))
			case public && allowed[0] == "*" && got.Header().Get("Access-Control-Allow-Credentials") == "":
			case !public && allowed[0] == from && (from == origin || from == clientOrigin || localhost.MatchString(from)):
			default:
				t.Errorf("%s %s from %q: Access-Control-Allow-Origin = %q", m, path, from, allowed[0])
			}
			if (u.Path == "/oauth/authorize" || u.Path == "/oauth/logout") && len(allowed) > 0 {
				t.Errorf("%s lets %q in", u.Path, from)
			}
		}
	})
}
