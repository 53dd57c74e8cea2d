package clients_test

import (
	"net/url"
	"strings"
	"testing"

	"countersign/clients"
	"countersign/uris/uristest"
)

func TestRedirectURIs(t *testing.T) {
	for _, uri := range []string{
		"https://app.example.com/cb", "https://app.example.com", "https://app.example.com:8443/cb?x=1&y=%20", "https://192.0.2.1/cb", "https://[2001:db8::1]:8443/cb",
		"http://localhost/cb", "http://localhost:5173/cb", "http://127.0.0.1:5173/cb", "http://127.0.0.1/", "http://[::1]:5173/cb",
		"http://localhost:*", "http://127.0.0.1:*",
		"https://app.example.com/a.b/..c/.well-known/cb%20?next=/../x&mode=code&y", "https://xn--bcher-kva.example/cb", "http://localhost:8080/cb?x=443",
		"com.example.app:/cb", "com.example.app://cb", "com.example.app:///cb",
		"https://oauth.pstmn.io/v1/browser-callback",
	} {
		if err := (clients.Rules{AnyLoopback: true}).CheckRedirectURI(uri); err != nil {
			t.Errorf("%q: %v", uri, err)
		}
	}
	for _, uri := range uristest.Bad {
		if err := (clients.Rules{AnyLoopback: true}).CheckRedirectURI(uri); err == nil {
			t.Errorf("%q is accepted", uri)
		}
	}
}

func TestRedirectURIMatching(t *testing.T) {
	client := clients.Client{
		Settings: clients.Settings{
			RedirectURIs: []string{
				"https://app.example.com/cb", "http://127.0.0.1:5173/native", "http://[::1]/native", "com.example.app:/cb",
			},
		},
	}
	dev := clients.Client{Settings: clients.Settings{RedirectURIs: []string{"http://localhost:*"}}}
	for _, c := range []struct {
		client clients.Client
		uri    string
		want   bool
	}{
		{client, "https://app.example.com/cb", true},
		{client, "com.example.app:/cb", true},
		{client, "https://app.example.com/cb/", false},
		{client, "https://app.example.com/cb?x=1", false},
		{client, "https://app.example.com/cB", false},
		{client, "https://app.example.com:443/cb", false},
		{client, "https://APP.example.com/cb", false},
		{client, "https://app.example.com/x/../cb", false},
		{client, "https://app.example.com.evil.example/cb", false},
		{client, "", false},
		{client, "http://127.0.0.1:5173/native", true},
		{client, "http://127.0.0.1:49152/native", true}, // RFC 8252 section 7.3
		{client, "http://127.0.0.1/native", true},
		{client, "http://[::1]:49152/native", true},
		{client, "http://127.0.0.1:49152/other", false},
		{client, "http://127.0.0.1:49152/native?x", false},
		{client, "http://127.0.0.1:49152/native#x", false},
		{client, "http://127.0.0.1:*/native", false},
		{client, "http://127.0.0.2:49152/native", false},
		{client, "http://localhost:49152/native", false},
		{client, "https://127.0.0.1:49152/native", false},
		{client, "http://x@127.0.0.1:49152/native", false},
		{client, `http://127.0.0.1:49152\@evil.example/native`, false},
		{dev, "http://localhost", true},
		{dev, "http://localhost/cb", true},
		{dev, "http://localhost:3000/any/path?and=query", true},
		{dev, "http://localhost:*", false}, // a pattern is no address
		{dev, "htTp://localhost", false},
		{dev, "http://localhost:3000/#x", false},
		{dev, "https://localhost:3000/cb", false},
		{dev, "http://127.0.0.1:3000/cb", false},
		{dev, "http://localhost:3000/cb?code=x", false},
		{dev, "http://localhost:3000/cb?x&st%61te=x", false},
		{dev, "http://localhost.evil.example/", false},
		{dev, "http://localhost:3000@evil.example/", false},
		{dev, `http://localhost:3000\@evil.example/`, false},
		{dev, "http://localhost:3000.evil.example/", false},
	} {
		if got := c.client.AllowsRedirectURI(c.uri); got != c.want {
			t.Errorf("%q at %v: %v, want %v", c.uri, c.client.RedirectURIs, got, c.want)
		}
	}
	out := clients.Client{Settings: clients.Settings{PostLogoutRedirectURIs: []string{"https://app.example.com/bye"}}}
	if !out.AllowsPostLogoutRedirectURI("https://app.example.com/bye") || out.AllowsRedirectURI("https://app.example.com/bye") {
		t.Error("the two lists of redirect URIs are mixed up")
	}
}

func FuzzRedirectURI(f *testing.F) {
	for _, uri := range uristest.Bad {
		f.Add(uri)
	}
	f.Add("https://app.example.com/cb")
	f.Add("http://localhost:*")
	f.Add("com.example.app:/cb")
	dev := clients.Client{Settings: clients.Settings{RedirectURIs: []string{"http://localhost:*", "http://127.0.0.1:*"}}}
	f.Fuzz(func(t *testing.T, uri string) {
		if dev.AllowsRedirectURI(uri) {
			rest, ok := strings.CutPrefix(uri, "http://localhost")
			if !ok {
				rest, ok = strings.CutPrefix(uri, "http://127.0.0.1")
			}
			if !ok || rest != "" && !strings.ContainsRune(":/?", rune(rest[0])) || strings.ContainsAny(uri, "\\# \t\r\n") || strings.Contains(strings.SplitN(rest, "/", 2)[0], "@") && !strings.Contains(rest, "?") {
				t.Errorf("%q goes to this machine?", uri)
			}
		}
		if (clients.Rules{AnyLoopback: true}).CheckRedirectURI(uri) != nil || strings.HasSuffix(uri, ":*") {
			return
		}
		u, err := url.Parse(uri)
		switch {
		case err != nil || !u.IsAbs() || u.User != nil || strings.ContainsAny(uri, "#\\ \t\r\n\"<>"):
			t.Errorf("%q is accepted", uri)
		case u.Scheme != "https" && u.Scheme != "http" && !strings.Contains(u.Scheme, "."):
			t.Errorf("%q is accepted with scheme %q", uri, u.Scheme)
		case !(clients.Client{Settings: clients.Settings{RedirectURIs: []string{uri}}}).AllowsRedirectURI(uri):
			t.Errorf("%q is valid but doesn't match itself", uri)
		}
	})
}
