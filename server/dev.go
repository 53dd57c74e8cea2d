package server

import (
	"cmp"
	"net/http"
	"net/url"
	"slices"

	"github.com/gin-gonic/gin"

	"countersign/uris"
)

// usualPort is where a server for development listens unless it is told otherwise.
const usualPort = "8080"

// cookiePort returns the port that a server for development, which alone has an issuer with
// http, has in the names of its cookies, or "". Browsers send a cookie to every port of a
// host, so two servers on one localhost would sign each other's users out.
func cookiePort(issuer string) string {
	u, err := url.Parse(issuer)
	if err != nil || u.Scheme != "http" || !uris.IsLoopback(u.Hostname()) {
		return ""
	}
	if port := cmp.Or(u.Port(), "80"); port != usualPort {
		return port
	}
	return ""
}

// toIssuersHost leads a browser that opens a page of a server for development by another
// name of this machine, such as 127.0.0.1, to the issuer's. The names are different sites:
// cookies of one aren't sent to the other, and its pages may not use ours.
func toIssuersHost(issuer *url.URL) gin.HandlerFunc {
	demo := []string{issuer.Path, issuer.Path + "/", issuer.Path + "/demo", issuer.Path + "/demo/index.html"}
	return func(c *gin.Context) {
		r := c.Request
		here := url.URL{Host: r.Host}
		page := r.Header.Get("Sec-Fetch-Mode") == "navigate" || slices.Contains(demo, r.URL.Path)
		if !page || r.Method != http.MethodGet && r.Method != http.MethodHead {
			return
		}
		// A proxy that says another port than the issuer's has its own names: its browser may
		// be at the issuer's host already.
		if here.Host == issuer.Host || here.Port() != issuer.Port() || !uris.IsLoopback(here.Hostname()) || !uris.IsLoopback(issuer.Hostname()) {
			return
		}
		c.Redirect(http.StatusFound, issuer.Scheme+"://"+issuer.Host+r.URL.RequestURI())
		c.Abort()
	}
}
