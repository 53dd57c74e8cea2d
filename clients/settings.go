package clients

import "reflect"

// Settings describe an application and what it may do. A new setting needs a field here
// and its rule in Check: the configuration file (yaml), the flags of clients create and
// clients update (name, help and others, see kong), the views and the store (json) all use
// these fields. No setting may be a secret, because views show all of them.
type Settings struct {
	// Name is shown to users. Default: the id.
	Name string `json:"name" yaml:"name" placeholder:"N" help:"Name shown to people."`
	// Public marks an application that can keep no secret, such as one in a
	// browser (RFC 6749 section 2.1). Default false: it has a secret.
	Public bool `json:"public" yaml:"public" xor:"kind" help:"Can't keep a secret: a browser or native app."`
	// FirstParty marks an application of ours: it may use the password grant and
	// needs no consent. Default false.
	FirstParty bool `json:"first_party" yaml:"first_party" negatable:"" help:"Ours: may use the password grant, needs no consent."`
	// Grants are the grant_type values that it may use: password, refresh_token,
	// authorization_code, client_credentials. At least one, unless it may introspect.
	Grants []string `json:"grants" yaml:"grants" name:"grant" placeholder:"G" help:"password, refresh_token, authorization_code or client_credentials; may be repeated."`
	// Scopes are the most it may ask for. Default none.
	Scopes []string `json:"scopes" yaml:"scopes" name:"scope" placeholder:"S" help:"Scope it may ask for; may be repeated."`
	// Audiences are the "aud" values of its access tokens. Default: the server's for a
	// first-party client, and for any other none but that of userinfo.
	Audiences []string `json:"audiences" yaml:"audiences" name:"audience" placeholder:"A" sep:"none" help:"Audience of its access tokens; may be repeated."`
	// RedirectURIs are the addresses that codes may go to; see CheckRedirectURI.
	// Required for authorization_code.
	RedirectURIs []string `json:"redirect_uris" yaml:"redirect_uris" name:"redirect-uri" placeholder:"U" sep:"none" help:"Where codes may be sent; may be repeated."`
	// PostLogoutRedirectURIs are the addresses that a browser may go to after signing
	// out, in the same form. Default none.
	PostLogoutRedirectURIs []string `json:"post_logout_redirect_uris" yaml:"post_logout_redirect_uris" name:"post-logout-redirect-uri" placeholder:"U" sep:"none" help:"Where browsers may go after signing out; may be repeated."`
	// Origins are the web origins whose scripts may call the server (CORS); see
	// origins.Rules. Those of a first-party client may call every endpoint, with cookies;
	// others the token, revocation and userinfo endpoints, without. Default none.
	Origins []string `json:"origins" yaml:"origins" name:"origin" placeholder:"O" sep:"none" help:"Web origin whose scripts may call the server; may be repeated."`
	// MayIntrospect lets a confidential client ask about tokens (RFC 7662).
	// Default false.
	MayIntrospect bool `json:"may_introspect" yaml:"may_introspect" negatable:"" help:"May ask about tokens (RFC 7662)."`
	// RequirePKCE refuses codes without PKCE to a confidential client, which otherwise
	// may leave it out (RFC 9700 section 2.1.1). Public clients always need it. Default
	// false.
	RequirePKCE bool `json:"require_pkce" yaml:"require_pkce" name:"require-pkce" negatable:"" help:"Gets no code without PKCE; so does every public client."`
	// RequireACR is the least that its users must have proven, one of the acr values pwd, mfa
	// and phr (a passkey): a user without such a factor doesn't get in. Default none.
	RequireACR string `json:"require_acr,omitempty" yaml:"require_acr" name:"require-acr" placeholder:"ACR" help:"Least that its users must have proven: pwd, mfa or phr."`
	// IDTokenAlg signs its ID tokens; one of the server's algorithms. Default RS256.
	IDTokenAlg string `json:"id_token_alg,omitempty" yaml:"id_token_alg" name:"id-token-alg" placeholder:"ALG" help:"Signature algorithm of its ID tokens."`
	// ClaimsInIDToken puts the claims of its scopes into its ID tokens, too, for libraries
	// that don't ask userinfo. Default false.
	ClaimsInIDToken bool `json:"claims_in_id_token" yaml:"claims_in_id_token" name:"claims-in-id-token" negatable:"" help:"Puts name, e-mail and so on into its ID tokens, too."`
	// AccessTokenType is the "typ" of its access tokens: at+jwt (RFC 9068), or JWT for
	// resource servers that refuse that one. Default at+jwt.
	AccessTokenType string `json:"access_token_typ,omitempty" yaml:"access_token_typ" name:"access-token-typ" placeholder:"TYP" help:"typ of its access tokens: at+jwt (default) or JWT."`
	// AccessTokenAlg signs its access tokens; one of the server's algorithms. Default the
	// first.
	AccessTokenAlg string `json:"access_token_alg,omitempty" yaml:"access_token_alg" name:"access-token-alg" placeholder:"ALG" help:"Signature algorithm of its access tokens."`
}

// NeedsPKCE reports whether the client gets no code without PKCE.
func (s Settings) NeedsPKCE() bool { return s.Public || s.RequirePKCE }

// Whole returns s with an empty list in place of each absent one, which would be null
// in JSON.
func (s Settings) Whole() Settings {
	for _, field := range reflect.ValueOf(&s).Elem().Fields() {
		if field.Kind() == reflect.Slice && field.IsNil() {
			field.Set(reflect.MakeSlice(field.Type(), 0, 0))
		}
	}
	return s
}

// Same reports whether two clients are equal except for their times and SecretMAC. An
// empty list and an absent one are the same.
func (c Client) Same(as Client) bool {
	return c.ID == as.ID && c.SecretHash == as.SecretHash && c.Declared == as.Declared &&
		reflect.DeepEqual(c.Settings.Whole(), as.Settings.Whole())
}
