package signin

import (
	"context"
	"errors"

	"countersign/tokens"
)

// ErrBadCode means that an authorization code is invalid, or doesn't match the
// parameters that came with it.
var ErrBadCode = errors.New("bad authorization code")

// Code proves a user by an authorization code, which the authorization endpoint gave to
// the client for a login. One write spends the code and opens the session, so that
// no other change comes between. Its errors are ErrBadCode, and ErrLoginRequired if the
// user was just deleted or disabled.
type Code tokens.Exchange

func (x Code) prove(ctx context.Context, s *Service, a attempt) (Outcome, error) {
	issued, err := s.tokens.Redeem(ctx, a.now, a.to, tokens.Exchange(x), a.from)
	for _, bad := range []error{tokens.ErrUnknown, tokens.ErrCodeUsed, tokens.ErrVerifier, tokens.ErrUserGone, tokens.ErrTarget, tokens.ErrNoRedirectURI, tokens.ErrClass} {
		if errors.Is(err, bad) {
			return Outcome{}, ErrBadCode
		}
	}
	if err != nil {
		return Outcome{}, err
	}
	user, err := s.user(ctx, issued.Session.UserID)
	if err != nil {
		return Outcome{}, err
	}
	return Outcome{State: SignedIn, User: user, AuthTime: issued.Session.AuthTime, Methods: issued.Session.Methods, issued: &issued, settled: true}, nil
}
