package configs

import (
	"net/url"
	"strings"

	"golang.org/x/net/publicsuffix"
)

// Cookieless returns those of the origins whose pages can't sign users in by a
// cookie: they are on another site than the issuer, and session_cookie.same_site is for
// the same one. Patterns of many origins are left out.
func (c *Config) Cookieless(origins []string) []string {
	var list []string
	for _, o := range origins {
		if c.Issuer != "" && c.SessionCookie.SameSite != "none" && !strings.HasSuffix(o, ":*") && site(o) != site(c.Issuer) {
			list = append(list, o)
		}
	}
	return list
}

// site is the site of an origin or a URL: its scheme, and the domain that its owner
// registered (https://html.spec.whatwg.org/#sites).
func site(address string) string {
	u, err := url.Parse(address)
	if err != nil {
		return ""
	}
	domain, err := publicsuffix.EffectiveTLDPlusOne(u.Hostname())
	if err != nil {
		domain = u.Hostname() // an IP address, localhost, a suffix itself
	}
	return u.Scheme + "://" + domain
}

// OtherSite says what it means that a page is Cookieless.
const OtherSite = "is on another site than the issuer, where browsers keep none of our cookies: for browser sign-in there, set session_cookie.same_site to none"
