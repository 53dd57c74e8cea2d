package configs

import (
	"net"
	"net/netip"
	"net/url"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"golang.org/x/net/publicsuffix"
)

// check reports values that can't be, whatever command runs.
func (c *Config) check(r *report) {
	for _, l := range c.leaves() {
		if err := l.errRange(); err != nil {
			r.add(l.key, "%v", err)
		}
	}
	c.checkNames(r)
	c.checkDatabase(r)
	c.checkNetwork(r)
	c.checkTokens(r)
	c.checkKeys(r)
	c.checkPasswords(r)
	c.checkSessionCookie(r)
	c.checkMail(r)
	c.checkClients(r)
}

// checkServe reports what is missing or wrong for serve alone: the other
// commands work on the database and need no issuer and no master key.
func (c *Config) checkServe(r *report) {
	_, p, _ := net.SplitHostPort(c.Listen)
	switch {
	case c.Issuer == "" && c.Dev && (p == "0" || !r.sound("listen")): // for the caller to fill in
	case c.Issuer == "":
		r.add("issuer", "is missing: set it to the https URL that clients reach this server under, such as https://auth.example.com")
	default:
		if fault := issuerFault(c.Issuer, c.Dev); fault != "" {
			r.add("issuer", "%s %s", quote(c.Issuer), fault)
		}
	}
	if c.MasterKey == "" && c.MasterKeyFile == "" {
		r.add("master_key_file", "no master key is given: set this (or COUNTERSIGN_MASTER_KEY_FILE) to a file with, or COUNTERSIGN_MASTER_KEY to, 32 random bytes in base64 (head -c 32 /dev/urandom | base64)")
	}
	c.checkServeMail(r)
}

// issuerFault says what keeps s from being an issuer (RFC 8414 section 2), and
// how to mend it.
func issuerFault(s string, dev bool) string {
	u, err := url.Parse(s)
	switch {
	case err != nil || u.Host == "" || u.Hostname() == "" || u.Opaque != "":
		return "must be a URL such as https://auth.example.com"
	case u.Scheme != "https" && !(dev && u.Scheme == "http" && loopback(u.Hostname())):
		if dev {
			return "must begin with https://, or with http:// on localhost"
		}
		return "must begin with https:// (only --dev allows http, on localhost)"
	case u.User != nil:
		return "must not have a user or password: take out what is before the @"
	case strings.ContainsAny(s, "?#"):
		return "must not have a query or fragment: end it before the ? or #"
	case strings.HasSuffix(s, "/"):
		return "must not end in a slash: take it off"
	case u.Path != "" && (path.Clean(u.Path) != u.Path || u.EscapedPath() != u.Path || strings.ContainsAny(u.Path, "%:*")):
		return "must have a plain path: no //, no dots between slashes, no colon or star, nothing to percent-encode"
	case strings.ToLower(u.Host) != u.Host || !printable(u.Host):
		return "must have its host in lower-case ASCII"
	case u.Port() != "" && !port(u.Port(), 1):
		return "must have a port between 1 and 65535"
	case u.Scheme == "https" && u.Port() == "443" || u.Scheme == "http" && u.Port() == "80":
		return "must not name the scheme's default port, which browsers leave out"
	case strings.HasPrefix(u.Path, "/.well-known"):
		return "must not have a path below /.well-known, where metadata is"
	}
	return ""
}

func (c *Config) checkNames(r *report) {
	if c.Profile != "" && c.Profile != RFC9700 {
		r.add("profile", "must be %s or empty, not %s", RFC9700, quote(c.Profile))
	}
	name := c.ServiceName
	if strings.TrimSpace(name) != name || name == "" || utf8.RuneCountInString(name) > 64 ||
		strings.ContainsFunc(name, func(x rune) bool { return !unicode.IsPrint(x) }) {
		r.add("service_name", "must be 1 to 64 printable characters without spaces around them, not %s", quote(name))
	}
}

func (c *Config) checkNetwork(r *report) {
	for _, l := range []struct{ key, value string }{{"listen", c.Listen}, {"admin_listen", c.AdminListen}} {
		host, p, err := net.SplitHostPort(l.value)
		if l.key == "admin_listen" && l.value == "" {
			continue
		}
		if err != nil || !port(p, 0) || host != "" && !hostname(host) {
			r.add(l.key, "must be host:port, such as :8080 or 127.0.0.1:8080, not %s", quote(l.value))
		}
	}
	for i, s := range c.TrustedProxies {
		_, errAddr := netip.ParseAddr(s)
		network, errNet := netip.ParsePrefix(s)
		if errNet == nil && network.Bits() == 0 {
			r.add(item("trusted_proxies", i), "%s is everybody, who could then claim any address: name your proxies", quote(s))
		}
		if errAddr != nil && errNet != nil {
			r.add(item("trusted_proxies", i), "must be an IP address or a network such as 10.0.0.0/8, not %s", quote(s))
		}
	}
	checkOrigins(r, "cors.allowed_origins", c.CORS.AllowedOrigins)
}

