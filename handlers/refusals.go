package handlers

import (
	"errors"
	"net/http"
	"slices"
	"strings"

	"github.com/gin-gonic/gin"

	"countersign/oauth"
	"countersign/origins"
	"countersign/refusals"
)

// oauthError is the error body of OAuth endpoints (RFC 6749 section 5.2).
type oauthError struct {
	Code        string `json:"error"`
	Description string `json:"error_description,omitempty"`
}

// writeOAuthError answers with an OAuth error body and ends the request.
func writeOAuthError(c *gin.Context, status int, code, description string) {
	neverCache(c)
	c.Set(ErrorKey, code)
	c.Set(ReasonKey, description)
	writeJSON(c, status, "application/json", oauthError{code, description})
	c.Abort()
}

// refuseClient answers a client's request with the error that grants returned.
func refuseClient(c *gin.Context, err error) {
	say, ok := errors.AsType[*oauth.Error](err)
	if !ok {
		panic(err) // grants translates every error
	}
	if say.Status == http.StatusUnauthorized {
		c.Header("WWW-Authenticate", `Basic realm="countersign", charset="UTF-8"`)
	}
	setRetryAfter(c, say.RetryAfter)
	writeOAuthError(c, say.Status, say.Code, say.Description)
}

// neverCache marks an answer that no cache may keep (RFC 6749 section 5.1).
func neverCache(c *gin.Context) {
	header := c.Writer.Header()
	header["Cache-Control"] = noStore
	header["Pragma"] = noCache
}

// The values of headers that many answers share.
var (
	noStore = []string{"no-store"}
	noCache = []string{"no-cache"}
)

// oauthPaths are the endpoints whose errors have OAuth's format.
var oauthPaths = []string{"/oauth/token", "/oauth/revoke", "/oauth/introspect", "/userinfo"}

// isOAuth reports whether a path, below any issuer's path, is one of oauthPaths.
func isOAuth(path string) bool {
	return slices.ContainsFunc(oauthPaths, func(suffix string) bool { return strings.HasSuffix(path, suffix) })
}

// NotFound answers a request for an unknown path.
func NotFound(c *gin.Context) { WriteProblem(c, errNotFound) }

// MethodNotAllowed answers a method that the path doesn't take. gin has set
// the Allow header.
func MethodNotAllowed(c *gin.Context) {
	if isOAuth(c.Request.URL.Path) {
		writeOAuthError(c, http.StatusMethodNotAllowed, oauth.InvalidRequest, errMethod.Detail)
		return
	}
	WriteProblem(c, errMethod)
}

// Internal answers a request whose handler panicked.
func Internal(c *gin.Context) {
	if isOAuth(c.Request.URL.Path) {
		writeOAuthError(c, http.StatusInternalServerError, oauth.ServerError, refusals.InternalProblem.Detail)
		return
	}
	WriteProblem(c, refusals.InternalProblem)
}

// OriginNotAllowed answers a page of an origin that may not call the path.
func OriginNotAllowed(c *gin.Context) {
	if origin := c.GetHeader("Origin"); origins.Check(origin) == nil {
		c.Set(OriginKey, origin)
	}
	WriteProblem(c, errOrigin)
}
