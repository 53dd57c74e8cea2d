package server_test

import (
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"strings"
	"testing"

	"golang.org/x/net/html"
)

// person is a user with a browser, who follows where applications and pages lead.
type person struct {
	a   *app
	jar *cookiejar.Jar
	// language is what the browser asks for.
	language string
}

// person opens a new browser.
func (a *app) person() *person {
	jar, _ := cookiejar.New(nil)
	return &person{a: a, jar: jar, language: "en"}
}

func (p *person) site() *url.URL {
	u, err := url.Parse(p.a.options.Issuer)
	if err != nil {
		p.a.t.Fatal(err)
	}
	return u
}

func (p *person) do(method, target, body string, header ...string) *response {
	p.a.t.Helper()
	header = append([]string{"Accept-Language", p.language}, header...)
	for _, c := range p.jar.Cookies(p.site()) {
		header = append(header, "Cookie", c.Name+"="+c.Value)
	}
	r := p.a.do(method, target, body, header...)
	p.jar.SetCookies(p.site(), r.Result().Cookies())
	return r
}

// lapse has the browser forget its login, as when that has expired.
func (p *person) lapse() {
	p.jar.SetCookies(p.site(), []*http.Cookie{{Name: "__Host-countersign_login", Path: "/", Secure: true, MaxAge: -1}})
}

// open follows a link from any site.
func (p *person) open(target string) *response {
	p.a.t.Helper()
	return p.do(http.MethodGet, target, "", "Sec-Fetch-Site", "cross-site")
}

// submit sends a form of one of our pages.
func (p *person) submit(path string, f url.Values) *response {
	p.a.t.Helper()
	return p.do(http.MethodPost, path, f.Encode(),
		"Content-Type", "application/x-www-form-urlencoded", "Origin", issuer, "Sec-Fetch-Site", "same-origin")
}

// post sends a form from a page of another site, so the browser leaves out our cookies.
func (p *person) post(path string, f url.Values) *response {
	p.a.t.Helper()
	return p.a.do(http.MethodPost, path, f.Encode(),
		"Content-Type", "application/x-www-form-urlencoded", "Origin", "https://elsewhere.example.org", "Sec-Fetch-Site", "cross-site")
}

// follow follows redirects until one leaves the server or a page is shown.
func (p *person) follow(r *response) *response {
	p.a.t.Helper()
	for range 10 {
		to := r.Header().Get("Location")
		if to == "" || !strings.HasPrefix(to, "/") && !strings.HasPrefix(to, issuer+"/") {
			return r
		}
		r = p.open(strings.TrimPrefix(to, issuer))
	}
	p.a.t.Fatal("the pages lead in a circle")
	return nil
}

// The code_verifier of all requests, and its challenge.
const pkceVerifier = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"

