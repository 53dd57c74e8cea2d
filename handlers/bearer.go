package handlers

import (
	"errors"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/gin-gonic/gin"

	"countersign/clients"
	"countersign/oauth"
	"countersign/refusals"
	"countersign/signin"
	"countersign/tokens"
)

// Bearer guards endpoints that take an access token (RFC 6750), from the header or,
// where configured, from our cookie; and those of the account, which also take the
// session of the browser.
type Bearer struct {
	Failures
	Tokens  *tokens.Service
	Clients *clients.Registry
	Browser *signin.Browser
	Cookies *Cookies
	// SameOrigin refuses pages that are neither ours nor our own applications'. The browser
	// sends a cookie whichever page calls, so a request with a token or a session in a
	// cookie must pass SameOrigin before the cookie counts.
	SameOrigin gin.HandlerFunc
}

// askForToken answers 401 to a caller that sent no token (RFC 6750 section 3.1), and
// names the scope that the token must have, if any.
func askForToken(c *gin.Context, scope string) {
	header := bearerScheme
	if scope != "" {
		header += `, scope="` + scope + `"`
	}
	c.Header("WWW-Authenticate", header)
	if !isOAuth(c.Request.URL.Path) {
		WriteProblem(c, refusals.LoginRequiredProblem)
		return
	}
	neverCache(c)
	c.AbortWithStatus(http.StatusUnauthorized)
}

const bearerScheme = `Bearer realm="countersign"`

// challenge answers with what is wrong with the token (RFC 6750 section 3) and names
// the scope that it lacks, if any.
func challenge(c *gin.Context, say *oauth.Error, scope string) {
	header := bearerScheme + `, error="` + say.Code + `", error_description="` + say.Description + `"`
	if scope != "" {
		header += `, scope="` + scope + `"`
	}
	c.Header("WWW-Authenticate", header)
	if !isOAuth(c.Request.URL.Path) {
		p := refusals.NewProblem(say.Status, say.Code, http.StatusText(say.Status), say.Description)
		p.Reason = say.Reason
		WriteProblem(c, p)
		return
	}
	writeOAuthError(c, say)
}

// Require calls next with the token's claims if the request's access token is valid and
// has the scope.
func (b *Bearer) Require(scope string, next func(*gin.Context, tokens.Access)) gin.HandlerFunc {
	return func(c *gin.Context) {
		access, ok := b.authenticate(c)
		if !ok {
			return
		}
		if !access.Scopes.Has(scope) {
			challenge(c, oauth.Refuse(oauth.InsufficientScope, "the access token lacks a scope"), scope)
			return
		}
		next(c, access)
	}
}

// authenticate reads the access token of a request, in its header or in our cookie. It
// returns false if there is none to use; it has then answered.
func (b *Bearer) authenticate(c *gin.Context) (tokens.Access, bool) {
	if found := b.Cookies.values(c.Request, accessCookie); b.Cookies.AccessCookie && len(found) > 0 && len(c.Request.Header.Values("Authorization")) == 0 {
		if b.SameOrigin(c); c.IsAborted() {
			return tokens.Access{}, false
		}
		access, err := b.fromCookies(c, found)
		return b.narrow(c, access, err)
	}
	return b.fromHeader(c, "")
}

// fromHeader reads the access token in the header of a request. It returns false if there
// is none to use; it has then answered, and named the scope that the token must have, if
// any.
func (b *Bearer) fromHeader(c *gin.Context, scope string) (tokens.Access, bool) {
	token, ok := bearerToken(c, scope)
	if !ok {
		return tokens.Access{}, false
	}
	access, err := b.Tokens.Authenticate(c.Request.Context(), time.Now(), token)
	return b.narrow(c, access, err)
}

// narrow limits a token to what its client may have now. It returns false if that failed,
// or the reading of the token did; it has then answered.
func (b *Bearer) narrow(c *gin.Context, access tokens.Access, err error) (tokens.Access, bool) {
	if err == nil {
		var client clients.Client
		client, err = b.Clients.ByID(c.Request.Context(), access.ClientID)
		access.Narrow(client.Recipient())
		if errors.Is(err, clients.ErrUnknown) {
			err = tokens.ErrUnknown
		}
	}
	if err != nil {
		b.fail(c, err)
		return tokens.Access{}, false
	}
	logClient(c, access.ClientID)
	c.Set(SubjectKey, access.Subject)
	return access, true
}

// fromCookies reads the access token in one of a browser's cookies. Another host of the
// domain may have set its own, so that the user would act as an attacker. It can't set the
// cookie of the refresh token: only a token of that one's session counts. ErrUnknown.
func (b *Bearer) fromCookies(c *gin.Context, found []string) (tokens.Access, error) {
	mine, proven := b.Tokens.BrowserSession(b.Cookies.values(c.Request, refreshCookie))
	if !proven && (b.Cookies.Domain != "" || len(found) > 1) {
		return tokens.Access{}, tokens.ErrUnknown
	}
	for _, token := range found {
		access, err := b.Tokens.Authenticate(c.Request.Context(), time.Now(), token)
		if errors.Is(err, tokens.ErrUnknown) || err == nil && proven && access.Session.ID != mine {
			continue
		}
		return access, err
	}
	return tokens.Access{}, tokens.ErrUnknown
}

// fail answers an error: a bad token, or a failure that is not the caller's.
func (b *Bearer) fail(c *gin.Context, err error) {
	say, known := refusals.ForBearer(err, b.Unavailable)
	switch {
	case known:
		challenge(c, say, "")
	case !isOAuth(c.Request.URL.Path):
		b.answer(c, err)
	default:
		b.Log.ErrorContext(c.Request.Context(), "request failed", "request_id", RequestID(c), "route", c.FullPath(), "err", err)
		writeOAuthError(c, say)
	}
}

// bearerToken finds the one access token of a request, in its header. A token
// in the query never counts (RFC 9700 section 4.3.2), and one beside the header
// makes the request ambiguous (RFC 6750 section 2). It returns false if there is no
// token to use; it has then answered, and named the scope that the token must have, if
// any.
func bearerToken(c *gin.Context, scope string) (string, bool) {
	headers := c.Request.Header.Values("Authorization")
	if len(headers) == 0 {
		askForToken(c, scope)
		return "", false
	}
	elsewhere, err := tokenElsewhere(c.Request)
	if err != nil || elsewhere || len(headers) > 1 {
		challenge(c, oauth.Refuse(oauth.InvalidRequest, "send the access token once, in the Authorization header, and only a well-formed form"), "")
		return "", false
	}
	scheme, token, _ := strings.Cut(headers[0], " ")
	token = strings.TrimLeft(token, " ")
	if !strings.EqualFold(scheme, "Bearer") {
		askForToken(c, scope)
		return "", false
	}
	if token == "" {
		challenge(c, oauth.Refuse(oauth.InvalidToken, "the access token is empty"), "")
		return "", false
	}
	return token, true
}

// tokenElsewhere reports whether an access_token is in the query or the form.
func tokenElsewhere(r *http.Request) (bool, error) {
	if query, err := url.ParseQuery(r.URL.RawQuery); err != nil || query.Has("access_token") {
		return true, err
	}
	if r.Method != http.MethodPost || !isForm(r) {
		return false, nil
	}
	body, err := readBody(r)
	if err != nil {
		return false, err
	}
	form, err := url.ParseQuery(string(body))
	return form.Has("access_token"), err
}
