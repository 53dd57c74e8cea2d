package grants

import (
	"errors"
	"net/http"
	"time"

	"countersign/accounts"
	"countersign/limits"
	"countersign/tokens"
)

// Error is what a client is told when it doesn't get what it asked for (RFC 6749
// section 5.2).
type Error struct {
	Code        string
	Description string // printable ASCII without quote and backslash
	Status      int
	RetryAfter  time.Duration // 0: not said
}

func (e *Error) Error() string { return e.Code + ": " + e.Description }

func invalidRequest(description string) *Error {
	return &Error{Code: "invalid_request", Description: description, Status: http.StatusBadRequest}
}

func refuse(code, description string) *Error {
	return &Error{Code: code, Description: description, Status: http.StatusBadRequest}
}

// What clients are told. Several causes share one wording on purpose: the
// caller must not learn which of them it was.
var (
	errInvalidClient = &Error{
		Code:        "invalid_client",
		Description: "client authentication failed",
		Status:      http.StatusUnauthorized,
	}
	errNoClient = &Error{
		Code:        "invalid_client",
		Description: "client_id is missing",
		Status:      http.StatusUnauthorized,
	}
	errBadCredentials    = refuse("invalid_grant", "the username or the password is wrong")
	errBadRefreshToken   = refuse("invalid_grant", "the refresh token is invalid, expired, revoked or another client's")
	errUnauthorized      = refuse("unauthorized_client", "the client may not use this grant_type")
	errPublicCredentials = refuse("unauthorized_client", "client_credentials needs a confidential client")
	errOthersToken       = refuse("invalid_grant", "the token was issued to another client")
	errNoSession         = refuse("unsupported_token_type", "a client's own access token can't be revoked, it expires soon")
	errMayNotIntrospect  = refuse("unauthorized_client", "the client may not introspect")
	errScope             = refuse("invalid_scope", "scope is more than the client or the refresh token may have")
	errBadCode           = refuse("invalid_grant", "the code is invalid, expired, used, another client's, or was issued to another redirect_uri")
	errVerifier          = refuse("invalid_grant", "code_verifier does not match the code_challenge of the authorization request")
	errTarget            = refuse("invalid_target", "resource is none of the client's audiences, or was not granted")
	errMissingCode       = invalidRequest("code and redirect_uri are required")
	errMissingLogin      = invalidRequest("username and password are required")
	errBusy              = &Error{
		Code:        "temporarily_unavailable",
		Description: "too many sign-ins at once, try again shortly",
		Status:      http.StatusServiceUnavailable,
		RetryAfter:  time.Second,
	}
	errServer = &Error{
		Code:        "server_error",
		Description: "something went wrong on our side",
		Status:      http.StatusInternalServerError,
	}
	errUnavailable = &Error{
		Code:        "temporarily_unavailable",
		Description: "the service is not able to answer now, try again shortly",
		Status:      http.StatusServiceUnavailable,
		RetryAfter:  time.Second,
	}
)

// spoken maps what happened to what a client is told. It is the only place
// that does; what is absent is a server_error.
var spoken = []struct {
	when error
	say  *Error
}{
	{accounts.ErrBadClient, errInvalidClient},
	{accounts.ErrBadCredentials, errBadCredentials},
	{tokens.ErrUserGone, errBadCredentials},
	{tokens.ErrUnknown, errBadRefreshToken},
	{tokens.ErrReused, errBadRefreshToken},
	{tokens.ErrNotYours, errOthersToken},
	{tokens.ErrNoSession, errNoSession},
	{tokens.ErrScope, errScope},
	{tokens.ErrTarget, errTarget},
	{tokens.ErrCodeUsed, errBadCode},
	{tokens.ErrVerifier, errVerifier},
	{limits.ErrBusy, errBusy},
}

// speak translates an error into the client's words. known is false for one
// that nobody foresaw, which wants logging.
func speak(err error, unavailable func(error) bool) (say *Error, known bool) {
	if e, ok := errors.AsType[*Error](err); ok {
		return e, true
	}
	if wait, ok := errors.AsType[*limits.WaitError](err); ok {
		return &Error{
			Code:        "temporarily_unavailable",
			Description: "too many failed attempts, wait before the next",
			Status:      http.StatusTooManyRequests,
			RetryAfter:  wait.RetryAfter,
		}, true
	}
	for _, row := range spoken {
		if errors.Is(err, row.when) {
			return row.say, true
		}
	}
	if unavailable(err) {
		return errUnavailable, false
	}
	return errServer, false
}