var origin = regexp.MustCompile(`^([a-z][a-z0-9+.-]*)://(\[[0-9a-f:.]+\]|[a-z0-9._-]+)(?::([0-9]+|\*))?$`)

// originFault says what keeps s from being an origin as browsers send it, and
// how to mend it. Origins are compared byte by byte, so one that can never
// match is a mistake best told at the start.
func originFault(s string) string {
	const form = "is not an origin: write scheme://host or scheme://host:port in lower case, without a path; only localhost and 127.0.0.1 may have * as the port"
	m := origin.FindStringSubmatch(s)
	if s == "null" {
		return "is refused, for every sandboxed page and local file has that origin: name the real one"
	}
	if m == nil {
		return form
	}
	scheme, host, p := m[1], m[2], m[3]
	switch {
	case p == "*" && (scheme == "http" || scheme == "https") && (host == "localhost" || host == "127.0.0.1"), p == "":
		return ""
	case !port(p, 1):
		return form
	case scheme == "https" && p == "443", scheme == "http" && p == "80":
		return "would never match, for browsers leave out the usual port: take :" + p + " off"
	}
	return ""
}

func checkOrigins(r *report, key string, list []string) {
	for i, s := range list {
		if fault := originFault(s); fault != "" {
			r.add(item(key, i), "%s %s", quote(s), fault)
		}
	}
}

func (c *Config) checkTokens(r *report) {
	t := c.Tokens
	const idle, absolute, window = "tokens.refresh_idle_ttl", "tokens.refresh_absolute_ttl", "tokens.refresh_replay_window"
	if t.RefreshIdleTTL > t.RefreshAbsoluteTTL {
		r.addPair([]string{idle, absolute}, "%s is longer than %s (%s), which ends a session anyhow: lower the one or raise the other",
			formatDuration(t.RefreshIdleTTL), absolute, formatDuration(t.RefreshAbsoluteTTL))
	}
	const maxWait, forget = "throttle.max_wait", "throttle.window"
	if c.Throttle.Window < c.Throttle.MaxWait {
		r.addPair([]string{forget, maxWait}, "%s is shorter than %s (%s), so that no wait would ever be so long: raise the one or lower the other",
			formatDuration(c.Throttle.Window), maxWait, formatDuration(c.Throttle.MaxWait))
	}
	if t.RefreshReplayWindow >= t.RefreshIdleTTL {
		r.addPair([]string{window, idle}, "%s must be shorter than %s (%s): lower it; 60s is plenty",
			formatDuration(t.RefreshReplayWindow), idle, formatDuration(t.RefreshIdleTTL))
	}
	checkAudiences(r, "tokens.audience", t.Audience)
}

func checkAudiences(r *report, key string, list []string) {
	for i, s := range list {
		if !printable(s) || strings.Contains(s, ",") {
			r.add(item(key, i), "must be printable ASCII without spaces and commas, such as https://api.example.com, not %s", quote(s))
		}
	}
}

// publishMargin is added to the time a key is published before it signs, for
// the work between making a key and answering with it.
const publishMargin = 5 * time.Second

// checkKeys sees to it that the times of a key can be met: verifiers know it
// before it signs, and a token doesn't outlive its publication.
func (c *Config) checkKeys(r *report) {
	const rotation, maxAge, skew, access = "keys.rotation_period", "keys.jwks_max_age", "keys.clock_skew", "tokens.access_ttl"
	k, fd := c.Keys, formatDuration

	if len(k.Algorithms) == 0 {
		r.add("keys.algorithms", "must name at least one of ES256, RS256, PS256, EdDSA")
	}
	for i, alg := range k.Algorithms {
		switch {
		case !slices.Contains(algorithms, alg):
			r.add(item("keys.algorithms", i), "must be ES256, RS256, PS256 or EdDSA, not %s", quote(alg))
		case slices.Contains(k.Algorithms[:i], alg):
			r.add(item("keys.algorithms", i), "%s is here twice: take one out", alg)
		}
	}

	lead := k.JWKSMaxAge + k.ClockSkew + publishMargin
	if room := k.RotationPeriod - k.RotationPeriod/4; lead > room {
		least := (lead + lead/3 + time.Second).Truncate(time.Second)
		r.addPair([]string{rotation, maxAge, skew}, "%s is too short, a key would sign before caches can know it: it is published jwks_max_age + clock_skew + 5s = %s + %s + 5s = %s before it signs, which must fit in 3/4 of this (%s); raise it to %s or more, or lower jwks_max_age",
			fd(k.RotationPeriod), fd(k.JWKSMaxAge), fd(k.ClockSkew), fd(lead), fd(room), fd(least))
	}
	if life := c.Tokens.AccessTTL + k.ClockSkew; life > k.RotationPeriod {
		r.addPair([]string{access, rotation, skew}, "%s is too long, a token could outlive its key's publication: tokens.access_ttl + keys.clock_skew = %s + %s = %s must be at most keys.rotation_period (%s); lower it or raise that",
			fd(c.Tokens.AccessTTL), fd(c.Tokens.AccessTTL), fd(k.ClockSkew), fd(life), fd(k.RotationPeriod))
	}
}

