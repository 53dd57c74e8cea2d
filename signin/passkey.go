package signin

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"countersign/accounts"
	"countersign/caller"
	"countersign/factors"
	"countersign/ids"
)

// Passkey proves a user by a passkey alone, which says whose it is. Its errors are
// ErrBadChallenge, factors.ErrBadPasskey, factors.ErrNoPasskeys, and those of an account that
// may not sign in.
type Passkey struct {
	Challenge string
	Answer    []byte // what navigator.credentials.get gave, as WebAuthn JSON
}

// TakesPasskeys reports whether users can sign in by a Passkey.
func (s *Service) TakesPasskeys() bool { return s.factors.TakesPasskeys() }

// AskPasskey returns a challenge for a Passkey that the same caller brings within five
// minutes, and what its page hands to navigator.credentials.get, as WebAuthn JSON.
// factors.ErrNoPasskeys.
func (s *Service) AskPasskey(now time.Time, from caller.Caller) (challengeText string, options json.RawMessage, err error) {
	challengeText = s.write(passkeyChallenge, challenge{}, attempt{now: now, from: from})
	options, err = s.factors.RequestOptions(challengeText, nil)
	return challengeText, options, err
}

func (p Passkey) prove(ctx context.Context, s *Service, a attempt) (Outcome, error) {
	used, err := s.usePasskey(ctx, p.Challenge, p.Answer, ids.User{}, a)
	if err != nil {
		return Outcome{}, err
	}
	user, err := s.users.ByID(ctx, used.UserID)
	if errors.Is(err, accounts.ErrUnknownUser) { // just deleted
		err = factors.ErrBadPasskey
	}
	if err != nil {
		return Outcome{}, err
	}
	if err := s.users.Barred(&user); err != nil {
		return Outcome{}, err
	}
	return settled(a.now, user, used.Methods()...), nil
}

// usePasskey checks what a page has got for a challenge of AskPasskey, which it uses. If of is
// not zero, the passkey must be that user's.
func (s *Service) usePasskey(ctx context.Context, text string, answer []byte, of ids.User, a attempt) (factors.Passkey, error) {
	ch, ok := s.read(passkeyChallenge, text, a)
	if !ok {
		return factors.Passkey{}, ErrBadChallenge
	}
	if err := s.unused(ctx, &ch, a); err != nil { // before a counter moves for nothing
		return factors.Passkey{}, err
	}
	used, err := s.factors.ProvePasskey(ctx, a.now, text, answer, of, a.from)
	if err == nil {
		err = s.use(ctx, &ch, a)
	}
	return used, err
}
