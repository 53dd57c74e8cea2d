package accounts

import (
	"slices"
	"strings"
	"unicode/utf8"
)

// The grants we know, by their grant_type.
const (
	GrantPassword          = "password"
	GrantRefreshToken      = "refresh_token"
	GrantAuthorizationCode = "authorization_code"
	GrantClientCredentials = "client_credentials"
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
	knownGrants = []string{GrantPassword, GrantRefreshToken, GrantAuthorizationCode, GrantClientCredentials}
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

// CheckClient says what is wrong with a client and its secret, as an *InputError
// with all of it, or returns nil. A secret is for confidential clients: one from
// GenerateSecret, or a chosen one.
func CheckClient(c Client, secret string) error {
	var bad InputError
	checkClientID(&bad, c.ID)
	if utf8.RuneCountInString(c.Name) > maxClientName || !printable(strings.ReplaceAll(c.Name, " ", "")) {
		bad.add("name", Invalid, "name must have at most %d printable characters.", maxClientName)
	}
	switch {
	case c.Public && secret != "":
		bad.add("secret", NotAllowed, "secret: a public client has none.")
	case !c.Public && secret == "":
		bad.add("secret", Required, "secret: a confidential client needs one.")
	case !c.Public && !isGenerated(secret):
		checkChosenSecret(&bad, secret)
	}
	checkGrants(&bad, c)
	checkList(&bad, "redirect_uris", c.RedirectURIs, ValidRedirectURI)
	checkList(&bad, "post_logout_redirect_uris", c.PostLogoutRedirectURIs, ValidRedirectURI)
	checkList(&bad, "origins", c.Origins, ValidOrigin)
	if len(c.Scopes) > maxScopes || total(c.Scopes) > maxScopeBytes {
		bad.add("scopes", TooLong, "scopes must not be more than %d, and together no more than %d bytes.", maxScopes, maxScopeBytes)
	}
	if len(c.Audiences) > maxAudiences || total(c.Audiences) > maxAudiencesBytes {
		bad.add("audiences", TooLong, "audiences must not be more than %d, and together no more than %d bytes.", maxAudiences, maxAudiencesBytes)
	}
	for _, s := range c.Scopes {
		if !validScope(s) {
			bad.add("scopes", InvalidCharacters, "scopes: %q must have ASCII characters only, no spaces, quotes or backslashes.", s)
		}
	}
	for _, a := range c.Audiences {
		if a == "" || len(a) > maxAudience || !printable(a) {
			bad.add("audiences", Invalid, "audiences: %q must have 1 to %d printable characters without spaces.", a, maxAudience)
		}
	}
	if c.MayIntrospect && c.Public {
		bad.add("may_introspect", NotAllowed, "may_introspect needs a confidential client: RFC 7662 asks callers to authenticate.")
	}
	if c.PKCEOptional && c.Public {
		bad.add("pkce_optional", NotAllowed, "pkce_optional needs a confidential client: RFC 9700 asks public ones for PKCE.")
	}
	if !slices.Contains(knownIDAlgs, c.IDTokenAlg) {
		bad.add("id_token_alg", Invalid, "id_token_alg must be ES256, RS256, PS256 or EdDSA.")
	}
	return bad.err()
}

// checkClientID adds what is wrong with a client id. RFC 6749 appendix A.1
// allows all printable ASCII. We leave out quotes and backslashes, which break
// out of whatever quotes an id, and spaces at the ends, which get lost. Those of
// : % + and space work, but only for callers that encode them in HTTP Basic as
// section 2.3.1 says, which many forget.
func checkClientID(bad *InputError, id string) {
	switch {
	case id == "":
		bad.add("id", Required, "id must not be empty.")
	case len(id) > maxClientID:
		bad.add("id", TooLong, "id must not be longer than %d characters.", maxClientID)
	case id != strings.TrimSpace(id), strings.ContainsFunc(id, func(r rune) bool { return r < ' ' || r > '~' || r == '"' || r == '\\' }):
		bad.add("id", InvalidCharacters, "id must have printable ASCII characters only, no quotes, no backslashes and no space at its ends.")
	}
}

// checkGrants adds what is wrong with a client's grants and what they need.
func checkGrants(bad *InputError, c Client) {
	if len(c.Grants) == 0 && !c.MayIntrospect {
		bad.add("grants", Required, "grants: a client needs at least one, unless it may introspect.")
	}
	for _, g := range c.Grants {
		switch {
		case !slices.Contains(knownGrants, g):
			bad.add("grants", Invalid, "grants: %q is none of %s.", g, strings.Join(knownGrants, ", "))
		case g == GrantPassword && !c.FirstParty:
			bad.add("grants", NotAllowed, "grants: password needs a first-party client, since it shows the client the user's password.")
		case g == GrantClientCredentials && c.Public:
			bad.add("grants", NotAllowed, "grants: client_credentials needs a confidential client (RFC 6749 section 4.4).")
		case g == GrantAuthorizationCode && len(c.RedirectURIs) == 0:
			bad.add("redirect_uris", Required, "redirect_uris: authorization_code needs at least one.")
		}
	}
}

// checkList adds what valid finds wrong with the items of a list.
func checkList(bad *InputError, field string, items []string, valid func(string) error) {
	for _, item := range items {
		if err := valid(item); err != nil {
			bad.add(field, Invalid, "%s: %q %v.", field, item, err)
		}
	}
}

// validScope reports whether s is a scope-token (RFC 6749 section 3.3).
func validScope(s string) bool {
	return s != "" && !strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r > '~' || r == '"' || r == '\\' })
}

// total is how many bytes the texts have, each with a separator.
func total(texts []string) (n int) {
	for _, s := range texts {
		n += len(s) + 1
	}
	return n
}
