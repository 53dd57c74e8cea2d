package accounts_test

import (
	"net/url"
	"strings"
	"testing"

	"countersign/accounts"
)

func TestRedirectURIs(t *testing.T) {
	for _, uri := range []string{
		"https://app.example.com/cb", "https://app.example.com", "https://app.example.com:8443/cb?x=1&y=%20", "https://192.0.2.1/cb", "https://[2001:db8::1]:8443/cb",
		"http://localhost/cb", "http://localhost:5173/cb", "http://127.0.0.1:5173/cb", "http://127.0.0.1/", "http://[::1]:5173/cb",
		"http://localhost:*", "http://127.0.0.1:*",
		"com.example.app:/cb", "com.example.app://cb", "com.example.app:///cb",
		"https://oauth.pstmn.io/v1/browser-callback",
	} {
		if err := accounts.ValidRedirectURI(uri); err != nil {
			t.Errorf("%q: %v", uri, err)
		}
	}
	for _, uri := range badRedirectURIs {
		if err := accounts.ValidRedirectURI(uri); err == nil {
			t.Errorf("%q is accepted", uri)
		}
	}
}

var badRedirectURIs = []string{
	"", "/cb", "//app.example.com/cb", "app.example.com/cb", "cb",
	"http://app.example.com/cb", "http://localhost.example.com/cb", "http://127.0.0.1.example.com/cb", "http://192.0.2.1/cb", "http://LOCALHOST/cb",
	"https://", "https:///cb", "https:app.example.com", "https:/cb", "https://:443/cb", "https://a.example:/cb", "https://a.example:0/cb", "https://a.example:65536/cb", "https://a.example:080/cb", "https://a.example:x/cb",
	"https://a.example/cb#", "https://a.example/cb#x", "http://localhost:*#", "http://localhost:*/", "http://localhost:*/cb", "https://localhost:*", "http://a.example:*", "http://[::1]:*",
	"https://user@a.example/", "https://user:pw@a.example/", "https://@a.example/",
	"https://*.example.com/cb", "https://a..example/cb", "https://.example/cb", "https://a.example./cb", "https://a%2eexample/cb", "https://bücher.example/cb",
	`https://a.example\@b.example/`, `https:\\a.example\`, "https://a.example/c b", "https://a.example/\tcb", "https://a.example/cb\n", "https://a.example/<x>", "https://a.example/\x00", "https://a.example/%zz",
	"https://1.2.3/cb", "https://0x7f.1/cb", "https://[::1/cb", "https://[2001:DB8::1]/cb", "https://[fe80::1%25eth0]/cb", "https://[127.0.0.1]/cb",
	"javascript:alert(1)", "JavaScript:alert(1)", "data:text/html,x", "vbscript:x", "file:///etc/passwd", "blob:https://a.example/x", "about:blank", "myapp:/cb", "myapp://cb", "com.example.app:cb", "com.example.app:", "urn:ietf:wg:oauth:2.0:oob", "mailto:a@b.de",
	"https://a.example/" + strings.Repeat("a", 2048),
}

func TestRedirectURIMatching(t *testing.T) {
	client := accounts.Client{RedirectURIs: []string{
		"https://app.example.com/cb", "http://127.0.0.1:5173/native", "http://[::1]/native", "com.example.app:/cb",
	}}
	dev := accounts.Client{RedirectURIs: []string{"http://localhost:*"}}
	for _, c := range []struct {
		client accounts.Client
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
		{dev, "http://localhost.evil.example/", false},
		{dev, "http://localhost:3000@evil.example/", false},
		{dev, `http://localhost:3000\@evil.example/`, false},
		{dev, "http://localhost:3000.evil.example/", false},
	} {
		if got := c.client.AllowsRedirectURI(c.uri); got != c.want {
			t.Errorf("%q at %v: %v, want %v", c.uri, c.client.RedirectURIs, got, c.want)
		}
	}
	out := accounts.Client{PostLogoutRedirectURIs: []string{"https://app.example.com/bye"}}
	if !out.AllowsPostLogoutRedirectURI("https://app.example.com/bye") || out.AllowsRedirectURI("https://app.example.com/bye") {
		t.Error("the two lists of redirect URIs are mixed up")
	}
}

