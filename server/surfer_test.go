package server_test

import (
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"golang.org/x/net/html"

	"countersign/caller"
	"countersign/clients"
	"countersign/keys"
	"countersign/secrecy"
	"countersign/server"
	"countersign/upstreams"
	"time"
)

// listening is a server that takes connections, for tests in which servers call each other.
type listening struct {
	*app
	url string
}

// listen starts a server at an address of its own, which is its issuer. It waits with the
// options until it knows the address.
func listen(t *testing.T, change ...func(url string, o *server.Options)) *listening {
	t.Helper()
	srv := httptest.NewUnstartedServer(nil)
	address := "http://" + srv.Listener.Addr().String()
	a := newApp(t, func(o *server.Options, _ *keys.Options) {
		o.Issuer, o.Dev = address, true
		for _, c := range change {
			c(address, o)
		}
	})
	srv.Config.Handler = a
	srv.Start()
	t.Cleanup(srv.Close)
	return &listening{a, address}
}

// declare registers a client that leads back to a server as a provider of the given id does.
func (l *listening) declare(id string, of *listening) secrecy.Text {
	l.t.Helper()
	_, err := l.Clients.Put(l.t.Context(), time.Now(), clients.Client{ID: "downstream", Settings: clients.Settings{
		Name: "Downstream", FirstParty: true, Grants: []string{"authorization_code"}, Scopes: []string{"openid", "profile", "email"},
		RedirectURIs: []string{of.url + "/login/callback/" + id},
	}}, secret, caller.Operator())
	if err != nil {
		l.t.Fatal(err)
	}
	return secret
}

// provide makes settings of a provider that is another server of ours.
func (l *listening) provide(id string, change ...func(*upstreams.Settings)) upstreams.Declared {
	d := upstreams.Declared{Settings: upstreams.Settings{ID: id, Issuer: l.url, ClientID: "downstream", Name: "Other", Signup: true}, Secret: secret}
	for _, c := range change {
		c(&d.Settings)
	}
	return d
}

// surfer is a browser that goes from server to server.
type surfer struct {
	t      *testing.T
	client *http.Client
	trail  []string // the addresses that it has been led to, cleared by each click
	stopAt string   // it is not led to an address with this beginning; empty: to all
}

func newSurfer(t *testing.T) *surfer {
	jar, _ := cookiejar.New(nil)
	s := &surfer{t: t}
	s.client = &http.Client{Jar: jar, CheckRedirect: func(r *http.Request, via []*http.Request) error {
		s.trail = append(s.trail, r.URL.String())
		if s.stopAt != "" && strings.HasPrefix(r.URL.String(), s.stopAt) || len(via) > 10 {
			return http.ErrUseLastResponse
		}
		r.Header.Del("Origin")
		r.Header.Set("Sec-Fetch-Site", "cross-site")
		return nil
	}}
	return s
}

// shown is a page where a surfer has arrived.
type shown struct {
	s      *surfer
	url    *url.URL
	status int
	body   string
	header http.Header
}

func (s *surfer) send(r *http.Request) *shown {
	s.t.Helper()
	s.trail = nil
	r.Header.Set("Accept-Language", "en")
	r.Header.Set("Accept", "text/html")
	r.Header.Set("User-Agent", "Mozilla/5.0 (X11; Linux x86_64; rv:131.0) Gecko/20100101 Firefox/131.0")
	resp, err := s.client.Do(r)
	if err != nil {
		s.t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	return &shown{s, resp.Request.URL, resp.StatusCode, string(body), resp.Header}
}

// open types an address.
func (s *surfer) open(address string) *shown {
	s.t.Helper()
	r, err := http.NewRequestWithContext(s.t.Context(), http.MethodGet, address, nil)
	if err != nil {
		s.t.Fatal(err)
	}
	return s.send(r)
}

// led is led to an address by another site.
func (s *surfer) led(address string) *shown {
	s.t.Helper()
	r, err := http.NewRequestWithContext(s.t.Context(), http.MethodGet, address, nil)
	if err != nil {
		s.t.Fatal(err)
	}
	r.Header.Set("Sec-Fetch-Site", "cross-site")
	return s.send(r)
}

// post sends a form from a page of an origin.
func (s *surfer) post(address, origin, site string, f url.Values) *shown {
	s.t.Helper()
	r, err := http.NewRequestWithContext(s.t.Context(), http.MethodPost, address, strings.NewReader(f.Encode()))
	if err != nil {
		s.t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("Origin", origin)
	r.Header.Set("Sec-Fetch-Site", site)
	return s.send(r)
}

// form returns the hidden fields of a form of the page, and where it goes. There is none if
// the address is empty.
func (p *shown) form(id string) (f url.Values, to string) {
	p.s.t.Helper()
	root, err := html.Parse(strings.NewReader(p.body))
	if err != nil {
		p.s.t.Fatal(err)
	}
	f = url.Values{}
	for n := range root.Descendants() {
		if n.Type != html.ElementNode || n.Data != "form" || attribute(n, "id") != id {
			continue
		}
		action, err := p.url.Parse(attribute(n, "action"))
		if err != nil {
			p.s.t.Fatal(err)
		}
		to = action.String()
		for in := range n.Descendants() {
			if in.Data == "input" && attribute(in, "type") == "hidden" {
				f.Set(attribute(in, "name"), attribute(in, "value"))
			}
		}
	}
	return f, to
}

// submit fills in and sends a form of the page.
func (p *shown) submit(id string, pairs ...string) *shown {
	p.s.t.Helper()
	f, to := p.form(id)
	if to == "" {
		p.s.t.Fatalf("%s has no form %s: %d\n%s", p.url, id, p.status, p.body)
	}
	return p.s.post(to, p.url.Scheme+"://"+p.url.Host, "same-origin", fill(f, pairs...))
}

var tags = regexp.MustCompile(`<[^>]*>`)

// at fails the test unless the page is that of the server with that beginning of its path,
// and says these texts.
func (p *shown) at(of *listening, path string, status int, texts ...string) *shown {
	p.s.t.Helper()
	if !strings.HasPrefix(p.url.String(), of.url+path) || p.status != status {
		p.s.t.Fatalf("arrived at %s with status %d, want %s%s with %d, by %q\n%s", p.url, p.status, of.url, path, status, p.s.trail, p.body)
	}
	said := html.UnescapeString(p.body + tags.ReplaceAllString(p.body, ""))
	for _, text := range texts {
		if !strings.Contains(said, text) {
			p.s.t.Fatalf("%s doesn't say %q:\n%s", p.url, text, p.body)
		}
	}
	return p
}
