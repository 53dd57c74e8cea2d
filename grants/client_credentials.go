package grants

import (
	"context"

	"github.com/go-oauth2/oauth2/v4"

	"countersign/oauth"
	"countersign/tokens"
)

// clientCredentials is the grant of a client that acts for itself (RFC 6749 section
// 4.4).
type clientCredentials struct{ tokens *tokens.Service }

var clientCredentialsRules = Rules{Type: oauth.GrantClientCredentials, For: ConfidentialClient}

func (g *clientCredentials) Rules() Rules { return clientCredentialsRules }

func (g *clientCredentials) Issue(ctx context.Context, r *Request) (Answer, error) {
	l := library{issue: func(context.Context, *oauth2.TokenGenerateRequest) (tokens.Issued, error) {
		return g.tokens.ForClient(r.Now, r.Client.Recipient(), r.Scopes, r.Resources)
	}}
	return l.serve(ctx, r)
}
