package signin

import (
	"context"
	"errors"

	"countersign/accounts"
	"countersign/tokens"
)

// Remembered proves a user by the login of a browser. It holds the browser's login
// tokens; see tokens.Service.LoginOf. Its error is ErrLoginRequired.
type Remembered []string

func (r Remembered) prove(ctx context.Context, s *Service, a attempt) (Outcome, error) {
	l, err := s.tokens.LoginOf(ctx, a.now, r)
	if errors.Is(err, tokens.ErrUnknown) {
		return Outcome{}, ErrLoginRequired
	}
	if err != nil {
		return Outcome{}, err
	}
	return Outcome{
		State: SignedIn, User: accounts.User{ID: l.UserID, Username: l.Username, Epoch: l.Epoch},
		AuthTime: l.AuthTime, Methods: l.Methods, Login: &l, settled: true,
	}, nil
}
