package signin

import (
	"context"
	"errors"
	"time"

	"countersign/caller"
	"countersign/ids"
	"countersign/secrecy"
	"countersign/tokens"
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
	return proven(a.now, user, MethodPassword), nil
}

// OwnPassword proves a user who is signed in already once more, by the password. Its
// errors are those of accounts.Users.Prove.
type OwnPassword struct {
	UserID   ids.User
	Session  ids.Session // the user's live session that asks
	Password secrecy.Text
}

func (p OwnPassword) prove(ctx context.Context, s *Service, a attempt) (Outcome, error) {
	user, err := s.users.Prove(ctx, a.now, p.UserID, p.Session, p.Password, a.from)
	if err != nil {
		return Outcome{}, err
	}
	return proven(a.now, user, MethodPassword), nil
}

// ErrStale means that a sign-in is too old to count as a proof.
var ErrStale = errors.New("the sign-in is not recent")

// fresh is how long a sign-in counts as a proof.
const fresh = 10 * time.Minute

// Confirm checks, before a change that can't be undone, that the account's owner asks
// for it and not another person at an unlocked screen: the session's sign-in is recent,
// or the password is right. It returns ErrStale if the password is empty and the
// sign-in is not recent; its other errors are those of OwnPassword.
func (s *Service) Confirm(ctx context.Context, now time.Time, mine *tokens.Session, password secrecy.Text, from caller.Caller) error {
	if password == "" {
		if now.Sub(mine.AuthTime) <= fresh {
			return nil
		}
		return ErrStale
	}
	o, err := s.Prove(ctx, now, OwnPassword{mine.UserID, mine.ID, password}, from)
	if err == nil {
		_, err = o.Proven()
	}
	return err
}
