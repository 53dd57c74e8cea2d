package handlers

import (
	"sync/atomic"
	"time"

	"github.com/gin-gonic/gin"

	"countersign/keys"
)

// JWKS serves GET /.well-known/jwks.json, the public signing keys (RFC 7517).
type JWKS struct {
	Keys *keys.Ring

	last atomic.Pointer[keySet]
}

// keySet is an answer, made anew when the keys or their age change.
type keySet struct {
	*document
	body         []byte
	maxAge       time.Duration
	cacheControl []string
}

// Mount adds the endpoint's routes.
func (h *JWKS) Mount(r gin.IRouter) {
	r.GET("/.well-known/jwks.json", h.jwks)
}

func (h *JWKS) jwks(c *gin.Context) {
	now := time.Now()
	body, maxAge := h.Keys.JWKS(now), h.Keys.JWKSMaxAge(now)
	set := h.last.Load()
	if set == nil || &set.body[0] != &body[0] || set.maxAge != maxAge { // the ring returns the same bytes until the set changes
		set = &keySet{newDocument("application/jwk-set+json", body), body, maxAge, cacheFor(maxAge)}
		h.last.Store(set)
	}
	set.answer(c, set.cacheControl)
}
