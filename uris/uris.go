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

	"golang.org/x/net/idna"
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
		if err := checkPort(port); err != nil {
			return err
		}
		canonical = net.JoinHostPort(host, port)
	}
	if u.Host != canonical {
		return errors.New("must not have a colon without a port")
	}
	return nil
}

// CheckNormal returns what keeps an http, https or private-scheme URI, which Parse
// parsed as u, from being in the form that browsers bring a URI into (WHATWG URL): they
// write scheme and host in lower case and leave out a default port and dot segments. It
// also refuses an encoded slash or backslash in the path, which some programs decode and
// others do not.
func CheckNormal(uri string, u *url.URL) error {
	if !strings.HasPrefix(uri, u.Scheme+":") {
		return errors.New("must have its scheme in lower case")
	}
	web := u.Scheme == "https" || u.Scheme == "http"
	if web && u.Host != strings.ToLower(u.Host) {
		return errors.New("must have its host in lower case")
	}
	if web && !isALabels(u.Hostname()) {
		return errors.New("must have each part of its host that begins with xn-- in the Punycode that browsers write")
	}
	switch port := u.Port(); {
	case u.Scheme == "https" && port == "443", u.Scheme == "http" && port == "80":
		return errors.New("must leave out the port " + port + ", which is the default: browsers do")
	case port != "":
		if err := checkPort(port); err != nil {
			return err
		}
	}
	for segment := range strings.SplitSeq(u.EscapedPath(), "/") {
		segment = strings.ToLower(segment)
		if plain := strings.ReplaceAll(segment, "%2e", "."); plain == "." || plain == ".." {
			return errors.New("must not have . or .. as a part of its path: browsers take them out")
		}
		if strings.Contains(segment, "%2f") || strings.Contains(segment, "%5c") {
			return errors.New("must not have an encoded / or \\ in its path: some programs decode it, others don't")
		}
	}
	return nil
}

// isALabels reports whether the internationalised labels of a host are as browsers write
// them (RFC 5890 section 2.3.2.1).
func isALabels(host string) bool {
	for label := range strings.SplitSeq(host, ".") {
		if !strings.HasPrefix(label, "xn--") {
			continue
		}
		name, err := idna.Lookup.ToUnicode(label)
		if err != nil {
			return false
		}
		if again, err := idna.Lookup.ToASCII(name); err != nil || again != label {
			return false
		}
	}
	return true
}

// checkPort returns what keeps port from being one that can exist.
func checkPort(port string) error {
	if n, err := strconv.Atoi(port); err != nil || n < 1 || n > 65535 || strconv.Itoa(n) != port {
		return errors.New("must have a port from 1 to 65535")
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

// IsASCII reports whether s is ASCII without DEL, as a host or an address on the wire is.
func IsASCII(s string) bool {
	return strings.IndexFunc(s, func(r rune) bool { return r > '~' }) < 0
}

// IsWebPage reports whether s is a URL that users can be led to: https, or http on loopback
// hosts, without credentials. It may have a fragment.
func IsWebPage(s string) bool {
	uri, fragment, _ := strings.Cut(s, "#")
	u, err := Parse(uri)
	return err == nil && CheckHost(u) == nil && (u.Scheme == "https" || u.Scheme == "http" && IsLoopback(u.Hostname())) &&
		!strings.ContainsFunc(fragment, NotInURI)
}
