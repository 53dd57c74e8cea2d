package oauth

import (
	"net/http"
	"time"
)

// The error codes. Each has one meaning wherever it is sent: at the token endpoint (RFC
// 6749 section 5.2), in a redirect (section 4.1.2.1, OpenID Connect Core section
// 3.1.2.6), and to the bearer of a token (RFC 6750 section 3.1).
const (
	InvalidRequest          = "invalid_request"
	InvalidClient           = "invalid_client"
	InvalidGrant            = "invalid_grant"
	UnauthorizedClient      = "unauthorized_client"
	UnsupportedGrantType    = "unsupported_grant_type"
	UnsupportedResponseType = "unsupported_response_type"
	UnsupportedTokenType    = "unsupported_token_type" // RFC 7009 section 2.2.1
	InvalidScope            = "invalid_scope"
	InvalidTarget           = "invalid_target" // RFC 8707 section 2
	InvalidToken            = "invalid_token"
	InsufficientScope       = "insufficient_scope"
	AccessDenied            = "access_denied"
	LoginRequired           = "login_required"
	ConsentRequired         = "consent_required"
	// InsufficientAuthorization says that what the user has proven is not enough (OAuth 2.0
	// for First-Party Applications, draft).
	InsufficientAuthorization = "insufficient_authorization"
	RedirectToWeb             = "redirect_to_web" // the user goes on in a browser (the same draft)
	InvalidSession            = "invalid_session" // the auth_session is no good (the same draft)
	UnmetAuthentication       = "unmet_authentication_requirements"
	ServerError               = "server_error"
	TemporarilyUnavailable    = "temporarily_unavailable"
)

// statuses are the HTTP statuses of the codes that are not 400 Bad Request.
var statuses = map[string]int{
	InvalidClient:          http.StatusUnauthorized,
	InvalidToken:           http.StatusUnauthorized,
	InsufficientScope:      http.StatusForbidden,
	ServerError:            http.StatusInternalServerError,
	TemporarilyUnavailable: http.StatusServiceUnavailable,
}

// Error is the answer to a client that doesn't get what it asked for.
type Error struct {
	Code        string
	Description string        // printable ASCII without quote and backslash
	Status      int           // of an HTTP response; a redirect has none
	RetryAfter  time.Duration // 0: not sent
	Reason      string        // what the operator's metrics count it as; empty: Code. Never sent
	// AuthSession is what the client goes on with, and Methods say what the user may prove
	// next; of InsufficientAuthorization alone.
	AuthSession string
	Methods     []string
}

func (e *Error) Error() string { return e.Code + ": " + e.Description }

// Refuse returns the error with a code, and that code's status.
func Refuse(code, description string) *Error {
	status, ok := statuses[code]
	if !ok {
		status = http.StatusBadRequest
	}
	return &Error{Code: code, Description: description, Status: status}
}

// Later returns the error that asks a client to try again after a while.
func Later(description string, after time.Duration) *Error {
	e := Refuse(TemporarilyUnavailable, description)
	e.RetryAfter = after
	return e
}
