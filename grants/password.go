package grants

import (
	"context"

	"github.com/go-oauth2/oauth2/v4"

	"countersign/oauth"
	"countersign/secrecy"
	"countersign/signin"
	"countersign/tokens"
)

// password is the grant of a client that takes the user's password (RFC 6749 section
// 4.3).
type password struct {
	signIns *signin.Service
	tokens  *tokens.Service
}

func (g *password) Rules() Rules {
	return Rules{
		Type: oauth.GrantPassword, For: FirstPartyClient, // no other client may see a password (RFC 9700 section 2.4)
		Needs: []string{"username", "password"},
	}
}

// Issue checks the scopes and resources first: a request that can't succeed must not
// cost a password hash, nor tell whether the password was right.
func (g *password) Issue(ctx context.Context, r *Request) (Answer, error) {
	if _, err := g.tokens.Granted(r.Client.Recipient(), r.Scopes, r.Resources); err != nil {
		return Answer{}, err
	}
	var outcome signin.Outcome
	l := library{
		prove: func(ctx context.Context, _, username, password string) (id string, err error) {
			outcome, err = g.signIns.Prove(ctx, r.Now, signin.Password{Username: username, Password: secrecy.Text(password)}, r.From)
			return outcome.User.ID.String(), err
		},
		issue: func(ctx context.Context, _ *oauth2.TokenGenerateRequest) (tokens.Issued, error) {
			return g.signIns.Start(ctx, r.Now, r.Client.Recipient(), &outcome, r.Scopes, r.Resources, r.From)
		},
	}
	return l.serve(ctx, r)
}
