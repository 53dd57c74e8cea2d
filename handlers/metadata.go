package handlers

import (
	"encoding/json"
	"slices"
	"time"

	"github.com/gin-gonic/gin"

	"countersign/oauth"
	"countersign/pages"
)

// Metadata serves the documents by which clients discover us. OpenID Connect Discovery
// and RFC 8414 share one document. It lists what works, and nothing else.
type Metadata struct {
	Issuer            string
	IDTokenAlgorithms []string
	Grants            []string // grant_type values
	Prompts           []string // values of prompt
	Challenge         bool     // there is an authorization challenge endpoint
}

// metadataMaxAge is how long caches may keep the documents. They change only with the
// configuration.
const metadataMaxAge = time.Hour

// Mount adds the routes below the issuer's path and, for RFC 8414, with that path
// behind the well-known part (section 3.1).
func (h *Metadata) Mount(root, issuer gin.IRouter, issuerPath string) {
	d, cacheControl := newDocument("application/json", h.document()), cacheFor(metadataMaxAge)
	answer := func(c *gin.Context) { d.answer(c, cacheControl) }
	issuer.GET("/.well-known/openid-configuration", answer)
	root.GET("/.well-known/oauth-authorization-server"+issuerPath, answer)
}

func (h *Metadata) document() []byte {
	claims := append([]string{"iss", "aud", "exp", "iat", "auth_time", "acr", "amr", "sid", "at_hash", "nonce"}, oauth.UserScopes.Claims()...)
	slices.Sort(claims)
	confidential := []string{"client_secret_basic", "client_secret_post"}
	anyClient := append(slices.Clone(confidential), "none")
	members := map[string]any{
		"issuer":                                         h.Issuer,
		"token_endpoint":                                 h.Issuer + "/oauth/token",
		"revocation_endpoint":                            h.Issuer + "/oauth/revoke",
		"introspection_endpoint":                         h.Issuer + "/oauth/introspect",
		"userinfo_endpoint":                              h.Issuer + oauth.UserInfoPath,
		"jwks_uri":                                       h.Issuer + "/.well-known/jwks.json",
		"grant_types_supported":                          h.Grants,
		"scopes_supported":                               oauth.UserScopes,
		"claims_supported":                               claims,
		"acr_values_supported":                           oauth.Classes, // RFC 9470 section 6
		"claim_types_supported":                          []string{"normal"},
		"subject_types_supported":                        []string{"public"},
		"authorization_endpoint":                         h.Issuer + "/oauth/authorize",
		"end_session_endpoint":                           h.Issuer + "/oauth/logout",
		"response_types_supported":                       []string{"code"},
		"response_modes_supported":                       []string{"query", "form_post"},
		"prompt_values_supported":                        h.Prompts,
		"code_challenge_methods_supported":               []string{"S256"},
		"authorization_response_iss_parameter_supported": true,
		"ui_locales_supported":                           pages.Languages,
		"display_values_supported":                       []string{"page"},
		"id_token_signing_alg_values_supported":          h.IDTokenAlgorithms,
		"token_endpoint_auth_methods_supported":          anyClient,
		"revocation_endpoint_auth_methods_supported":     anyClient,
		"introspection_endpoint_auth_methods_supported":  confidential,
		"claims_parameter_supported":                     true,
		"request_parameter_supported":                    false,
		"request_uri_parameter_supported":                false, // absent would mean true
	}
	if h.Challenge { // OAuth 2.0 for First-Party Applications, draft
		members["authorization_challenge_endpoint"] = h.Issuer + "/oauth/challenge"
	}
	body, err := json.MarshalIndent(members, "", "  ")
	if err != nil {
		panic(err) // strings always marshal
	}
	return body
}
