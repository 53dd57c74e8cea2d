package origins_test

import (
	"net/url"
	"strings"
	"testing"

	"countersign/origins"
	"countersign/uris/uristest"
)

func TestOrigins(t *testing.T) {
	for _, origin := range []string{
		"https://app.example.com", "https://app.example.com:8443", "http://localhost:5173", "http://localhost", "http://127.0.0.1:3000", "https://[2001:db8::1]", "https://xn--bcher-kva.example", "http://intranet:8080",
		"http://localhost:*", "https://127.0.0.1:*",
	} {
		if err := origins.Check(origin); err != nil {
			t.Errorf("%q: %v", origin, err)
		}
	}
	for _, origin := range append([]string{
		"null", "*", "https://*", "https://app.example.com/", "https://app.example.com/x", "https://app.example.com?", "https://app.example.com?x", "https://app.example.com#",
		"https://App.example.com", "HTTPS://app.example.com", "https://app.example.com:443", "http://localhost:80", "https://app.example.com:*", "http://localhost:*:*", "http://localhost.example.com:*",
		"com.example.app://x", "ftp://a.example", "https://app.example.com,https://b.example", "https://app.example.com https://b.example",
	}, badOrigins()...) {
		if err := origins.Check(origin); err == nil {
			t.Errorf("%q is accepted", origin)
		}
	}
}

// badOrigins are the bad redirect URIs, without those refused only for plain http.
func badOrigins() (bad []string) {
	for _, uri := range uristest.Bad {
		if !strings.HasPrefix(uri, "http://") && uri != "https://localhost:*" {
			bad = append(bad, uri)
		}
	}
	return bad
}

func FuzzOrigin(f *testing.F) {
	for _, uri := range uristest.Bad {
		f.Add(uri)
	}
	f.Add("https://app.example.com")
	f.Add("http://[::1]:3000")
	f.Fuzz(func(t *testing.T, origin string) {
		if origins.Check(origin) != nil {
			return
		}
		if strings.HasSuffix(origin, "//localhost:*") || strings.HasSuffix(origin, "//127.0.0.1:*") {
			return // the patterns
		}
		u, err := url.Parse(origin)
		if err != nil || u.Scheme+"://"+u.Host != origin || strings.ToLower(origin) != origin || u.Host == "" || strings.ContainsAny(origin, "*@\\?#%") {
			t.Errorf("%q is accepted", origin)
		}
	})
}
