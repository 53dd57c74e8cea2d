package handlers

import (
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/gin-gonic/gin"

	"countersign/keys"
)

// JWKS serves GET /.well-known/jwks.json, the public signing keys (RFC 7517).
type JWKS struct {
	Keys *keys.Ring
}

// Mount adds the endpoint's routes.
func (h *JWKS) Mount(r gin.IRouter) {
	r.GET("/.well-known/jwks.json", h.jwks)
}

func (h *JWKS) jwks(c *gin.Context) {
	now := time.Now()
	body, etag := h.Keys.JWKS(now)
	writeCacheable(c, body, etag, "application/jwk-set+json", h.Keys.JWKSMaxAge(now))
}

// writeCacheable answers with bytes that any cache may keep, or with 304 if
// the caller already has them (RFC 9110 section 13.1.2).
func writeCacheable(c *gin.Context, body []byte, etag, contentType string, maxAge time.Duration) {
	c.Header("ETag", etag)
	c.Header("Cache-Control", fmt.Sprintf("public, max-age=%d", int64(maxAge/time.Second)))
	if matches(c.Request.Header.Values("If-None-Match"), etag) {
		c.Status(http.StatusNotModified)
		return
	}
	c.Data(http.StatusOK, contentType, body)
}

// etagOf returns a strong ETag for a body.
func etagOf(body []byte) string {
	sum := sha256.Sum256(body)
	return `"` + base64.RawURLEncoding.EncodeToString(sum[:16]) + `"`
}

// matches reports whether an If-None-Match names the etag, compared weakly.
func matches(headers []string, etag string) bool {
	for one := range strings.SplitSeq(strings.Join(headers, ","), ",") {
		one = strings.TrimSpace(one)
		if one == "*" || strings.TrimPrefix(one, "W/") == etag {
			return true
		}
	}
	return false
}
