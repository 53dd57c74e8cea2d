package clients

import (
	"errors"
	"slices"
	"strings"

	"countersign/uris"
)

// Patterns for redirect URIs with any port, path and query on the developer's own
// machine. No other redirect URI has wildcards.
var anyLoopback = []string{"http://localhost:*", "http://127.0.0.1:*"}

// CheckRedirectURI returns what is wrong with a redirect URI that a client wants to
// register, or nil. It must be absolute and without a fragment (RFC 6749 section
// 3.1.2), and one of
//   - https://host...
//   - http:// on a loopback host (RFC 8252 section 7.3), or with AnyLoopback one of the
//     patterns http://localhost:* and http://127.0.0.1:*
//   - com.example.app:/..., a scheme its owner can prove (RFC 8252 section 7.1):
//     the dot keeps out javascript:, data: and all else that browsers obey
func (r Rules) CheckRedirectURI(uri string) error {
	if slices.Contains(anyLoopback, uri) {
		if r.AnyLoopback {
			return nil
		}
		return errors.New("stands for any page on localhost, which only serve --dev allows: write the URI in full")
	}
	u, err := uris.Parse(uri)
	switch {
	case err != nil:
		return err
	case u.Scheme == "https":
		return uris.CheckHost(u)
	case u.Scheme == "http" && uris.IsLoopback(u.Hostname()):
		return uris.CheckHost(u)
	case u.Scheme == "http":
		return errors.New("must use https: http is for localhost, 127.0.0.1 and [::1]")
	case !strings.Contains(u.Scheme, "."):
		return errors.New("must have the scheme https, or a private one with a dot in it like com.example.app")
	case u.Host == "" && !strings.HasPrefix(u.Path, "/"):
		return errors.New("must have a / after the scheme")
	}
	return nil
}

// matchRedirectURI reports whether a request may redirect to uri if registered is
// registered. Both must be equal, byte for byte (RFC 9700 section 4.1.3), except for
// the port of a loopback URI, which a native app can't choose in advance (RFC 8252
// section 7.3).
func matchRedirectURI(registered, uri string) bool {
	if registered == uri {
		return !slices.Contains(anyLoopback, uri) // a pattern is no address
	}
	u, err := uris.Parse(uri)
	if err != nil || !strings.HasPrefix(uri, "http://") || !uris.IsLoopback(u.Hostname()) || uris.CheckHost(u) != nil {
		return false // url.Parse accepts a scheme in upper case, too
	}
	if registered == "http://"+u.Hostname()+":*" {
		return true
	}
	r, err := uris.Parse(registered)
	if err != nil || r.Scheme != "http" || r.Hostname() != u.Hostname() {
		return false
	}
	afterR, okR := strings.CutPrefix(registered, "http://"+r.Host)
	afterU, okU := strings.CutPrefix(uri, "http://"+u.Host)
	return okR && okU && afterR == afterU
}
