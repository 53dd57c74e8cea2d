// Package uris reads URIs strictly: it refuses any URI that browsers and this server
// would read differently.
package uris

import (
	"errors"
	"net"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
)

// MaxLength bounds a URI, in bytes.
const MaxLength = 2048

// Parse parses an absolute URI without credentials or a fragment. It first refuses
// characters that no URI has (RFC 3986 section 2): Go and browsers read URIs with them
// differently, above all with a backslash.
func Parse(uri string) (*url.URL, error) {
	if len(uri) > MaxLength {
		return nil, errors.New("must not be longer than " + strconv.Itoa(MaxLength) + " bytes")
	}
	if strings.ContainsFunc(uri, NotInURI) {
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

// NotInURI reports whether a character is one that no URI has.
func NotInURI(r rune) bool { return r <= ' ' || r > '~' || strings.ContainsRune("\"<>\\^`{|}", r) }

// CheckHost returns what is wrong with the host and port of an http or https URI.
func CheckHost(u *url.URL) error {
	host, port := u.Hostname(), u.Port()
	if host == "" || u.Opaque != "" {
		return errors.New("must have a host")
	}
	// Go's idea of the host must be everything between the slashes: no empty port, no
	// percent-encoding.
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

// IsHost reports whether s is a DNS name, which may end in a dot, or an IP address.
func IsHost(s string) bool {
	_, err := netip.ParseAddr(s)
	return err == nil || validHostname(strings.TrimSuffix(s, "."))
}

// validHostname reports whether host is a DNS name or an IPv4 address. Browsers take
// any name that ends in a number for an IPv4 address.
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

// IsLoopback reports whether a host is localhost or a loopback address.
func IsLoopback(host string) bool {
	a, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && a.IsLoopback()
}
