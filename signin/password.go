package signin

import (
	"context"

	"countersign/ids"
	"countersign/oauth"
	"countersign/secrecy"
)

// Password proves a user by name and password. Its errors are those of
// accounts.Users.Authenticate.
type Password struct {
	Username string
	Password secrecy.Text
}

func (p Password) prove(ctx context.Context, s *Service, a attempt) (Outcome, error) {
	user, err := s.users.Authenticate(ctx, a.now, p.Username, p.Password, a.from)
	if err != nil {
		return Outcome{}, err
	}
	return proven(a.now, user, oauth.MethodPassword), nil
}

// OwnPassword proves a user who is signed in already once more, by the password. Its
// errors are those of accounts.Users.Prove.
type OwnPassword struct {
	UserID   ids.User
	At       ids.Place // where the user is signed in who asks
	Password secrecy.Text
}

func (p OwnPassword) prove(ctx context.Context, s *Service, a attempt) (Outcome, error) {
	user, err := s.users.Prove(ctx, a.now, p.UserID, p.At, p.Password, a.from)
	if err != nil {
		return Outcome{}, err
	}
	return settled(a.now, user, oauth.MethodPassword), nil
}
