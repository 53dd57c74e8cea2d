package grants

import (
	"strings"

	"countersign/oauth"
)

// What is wrong with a request by itself. What the domain finds is worded by package
// refusals.
var (
	errNoClient         = oauth.Refuse(oauth.InvalidClient, "client_id is missing")
	errUnauthorized     = oauth.Refuse(oauth.UnauthorizedClient, "the client may not use this grant_type")
	errMayNotIntrospect = oauth.Refuse(oauth.UnauthorizedClient, "the client may not introspect")
)

func invalidRequest(description string) *oauth.Error {
	return oauth.Refuse(oauth.InvalidRequest, description)
}

// missing says that a request lacks a parameter, of those that it needs.
func missing(needs ...string) *oauth.Error {
	if len(needs) == 1 {
		return invalidRequest(needs[0] + " is missing")
	}
	return invalidRequest(strings.Join(needs, " and ") + " are required")
}
