package server

import (
	"context"
	"net/http"
	"strings"

	"github.com/gin-gonic/gin"

	"countersign/handlers"
)

// requireOrigin refuses requests from pages that are neither our own applications' nor
// our own, whatever the method and with or without a cookie. It is what keeps other
// sites from acting with our cookies.
func (p *CORS) requireOrigin() gin.HandlerFunc {
	return func(c *gin.Context) {
		if p.fromOwn(c.Request) || p.fromOwnApplication(c.Request) {
			return
		}
		handlers.OriginNotAllowed(c)
	}
}

// fromOwnApplication reports whether a request comes from a page of our own
// applications.
func (p *CORS) fromOwnApplication(r *http.Request) bool {
	_, known := fetchSite(r)
	list := r.Header.Values("Origin")
	if !known || len(list) != 1 {
		return false
	}
	standing, _ := p.standing(r.Context(), list[0])
	return standing == own
}

// takesPasskeys reports whether pages of an origin are ours, or of our own applications.
func (p *CORS) takesPasskeys(ctx context.Context, origin string) bool {
	if origin == p.own {
		return true
	}
	standing, _ := p.standing(ctx, origin)
	return standing == own
}

// fromOwn reports whether a request comes from our own pages, by the headers that
// browsers set. A request without these headers comes from no page, or from one of our
// own that only reads.
//
// Sec-Fetch-Site decides where a browser sends it: only the browser can set it, and
// Origin is null on our own forms if a proxy gives our pages another Referrer-Policy. The
// Origin beside it must still agree.
func (p *CORS) fromOwn(r *http.Request) bool {
	site, known := fetchSite(r)
	list := r.Header.Values("Origin")
	if !known || site == "cross-site" || site == "same-site" || len(list) > 1 {
		return false
	}
	if len(list) == 0 || list[0] == p.own {
		return true
	}
	if list[0] == "null" {
		return site == "same-origin"
	}
	// People may reach us under another name than the issuer's. The scheme must be the
	// issuer's all the same: a page that came over plain HTTP can be an attacker's.
	scheme, _, _ := strings.Cut(p.own, "://")
	return list[0] == scheme+"://"+r.Host
}

// fetchSite returns what the browser says about where a request comes from
// (https://www.w3.org/TR/fetch-metadata/), empty if it doesn't say. known is false if no
// browser would say it so.
func fetchSite(r *http.Request) (site string, known bool) {
	values := r.Header.Values("Sec-Fetch-Site")
	if len(values) == 0 {
		return "", true
	}
	switch values[0] {
	case "same-origin", "same-site", "cross-site", "none":
		return values[0], len(values) == 1
	}
	return "", false
}
