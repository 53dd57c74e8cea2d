package server_test

import (
	"net/http"
	"strings"
	"testing"

	"countersign/keys"
	"countersign/server"
)

// Sec-Fetch-Site decides about a form where a browser sends it; the Origin beside it must
// agree. Text browsers send neither. Every answer is a page, that of /signup too, whose
// address applications share.
func TestFormsCountByWhatTheBrowserSaysOfThem(t *testing.T) {
	a := newApp(t)
	const foreign = "https://evil.example"
	for _, c := range []struct {
		header []string
		ours   bool
	}{
		{nil, true}, // a text browser
		{[]string{"Origin", issuer}, true},
		{[]string{"Origin", issuer, "Sec-Fetch-Site", "same-origin"}, true},
		{[]string{"Sec-Fetch-Site", "same-origin"}, true},
		{[]string{"Origin", "null", "Sec-Fetch-Site", "same-origin"}, true}, // Referrer-Policy: no-referrer, by a proxy
		{[]string{"Sec-Fetch-Site", "none"}, true},
		{[]string{"Origin", "null"}, false},
		{[]string{"Origin", "null", "Sec-Fetch-Site", "cross-site"}, false},
		{[]string{"Origin", "null", "Sec-Fetch-Site", "none"}, false},
		{[]string{"Origin", issuer, "Sec-Fetch-Site", "cross-site"}, false},
		{[]string{"Origin", issuer, "Sec-Fetch-Site", "same-site"}, false},
		{[]string{"Origin", issuer, "Sec-Fetch-Site", "SAME-ORIGIN"}, false},
		{[]string{"Origin", issuer, "Sec-Fetch-Site", ""}, false},
		{[]string{"Origin", issuer, "Sec-Fetch-Site", "same-origin, cross-site"}, false},
		{[]string{"Origin", issuer, "Sec-Fetch-Site", "same-origin", "Sec-Fetch-Site", "same-origin"}, false},
		{[]string{"Sec-Fetch-Site", "cross-site"}, false},
		{[]string{"Sec-Fetch-Site", "same-site"}, false},
		{[]string{"Origin", foreign}, false},
		{[]string{"Origin", foreign, "Sec-Fetch-Site", "same-origin"}, false},
		{[]string{"Origin", foreign, "Sec-Fetch-Site", "none"}, false},
		{[]string{"Origin", origin, "Sec-Fetch-Site", "same-site"}, false}, // applications send no forms
		{[]string{"Origin", issuer, "Origin", foreign, "Sec-Fetch-Site", "same-origin"}, false},
		{[]string{"Origin", "http://auth.example.com", "Sec-Fetch-Site", "same-origin"}, false},
		{[]string{"Origin", "", "Sec-Fetch-Site", "same-origin"}, false},
	} {
		for _, path := range []string{"/login", "/signup", "/forgot", "/reset", "/verify", "/logout"} {
			got := a.do(http.MethodPost, path, "username=&password=", append([]string{
				"Content-Type", "application/x-www-form-urlencoded", "Accept", "text/html,*/*;q=0.8",
			}, c.header...)...)
			if refused := strings.Contains(got.Body.String(), "Request from another site"); refused == c.ours || !c.ours && got.Code != http.StatusForbidden {
				t.Errorf("%s with %q: %d", path, c.header, got.Code)
			}
			if kind := got.Header().Get("Content-Type"); got.Code != http.StatusSeeOther && !strings.HasPrefix(kind, "text/html") {
				t.Errorf("%s with %q: %d with Content-Type %q, want a page", path, c.header, got.Code, kind)
			}
		}
	}
	// A text browser signs up and is signed in.
	got := a.do(http.MethodPost, "/signup", form("username", "lynx", "password", password).Encode(), "Content-Type", "application/x-www-form-urlencoded")
	got.want(http.StatusSeeOther).setCookie("__Host-countersign_login")
}

// Proxies write addresses with ports and brackets, too.
func TestForwardedAddressesMayHavePorts(t *testing.T) {
	a := newApp(t, proxied)
	for given, want := range map[string]string{
		"198.51.100.7:5678":                          "198.51.100.7",
		"[2001:db8::7]:443":                          "2001:db8::7",
		"[2001:db8::7]":                              "2001:db8::7",
		"2001:DB8:0::7":                              "2001:db8::7",
		"::ffff:198.51.100.7":                        "198.51.100.7",
		"[::ffff:198.51.100.7]:1":                    "198.51.100.7",
		"10.0.0.1:1, 198.51.100.7:5678":              "198.51.100.7",
		"198.51.100.7:5678 ,  192.0.2.9:80":          "198.51.100.7", // the last is a proxy
		"198.51.100.7:99999":                         "192.0.2.1",
		"[198.51.100.7]":                             "192.0.2.1",
		"fe80::7%eth0":                               "fe80::7",
		"[fe80::7%eth0]:443":                         "fe80::7",
		"[2001:db8::7":                               "192.0.2.1",
		"unknown":                                    "192.0.2.1",
		"unknown, 198.51.100.7:80":                   "198.51.100.7",
		strings.Repeat("1.1.1.1:1,", 99) + "unknown": "192.0.2.1",
	} {
		before := len(a.logs.String())
		a.do(http.MethodGet, "/healthz", "", "X-Forwarded-For", given)
		if line := a.logs.String()[before:]; !strings.Contains(line, `"address":"`+want+`"`) {
			t.Errorf("%q is read as %s, want %s", given, line, want)
		}
	}
}

func TestForwardedAddressesOfStrangersAreWarnedOfOnce(t *testing.T) {
	for name, c := range map[string]struct {
		trusted []string
		want    int
	}{"no proxy": {nil, 1}, "another": {[]string{"192.0.2.7"}, 1}, "trusted": {[]string{"192.0.2.1"}, 0}} {
		a := newApp(t, func(o *server.Options, _ *keys.Options) { o.TrustedProxies = c.trusted })
		a.do(http.MethodGet, "/healthz", "")
		for range 3 {
			a.do(http.MethodGet, "/healthz", "", "X-Forwarded-For", "198.51.100.7")
		}
		if n := strings.Count(a.logs.String(), "trusted_proxies"); n != c.want {
			t.Errorf("%s: %d warnings, want %d", name, n, c.want)
		}
	}
}
