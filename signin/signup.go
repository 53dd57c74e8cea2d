package signin

import (
	"context"
	"errors"

	"countersign/accounts"
	"countersign/oauth"
)

// SignUp creates an account, which also proves its user. If the user must prove the
// address first, the Outcome is AddressDue. A user who sends the same form twice is signed
// in to the account that the first has created. Its errors are those of
// accounts.Users.Create.
type SignUp accounts.NewUser

func (n SignUp) prove(ctx context.Context, s *Service, a attempt) (Outcome, error) {
	user, err := s.users.Create(ctx, a.now, accounts.NewUser(n), a.from)
	if errors.Is(err, accounts.ErrUsernameTaken) || n.Username == "" && errors.Is(err, accounts.ErrEmailTaken) {
		if again, wrong := s.users.CreatedJustNow(ctx, a.now, accounts.NewUser(n), a.from); wrong == nil {
			user, err = again, nil
		}
	}
	if err != nil {
		return Outcome{}, err
	}
	if s.users.AddressDue(&user) {
		return Outcome{State: AddressDue, User: user}, nil
	}
	return proven(a.now, user, oauth.MethodPassword), nil
}