func challengeOf(verifier string) string {
	sum := sha256.Sum256([]byte(verifier))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// The redirect URIs of the test clients.
const (
	spaCallback = "https://client.example.com/callback"
	rpCallback  = "https://rp.example.net/callback?keep=this"
	rpSignedOut = "https://rp.example.net/signed-out"
)

// request makes an authorization request of a client. Pairs change it; an empty value
// removes a parameter.
func authorization(client string, pairs ...string) url.Values {
	f := form("response_type", "code", "client_id", client, "redirect_uri", spaCallback, "scope", "openid",
		"state", "the state", "nonce", "the nonce", "code_challenge", challengeOf(pkceVerifier), "code_challenge_method", "S256")
	if client == "rp" {
		f.Set("redirect_uri", rpCallback)
	}
	for i := 0; i < len(pairs); i += 2 {
		if f.Set(pairs[i], pairs[i+1]); pairs[i+1] == "" {
			f.Del(pairs[i])
		}
	}
	return f
}

// authorize opens an authorization request and follows it.
func (p *person) authorize(f url.Values) *response {
	p.a.t.Helper()
	return p.follow(p.open("/oauth/authorize?" + f.Encode()))
}

// signIn fills in the sign-in page r, and follows the answer.
func (p *person) signIn(r *response, username string) *response {
	p.a.t.Helper()
	f := r.page("login-form")
	f.Set("username", username)
	f.Set("password", password)
	return p.follow(p.submit("/login", f))
}

// page fails the test unless r is a page with the form of that id, and returns the
// form's hidden fields.
func (r *response) page(id string) url.Values {
	r.t.Helper()
	hidden := url.Values{}
	found := false
	root, err := html.Parse(strings.NewReader(r.Body.String()))
	if err != nil {
		r.t.Fatal(err)
	}
	for n := range root.Descendants() {
		if n.Type != html.ElementNode || n.Data != "form" || attribute(n, "id") != id {
			continue
		}
		found = true
		for in := range n.Descendants() {
			if in.Data == "input" && attribute(in, "type") == "hidden" {
				hidden.Set(attribute(in, "name"), attribute(in, "value"))
			}
		}
	}
	if !found {
		r.t.Fatalf("there is no form %s: %d %s\n%s", id, r.Code, r.Header().Get("Location"), r.Body)
	}
	return hidden
}

func attribute(n *html.Node, name string) string {
	for _, a := range n.Attr {
		if a.Key == name {
			return a.Val
		}
	}
	return ""
}

// says fails the test unless r is a page of the status with these texts, that no other
// page may frame or read and no cache may keep.
func (r *response) says(status int, texts ...string) *response {
	r.t.Helper()
	r.want(status)
	for _, text := range texts {
		if !strings.Contains(html.UnescapeString(r.Body.String()), text) {
			r.t.Errorf("the page doesn't say %q:\n%s", text, r.Body)
		}
	}
	r.isPage()
	return r
}

// isPage fails the test unless r has the headers that every page of ours has.
func (r *response) isPage() {
	r.t.Helper()
	for name, want := range map[string]string{
		"Content-Type": "text/html; charset=utf-8", "X-Frame-Options": "DENY", "Cache-Control": "no-store",
		"Referrer-Policy": "same-origin", "X-Content-Type-Options": "nosniff", "Access-Control-Allow-Origin": "",
	} {
		if got := r.Header().Get(name); got != want {
			r.t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	csp := r.Header().Get("Content-Security-Policy")
	if !strings.Contains(csp, "frame-ancestors 'none'") || !strings.Contains(csp, "default-src 'none'") || strings.Contains(csp, "unsafe-inline") {
		r.t.Errorf("Content-Security-Policy: %q", csp)
	}
}

// params fails the test unless r leads to a redirect URI, and returns the parameters.
func (r *response) params(redirectURI string) url.Values {
	r.t.Helper()
	r.want(http.StatusSeeOther)
	to := r.Header().Get("Location")
	rest, found := strings.CutPrefix(to, redirectURI)
	if !found || len(rest) == 0 || rest[0] != '?' && rest[0] != '&' {
		r.t.Fatalf("Location: %q, want %s and parameters", to, redirectURI)
	}
	values, err := url.ParseQuery(rest[1:])
	if err != nil {
		r.t.Fatal(err)
	}
	for name, all := range values {
		if len(all) > 1 {
			r.t.Errorf("%s is there %d times", name, len(all))
		}
	}
	if got := values.Get("iss"); got != issuer {
		r.t.Errorf("iss = %q, want %q", got, issuer)
	}
	for name, value := range r.Header() {
		if strings.HasPrefix(name, "Access-Control-") {
			r.t.Errorf("%s: %v, on a redirect", name, value)
		}
	}
	return values
}

// code fails the test unless r brings the client a code.
func (r *response) code(redirectURI string) string {
	r.t.Helper()
	values := r.params(redirectURI)
	code := values.Get("code")
	if code == "" {
		r.t.Fatalf("no code: %v", values)
	}
	return code
}

// refuses fails the test unless r sends the error to the client.
func (r *response) refuses(redirectURI, code string) url.Values {
	r.t.Helper()
	values := r.params(redirectURI)
	if got := values.Get("error"); got != code {
		r.t.Fatalf("error = %q, want %q: %v", got, code, values)
	}
	if values.Get("code") != "" {
		r.t.Error("there is a code beside the error")
	}
	for _, c := range values.Get("error_description") {
		if c < 0x20 || c > 0x7e || c == '"' || c == '\\' {
			r.t.Errorf("error_description has %q (RFC 6749 section 4.1.2.1)", c)
		}
	}
	return values
}

// exchangeForm asks for the tokens of a code. Pairs change it.
func exchangeForm(client, code string, pairs ...string) url.Values {
	f := form("grant_type", "authorization_code", "client_id", client, "code", code, "redirect_uri", spaCallback, "code_verifier", pkceVerifier)
	if client == "rp" {
		f.Set("redirect_uri", rpCallback)
	}
	for i := 0; i < len(pairs); i += 2 {
		if f.Set(pairs[i], pairs[i+1]); pairs[i+1] == "" {
			f.Del(pairs[i])
		}
	}
	if client == "rp" || client == "legacy" {
		f.Set("client_secret", secret)
	}
	return f
}

// exchange exchanges a code for tokens at the client spa.
func (a *app) exchange(code string, pairs ...string) *response {
	a.t.Helper()
	return a.token(exchangeForm("spa", code, pairs...))
}

// newPerson signs a user up, who then signs in to a client of ours in a new browser.
func (a *app) newPerson(t testing.TB, username string) (*person, *response) {
	t.Helper()
	a.signup(username)
	p := a.person()
	tokens := a.exchange(p.signIn(p.authorize(authorization("spa", "scope", ownScope)), username).code(spaCallback)).want(http.StatusOK)
	return p, tokens
}
