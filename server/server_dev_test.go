package server_test

import (
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"countersign/examples/spa"
	"countersign/server"
)

// Browsers send cookies to every port of a host. So servers for development that share a
// localhost have names of their own, but for the one at the usual port.
func TestDevCookiesCarryThePort(t *testing.T) {
	for issuer, suffix := range map[string]string{
		"http://localhost:8080":      "",
		"http://localhost:8090":      "_8090",
		"http://localhost:5173/auth": "_5173",
		"http://127.0.0.1:8090":      "_8090",
		"http://[::1]:8090":          "_8090",
		"http://localhost":           "_80",
	} {
		a := newApp(t, withOptions(func(o *server.Options) {
			o.Issuer, o.Dev, o.SessionCookie.AccessCookie = issuer, true, true
			o.AllowedOrigins = []string{"http://localhost:5173"}
		}))
		base := strings.TrimPrefix(issuer, issuerOrigin(issuer))
		a.do(http.MethodPost, base+"/signup", `{"username":"alice","password":"`+password+`"}`, "Content-Type", "application/json").want(http.StatusCreated)
		p := a.page()
		p.origin = "http://localhost:5173"
		signedIn := p.do(http.MethodPost, base+"/session", `{"username":"alice","password":"`+password+`"}`).want(http.StatusOK)
		login := a.do(http.MethodPost, base+"/login", form("username", "alice", "password", password).Encode(),
			"Content-Type", "application/x-www-form-urlencoded", "Origin", issuerOrigin(issuer)).want(http.StatusSeeOther)
		var got []string
		for _, r := range []*response{signedIn, login} {
			for _, cookie := range r.Result().Cookies() {
				got = append(got, cookie.Name)
			}
		}
		slices.Sort(got)
		var want []string
		for _, name := range []string{"access", "device", "login", "refresh"} {
			want = append(want, "countersign_"+name+suffix)
		}
		if got = slices.Compact(got); !slices.Equal(got, want) {
			t.Errorf("%s sets %q, want %q", issuer, got, want)
		}
		// It takes what it has set.
		p.do(http.MethodPost, base+"/session/refresh", "").want(http.StatusOK)
		p.do(http.MethodGet, base+"/account/sessions", "").want(http.StatusOK)
	}
}

func issuerOrigin(issuer string) string {
	scheme, rest, _ := strings.Cut(issuer, "://")
	host, _, _ := strings.Cut(rest, "/")
	return scheme + "://" + host
}

// 127.0.0.1 and localhost are two sites. A browser that opens a page by the wrong name is
// led to the issuer's before a user types something there.
func TestDevPagesAreAtTheIssuersHost(t *testing.T) {
	at := func(issuer string, dev bool) *app {
		return newApp(t, withDemo(spa.Files), withOptions(func(o *server.Options) { o.Issuer, o.Dev = issuer, dev }))
	}
	local, below, numeric := at("http://localhost:8080", true), at("http://localhost:8080/auth", true), at("http://127.0.0.1:8080", true)
	navigate := []string{"Sec-Fetch-Mode", "navigate"}
	for _, c := range []struct {
		a      *app
		method string
		url    string
		header []string
		want   string // empty: it isn't led elsewhere
	}{
		{local, "GET", "http://127.0.0.1:8080/", nil, "http://localhost:8080/"},
		{local, "GET", "http://127.0.0.1:8080/demo?flow=code", nil, "http://localhost:8080/demo?flow=code"},
		{local, "HEAD", "http://127.0.0.1:8080/demo", nil, "http://localhost:8080/demo"},
		{local, "GET", "http://[::1]:8080/demo/index.html", nil, "http://localhost:8080/demo/index.html"},
		{local, "GET", "http://127.0.0.1:8080/login?x=%2F..", navigate, "http://localhost:8080/login?x=%2F.."},
		{local, "GET", "http://127.0.0.1:8080//evil.example/%0d%0a", navigate, "http://localhost:8080//evil.example/%0d%0a"},
		{below, "GET", "http://127.0.0.1:8080/auth/demo", nil, "http://localhost:8080/auth/demo"},
		{numeric, "GET", "http://localhost:8080/demo", nil, "http://127.0.0.1:8080/demo"},
		// Programs, forms, proxies and strangers' names stay.
		{local, "GET", "http://127.0.0.1:8080/login", nil, ""},
		{local, "GET", "http://127.0.0.1:8080/assets/countersign.js", []string{"Sec-Fetch-Mode", "cors"}, ""},
		{local, "POST", "http://127.0.0.1:8080/login", navigate, ""},
		{local, "GET", "http://localhost:8080/demo", navigate, ""},
		{local, "GET", "http://127.0.0.1:9000/demo", navigate, ""},
		{local, "GET", "http://127.0.0.1/demo", navigate, ""},
		{local, "GET", "http://myhost.example:8080/demo", navigate, ""},
		{at("https://localhost:8080", false), "GET", "http://127.0.0.1:8080/demo", navigate, ""},
		{at("https://auth.example.com:8080", true), "GET", "http://127.0.0.1:8080/demo", navigate, ""},
	} {
		r := httptest.NewRequestWithContext(t.Context(), c.method, c.url, nil)
		for i := 0; i < len(c.header); i += 2 {
			r.Header.Add(c.header[i], c.header[i+1])
		}
		w := httptest.NewRecorder()
		c.a.ServeHTTP(w, r)
		to := w.Header().Get("Location")
		if led := strings.Contains(to, "://"); led != (c.want != "") || led && (to != c.want || w.Code != http.StatusFound) {
			t.Errorf("%s %s %q: %d %q, want %q", c.method, c.url, c.header, w.Code, to, c.want)
		}
	}
}
