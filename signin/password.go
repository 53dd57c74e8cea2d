package signin

import (
	"context"
	"errors"
	"time"

	"countersign/accounts"
	"countersign/caller"
	"countersign/ids"
	"countersign/oauth"
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
	return proven(a.now, user, oauth.MethodPassword), nil
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
	return proven(a.now, user, oauth.MethodPassword), nil
}

// ErrStale means that a change needs a proof, and that the session has none, or one that
// is too old.
var ErrStale = errors.New("the session is not proven")

// fresh is how long a proof counts.
const fresh = 10 * time.Minute

// ProveSession checks a proof of the user of a session, which then counts for the
// changes that this session asks for in the next ten minutes. Its errors are those of the
// proof, and tokens.ErrUnknown if the session or the password is no longer what it was.
func (s *Service) ProveSession(ctx context.Context, now time.Time, mine *tokens.Session, p Proof, from caller.Caller) error {
	o, err := s.Prove(ctx, now, p, from)
	if err != nil {
		return err
	}
	user, err := o.Proven()
	if err != nil {
		return err
	}
	if user.ID != mine.UserID {
		return ErrIncomplete
	}
	return s.tokens.Prove(ctx, now, mine.ID, user.Epoch)
}

// Confirm checks, before a change that can't be undone, that the account's owner asks
// for it, and not another person at an unlocked screen or with a stolen token: the
// password is right, or the session is proven, which a browser's session is by the
// sign-in. It returns the user, with the epoch that the proof is of. It returns ErrStale
// if the password is empty and the session is not proven; its other errors are those of
// OwnPassword.
func (s *Service) Confirm(ctx context.Context, now time.Time, mine *tokens.Session, password secrecy.Text, from caller.Caller) (accounts.User, error) {
	if password == "" {
		if now.Sub(mine.ProvenAt) <= fresh {
			return accounts.User{ID: mine.UserID, Epoch: mine.Epoch}, nil
		}
		return accounts.User{}, ErrStale
	}
	o, err := s.Prove(ctx, now, OwnPassword{mine.UserID, mine.ID, password}, from)
	if err != nil {
		return accounts.User{}, err
	}
	return o.Proven()
}

// ConfirmAnew is Confirm for a change for which the sign-in is not enough.
func (s *Service) ConfirmAnew(ctx context.Context, now time.Time, mine *tokens.Session, password secrecy.Text, from caller.Caller) (accounts.User, error) {
	if password == "" && !mine.ProvenAt.After(mine.AuthTime) {
		return accounts.User{}, ErrStale
	}
	return s.Confirm(ctx, now, mine, password, from)
}
