package configs

import (
	"net/url"
	"strings"

	"golang.org/x/net/publicsuffix"
)

// Cookieless returns those of the origins whose pages can't sign users in with a
// cookie, because they are on another site than the issuer and session_cookie.same_site
// is not none. It leaves out patterns.
func (c *Config) Cookieless(origins []string) []string {
	var list []string
	for _, o := range origins {
		if c.Issuer != "" && c.SessionCookie.SameSite != "none" && !strings.HasSuffix(o, ":*") && site(o) != site(c.Issuer) {
			list = append(list, o)
		}
	}
	return list
}

// site returns the site of an origin or a URL: its scheme, and the domain that its
// owner registered (https://html.spec.whatwg.org/#sites).
func site(address string) string {
	u, err := url.Parse(address)
	if err != nil {
		return ""
	}
	domain, err := publicsuffix.EffectiveTLDPlusOne(u.Hostname())
	if err != nil {
		domain = u.Hostname() // the host is an IP address, localhost or a public suffix
	}
	return u.Scheme + "://" + domain
}

// OtherSite explains to the operator what it means that a page is Cookieless.
const OtherSite = "is on another site than the issuer, where browsers keep none of our cookies: for browser sign-in there, set session_cookie.same_site to none"
