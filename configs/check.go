package configs

import (
	"math"
	"net"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/net/publicsuffix"

	"countersign/accounts"
	"countersign/clients"
	"countersign/hashing"
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
	c.checkHome(r)
	r.ask(c.Theme.Check(), func(field string) string { return "theme." + field })
	c.checkDatabase(r)
	c.checkNetwork(r)
	c.checkTokens(r)
	c.checkKeys(r)
	c.checkPasswords(r)
	c.checkSignup(r)
	c.checkSessionCookie(r)
	c.checkMail(r)
	c.checkClients(r)
	c.checkUpstreams(r)
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
		if err := oauth.CheckIssuer(c.Issuer, c.Dev); err != nil {
			r.add("issuer", "%s %v", quote(c.Issuer), err)
		}
	}
	if c.MasterKey == "" && c.MasterKeyFile == "" {
		r.add("master_key_file", "no master key is given: set this (or COUNTERSIGN_MASTER_KEY_FILE) to a file with, or COUNTERSIGN_MASTER_KEY to, 32 random bytes in base64 (head -c 32 /dev/urandom | base64)")
	}
	c.checkServeMail(r)
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

// checkHome reports a home_url that leads nowhere, or in a circle.
func (c *Config) checkHome(r *report) {
	home := c.HomeURL
	if home == "" {
		return
	}
	if !uris.IsWebPage(home) {
		r.add("home_url", "must be the https URL of a page of yours, such as https://app.example.com/, not %s", quote(home))
		return
	}
	u, err := url.Parse(home)
	own, errOwn := url.Parse(c.Issuer)
	if err != nil || errOwn != nil || u.Scheme != own.Scheme || u.Host != own.Host {
		return
	}
	if path, ok := strings.CutPrefix(u.Path, own.Path); ok && slices.Contains([]string{"", "/", "/login", "/signup", "/logout"}, path) {
		r.add("home_url", "%s is a page of this server that leads on to home_url: name a page of yours", quote(home))
	}
}

func (c *Config) checkNetwork(r *report) {
	for _, l := range []struct{ key, value string }{{"listen", c.Listen}, {"admin_listen", c.AdminListen}} {
		host, p, err := net.SplitHostPort(l.value)
		if l.key == "admin_listen" && l.value == "" {
			continue
		}
		if err != nil || !port(p, 0) || host != "" && !uris.IsHost(host) {
			r.add(l.key, "must be host:port, such as :8080 or 127.0.0.1:8080, not %s", quote(l.value))
		}
	}
	if r.sound("listen") && r.sound("admin_listen") && overlap(c.Listen, c.AdminListen) {
		r.add("admin_listen", "%s is where listen (%s) takes the public's requests: give it another port", quote(c.AdminListen), c.Listen)
	}
	for i, host := range c.AdminHosts {
		if !uris.IsHost(host) || strings.ToLower(host) != host {
			r.add(item("admin_hosts", i), "must be a domain name in lower case such as auth1.example.com, without a port, not %s", quote(host))
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
	r.checkItems("cors.allowed_origins", c.CORS.AllowedOrigins, origins.For(c.Issuer).Check)
}

func (c *Config) checkTokens(r *report) {
	r.ask(c.Tokens.Check(), func(field string) string { return "tokens." + field })
	r.ask(c.Factors.Check(), func(field string) string { return "factors." + field })
	r.ask(c.Throttle.Check(), func(field string) string { return "throttle." + field })
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
	})
}

// Hashing returns what hashing passwords and secrets may cost. A value that overflows its
// type becomes the type's maximum, which is too large, too.
func (c *Config) Hashing() hashing.Settings {
	a := c.Passwords.Argon2
	return hashing.Settings{
		Argon2: hashing.Argon2{
			MemoryKiB:   uint32(min(max(a.Memory/KiB, 0), math.MaxUint32)),
			Iterations:  uint32(min(max(a.Iterations, 0), math.MaxUint32)),
			Parallelism: uint8(min(max(a.Parallelism, 0), math.MaxUint8)),
		},
		MaxConcurrentHashes: c.Passwords.MaxConcurrentHashes,
	}
}

// SignupNames returns the names that visitors give.
func (c *Config) SignupNames() accounts.SignupNames {
	return accounts.SignupNames{Username: accounts.Need(c.Signup.Username), Email: accounts.Need(c.Signup.Email)}
}

func (c *Config) checkSignup(r *report) {
	r.ask(c.SignupNames().Check(), func(field string) string { return "signup." + field })
	if c.Signup.RequireVerifiedEmail && c.SignupNames().Email == accounts.None {
		r.addPair([]string{"signup.require_verified_email", "signup.email"}, "true needs the addresses that signup.email: none keeps out: set it to optional or required")
	}
}

func (c *Config) checkPasswords(r *report) {
	r.ask(accounts.PasswordPolicy{MinLength: c.Passwords.MinLength}.Check(), func(field string) string { return "passwords." + field })
	r.ask(c.Hashing().CheckStrong(), func(field string) string {
		if field == "max_concurrent_hashes" {
			return "passwords." + field
		}
		return "passwords.argon2." + field
	})
}

// checkSessionCookie reports settings with which browsers would refuse our cookies.
func (c *Config) checkSessionCookie(r *report) {
	s := c.SessionCookie
	if clients.CheckID(s.Client) != nil {
		r.add("session_cookie.client", "must be the id of a client, not %s", quote(s.Client))
	}
	if s.Domain != "" && !uris.IsHost(s.Domain) {
		r.add("session_cookie.domain", "must be a domain name such as example.com, not %s", quote(s.Domain))
	} else if u, err := url.Parse(c.Issuer); err == nil && s.Domain != "" && c.Issuer != "" && u.Hostname() != s.Domain && !strings.HasSuffix(u.Hostname(), "."+s.Domain) {
		r.add("session_cookie.domain", "must be the issuer's host %s or a domain above it, or browsers refuse the cookies; not %s", u.Hostname(), quote(s.Domain))
	} else if suffix, listed := publicsuffix.PublicSuffix(s.Domain); suffix == s.Domain && (listed || strings.Contains(suffix, ".")) {
		r.add("session_cookie.domain", "must be your own domain, not %s: any site can have a domain below that one, and browsers refuse cookies for it", quote(s.Domain))
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

// overlap reports whether one machine can't listen on both host:port pairs, or would take
// the same connections on them. Port 0 is any that is free.
func overlap(a, b string) bool {
	hostA, portA, _ := net.SplitHostPort(a)
	hostB, portB, _ := net.SplitHostPort(b)
	if portA != portB || portA == "0" || a == "" || b == "" {
		return false
	}
	return canonical(hostA) == canonical(hostB) || anyInterface(hostA) || anyInterface(hostB)
}

// anyInterface reports whether a host to listen on stands for all of the machine's.
func anyInterface(host string) bool {
	a, err := netip.ParseAddr(host)
	return host == "" || err == nil && a.Unmap().IsUnspecified()
}

// canonical returns one spelling of a host to listen on.
func canonical(host string) string {
	if a, err := netip.ParseAddr(host); err == nil {
		return a.Unmap().String()
	}
	if host = strings.ToLower(host); host == "localhost" {
		return "127.0.0.1"
	}
	return host
}
