package server

import (
	"regexp"
	"strings"

	"github.com/gin-gonic/gin"

	"countersign/handlers"
)

// zone matches the zone of an IPv6 address (RFC 4007), as in fe80::1%eth0: a name of this
// machine's, or of a proxy's.
var zone = regexp.MustCompile(`%[^\]:,\s]*`)

// withoutZones leaves out the zones of addresses. gin reads no address that has one, and the
// caller would be a stranger without an address.
func withoutZones(c *gin.Context) {
	if strings.Contains(c.Request.RemoteAddr, "%") {
		c.Request.RemoteAddr = zone.ReplaceAllString(c.Request.RemoteAddr, "")
	}
	values := c.Request.Header.Values(forwardedHeader)
	for i := range values {
		values[i] = zone.ReplaceAllString(values[i], "")
	}
}

// requestID returns the id that a trusted proxy has given the request, or "" if the peer is
// none. Security events and logs have the id, so that another caller could take the place of
// a request that isn't its own.
func requestID(c *gin.Context, trusted proxies) string {
	id := c.GetHeader(handlers.RequestIDHeader)
	if !wellFormedID.MatchString(id) || !trusted.trust(c.RemoteIP()) {
		return ""
	}
	return id
}
