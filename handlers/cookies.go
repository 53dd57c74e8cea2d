package handlers

import (
	"net/http"
	"strings"
	"time"

	"github.com/gin-gonic/gin"
)

// Cookies are those that we set in browsers. No script can read them.
type Cookies struct {
	// HTTPS says that browsers reach us over it. Without it, on localhost, a
	// cookie can't have a prefix that promises it.
	HTTPS    bool
	Domain   string        // shared with the hosts below it; empty: this host only
	SameSite http.SameSite // Lax, Strict or None
	// Access puts access tokens into a cookie, too.
	Access bool
}

// What our cookies are called, but for the prefix.
const (
	refreshCookie = "countersign_refresh"
	accessCookie  = "countersign_access"
	deviceCookie  = "countersign_device" // see browser.Known
)

// name is a cookie's name. Its prefix makes browsers refuse it from hosts and over
// connections that it can't be ours from (RFC 6265bis section 4.1.3).
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

// set makes the browser keep a value for so long; not at all if that is over.
func (k *Cookies) set(c *gin.Context, base, value string, life time.Duration) {
	cookie := &http.Cookie{
		Name: k.name(base), Value: value, Path: "/", Domain: k.Domain, MaxAge: int(life / time.Second),
		HttpOnly: true, SameSite: k.SameSite,
		// On localhost some browsers refuse it, and others ask for it with None.
		Secure: k.HTTPS || k.SameSite == http.SameSiteNoneMode,
	}
	if cookie.MaxAge <= 0 {
		cookie.MaxAge = -1 // zero would say nothing
	}
	http.SetCookie(c.Writer, cookie)
}

// clear makes the browser forget its session.
func (k *Cookies) clear(c *gin.Context) {
	k.set(c, refreshCookie, "", 0)
	if k.Access {
		k.set(c, accessCookie, "", 0)
	}
}

// maxCookies is how many cookies of one name are looked at.
const maxCookies = 4

// values are what the browser has under a name: more than one where another host
// of the domain has set its own.
func (k *Cookies) values(r *http.Request, base string) []string {
	var found []string
	for _, cookie := range r.CookiesNamed(k.name(base)) {
		if cookie.Value != "" && len(found) < maxCookies {
			found = append(found, cookie.Value)
		}
	}
	return found
}

// ParseSameSite reads a SameSite attribute as configured.
func ParseSameSite(s string) http.SameSite {
	switch strings.ToLower(s) {
	case "lax":
		return http.SameSiteLaxMode
	case "none":
		return http.SameSiteNoneMode
	default:
		return http.SameSiteStrictMode
	}
}
