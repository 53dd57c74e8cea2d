package server_test

import (
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"strings"
	"testing"
	"time"

	"countersign/keys"
	"countersign/server"
)

// page is a page in a browser of its own, which keeps cookies as browsers do.
type page struct {
	a       *app
	jar     *cookiejar.Jar
	origin  string // where the page is from
	agent   string
	address string // if set, where the browser calls from
}

// page opens a page of an allowed origin in a new browser.
func (a *app) page() *page {
	jar, _ := cookiejar.New(nil)
	return &page{a: a, jar: jar, origin: origin, agent: "Mozilla/5.0 (X11; Linux x86_64; rv:131.0) Gecko/20100101 Firefox/131.0"}
}

// site is the URL that cookies are kept for.
func (p *page) site() *url.URL {
	u, err := url.Parse(p.a.options.Issuer)
	if err != nil {
		p.a.t.Fatal(err)
	}
	return u
}

// do makes a request as fetch with credentials does.
func (p *page) do(method, path, body string, header ...string) *response {
	p.a.t.Helper()
	header = append([]string{"User-Agent", p.agent}, header...)
	if method != http.MethodGet || p.origin != issuer {
		header = append(header, "Origin", p.origin)
	}
	if body != "" {
		header = append(header, "Content-Type", "application/json")
	}
	for _, c := range p.jar.Cookies(p.site()) {
		header = append(header, "Cookie", c.Name+"="+c.Value)
	}
	if p.address != "" {
		header = append(header, "X-Forwarded-For", p.address)
	}
	r := p.a.do(method, path, body, header...)
	p.jar.SetCookies(p.site(), r.Result().Cookies())
	return r
}

// signIn signs in with a password.
func (p *page) signIn(username, password string) *response {
	p.a.t.Helper()
	return p.do(http.MethodPost, "/session", `{"username":"`+username+`","password":"`+password+`"}`)
}

// refresh asks for new tokens.
func (p *page) refresh() *response {
	p.a.t.Helper()
	return p.do(http.MethodPost, "/session/refresh", "")
}

// bearer makes a request with the access token of an answer. The account is opened by the
// cookie if the answer is one of /session.
func (p *page) bearer(method, path, body string, from *response) *response {
	p.a.t.Helper()
	if _, theirs := from.json()["refresh_token"]; !theirs && strings.HasPrefix(path, "/account") {
		return p.do(method, path, body)
	}
	return p.do(method, path, body, "Authorization", "Bearer "+from.text("access_token"))
}

// cookie returns the value of the browser's cookie of that name, or the empty text.
func (p *page) cookie(name string) string {
	for _, c := range p.jar.Cookies(p.site()) {
		if c.Name == name {
			return c.Value
		}
	}
	return ""
}

// keep puts a cookie into the browser.
func (p *page) keep(name, value string) {
	p.jar.SetCookies(p.site(), []*http.Cookie{{Name: name, Value: value, Path: "/", Secure: true}})
}

// setCookie is the cookie of a name that an answer sets.
func (r *response) setCookie(name string) *http.Cookie {
	r.t.Helper()
	for _, c := range r.Result().Cookies() {
		if c.Name == name {
			return c
		}
	}
	r.t.Fatalf("no cookie %s is set: %q", name, r.Result().Header.Values("Set-Cookie"))
	return nil
}

// withOptions changes the server's options.
func withOptions(change func(*server.Options)) func(*server.Options, *keys.Options) {
	return func(o *server.Options, _ *keys.Options) { change(o) }
}

// proxied lets tests set the caller's address in X-Forwarded-For.
var proxied = withOptions(func(o *server.Options) { o.TrustedProxies = []string{"192.0.2.0/24"} })

const (
	refreshName = "__Host-countersign_refresh"
	accessName  = "__Host-countersign_access"
	deviceName  = "__Host-countersign_device"
)

// noToken fails the test if a refresh token is in the body.
func noToken(t *testing.T, r *response) {
	t.Helper()
	if strings.Contains(r.Body.String(), "cs_rt_") || strings.Contains(r.Body.String(), "id_token") {
		t.Errorf("a token is in the body: %s", r.Body)
	}
}

// about reports whether two durations are equal except for rounding.
func about(got, want time.Duration) bool { return got <= want && got > want-3*time.Second }
