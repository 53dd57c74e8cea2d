package signin

import (
	"context"
	"errors"
	"time"

	"github.com/google/uuid"

	"countersign/caller"
	"countersign/tokens"
)

// Password proves a user by name and password. It is refused as
// accounts.Users.Authenticate says.
type Password struct {
	Username string
	Password string
}

func (p Password) prove(ctx context.Context, s *Service, a attempt) (Outcome, error) {
	user, err := s.users.Authenticate(ctx, a.now, p.Username, p.Password, a.from)
	if err != nil {
		return Outcome{}, err
	}
	return proven(a.now, user, MethodPassword), nil
}

// OwnPassword proves again, by the password, a user who is signed in already. It is
// refused as accounts.Users.Prove says.
type OwnPassword struct {
	UserID   uuid.UUID
	Password string
}

func (p OwnPassword) prove(ctx context.Context, s *Service, a attempt) (Outcome, error) {
	user, err := s.users.Prove(ctx, a.now, p.UserID, p.Password, a.from)
	if err != nil {
		return Outcome{}, err
	}
	return proven(a.now, user, MethodPassword), nil
}

// ErrStale says that a sign-in is too long ago to stand for a proof.
var ErrStale = errors.New("the sign-in is not recent")

// fresh is how long a sign-in stands for a new proof.
const fresh = 10 * time.Minute

// Confirm makes sure that the owner of the account asks for what can't be undone, and
// not another person at a screen left unlocked: the session's sign-in is recent, or the
// password is right. ErrStale if the password is empty and the sign-in is not recent;
// otherwise what OwnPassword is refused with.
func (s *Service) Confirm(ctx context.Context, now time.Time, mine *tokens.Session, password string, from caller.Caller) error {
	if password == "" {
		if now.Sub(mine.AuthTime) <= fresh {
			return nil
		}
		return ErrStale
	}
	o, err := s.Prove(ctx, now, OwnPassword{mine.UserID, password}, from)
	if err == nil && o.State != SignedIn {
		err = ErrIncomplete
	}
	return err
}
