// Package oauth has the words of OAuth 2.0: grant types, scopes, resources, errors and
// the recipient of tokens.
package oauth

import "countersign/ids"

// The grant_type values.
const (
	GrantPassword          = "password"
	GrantRefreshToken      = "refresh_token"
	GrantAuthorizationCode = "authorization_code"
	GrantClientCredentials = "client_credentials"
)

// UserInfoPath is the path of the userinfo endpoint below the issuer (OpenID Connect Core
// section 5.3).
const UserInfoPath = "/userinfo"

// Recipient is the client that tokens are made for.
type Recipient struct {
	ClientID   ids.Client
	FirstParty bool     // ours: the server's own audiences are for it
	Scopes     Scopes   // the most it may get
	Audiences  []string // its access tokens' "aud"; empty: the server's own if it is ours, and else none but userinfo
	IDTokenAlg string   // empty is the default
	// AccessTokenAlg signs its access tokens, and AccessTokenType is their typ; empty is the
	// default.
	AccessTokenAlg, AccessTokenType string
	ClaimsInIDToken                 bool // gets the claims of its scopes in the ID token, too
	Refresh                         bool // gets refresh tokens
	// RequireACR is the class that a user's sign-in must reach; empty: any will do. No session
	// and no code begins with less, and none goes on.
	RequireACR string
	// InCookie says that a browser keeps the refresh token in our cookie. A page gets the
	// access tokens alone, which are for resource servers: no ID token, and no scope
	// account. The cookie opens the account, so the sign-in counts as a proof in the session.
	InCookie bool
}

// The "typ" headers that access tokens may have.
const (
	AccessTokenType = "at+jwt" // RFC 9068 section 2.1
	PlainTokenType  = "JWT"    // also that of ID tokens
)
