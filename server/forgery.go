package server

import (
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
	list := r.Header.Values("Origin")
	if len(list) != 1 {
		return false
	}
	standing, _ := p.standing(r.Context(), list[0])
	return standing == own
}

// fromOwn reports whether a request comes from our own pages, by the headers that
// browsers set. A request without these headers comes from no page, or from one of our
// own that only reads.
func (p *CORS) fromOwn(r *http.Request) bool {
	origins := r.Header.Values("Origin")
	if len(origins) == 1 && origins[0] == p.own {
		return true
	}
	// Behind a proxy the host may differ, but the scheme must not: a page that came
	// over plain HTTP can be an attacker's.
	scheme, _, _ := strings.Cut(p.own, "://")
	if len(origins) > 1 || len(origins) == 1 && !strings.HasPrefix(origins[0], scheme+"://") {
		return false
	}
	// The standard library allows reads from any page. With our cookies we must not: a
	// read renews nothing, but it may end a session.
	asked := *r
	asked.Method = http.MethodPost
	return http.NewCrossOriginProtection().Check(&asked) == nil
}
