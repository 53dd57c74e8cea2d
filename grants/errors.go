package grants

import (
	"errors"
	"net/http"
	"time"

	"countersign/accounts"
	"countersign/clients"
	"countersign/limits"
	"countersign/oauth"
	"countersign/tokens"
)

func invalidRequest(description string) *oauth.Error {
	return oauth.Refuse(oauth.InvalidRequest, description)
}

// What clients are told. Several causes share one wording on purpose: the
// caller must not learn which of them it was.
var (
	errInvalidClient     = oauth.Refuse(oauth.InvalidClient, "client authentication failed")
	errNoClient          = oauth.Refuse(oauth.InvalidClient, "client_id is missing")
	errBadCredentials    = oauth.Refuse(oauth.InvalidGrant, "the username or the password is wrong")
	errBadRefreshToken   = oauth.Refuse(oauth.InvalidGrant, "the refresh token is invalid, expired, revoked or another client's")
	errUnauthorized      = oauth.Refuse(oauth.UnauthorizedClient, "the client may not use this grant_type")
	errPublicCredentials = oauth.Refuse(oauth.UnauthorizedClient, "client_credentials needs a confidential client")
	errOthersToken       = oauth.Refuse(oauth.InvalidGrant, "the token was issued to another client")
	errNoSession         = oauth.Refuse(oauth.UnsupportedTokenType, "a client's own access token can't be revoked, it expires soon")
	errMayNotIntrospect  = oauth.Refuse(oauth.UnauthorizedClient, "the client may not introspect")
	errScope             = oauth.Refuse(oauth.InvalidScope, "scope is more than the client or the refresh token may have")
	errBadCode           = oauth.Refuse(oauth.InvalidGrant, "the code is invalid, expired, used, another client's, or was issued to another redirect_uri")
	errVerifier          = oauth.Refuse(oauth.InvalidGrant, "code_verifier does not match the code_challenge of the authorization request")
	errTarget            = oauth.Refuse(oauth.InvalidTarget, "resource is none of the client's audiences, or was not granted")
	errMissingCode       = invalidRequest("code and redirect_uri are required")
	errMissingLogin      = invalidRequest("username and password are required")
	errBusy              = oauth.Later("too many sign-ins at once, try again shortly", time.Second)
	errServer            = oauth.Refuse(oauth.ServerError, "something went wrong on our side")
	errUnavailable       = oauth.Later("the service is not able to answer now, try again shortly", time.Second)
)

// spoken maps what happened to what a client is told. It is the only place
// that does; what is absent is a server_error.
var spoken = []struct {
	when error
	say  *oauth.Error
}{
	{clients.ErrBadCredentials, errInvalidClient},
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
func speak(err error, unavailable func(error) bool) (say *oauth.Error, known bool) {
	if e, ok := errors.AsType[*oauth.Error](err); ok {
		return e, true
	}
	if wait, ok := errors.AsType[*limits.WaitError](err); ok {
		return &oauth.Error{
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
