package configs

import (
	"math"
	"net"
	"net/netip"
	"net/url"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/net/publicsuffix"

	"countersign/accounts"
	"countersign/hashing"
	"countersign/input"
	"countersign/keys"
	"countersign/oauth"
	"countersign/origins"
	"countersign/uris"
)

// check reports invalid values, for every command.
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
	case c.Issuer == "" && c.Dev && (p == "0" || !r.sound("listen")): // the caller fills it in
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

// issuerFault returns why s is no issuer (RFC 8414 section 2), and how to fix it; empty
// if it is one.
func issuerFault(s string, dev bool) string {
	u, err := url.Parse(s)
	switch {
	case err != nil || u.Host == "" || u.Hostname() == "" || u.Opaque != "":
		return "must be a URL such as https://auth.example.com"
	case u.Scheme != "https" && !(dev && u.Scheme == "http" && uris.IsLoopback(u.Hostname())):
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
			r.add(item("trusted_proxies", i), "%s is every machine, and each could then claim any address: name your proxies", quote(s))
		}
		if errAddr != nil && errNet != nil {
			r.add(item("trusted_proxies", i), "must be an IP address or a network such as 10.0.0.0/8, not %s", quote(s))
		}
	}
	r.checkItems("cors.allowed_origins", c.CORS.AllowedOrigins, origins.Check)
}

func (c *Config) checkTokens(r *report) {
	t := c.Tokens
	const idle, absolute, window = "tokens.refresh_idle_ttl", "tokens.refresh_absolute_ttl", "tokens.refresh_replay_window"
	if t.RefreshIdleTTL > t.RefreshAbsoluteTTL {
		r.addPair([]string{idle, absolute}, "%s is longer than %s (%s), which ends a session anyhow: lower the one or raise the other",
			input.Duration(t.RefreshIdleTTL), absolute, input.Duration(t.RefreshAbsoluteTTL))
	}
	const maxWait, forget = "throttle.max_wait", "throttle.window"
	if c.Throttle.Window < c.Throttle.MaxWait {
		r.addPair([]string{forget, maxWait}, "%s is shorter than %s (%s), so that no wait would ever be so long: raise the one or lower the other",
			input.Duration(c.Throttle.Window), maxWait, input.Duration(c.Throttle.MaxWait))
	}
	if t.RefreshReplayWindow >= t.RefreshIdleTTL {
		r.addPair([]string{window, idle}, "%s must be shorter than %s (%s): lower it; 60s is plenty",
			input.Duration(t.RefreshReplayWindow), idle, input.Duration(t.RefreshIdleTTL))
	}
	r.checkItems("tokens.audience", t.Audience, oauth.CheckAudience)
}

// KeyPolicy returns the lifetimes of signing keys and of what depends on them.
func (c *Config) KeyPolicy() keys.Policy {
	return keys.Policy{
		RotationPeriod: c.Keys.RotationPeriod,
		JWKSMaxAge:     c.Keys.JWKSMaxAge,
		ClockSkew:      c.Keys.ClockSkew,
		AccessTTL:      c.Tokens.AccessTTL,
	}
}

func (c *Config) checkKeys(r *report) {
	inKeys := func(field string) string { return "keys." + field }
	r.ask(keys.CheckAlgorithms(c.Keys.Algorithms), inKeys)
	r.ask(c.KeyPolicy().Check(), func(field string) string {
		if field == "access_ttl" {
			return "tokens.access_ttl"
		}
		return inKeys(field)
	}, "keys.rotation_period", "keys.jwks_max_age", "keys.clock_skew", "tokens.access_ttl")
}

// Argon2 returns the cost of hashing a password. A value that overflows its type
// becomes the type's maximum, which is too large, too.
func (c *Config) Argon2() hashing.Argon2 {
	a := c.Passwords.Argon2
	return hashing.Argon2{
		MemoryKiB:   uint32(min(max(a.Memory/KiB, 0), math.MaxUint32)),
		Iterations:  uint32(min(max(a.Iterations, 0), math.MaxUint32)),
		Parallelism: uint8(min(max(a.Parallelism, 0), math.MaxUint8)),
	}
}

func (c *Config) checkPasswords(r *report) {
	if n := c.Passwords.MinLength; n == 0 {
		r.add("passwords.min_length", "must not be 0") // 0 means the default in a policy
	} else {
		r.ask(accounts.PasswordPolicy{MinLength: n}.Check(), func(field string) string { return "passwords." + field })
	}
	inArgon2 := func(field string) string { return "passwords.argon2." + field }
	price, together := c.Argon2(), []string{"passwords.argon2.memory", "passwords.argon2.iterations"}
	if price.Check() != nil { // also for the zero value, which means the default in a price
		r.ask(price.Check(), inArgon2)
	} else {
		r.ask(price.CheckStrong(), inArgon2, together...)
	}
}

// checkSessionCookie reports settings with which browsers would refuse our cookies.
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
		r.add("session_cookie.domain", "must be a domain of yours, not %s, below which any site can have one: browsers refuse cookies for it", quote(s.Domain))
	}
	if !slices.Contains([]string{"strict", "lax", "none"}, s.SameSite) {
		r.add("session_cookie.same_site", "must be strict, lax or none, not %s", quote(s.SameSite))
	}
}

func item(key string, i int) string { return key + "[" + strconv.Itoa(i) + "]" }

// port reports whether s is a port number of at least least, in plain decimal digits.
func port(s string, least int) bool {
	n, err := strconv.Atoi(s)
	return err == nil && strconv.Itoa(n) == s && n >= least && n <= 65535
}

var dnsName = regexp.MustCompile(`^[A-Za-z0-9_]([A-Za-z0-9_-]*[A-Za-z0-9_])?(\.[A-Za-z0-9_]([A-Za-z0-9_-]*[A-Za-z0-9_])?)*\.?$`)

func hostname(s string) bool {
	_, err := netip.ParseAddr(s)
	return err == nil || dnsName.MatchString(s)
}

// printable reports whether s has only visible ASCII characters.
func printable(s string) bool {
	return s != "" && !strings.ContainsFunc(s, func(x rune) bool { return x <= ' ' || x > '~' })
}
