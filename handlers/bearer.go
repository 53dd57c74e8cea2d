package handlers

import (
	"errors"
	"mime"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/gin-gonic/gin"

	"countersign/tokens"
)

// Bearer guards endpoints that take an access token (RFC 6750).
type Bearer struct {
	Failures
	Tokens *tokens.Service
}

// challenge answers 401 or 403 as RFC 6750 section 3 says. With no code it only
// asks for a token: the caller sent none.
func challenge(c *gin.Context, status int, code, description, scope string) {
	header := `Bearer realm="countersign"`
	if code != "" {
		header += `, error="` + code + `", error_description="` + description + `"`
	}
	if scope != "" {
		header += `, scope="` + scope + `"`
	}
	c.Header("WWW-Authenticate", header)
	if code == "" {
		neverCache(c)
		c.AbortWithStatus(status)
		return
	}
	writeOAuthError(c, status, code, description)
}

// Require lets a request through whose access token is valid and has the
// scope, and hands what the token says to next.
func (b *Bearer) Require(scope string, next func(*gin.Context, tokens.Access)) gin.HandlerFunc {
	return func(c *gin.Context) {
		token, ok := bearerToken(c)
		if !ok {
			return
		}
		access, err := b.Tokens.Authenticate(c.Request.Context(), time.Now(), token)
		switch {
		case errors.Is(err, tokens.ErrUnknown):
			challenge(c, http.StatusUnauthorized, "invalid_token", "the access token is invalid, expired or revoked", "")
			return
		case err != nil:
			b.fail(c, err)
			return
		}
		c.Set(ClientIDKey, access.ClientID)
		c.Set(SubjectKey, access.Subject)
		if !access.Scopes.Has(scope) {
			challenge(c, http.StatusForbidden, "insufficient_scope", "the access token lacks a scope", scope)
			return
		}
		next(c, access)
	}
}

// fail answers an error that is not the caller's.
func (b *Bearer) fail(c *gin.Context, err error) {
	b.Log.ErrorContext(c.Request.Context(), "request failed", "request_id", RequestID(c), "route", c.FullPath(), "err", err)
	if b.Unavailable(err) {
		setRetryAfter(c, errUnavailable.retryAfter)
		writeOAuthError(c, http.StatusServiceUnavailable, "temporarily_unavailable", errUnavailable.Detail)
		return
	}
	writeOAuthError(c, http.StatusInternalServerError, "server_error", errInternal.Detail)
}

// bearerToken finds the one access token of a request, in its header. A token
// in the query never counts (RFC 9700 section 4.3.2), and one beside the header
// makes the request ambiguous (RFC 6750 section 2). If there is none to
// use, it has answered.
func bearerToken(c *gin.Context) (string, bool) {
	headers := c.Request.Header.Values("Authorization")
	if len(headers) == 0 {
		challenge(c, http.StatusUnauthorized, "", "", "")
		return "", false
	}
	elsewhere, err := tokenElsewhere(c.Request)
	if err != nil || elsewhere || len(headers) > 1 {
		challenge(c, http.StatusBadRequest, "invalid_request", "send the access token once, in the Authorization header, and no malformed form", "")
		return "", false
	}
	scheme, token, _ := strings.Cut(headers[0], " ")
	token = strings.TrimLeft(token, " ")
	if !strings.EqualFold(scheme, "Bearer") {
		challenge(c, http.StatusUnauthorized, "", "", "")
		return "", false
	}
	if token == "" {
		challenge(c, http.StatusUnauthorized, "invalid_token", "the access token is empty", "")
		return "", false
	}
	return token, true
}

// tokenElsewhere reports whether an access_token is in the query or the form.
func tokenElsewhere(r *http.Request) (bool, error) {
	if query, err := url.ParseQuery(r.URL.RawQuery); err != nil || query.Has("access_token") {
		return true, err
	}
	kind, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if r.Method != http.MethodPost || kind != "application/x-www-form-urlencoded" {
		return false, nil
	}
	body, err := readBody(r)
	if err != nil {
		return false, err
	}
	form, err := url.ParseQuery(string(body))
	return form.Has("access_token"), err
}
