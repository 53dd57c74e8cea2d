package configs

import (
	"net/url"
	"slices"
	"strings"
)

var grants = []string{"password", "refresh_token", "authorization_code", "client_credentials"}

func (c *Config) checkClients(r *report) {
	first := map[string]int{}
	for i := range c.Clients {
		key, cl := item("clients", i), &c.Clients[i]
		c.checkClient(r, key, cl)
		if cl.ID == "" {
			continue
		}
		if j, ok := first[cl.ID]; ok {
			r.add(key+".id", "%s is the id of %s too: give each client its own", quote(cl.ID), item("clients", j))
			continue
		}
		first[cl.ID] = i
	}
}

func (c *Config) checkClient(r *report, key string, cl *Client) {
	check := func(ok bool, field, format string, args ...any) {
		if !ok {
			r.add(key+field, format, args...)
		}
	}
	asks := func(grant string) bool { return slices.Contains(cl.Grants, grant) }

	check(printable(strings.ReplaceAll(cl.ID, " ", "-")) && len(cl.ID) <= 128, ".id", "must be 1 to 128 printable ASCII characters, not %s", quote(cl.ID))
	secret := cl.SecretFile != "" || cl.Secret != ""
	check(!cl.Public || !secret, ".secret_file", "a public client has no secret: take this out, or set public: false")
	check(cl.Public || secret || !r.sound(key+".public"), ".secret_file", "is missing: name the file with this client's secret, or set public: true if it can keep none")
	check(!cl.Public || !cl.MayIntrospect, ".may_introspect", "needs a secret, which a public client has not: set it to false")
	check(!cl.Public || !cl.PKCEOptional, ".pkce_optional", "is for clients with a secret (RFC 9700 section 2.1.1): set it to false")

	check(len(cl.Grants) > 0, ".grants", "is empty: name at least one of %s", strings.Join(grants, ", "))
	for i, g := range cl.Grants {
		check(slices.Contains(grants, g), item(".grants", i), "must be one of %s, not %s", strings.Join(grants, ", "), quote(g))
		check(!slices.Contains(cl.Grants[:i], g), item(".grants", i), "%s is here twice: take one out", quote(g))
	}
	check(!asks("password") || cl.FirstParty || !r.sound(key+".first_party"), ".grants", "password is for our own applications: set first_party: true if this is one, or take it out")
	check(!asks("client_credentials") || !cl.Public, ".grants", "client_credentials needs a secret, which a public client has not (RFC 6749 section 4.4): take it out, or give the client a secret_file")
	check(!asks("authorization_code") || len(cl.RedirectURIs) > 0, ".redirect_uris", "is empty, but authorization_code needs at least one")

	checkRedirects(r, key+".redirect_uris", cl.RedirectURIs, c.Dev)
	checkRedirects(r, key+".post_logout_redirect_uris", cl.PostLogoutRedirectURIs, c.Dev)
	checkOrigins(r, key+".origins", cl.Origins)
	for i, s := range cl.Scopes {
		// scope-token of RFC 6749 section 3.3
		check(printable(s) && !strings.ContainsAny(s, `"\`), item(".scopes", i), `must be printable ASCII without spaces, " and \, not %s`, quote(s))
	}
	checkAudiences(r, key+".audiences", cl.Audiences)
	check(cl.IDTokenAlg == "" || slices.Contains(c.Keys.Algorithms, cl.IDTokenAlg), ".id_token_alg",
		"must be one of keys.algorithms (%s), not %s", strings.Join(c.Keys.Algorithms, ", "), quote(cl.IDTokenAlg))
}

func checkRedirects(r *report, key string, list []string, dev bool) {
	for i, s := range list {
		if fault := redirectFault(s, dev); fault != "" {
			r.add(item(key, i), "%s %s", quote(s), fault)
		}
	}
}

// redirectFault says what keeps s from being a redirect URI (RFC 6749 section
// 3.1.2, RFC 8252 section 7), and how to mend it.
func redirectFault(s string, dev bool) string {
	if slices.Contains(localhostPattern, s) {
		if dev {
			return ""
		}
		return "stands for any page on localhost, which only --dev allows: write the URI in full"
	}
	u, err := url.Parse(s)
	switch {
	case err != nil || !printable(s) || strings.Contains(s, `\`) || u.Scheme == "":
		return "is not an absolute URI: write it in full, such as https://app.example.com/callback"
	case strings.Contains(s, "#"):
		return "must not have a fragment: end it before the #"
	case u.User != nil:
		return "must not have a user or password: take out what is before the @"
	case u.Scheme == "https" && u.Hostname() != "", u.Scheme == "http" && loopback(u.Hostname()), strings.Contains(u.Scheme, "."):
		return ""
	}
	return "must be https, http on localhost, or have a private-use scheme with a dot such as com.example.app:/callback"
}
