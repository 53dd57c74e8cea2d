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
	// AuthSession and Methods are those of insufficient_authorization (OAuth 2.0 for First-Party
	// Applications, draft).
	AuthSession string   `json:"auth_session,omitempty"`
	Methods     []string `json:"methods,omitempty"`
}

// writeOAuthError answers with an OAuth error body and ends the request.
func writeOAuthError(c *gin.Context, say *oauth.Error) {
	neverCache(c)
	setRetryAfter(c, say.RetryAfter)
	c.Set(ErrorKey, say.Code)
	c.Set(ReasonKey, say.Description)
	c.Set(RefusalKey, say.Reason)
	writeJSON(c, say.Status, "application/json", oauthError{say.Code, say.Description, say.AuthSession, say.Methods})
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
	writeOAuthError(c, say)
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
var oauthPaths = []string{"/oauth/token", "/oauth/challenge", "/oauth/revoke", "/oauth/introspect", "/userinfo"}

// isOAuth reports whether a path, below any issuer's path, is one of oauthPaths.
func isOAuth(path string) bool {
	return slices.ContainsFunc(oauthPaths, func(suffix string) bool { return strings.HasSuffix(path, suffix) })
}

var errOAuthMethod = &oauth.Error{
	Code: oauth.InvalidRequest, Status: http.StatusMethodNotAllowed, Description: errMethod.Detail, Reason: "method_not_allowed",
}

// NotFound answers a request for an unknown path.
func NotFound(c *gin.Context) { WriteProblem(c, errNotFound) }

// MethodNotAllowed answers a method that the path doesn't take. gin has set
// the Allow header.
func MethodNotAllowed(c *gin.Context) {
	if isOAuth(c.Request.URL.Path) && pagesFor(c) == nil {
		writeOAuthError(c, errOAuthMethod)
		return
	}
	WriteProblem(c, errMethod)
}

// Internal answers a request whose handler panicked.
func Internal(c *gin.Context) {
	if isOAuth(c.Request.URL.Path) && pagesFor(c) == nil {
		writeOAuthError(c, refusals.ServerError)
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

// HostNotAllowed answers a request to the admin listener by a name that may be an attacker's.
func HostNotAllowed(c *gin.Context) { WriteProblem(c, errHost) }

// PageNotAllowed answers a request that a page elsewhere makes to the admin listener.
func PageNotAllowed(c *gin.Context) { WriteProblem(c, errPage) }
