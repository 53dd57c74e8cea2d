package signin

import (
	"context"

	"countersign/accounts"
)

// SignUp makes an account, and proves its user by having made it. Where an address has
// to be proven first, the Outcome is AddressDue. It is refused as accounts.Users.Create
// says.
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
