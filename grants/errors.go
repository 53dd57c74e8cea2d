package grants

import (
	"strings"

	"countersign/oauth"
)

// Errors in the request itself. Package refusals has the words for the domain's errors.
var (
	errNoClient         = oauth.Refuse(oauth.InvalidClient, "client_id is missing")
	errUnauthorized     = oauth.Refuse(oauth.UnauthorizedClient, "the client may not use this grant_type")
	errMayNotChallenge  = oauth.Refuse(oauth.UnauthorizedClient, "only first-party clients that may use the password grant may use this endpoint")
	errNotTyped         = oauth.Refuse(oauth.RedirectToWeb, "the user proves the second factor in a browser: lead the user to the authorization endpoint")
	errMayNotIntrospect = oauth.Refuse(oauth.UnauthorizedClient, "the client may not introspect")
)

func invalidRequest(description string) *oauth.Error {
	return oauth.Refuse(oauth.InvalidRequest, description)
}

// missing returns the error that the request lacks one of the parameters that it needs.
func missing(needs ...string) *oauth.Error {
	if len(needs) == 1 {
		return invalidRequest(needs[0] + " is missing")
	}
	return invalidRequest(strings.Join(needs, " and ") + " are required")
}
