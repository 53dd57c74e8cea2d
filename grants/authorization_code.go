package grants

import (
	"context"
	"errors"
	"maps"

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
	// A client that may take passwords exchanges the codes of the authorization challenge
	// endpoint, which have no redirect_uri. It gets no others without this grant.
	Also:  oauth.GrantPassword,
	Needs: []string{"code"}, Takes: []string{"redirect_uri", "code_verifier"},
}

func (g *authorizationCode) Rules() Rules { return authorizationCodeRules }

func (g *authorizationCode) Issue(ctx context.Context, r *Request) (Answer, error) {
	l := library{issue: func(ctx context.Context, asked *oauth2.TokenGenerateRequest) (tokens.Issued, error) {
		issued, err := g.tokens.Redeem(ctx, r.Now, r.Client.Recipient(), tokens.Exchange{
			Code: asked.Code, RedirectURI: r.Form.Get("redirect_uri"), Verifier: asked.CodeVerifier, Resources: r.Resources,
		}, r.From)
		if errors.Is(err, tokens.ErrUnknown) || errors.Is(err, tokens.ErrUserGone) {
			err = refusals.BadCode
		}
		return issued, err
	}}
	asks := *r
	if !r.Form.Has("redirect_uri") { // the library insists on one
		asks.Form = maps.Clone(r.Form)
		asks.Form.Set("redirect_uri", "urn:none")
	}
	return l.serve(ctx, &asks)
}
