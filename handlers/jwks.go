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

	last atomic.Pointer[document]
}

// Mount adds the endpoint's routes.
func (h *JWKS) Mount(r gin.IRouter) {
	r.GET("/.well-known/jwks.json", h.jwks)
}

func (h *JWKS) jwks(c *gin.Context) {
	now := time.Now()
	body := h.Keys.JWKS(now)
	d := h.last.Load()
	if d == nil || &d.plain.body[0] != &body[0] { // the ring returns the same bytes until the set changes
		d = newDocument("application/jwk-set+json", body)
		h.last.Store(d)
	}
	d.answer(c, cacheFor(h.Keys.JWKSMaxAge(now)))
}
