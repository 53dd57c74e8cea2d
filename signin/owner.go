package signin

import (
	"context"
	"errors"
	"fmt"
	"time"

	"countersign/accounts"
	"countersign/caller"
	"countersign/factors"
	"countersign/ids"
	"countersign/oauth"
	"countersign/secrecy"
	"countersign/tokens"
)

// ErrStale means that a change needs a proof, and that the place that asks has none, or one
// that is too old.
var ErrStale = errors.New("the session is not proven")

// ErrFactorUnproven means that a change of the factors is asked for at a place where the user,
// who has a second factor, has not proven one.
var ErrFactorUnproven = errors.New("no second factor is proven at this place")

// OwnFactor proves a user who is signed in already once more, by a code or a passkey. Its
// errors are ErrBadChallenge, factors.ErrBadCode, factors.ErrNoPasskeys, a *limits.WaitError,
// and ErrLoginRequired if the user has just been deleted or disabled.
type OwnFactor struct {
	UserID    ids.User
	Code      string // of an authenticator app; empty: by the passkey
	Challenge string // of AskPasskey
	Passkey   []byte // what navigator.credentials.get gave, as WebAuthn JSON
}

func (p OwnFactor) prove(ctx context.Context, s *Service, a attempt) (Outcome, error) {
	user, err := s.user(ctx, p.UserID)
	if err != nil {
		return Outcome{}, err
	}
	if p.Code != "" {
		if err := s.factors.Prove(ctx, a.now, user.ID, user.Epoch, factors.ByTOTP, p.Code, a.from); err != nil {
			return Outcome{}, err
		}
		return settled(a.now, user, factors.CodeMethods...), nil
	}
	used, err := s.usePasskey(ctx, p.Challenge, p.Passkey, user.ID, a)
	if err != nil {
		return Outcome{}, wrong(err)
	}
	return settled(a.now, user, used.Methods()...), nil
}

// wrong makes a passkey that is refused a wrong code: of a user who has been named, it tells no
// more.
func wrong(err error) error {
	if errors.Is(err, factors.ErrBadPasskey) {
		return fmt.Errorf("%w: %w", factors.ErrBadCode, err)
	}
	return err
}

// An Owner is a user who is signed in and asks for a change of the own account.
type Owner struct {
	UserID ids.User
	Epoch  int64 // the account's
	At     ids.Place

	SignedInAt time.Time
	ProvenAt   time.Time     // zero: not there
	Methods    oauth.Methods // what the user has proven there
}

// OwnerIn returns the user of a session.
func OwnerIn(s *tokens.Session) Owner {
	return Owner{s.UserID, s.Epoch, ids.Place{Session: s.ID}, s.AuthTime, s.ProvenAt, s.Methods}
}

// OwnerAt returns the user of a login, which the sign-in proves. beside is the session that
// the same browser has of our own applications, if any.
func OwnerAt(l *tokens.Login, beside ids.Session) Owner {
	return Owner{l.UserID, l.Epoch, ids.Place{Session: beside, Login: l.ID}, l.AuthTime, l.AuthTime, l.Methods}
}

// Fresh reports whether the owner has given a proof that still counts.
func (o *Owner) Fresh(now time.Time) bool { return now.Sub(o.ProvenAt) <= fresh }

// fresh is how long a proof counts.
const fresh = 10 * time.Minute

// ProveSession checks a proof of the user of a session, which then counts for the
// changes that this session asks for in the next ten minutes; the session has proven from
// then on what the proof does. Its errors are those of the proof, and tokens.ErrUnknown if the session or the password is no longer what it was.
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
	return s.tokens.Prove(ctx, now, mine.ID, user.Epoch, o.Methods)
}

// Confirm checks, before a change that can't be undone, that the account's owner asks
// for it, and not another person at an unlocked screen or with a stolen token: the
// password is right, or the place that asks is proven, which a browser's session and a
// login are by the sign-in. It returns the user, with the epoch that the proof is of. It
// returns ErrStale if the password is empty and the place is not proven; its other errors
// are those of OwnPassword.
func (s *Service) Confirm(ctx context.Context, now time.Time, mine Owner, password secrecy.Text, from caller.Caller) (accounts.User, error) {
	if password == "" {
		if mine.Fresh(now) {
			return accounts.User{ID: mine.UserID, Epoch: mine.Epoch}, nil
		}
		return accounts.User{}, ErrStale
	}
	o, err := s.Prove(ctx, now, OwnPassword{mine.UserID, mine.At, password}, from)
	if err != nil {
		return accounts.User{}, err
	}
	return o.Proven()
}

// ConfirmForFactors is Confirm for a change of the user's factors. A user who has a second
// factor must have proven one at the place (ErrFactorUnproven): a password alone, also in a
// browser that is remembered, must not become more than it is by adding a factor or by
// removing one.
func (s *Service) ConfirmForFactors(ctx context.Context, now time.Time, mine Owner, password secrecy.Text, from caller.Caller) error {
	lacks, err := s.LacksFactor(ctx, &mine)
	if err == nil && lacks {
		err = ErrFactorUnproven
	}
	if err == nil {
		_, err = s.Confirm(ctx, now, mine, password, from)
	}
	return err
}

// LacksFactor reports whether an owner has a second factor, and has not proven one at the
// place. A first factor ends the other places of its user, so none there is in doubt.
func (s *Service) LacksFactor(ctx context.Context, mine *Owner) (bool, error) {
	if mine.Methods.Multiple() {
		return false, nil
	}
	due, err := s.factors.Due(ctx, mine.UserID)
	return len(due.Methods) > 0, err
}

// ConfirmAnew is Confirm for a change for which the sign-in is not enough.
func (s *Service) ConfirmAnew(ctx context.Context, now time.Time, mine Owner, password secrecy.Text, from caller.Caller) (accounts.User, error) {
	if password == "" && !mine.ProvenAt.After(mine.SignedInAt) {
		return accounts.User{}, ErrStale
	}
	return s.Confirm(ctx, now, mine, password, from)
}
