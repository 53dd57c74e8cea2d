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

func TestPlainHTTP(t *testing.T) {
	for origin, loopback := range map[string]bool{
		"http://app.example.com": false, "http://10.0.0.1:8080": false, "http://intranet": false, "http://localhost.example.com": false,
		"http://[2001:db8::1]": false, "http://128.0.0.1": false, "http://0.0.0.0:8080": false,
		"http://localhost": true, "http://localhost:5173": true, "http://127.0.0.1:3000": true, "http://127.0.0.9": true, "http://[::1]:3000": true,
		"http://localhost:*": true, "http://127.0.0.1:*": true, "https://app.example.com": true, "https://localhost:*": true,
	} {
		if err := (origins.For("https://auth.example.com")).Check(origin); (err == nil) != loopback {
			t.Errorf("%s for an https issuer: %v", origin, err)
		}
		if err := (origins.Rules{}).Check(origin); (err == nil) != loopback {
			t.Errorf("%s without rules: %v", origin, err)
		}
		if err := (origins.For("http://localhost:8080")).Check(origin); err != nil {
			t.Errorf("%s for an http issuer: %v", origin, err)
		}
	}
}

func TestPorts(t *testing.T) {
	for _, port := range []string{":0", ":65536", ":99999", ":100000", ":080", ":00443", ":", ":-1", ":+1", ": 1", ":1x", ":١", ":*:*"} {
		for _, host := range []string{"https://app.example.com", "http://localhost", "http://127.0.0.1", "http://[::1]"} {
			if origins.Check(host+port) == nil || origins.For("http://localhost").Check(host+port) == nil {
				t.Errorf("%s is accepted", host+port)
			}
			if origins.Match(host+":*", host+port) {
				t.Errorf("%s matches any port", host+port)
			}
		}
	}
	for _, port := range []string{"", ":1", ":5173", ":65535"} {
		if !origins.Match("http://localhost:*", "http://localhost"+port) {
			t.Errorf("http://localhost%s doesn't match any port", port)
		}
	}
	if origins.Match("http://localhost:*", "http://localhost:*") || origins.Match("http://localhost:*", "http://localhost:80") {
		t.Error("an origin that no browser sends matches any port")
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
