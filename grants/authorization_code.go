package grants

import (
	"context"
	"errors"

	"github.com/go-oauth2/oauth2/v4"

	"countersign/oauth"
	"countersign/refusals"
	"countersign/tokens"
)

// authorizationCode is the grant that exchanges a code of the authorization endpoint
// (RFC 6749 section 4.1.3, RFC 7636 section 4.5).
type authorizationCode struct{ tokens *tokens.Service }

var authorizationCodeRules = Rules{
	Type: oauth.GrantAuthorizationCode, For: AnyClient,
	Needs: []string{"code", "redirect_uri"}, Takes: []string{"code_verifier"},
}

func (g *authorizationCode) Rules() Rules { return authorizationCodeRules }

func (g *authorizationCode) Issue(ctx context.Context, r *Request) (Answer, error) {
	l := library{issue: func(ctx context.Context, asked *oauth2.TokenGenerateRequest) (tokens.Issued, error) {
		issued, err := g.tokens.Redeem(ctx, r.Now, r.Client.Recipient(), tokens.Exchange{
			Code: asked.Code, RedirectURI: asked.RedirectURI, Verifier: asked.CodeVerifier, Resources: r.Resources,
		}, r.From)
		if errors.Is(err, tokens.ErrUnknown) || errors.Is(err, tokens.ErrUserGone) {
			err = refusals.BadCode
		}
		return issued, err
	}}
	return l.serve(ctx, r)
}
