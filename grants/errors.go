package grants

import "countersign/oauth"

func invalidRequest(description string) *oauth.Error {
	return oauth.Refuse(oauth.InvalidRequest, description)
}

// What is wrong with a request by itself. What the domain finds is worded by package
// refusals.
var (
	errNoClient          = oauth.Refuse(oauth.InvalidClient, "client_id is missing")
	errUnauthorized      = oauth.Refuse(oauth.UnauthorizedClient, "the client may not use this grant_type")
	errPublicCredentials = oauth.Refuse(oauth.UnauthorizedClient, "client_credentials needs a confidential client")
	errMayNotIntrospect  = oauth.Refuse(oauth.UnauthorizedClient, "the client may not introspect")
	errMissingCode       = invalidRequest("code and redirect_uri are required")
	errMissingLogin      = invalidRequest("username and password are required")
)
