package clients

import (
	"slices"
	"strings"
	"unicode/utf8"

	"countersign/input"
	"countersign/oauth"
	"countersign/origins"
)

const (
	maxClientID   = 64  // bytes
	maxClientName = 128 // code points
	maxAudience   = 512 // bytes

	// What all its tokens carry must stay small enough for a header.
	maxScopes         = 100
	maxScopeBytes     = 2048 // all together
	maxAudiences      = 10
	maxAudiencesBytes = 1024 // all together
)

var (
	knownGrants = []string{oauth.GrantPassword, oauth.GrantRefreshToken, oauth.GrantAuthorizationCode, oauth.GrantClientCredentials}
	knownIDAlgs = []string{"", "ES256", "RS256", "PS256", "EdDSA"}
)

// AllowsGrant reports whether the client may use a grant_type.
func (c Client) AllowsGrant(grant string) bool { return slices.Contains(c.Grants, grant) }

// AllowsRedirectURI reports whether the client registered a redirect URI, byte
// for byte but for the port of a loopback URI (RFC 8252 section 7.3).
func (c Client) AllowsRedirectURI(uri string) bool {
	return slices.ContainsFunc(c.RedirectURIs, func(r string) bool { return matchRedirectURI(r, uri) })
}

// AllowsPostLogoutRedirectURI is AllowsRedirectURI for where to go after signing out.
func (c Client) AllowsPostLogoutRedirectURI(uri string) bool {
	return slices.ContainsFunc(c.PostLogoutRedirectURIs, func(r string) bool { return matchRedirectURI(r, uri) })
}

// Check says what is wrong with a client and its secret, as an *input.Error
// with all of it, or returns nil. A secret is for confidential clients: one from
// GenerateSecret, or a chosen one.
func Check(c Client, secret string) error {
	var bad input.Error
	checkClientID(&bad, c.ID)
	if utf8.RuneCountInString(c.Name) > maxClientName || !input.Printable(strings.ReplaceAll(c.Name, " ", "")) {
		bad.Add("name", input.Invalid, "name must have at most %d printable characters.", maxClientName)
	}
	switch {
	case c.Public && secret != "":
		bad.Add("secret", input.NotAllowed, "secret: a public client has none.")
	case !c.Public && secret == "":
		bad.Add("secret", input.Required, "secret: a confidential client needs one.")
	case !c.Public && !isGenerated(secret):
		checkChosenSecret(&bad, secret)
	}
	checkGrants(&bad, c)
	checkList(&bad, "redirect_uris", c.RedirectURIs, CheckRedirectURI)
	checkList(&bad, "post_logout_redirect_uris", c.PostLogoutRedirectURIs, CheckRedirectURI)
	checkList(&bad, "origins", c.Origins, origins.Check)
	if len(c.Scopes) > maxScopes || input.Size(c.Scopes) > maxScopeBytes {
		bad.Add("scopes", input.TooLong, "scopes must not be more than %d, and together no more than %d bytes.", maxScopes, maxScopeBytes)
	}
	if len(c.Audiences) > maxAudiences || input.Size(c.Audiences) > maxAudiencesBytes {
		bad.Add("audiences", input.TooLong, "audiences must not be more than %d, and together no more than %d bytes.", maxAudiences, maxAudiencesBytes)
	}
	for _, s := range c.Scopes {
		if !oauth.ValidScope(s) {
			bad.Add("scopes", input.InvalidCharacters, "scopes: %q must have ASCII characters only, no spaces, quotes or backslashes.", s)
		}
	}
	for _, a := range c.Audiences {
		if a == "" || len(a) > maxAudience || !input.Printable(a) {
			bad.Add("audiences", input.Invalid, "audiences: %q must have 1 to %d printable characters without spaces.", a, maxAudience)
		}
	}
	if c.MayIntrospect && c.Public {
		bad.Add("may_introspect", input.NotAllowed, "may_introspect needs a confidential client: RFC 7662 asks callers to authenticate.")
	}
	if c.PKCEOptional && c.Public {
		bad.Add("pkce_optional", input.NotAllowed, "pkce_optional needs a confidential client: RFC 9700 asks public ones for PKCE.")
	}
	if !slices.Contains(knownIDAlgs, c.IDTokenAlg) {
		bad.Add("id_token_alg", input.Invalid, "id_token_alg must be ES256, RS256, PS256 or EdDSA.")
	}
	return bad.Err()
}

// checkClientID adds what is wrong with a client id. RFC 6749 appendix A.1
// allows all printable ASCII. We leave out quotes and backslashes, which break
// out of whatever quotes an id, and spaces at the ends, which get lost. Those of
// : % + and space work, but only for callers that encode them in HTTP Basic as
// section 2.3.1 says, which many forget.
func checkClientID(bad *input.Error, id string) {
	switch {
	case id == "":
		bad.Add("id", input.Required, "id must not be empty.")
	case len(id) > maxClientID:
		bad.Add("id", input.TooLong, "id must not be longer than %d characters.", maxClientID)
	case id != strings.TrimSpace(id), strings.ContainsFunc(id, func(r rune) bool { return r < ' ' || r > '~' || r == '"' || r == '\\' }):
		bad.Add("id", input.InvalidCharacters, "id must have printable ASCII characters only, no quotes, no backslashes and no space at its ends.")
	}
}

// checkGrants adds what is wrong with a client's grants and what they need.
func checkGrants(bad *input.Error, c Client) {
	if len(c.Grants) == 0 && !c.MayIntrospect {
		bad.Add("grants", input.Required, "grants: a client needs at least one, unless it may introspect.")
	}
	for _, g := range c.Grants {
		switch {
		case !slices.Contains(knownGrants, g):
			bad.Add("grants", input.Invalid, "grants: %q is none of %s.", g, strings.Join(knownGrants, ", "))
		case g == oauth.GrantPassword && !c.FirstParty:
			bad.Add("grants", input.NotAllowed, "grants: password needs a first-party client, since it shows the client the user's password.")
		case g == oauth.GrantClientCredentials && c.Public:
			bad.Add("grants", input.NotAllowed, "grants: client_credentials needs a confidential client (RFC 6749 section 4.4).")
		case g == oauth.GrantAuthorizationCode && len(c.RedirectURIs) == 0:
			bad.Add("redirect_uris", input.Required, "redirect_uris: authorization_code needs at least one.")
		}
	}
}

// checkList adds what valid finds wrong with the items of a list.
func checkList(bad *input.Error, field string, items []string, valid func(string) error) {
	for _, item := range items {
		if err := valid(item); err != nil {
			bad.Add(field, input.Invalid, "%s: %q %v.", field, item, err)
		}
	}
}
