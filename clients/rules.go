package clients

import (
	"slices"
	"strings"
	"unicode/utf8"

	"countersign/input"
	"countersign/oauth"
	"countersign/origins"
	"countersign/secrecy"
)

const (
	maxClientID   = 64  // bytes
	maxClientName = 128 // code points

	// A client's tokens carry these texts, and must fit into a header.
	maxScopeBytes     = 2048 // all together
	maxAudiences      = 10
	maxAudiencesBytes = 1024 // all together
)

var knownGrants = []string{oauth.GrantPassword, oauth.GrantRefreshToken, oauth.GrantAuthorizationCode, oauth.GrantClientCredentials}

// ownScopes are the scopes for our own applications alone.
var ownScopes = oauth.Scopes{oauth.ScopeAccount}

// AllowsGrant reports whether the client may use a grant_type.
func (c Client) AllowsGrant(grant string) bool { return slices.Contains(c.Grants, grant) }

// AllowsRedirectURI reports whether the client registered a redirect URI, byte
// for byte except for the port of a loopback URI (RFC 8252 section 7.3).
func (c Client) AllowsRedirectURI(uri string) bool {
	return slices.ContainsFunc(c.RedirectURIs, func(r string) bool { return matchRedirectURI(r, uri) })
}

// AllowsPostLogoutRedirectURI is AllowsRedirectURI for the redirect after signing out.
func (c Client) AllowsPostLogoutRedirectURI(uri string) bool {
	return slices.ContainsFunc(c.PostLogoutRedirectURIs, func(r string) bool { return matchRedirectURI(r, uri) })
}

// Rules are the rules for clients that depend on the server. The zero value refuses
// what it can't judge.
type Rules struct {
	// AnyLoopback allows redirect URIs that are patterns for any page on the
	// developer's own machine. Only serve --dev sets it.
	AnyLoopback bool
	// Algorithms are those that the server signs tokens with.
	Algorithms []string
	// Origins are the rules for web origins.
	Origins origins.Rules
}

// Check returns everything that is wrong with a client and its secret, an *input.Error,
// or nil. A secret is for confidential clients: one from GenerateSecret, or a chosen
// one.
func Check(c Client, secret secrecy.Text, rules Rules) error {
	var bad input.Error
	checkNewClientID(&bad, string(c.ID))
	checkSecretKind(&bad, c.Public, secret != "")
	if !c.Public && secret != "" && !isGenerated(secret) {
		checkChosenSecret(&bad, secret)
	}
	checkSettings(&bad, c.Settings, rules)
	return bad.Err()
}

// CheckDeclared is Check without the secret itself: hasSecret says whether there is
// one.
func CheckDeclared(id string, s Settings, hasSecret bool, rules Rules) error {
	var bad input.Error
	checkNewClientID(&bad, id)
	checkSecretKind(&bad, s.Public, hasSecret)
	checkSettings(&bad, s, rules)
	return bad.Err()
}

func checkSecretKind(bad *input.Error, public, hasSecret bool) {
	switch {
	case public && hasSecret:
		bad.Add("secret", input.NotAllowed, "secret: a public client has none.")
	case !public && !hasSecret:
		bad.Add("secret", input.Required, "secret: a confidential client needs one.")
	}
}

