package clients_test

import (
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"strings"
	"testing"

	"golang.org/x/net/html"
)

// A person is a user who goes where applications lead, and does what the hosted pages ask.
// This needs no browser: other tests check the pages in one.
type person struct {
	t      *testing.T
	s      *server
	client *http.Client
}

// person returns a user with a new browser, that is, without cookies.
func (s *server) person(t *testing.T) *person {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	return &person{t, s, &http.Client{Jar: jar, CheckRedirect: func(r *http.Request, _ []*http.Request) error {
		if !s.hosts(r.URL) {
			return http.ErrUseLastResponse
		}
		return nil
	}}}
}

func (s *server) hosts(u *url.URL) bool { return u.Scheme+"://"+u.Host == s.issuer }

// visit opens an address, follows redirects and fills in pages, and returns the request
// that the browser finally makes to an application.
func (p *person) visit(address string) *http.Request {
	p.t.Helper()
	resp := p.do(p.request(http.MethodGet, address, nil))
	for range 5 {
		to, err := resp.Location()
		if err == nil {
			return p.request(http.MethodGet, to.String(), nil)
		}
		id, action, fields := p.form(resp)
		switch id {
		case "login-form":
			fields.Set("username", username)
			fields.Set("password", password)
		case "consent-form":
			fields.Set("decision", "allow")
		case "logout-form":
		case "form-post":
			return p.request(http.MethodPost, action.String(), fields)
		default:
			p.t.Fatalf("unexpected form %s", id)
		}
		r := p.request(http.MethodPost, action.String(), fields)
		r.Header.Set("Origin", p.s.issuer)
		resp = p.do(r)
	}
	p.t.Fatal("the pages lead in a circle")
	return nil
}

func (p *person) request(method, address string, form url.Values) *http.Request {
	p.t.Helper()
	r, err := http.NewRequestWithContext(p.t.Context(), method, address, strings.NewReader(form.Encode()))
	if err != nil {
		p.t.Fatal(err)
	}
	if method == http.MethodPost {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	return r
}

func (p *person) do(r *http.Request) *http.Response {
	p.t.Helper()
	resp, err := p.client.Do(r)
	if err != nil {
		p.t.Fatal(err)
	}
	p.t.Cleanup(func() { resp.Body.Close() })
	return resp
}

// form returns the last form of a page, with its hidden fields.
func (p *person) form(page *http.Response) (id string, action *url.URL, hidden url.Values) {
	p.t.Helper()
	body, err := io.ReadAll(page.Body)
	if err != nil {
		p.t.Fatal(err)
	}
	root, err := html.Parse(strings.NewReader(string(body)))
	if err != nil {
		p.t.Fatal(err)
	}
	for n := range root.Descendants() {
		switch n.Data {
		case "form":
			id, hidden = attribute(n, "id"), url.Values{}
			if action, err = page.Request.URL.Parse(attribute(n, "action")); err != nil {
				p.t.Fatal(err)
			}
		case "input":
			if attribute(n, "type") == "hidden" {
				hidden.Set(attribute(n, "name"), attribute(n, "value"))
			}
		}
	}
	if id == "" {
		p.t.Fatalf("%s %s: %s, a page without a form\n%s", page.Request.Method, page.Request.URL, page.Status, body)
	}
	return id, action, hidden
}

func attribute(n *html.Node, name string) string {
	for _, a := range n.Attr {
		if a.Key == name {
			return a.Val
		}
	}
	return ""
}
