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

// Recipient is the client that tokens are made for.
type Recipient struct {
	ClientID   ids.Client
	Scopes     Scopes   // the most it may get
	Audiences  []string // its access tokens' "aud"; empty is the default
	IDTokenAlg string   // empty is the default
	Refresh    bool     // gets refresh tokens
	NoIDToken  bool     // gets no ID token even with the openid scope: it would not read it
}