// checkSettings adds what is wrong with a client's settings.
func checkSettings(bad *input.Error, c Settings, rules Rules) {
	if utf8.RuneCountInString(c.Name) > maxClientName || !input.Printable(strings.ReplaceAll(c.Name, " ", "")) {
		bad.Add("name", input.Invalid, "name must have at most %d printable characters.", maxClientName)
	}
	checkGrants(bad, c)
	checkList(bad, "redirect_uris", c.RedirectURIs, rules.CheckRedirectURI)
	checkList(bad, "post_logout_redirect_uris", c.PostLogoutRedirectURIs, rules.CheckRedirectURI)
	checkList(bad, "origins", c.Origins, rules.Origins.Check)
	if len(c.Scopes) > oauth.MaxScopes || input.Size(c.Scopes) > maxScopeBytes {
		bad.Add("scopes", input.TooLong, "scopes must not be more than %d, and together no more than %d bytes.", oauth.MaxScopes, maxScopeBytes)
	}
	if len(c.Audiences) > maxAudiences || input.Size(c.Audiences) > maxAudiencesBytes {
		bad.Add("audiences", input.TooLong, "audiences must not be more than %d, and together no more than %d bytes.", maxAudiences, maxAudiencesBytes)
	}
	for i, s := range c.Scopes {
		switch {
		case !oauth.ValidScope(s):
			bad.AddItem("scopes", i, input.InvalidCharacters, "scopes: %q must have ASCII characters only, no spaces, quotes or backslashes.", s)
		case ownScopes.Has(s) && !c.FirstParty:
			bad.AddItem("scopes", i, input.NotAllowed, "scopes: %s needs a first-party client, since it lets the client change the user's account.", s)
		}
	}
	checkList(bad, "audiences", c.Audiences, oauth.CheckAudience)
	if c.MayIntrospect && c.Public {
		bad.Add("may_introspect", input.NotAllowed, "may_introspect needs a confidential client: RFC 7662 asks callers to authenticate.")
	}
	for _, alg := range []struct{ field, value string }{{"id_token_alg", c.IDTokenAlg}, {"access_token_alg", c.AccessTokenAlg}} {
		if alg.value != "" && !slices.Contains(rules.Algorithms, alg.value) {
			bad.Add(alg.field, input.Invalid, "%s: %q is none of the algorithms in keys.algorithms (%s).", alg.field, alg.value, strings.Join(rules.Algorithms, ", "))
		}
	}
	if c.RequireACR != "" && !slices.Contains(oauth.Classes, c.RequireACR) {
		bad.Add("require_acr", input.Invalid, "require_acr: %q is none of %s.", c.RequireACR, strings.Join(oauth.Classes, ", "))
	}
	if !slices.Contains([]string{"", oauth.AccessTokenType, oauth.PlainTokenType}, c.AccessTokenType) {
		bad.Add("access_token_typ", input.Invalid, "access_token_typ: %q must be %s or %s.", c.AccessTokenType, oauth.AccessTokenType, oauth.PlainTokenType)
	}
}

// CheckID says what keeps id from being a client's, as an *input.Error, or returns nil.
func CheckID(id string) error {
	var bad input.Error
	checkClientID(&bad, id)
	return bad.Err()
}

// checkNewClientID adds what is wrong with the id of a client that is registered. The
// characters : + and % work only for callers that encode them in HTTP Basic as RFC 6749
// section 2.3.1 says, which many forget. Clients that are stored may have them.
func checkNewClientID(bad *input.Error, id string) {
	checkClientID(bad, id)
	if len(bad.Problems) == 0 && strings.ContainsAny(id, ":"+needsEncoding) {
		bad.Add("id", input.InvalidCharacters, "id must not have :, + or %%: many libraries, and curl -u, send them in HTTP Basic without the encoding that RFC 6749 section 2.3.1 asks for.")
	}
}

// checkClientID adds what is wrong with a client id. RFC 6749 appendix A.1
// allows all printable ASCII. We refuse quotes and backslashes, which would end a
// quoted id, and spaces at the ends, which get lost.
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
func checkGrants(bad *input.Error, c Settings) {
	if len(c.Grants) == 0 && !c.MayIntrospect {
		bad.Add("grants", input.Required, "grants: a client needs at least one, unless it may introspect.")
	}
	for i, g := range c.Grants {
		switch {
		case !slices.Contains(knownGrants, g):
			bad.AddItem("grants", i, input.Invalid, "grants: %q is none of %s.", g, strings.Join(knownGrants, ", "))
		case slices.Contains(c.Grants[:i], g):
			bad.AddItem("grants", i, input.Invalid, "grants: %q is repeated.", g)
		case g == oauth.GrantPassword && !c.FirstParty:
			bad.AddItem("grants", i, input.NotAllowed, "grants: password needs a first-party client, since it shows the client the user's password.")
		case g == oauth.GrantClientCredentials && c.Public:
			bad.AddItem("grants", i, input.NotAllowed, "grants: client_credentials needs a confidential client (RFC 6749 section 4.4).")
		case g == oauth.GrantAuthorizationCode && len(c.RedirectURIs) == 0:
			bad.Add("redirect_uris", input.Required, "redirect_uris: authorization_code needs at least one.")
		}
	}
}

// checkList adds the errors that valid returns for the items of a list.
func checkList(bad *input.Error, field string, items []string, valid func(string) error) {
	for i, item := range items {
		if err := valid(item); err != nil {
			bad.AddItem(field, i, input.Invalid, "%s: %q %v.", field, item, err)
		}
	}
}
