// Package origins checks and compares web origins (RFC 6454) and patterns of them.
package origins

import (
	"errors"
	"strings"

	"countersign/uris"
)

// Rules are the rules for origins that depend on the server. The zero value refuses what
// it can't judge.
type Rules struct {
	// PlainHTTP lets in pages that came over plain http from another machine.
	PlainHTTP bool
}

// For returns the rules of an issuer's server. A page that came over plain http may be an
// attacker's on the network, so only an issuer without https lets such pages in.
func For(issuer string) Rules { return Rules{PlainHTTP: strings.HasPrefix(issuer, "http://")} }

// Check is the function Check and, unless PlainHTTP, refuses http from any host but a
// loopback one.
func (r Rules) Check(origin string) error {
	if err := Check(origin); err != nil {
		return err
	}
	if _, plain := strings.CutPrefix(origin, "http://"); !plain || r.PlainHTTP || strings.HasSuffix(origin, ":*") {
		return nil
	}
	if u, err := uris.Parse(origin); err != nil || !uris.IsLoopback(u.Hostname()) {
		return errors.New("must use https: an attacker on the network can change a page that comes over http (only localhost, 127.0.0.1 and [::1] may do without)")
	}
	return nil
}

// Check returns what is wrong with the form of a web origin, or nil. It must have the form that
// browsers send, because it is compared byte for byte: scheme://host[:port], in lower
// case, without a default port or a final slash. On localhost and 127.0.0.1 the port
// may be *, for any.
func Check(origin string) error {
	switch host, _ := strings.CutSuffix(origin, ":*"); host {
	case "http://localhost", "http://127.0.0.1", "https://localhost", "https://127.0.0.1":
		return nil
	case "null":
		return errors.New("is the origin of every sandboxed page and local file: name the real one")
	}
	u, err := uris.Parse(origin)
	if err != nil {
		return err
	}
	if u.Scheme != "https" && u.Scheme != "http" {
		return errors.New("must begin with https:// or http://")
	}
	if err := uris.CheckHost(u); err != nil {
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

// Match reports whether origin is pattern, byte for byte, or is on any port where
// the pattern's port is "*".
func Match(pattern, origin string) bool {
	host, anyPort := strings.CutSuffix(pattern, ":*")
	if !anyPort {
		return pattern == origin
	}
	port, found := strings.CutPrefix(origin, host)
	return found && (port == "" || port[0] == ':' && port != ":*" && Check(origin) == nil)
}
