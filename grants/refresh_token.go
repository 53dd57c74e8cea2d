package grants

import (
	"context"
	"strings"

	"github.com/go-oauth2/oauth2/v4"

	"countersign/oauth"
	"countersign/tokens"
)

// refreshToken is the grant that renews a session's tokens (RFC 6749 section 6).
type refreshToken struct{ tokens *tokens.Service }

var refreshTokenRules = Rules{Type: oauth.GrantRefreshToken, For: AnyClient, Needs: []string{"refresh_token"}}

func (g *refreshToken) Rules() Rules { return refreshTokenRules }

func (g *refreshToken) Issue(ctx context.Context, r *Request) (Answer, error) {
	if strings.TrimSpace(r.Form.Get("refresh_token")) == "" {
		return Answer{}, missing("refresh_token")
	}
	l := library{issue: func(ctx context.Context, asked *oauth2.TokenGenerateRequest) (tokens.Issued, error) {
		return g.tokens.Refresh(ctx, r.Now, r.Client.Recipient(), asked.Refresh, r.Scopes, r.Resources, r.From)
	}}
	return l.serve(ctx, r)
}
