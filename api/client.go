package api

import "countersign/clients"

// Client is an application as operators see it.
type Client struct {
	ID                     string   `json:"id"`
	Name                   string   `json:"name"`
	Public                 bool     `json:"public"`
	FirstParty             bool     `json:"first_party"`
	Grants                 []string `json:"grants"`
	Scopes                 []string `json:"scopes"`
	Audiences              []string `json:"audiences"`
	RedirectURIs           []string `json:"redirect_uris"`
	PostLogoutRedirectURIs []string `json:"post_logout_redirect_uris"`
	Origins                []string `json:"origins"`
	MayIntrospect          bool     `json:"may_introspect"`
	PKCEOptional           bool     `json:"pkce_optional"`
	IDTokenAlg             string   `json:"id_token_alg,omitempty"`
	Declared               bool     `json:"declared"`
	CreatedAt              string   `json:"created_at"`
	UpdatedAt              string   `json:"updated_at"`

	// Secret is the generated secret, in the one answer that tells it. The caller sets
	// it: no record keeps it.
	Secret string `json:"client_secret,omitempty"`
}

// DescribeClient is the view of an application, without its secret.
func DescribeClient(c clients.Client) Client {
	return Client{
		ID: c.ID, Name: c.Name, Public: c.Public, FirstParty: c.FirstParty,
		Grants: texts(c.Grants), Scopes: texts(c.Scopes), Audiences: texts(c.Audiences), RedirectURIs: texts(c.RedirectURIs),
		PostLogoutRedirectURIs: texts(c.PostLogoutRedirectURIs), Origins: texts(c.Origins), MayIntrospect: c.MayIntrospect,
		PKCEOptional: c.PKCEOptional, IDTokenAlg: c.IDTokenAlg, Declared: c.Declared,
		CreatedAt: at(c.CreatedAt), UpdatedAt: at(c.UpdatedAt),
	}
}