var algorithms = []string{"ES256", "RS256", "PS256", "EdDSA"}

// argon2Floor is the least memory for so many iterations by the OWASP Password
// Storage Cheat Sheet; its rows cost an attacker about the same.
var argon2Floor = []struct {
	iterations int
	memory     ByteSize
}{{5, 7 * MiB}, {4, 9 * MiB}, {3, 12 * MiB}, {2, 19 * MiB}, {1, 46 * MiB}}

func (c *Config) checkPasswords(r *report) {
	p := c.Passwords
	if p.MinLength < 8 || p.MinLength > 256 {
		r.add("passwords.min_length", "must be between 8 (the least by NIST SP 800-63B) and 256, not %d", p.MinLength)
	}
	for _, floor := range argon2Floor {
		if p.Argon2.Iterations < floor.iterations {
			continue
		}
		if p.Argon2.Memory < floor.memory {
			r.addPair([]string{"passwords.argon2.memory", "passwords.argon2.iterations"},
				"%s is too little with iterations: %d, OWASP asks for %s at %d; raise it, or keep to 19MiB and 2",
				p.Argon2.Memory, p.Argon2.Iterations, floor.memory, floor.iterations)
		}
		return
	}
}

// checkSessionCookie finds what would keep browsers from keeping our cookies.
func (c *Config) checkSessionCookie(r *report) {
	s := c.SessionCookie
	if !printable(s.Client) {
		r.add("session_cookie.client", "must be the id of a client, not %s", quote(s.Client))
	}
	if s.Domain != "" && !hostname(s.Domain) {
		r.add("session_cookie.domain", "must be a domain name such as example.com, not %s", quote(s.Domain))
	} else if u, err := url.Parse(c.Issuer); err == nil && s.Domain != "" && c.Issuer != "" && u.Hostname() != s.Domain && !strings.HasSuffix(u.Hostname(), "."+s.Domain) {
		r.add("session_cookie.domain", "must be the issuer's host %s or a domain above it, or browsers refuse the cookies; not %s", u.Hostname(), quote(s.Domain))
	} else if suffix, listed := publicsuffix.PublicSuffix(s.Domain); suffix == s.Domain && (listed || strings.Contains(suffix, ".")) {
		r.add("session_cookie.domain", "must be a domain of yours, not %s, below which anybody can have one: browsers refuse cookies for it", quote(s.Domain))
	}
	if !slices.Contains([]string{"strict", "lax", "none"}, s.SameSite) {
		r.add("session_cookie.same_site", "must be strict, lax or none, not %s", quote(s.SameSite))
	}
}

func item(key string, i int) string { return key + "[" + strconv.Itoa(i) + "]" }

// port reports whether s is a port number, written plainly.
func port(s string, least int) bool {
	n, err := strconv.Atoi(s)
	return err == nil && strconv.Itoa(n) == s && n >= least && n <= 65535
}

var dnsName = regexp.MustCompile(`^[A-Za-z0-9_]([A-Za-z0-9_-]*[A-Za-z0-9_])?(\.[A-Za-z0-9_]([A-Za-z0-9_-]*[A-Za-z0-9_])?)*\.?$`)

func hostname(s string) bool {
	_, err := netip.ParseAddr(s)
	return err == nil || dnsName.MatchString(s)
}

// loopback reports whether a URL's host is this machine.
func loopback(host string) bool {
	addr, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && addr.IsLoopback()
}

// printable reports whether s is text of ASCII that leaves ink.
func printable(s string) bool {
	return s != "" && !strings.ContainsFunc(s, func(x rune) bool { return x <= ' ' || x > '~' })
}
