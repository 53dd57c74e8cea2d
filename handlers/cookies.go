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
	HTTPS    bool
	Domain   string        // shared with the hosts below it; empty: this host only
	SameSite http.SameSite // Lax, Strict or None
	// AccessCookie says that access tokens travel in a cookie, too.
	AccessCookie bool
}

// The names of our cookies, without the prefix.
const (
	refreshCookie      = "countersign_refresh"
	accessCookie       = "countersign_access"
	loginCookie        = "countersign_login"  // the token of the browser's login
	knownBrowserCookie = "countersign_device" // see KnownBrowsers
)

// name returns a cookie's name with its prefix, with which browsers refuse the cookie from
// connections without HTTPS (RFC 6265bis section 4.1.3). __Host- makes them refuse it from
// other hosts, too; with a Domain, any host of that domain can set it.
func (k *Cookies) name(base string) string {
	switch {
	case !k.HTTPS:
		return base
	case k.Domain != "":
		return "__Secure-" + base
	default:
		return "__Host-" + base
	}
}

// set makes the browser keep a value for life, and delete it if life is not positive.
func (k *Cookies) set(c *gin.Context, base, value string, life time.Duration) {
	cookie := &http.Cookie{
		Name: k.name(base), Value: value, Path: "/", Domain: k.Domain, MaxAge: int(life / time.Second),
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
}

// maxCookies bounds how many cookies of one name we look at.
const maxCookies = 4

// values returns the browser's cookie values under a name. There are several if another
// host of the domain has set its own.
func (k *Cookies) values(r *http.Request, base string) []string {
	var found []string
	for _, cookie := range r.CookiesNamed(k.name(base)) {
		if cookie.Value != "" && len(found) < maxCookies {
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
