package handlers

import (
	"fmt"
	"net/http"
	"time"

	"github.com/gin-gonic/gin"
)

// Cookies sets and reads our cookies. No script can read them.
type Cookies struct {
	// HTTPS says that browsers reach us over HTTPS. Without it, on localhost, a cookie
	// can't have a prefix that promises HTTPS.
	HTTPS bool
	// Port, if not empty, is part of the names, as in countersign_refresh_8090: it keeps servers
	// for development apart that share a host. Only without HTTPS.
	Port string
	// Domain is what the access token's cookie is shared with: that host and those below
	// it. Empty: this host only, as all other cookies always are.
	Domain   string
	SameSite http.SameSite // Lax, Strict or None
	// AccessCookie says that access tokens travel in a cookie, too.
	AccessCookie bool
}

// The names of our cookies, without the prefix.
const (
	refreshCookie      = "countersign_refresh"
	accessCookie       = "countersign_access"
	loginCookie        = "countersign_login"    // the token of the browser's login
	knownBrowserCookie = "countersign_device"   // see KnownBrowsers
	pendingCookie      = "countersign_request"  // see Hosted.remember
	languageCookie     = "countersign_language" // see Hosted.prefers
	noticeCookie       = "countersign_notice"   // see Me.notify
	bindingCookie      = "countersign_binding"  // what the challenges of this browser's pages are bound to, see Session
	factorCookie       = "countersign_factor"   // the challenge that this browser has to answer at /factor
	enrolCookie        = "countersign_enrol"    // the same at /factor/enrol
	upstreamCookie     = "countersign_upstream" // the request of a user who is at another provider, see Upstreams
	claimsCookie       = "countersign_claims"   // what a provider has said of a user who has something left to do
)

// name returns a cookie's name with its prefix, with which browsers refuse the cookie from
// connections without HTTPS (RFC 6265bis section 4.1.3). __Host- makes them refuse it from
// other hosts, too; with a Domain, any host of that domain can set it.
func (k *Cookies) name(base string) string {
	switch {
	case !k.HTTPS && k.Port != "":
		return base + "_" + k.Port
	case !k.HTTPS:
		return base
	case k.domain(base) != "":
		return "__Secure-" + base
	default:
		return "__Host-" + base
	}
}

// domain returns a cookie's Domain attribute.
func (k *Cookies) domain(base string) string {
	if base == accessCookie {
		return k.Domain
	}
	return ""
}

// set makes the browser keep a value for life, and delete it if life is not positive.
func (k *Cookies) set(c *gin.Context, base, value string, life time.Duration) {
	cookie := &http.Cookie{
		Name: k.name(base), Value: value, Path: "/", Domain: k.domain(base), MaxAge: int(life / time.Second),
		HttpOnly: true, SameSite: k.SameSite,
		// On localhost some browsers refuse Secure, and others require it with
		// SameSite=None.
		Secure: k.HTTPS || k.SameSite == http.SameSiteNoneMode,
	}
	if cookie.MaxAge <= 0 {
		cookie.MaxAge = -1 // zero would say nothing
	}
	http.SetCookie(c.Writer, cookie)
}

// clear makes the browser delete the cookies of its session.
func (k *Cookies) clear(c *gin.Context) {
	k.set(c, refreshCookie, "", 0)
	if k.AccessCookie {
		k.set(c, accessCookie, "", 0)
	}
	k.clearFormer(c)
}

// formerRefreshCookie is the refresh token's cookie as older versions named it if a Domain
// was set. All hosts of the domain got it, so it signs no user in any more.
const formerRefreshCookie = "__Secure-" + refreshCookie

// clearFormer makes the browser delete the cookie formerRefreshCookie, if it has one.
func (k *Cookies) clearFormer(c *gin.Context) {
	if len(k.former(c.Request)) > 0 {
		http.SetCookie(c.Writer, &http.Cookie{
			Name: formerRefreshCookie, Path: "/", Domain: k.Domain, MaxAge: -1, HttpOnly: true, Secure: true, SameSite: k.SameSite,
		})
	}
}

// former returns the values of formerRefreshCookie.
func (k *Cookies) former(r *http.Request) []string {
	if !k.HTTPS || k.Domain == "" {
		return nil
	}
	return valuesNamed(r, formerRefreshCookie)
}

// ending returns all refresh tokens of the browser: those that end when the user signs
// out, or signs in again.
func (k *Cookies) ending(r *http.Request) []string {
	return append(k.values(r, refreshCookie), k.former(r)...)
}

// values returns the browser's cookie values under a name. There are several if another
// program has set its own. The bound on headers bounds their number; a caller must
// find out which are ours before it asks the database.
func (k *Cookies) values(r *http.Request, base string) []string { return valuesNamed(r, k.name(base)) }

// only returns the browser's cookie value under a name; empty if it has none, or several, of
// which it can't tell ours.
func (k *Cookies) only(r *http.Request, base string) string {
	if has := k.values(r, base); len(has) == 1 {
		return has[0]
	}
	return ""
}

func valuesNamed(r *http.Request, name string) []string {
	var found []string
	for _, cookie := range r.CookiesNamed(name) {
		if cookie.Value != "" {
			found = append(found, cookie.Value)
		}
	}
	return found
}

// ParseSameSite reads a SameSite attribute as configured: strict, lax or none.
func ParseSameSite(s string) (http.SameSite, error) {
	switch s {
	case "strict":
		return http.SameSiteStrictMode, nil
	case "lax":
		return http.SameSiteLaxMode, nil
	case "none":
		return http.SameSiteNoneMode, nil
	}
	return 0, fmt.Errorf("SameSite must be strict, lax or none, not %q", s)
}

// Check returns an error unless SameSite is Lax, Strict or None: with any other value the
// cookies would have no such attribute, and each browser its own rule.
func (k *Cookies) Check() error {
	switch k.SameSite {
	case http.SameSiteStrictMode, http.SameSiteLaxMode, http.SameSiteNoneMode:
		return nil
	}
	return fmt.Errorf("SameSite must be strict, lax or none, not %d", k.SameSite)
}
