package grants

import (
	"context"
	"errors"

	"github.com/go-oauth2/oauth2/v4"

	"countersign/browser"
	"countersign/caller"
	"countersign/oauth"
	"countersign/seal"
	"countersign/secrecy"
	"countersign/signin"
	"countersign/tokens"
)

// password is the grant of a client that takes the user's password (RFC 6749 section
// 4.3). Its answer has a device_token, which an app sends along the next time: then it
// has the budget of a known browser.
type password struct {
	seal    *seal.Keys
	signIns *signin.Service
	tokens  *tokens.Service
}

var passwordRules = Rules{
	Type: oauth.GrantPassword, For: FirstPartyClient, // no other client may see a password (RFC 9700 section 2.4)
	Needs: []string{"username", "password"}, Takes: []string{"device_token"},
}

func (g *password) Rules() Rules { return passwordRules }

// Issue checks the scopes and resources first: a request that can't succeed must not
// cost a password hash, nor tell whether the password was right.
func (g *password) Issue(ctx context.Context, r *Request) (Answer, error) {
	if err := g.tokens.CanStart(r.Client.Recipient(), r.Scopes, r.Resources); err != nil {
		return Answer{}, err
	}
	device, from := appOf(g.seal, r)
	from.Binding = bindingOf(r)
	var outcome signin.Outcome
	l := library{
		prove: func(ctx context.Context, _, username, password string) (id string, err error) {
			outcome, err = g.signIns.ProveAt(ctx, r.Now, r.Client.Recipient(), signin.Password{Username: username, Password: secrecy.Text(password)}, from)
			return outcome.User.ID.String(), err
		},
		issue: func(ctx context.Context, _ *oauth2.TokenGenerateRequest) (tokens.Issued, error) {
			return g.signIns.Start(ctx, r.Now, r.Client.Recipient(), &outcome, r.Scopes, r.Resources, from)
		},
	}
	answer, err := l.serve(ctx, r)
	if due, ok := errors.AsType[*signin.FactorDueError](err); ok {
		begun := begin(r, askedOfTokens)
		if begun.Challenge, begun.Methods = due.Challenge, typed(due.Methods); len(begun.Methods) == 0 {
			return Answer{}, errNotTyped
		}
		return Answer{}, begun.due(g.seal, err)
	}
	if err == nil {
		answer.DeviceToken = device.DeviceToken(r.Now, outcome.User.ID, outcome.User.Epoch)
	}
	return answer, err
}

// appOf returns what an app says by its device_token, and the caller of x, to whom the
// accounts are known that have signed in with it.
func appOf(keys *seal.Keys, x *Request) (*browser.Known, caller.Caller) {
	// A token that isn't ours, or has expired, is as none: the app gets a new one.
	device, from := browser.OpenDevice(keys, x.Now, x.Form.Get("device_token")), x.From
	if x.Form.Has("device_token") {
		from.Browser = device.Knows
	}
	return device, from
}
