package accounts

import (
	"errors"
	"net"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// Patterns that stand for any port, path and query on the developer's own
// machine, in place of a redirect URI. Nothing else has wildcards.
var anyLoopback = []string{"http://localhost:*", "http://127.0.0.1:*"}

const maxURI = 2048

// ValidRedirectURI says what is wrong with a redirect URI that a client wants
// to register, or nil. It has to be absolute and without a fragment (RFC 6749
// section 3.1.2), and one of
//   - https://host...
//   - http:// on a loopback host (RFC 8252 section 7.3), or one of the patterns
//     http://localhost:* and http://127.0.0.1:*
//   - com.example.app:/..., a scheme its owner can prove (RFC 8252 section 7.1):
//     the dot keeps out javascript:, data: and all else that browsers obey
func ValidRedirectURI(uri string) error {
	if slices.Contains(anyLoopback, uri) {
		return nil
	}
	u, err := parseURI(uri)
	switch {
	case err != nil:
		return err
	case u.Scheme == "https":
		return validHost(u)
	case u.Scheme == "http" && isLoopback(u.Hostname()):
		return validHost(u)
	case u.Scheme == "http":
		return errors.New("must use https: http is for localhost, 127.0.0.1 and [::1]")
	case !strings.Contains(u.Scheme, "."):
		return errors.New("must have the scheme https, or a private one with a dot in it like com.example.app")
	case u.Host == "" && !strings.HasPrefix(u.Path, "/"):
		return errors.New("must have a / after the scheme")
	}
	return nil
}

// matchRedirectURI reports whether a request may redirect to uri where
// registered is registered: the same, byte for byte (RFC 9700 section 4.1.3),
// but for the port of a loopback URI, which a native app can't choose in
// advance (RFC 8252 section 7.3).
func matchRedirectURI(registered, uri string) bool {
	if registered == uri {
		return !slices.Contains(anyLoopback, uri) // a pattern is no address
	}
	u, err := parseURI(uri)
	if err != nil || !strings.HasPrefix(uri, "http://") || !isLoopback(u.Hostname()) || validHost(u) != nil {
		return false // url.Parse takes a scheme in any case
	}
	if registered == "http://"+u.Hostname()+":*" {
		return true
	}
	r, err := parseURI(registered)
	if err != nil || r.Scheme != "http" || r.Hostname() != u.Hostname() {
		return false
	}
	afterR, okR := strings.CutPrefix(registered, "http://"+r.Host)
	afterU, okU := strings.CutPrefix(uri, "http://"+u.Host)
	return okR && okU && afterR == afterU
}

// ValidOrigin says what is wrong with a web origin, or nil. It has to be
// written as browsers write it, for it is compared byte for byte:
// scheme://host[:port], in lower case, without a default port or a final slash.
// On localhost and 127.0.0.1 the port may be *, for any.
func ValidOrigin(origin string) error {
	switch host, _ := strings.CutSuffix(origin, ":*"); host {
	case "http://localhost", "http://127.0.0.1", "https://localhost", "https://127.0.0.1":
		return nil
	}
	u, err := parseURI(origin)
	if err != nil {
		return err
	}
	if u.Scheme != "https" && u.Scheme != "http" {
		return errors.New("must begin with https:// or http://")
	}
	if err := validHost(u); err != nil {
		return err
	}
	if origin != u.Scheme+"://"+u.Host || origin != strings.ToLower(origin) {
		return errors.New("must be scheme://host or scheme://host:port in lower case, and nothing after it")
	}
	if p := u.Port(); p == "443" && u.Scheme == "https" || p == "80" && u.Scheme == "http" {
		return errors.New("must not name the scheme's default port: browsers leave it out")
	}
	return nil
}

// parseURI parses an absolute URI without credentials or a fragment. Characters
// that no URI has (RFC 3986 section 2) are refused first: they are where Go
// and browsers read a URI differently, the backslash above all.
func parseURI(uri string) (*url.URL, error) {
	if len(uri) > maxURI {
		return nil, errors.New("must not be longer than " + strconv.Itoa(maxURI) + " bytes")
	}
	if strings.ContainsFunc(uri, notInURI) {
		return nil, errors.New("must have only the characters of a URI: percent-encode others, and write a host in Punycode")
	}
	u, err := url.Parse(uri)
	switch {
	case err != nil:
		return nil, errors.New("must be a URI")
	case u.Scheme == "":
		return nil, errors.New("must begin with a scheme, such as https://")
	case strings.Contains(uri, "#"):
		return nil, errors.New("must not have a fragment")
	case u.User != nil:
		return nil, errors.New("must not have a username or password")
	}
	return u, nil
}

// notInURI reports whether a character is one that no URI has.
func notInURI(r rune) bool { return r <= ' ' || r > '~' || strings.ContainsRune("\"<>\\^`{|}", r) }

// validHost says what is wrong with the host and port of an http or https URI.
func validHost(u *url.URL) error {
	host, port := u.Hostname(), u.Port()
	if host == "" || u.Opaque != "" {
		return errors.New("must have a host")
	}
	// What Go calls the host has to be all there is between the slashes: no
	// empty port, no percent-encoding.
	canonical := host
	if strings.Contains(host, ":") {
		a, err := netip.ParseAddr(host)
		if err != nil || a.String() != host || a.Zone() != "" {
			return errors.New("must have an IPv6 address in its canonical form")
		}
		canonical = "[" + host + "]"
	} else if !validHostname(host) {
		return errors.New("must have the host name of one host: no wildcard, no percent-encoding")
	}
	if port != "" {
		if n, err := strconv.Atoi(port); err != nil || n < 1 || n > 65535 || strconv.Itoa(n) != port {
			return errors.New("must have a port from 1 to 65535")
		}
		canonical = net.JoinHostPort(host, port)
	}
	if u.Host != canonical {
		return errors.New("must not have a colon without a port")
	}
	return nil
}

// validHostname reports whether host is a DNS name or an IPv4 address. A name
// that ends in a number is an IPv4 address to browsers, however it is written.
func validHostname(host string) bool {
	labels := strings.Split(host, ".")
	for _, l := range labels {
		if l == "" || len(l) > 63 || strings.Trim(l, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_") != "" {
			return false
		}
	}
	if last := labels[len(labels)-1]; last[0] >= '0' && last[0] <= '9' {
		_, err := netip.ParseAddr(host)
		return err == nil
	}
	return len(host) <= 253
}

func isLoopback(host string) bool {
	a, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && a.IsLoopback()
}