func TestOrigins(t *testing.T) {
	for _, origin := range []string{
		"https://app.example.com", "https://app.example.com:8443", "http://localhost:5173", "http://localhost", "http://127.0.0.1:3000", "https://[2001:db8::1]", "https://xn--bcher-kva.example", "http://intranet:8080",
		"http://localhost:*", "https://127.0.0.1:*",
	} {
		if err := accounts.ValidOrigin(origin); err != nil {
			t.Errorf("%q: %v", origin, err)
		}
	}
	for _, origin := range append([]string{
		"null", "*", "https://*", "https://app.example.com/", "https://app.example.com/x", "https://app.example.com?", "https://app.example.com?x", "https://app.example.com#",
		"https://App.example.com", "HTTPS://app.example.com", "https://app.example.com:443", "http://localhost:80", "https://app.example.com:*", "http://localhost:*:*", "http://localhost.example.com:*",
		"com.example.app://x", "ftp://a.example", "https://app.example.com,https://b.example", "https://app.example.com https://b.example",
	}, badOrigins()...) {
		if err := accounts.ValidOrigin(origin); err == nil {
			t.Errorf("%q is accepted", origin)
		}
	}
}

// badOrigins are the bad redirect URIs that aren't bad for being plain http.
func badOrigins() (bad []string) {
	for _, uri := range badRedirectURIs {
		if !strings.HasPrefix(uri, "http://") && uri != "https://localhost:*" {
			bad = append(bad, uri)
		}
	}
	return bad
}

func FuzzRedirectURI(f *testing.F) {
	for _, uri := range badRedirectURIs {
		f.Add(uri)
	}
	f.Add("https://app.example.com/cb")
	f.Add("http://localhost:*")
	f.Add("com.example.app:/cb")
	dev := accounts.Client{RedirectURIs: []string{"http://localhost:*", "http://127.0.0.1:*"}}
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
		if accounts.ValidRedirectURI(uri) != nil || strings.HasSuffix(uri, ":*") {
			return
		}
		u, err := url.Parse(uri)
		switch {
		case err != nil || !u.IsAbs() || u.User != nil || strings.ContainsAny(uri, "#\\ \t\r\n\"<>"):
			t.Errorf("%q is accepted", uri)
		case u.Scheme != "https" && u.Scheme != "http" && !strings.Contains(u.Scheme, "."):
			t.Errorf("%q is accepted with scheme %q", uri, u.Scheme)
		case !(accounts.Client{RedirectURIs: []string{uri}}).AllowsRedirectURI(uri):
			t.Errorf("%q is valid but doesn't match itself", uri)
		}
	})
}

func FuzzOrigin(f *testing.F) {
	for _, uri := range badRedirectURIs {
		f.Add(uri)
	}
	f.Add("https://app.example.com")
	f.Add("http://[::1]:3000")
	f.Fuzz(func(t *testing.T, origin string) {
		if accounts.ValidOrigin(origin) != nil {
			return
		}
		if strings.HasSuffix(origin, "//localhost:*") || strings.HasSuffix(origin, "//127.0.0.1:*") {
			return // the patterns
		}
		u, err := url.Parse(origin)
		if err != nil || u.Scheme+"://"+u.Host != origin || strings.ToLower(origin) != origin || u.Host == "" || strings.ContainsAny(origin, "*@\\?#%") {
			t.Errorf("%q is accepted", origin)
		}
		if err := accounts.ValidRedirectURI(origin + "/cb"); u.Scheme == "https" && err != nil {
			t.Errorf("%q is an origin that can't be redirected to: %v", origin, err)
		}
	})
}
