package signin

import (
	"context"

	"countersign/accounts"
)

// SignUp creates an account, which also proves its user. If the user must prove the
// address first, the Outcome is AddressDue. Its errors are those of
// accounts.Users.Create.
type SignUp accounts.NewUser

func (n SignUp) prove(ctx context.Context, s *Service, a attempt) (Outcome, error) {
	user, err := s.users.Create(ctx, a.now, accounts.NewUser(n), a.from)
	if err != nil {
		return Outcome{}, err
	}
	if s.users.AddressDue(&user) {
		return Outcome{State: AddressDue, User: user}, nil
	}
	return proven(a.now, user, MethodPassword), nil
}
