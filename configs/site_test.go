package configs

import "testing"

func TestCookieless(t *testing.T) {
	for _, c := range []struct {
		issuer, origin string
		want           bool
	}{
		{"https://auth.example.com", "https://app.example.com", false},
		{"https://auth.example.com:8443", "https://example.com", false},
		{"https://auth.example.com", "http://app.example.com", true}, // sites have schemes
		{"https://auth.example.com", "https://app.example.org", true},
		{"https://a.github.io", "https://b.github.io", true},
		{"https://auth.example.co.uk", "https://app.example.co.uk", false},
		{"http://localhost:8080", "http://localhost:5173", false},
		{"http://localhost:8080", "http://127.0.0.1:5173", true},
		{"http://localhost:8080", "http://127.0.0.1:*", false}, // too many to speak of
		{"https://10.0.0.1", "https://10.0.0.2", true},
	} {
		cfg := &Config{Issuer: c.issuer}
		cfg.SessionCookie.SameSite = "strict"
		if got := len(cfg.Cookieless([]string{c.origin})) > 0; got != c.want {
			t.Errorf("%s at %s: %v, want %v", c.origin, c.issuer, got, c.want)
		}
		cfg.SessionCookie.SameSite = "none"
		if len(cfg.Cookieless([]string{c.origin})) > 0 {
			t.Errorf("%s at %s with same_site none", c.origin, c.issuer)
		}
	}
}
