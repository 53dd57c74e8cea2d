package factors

import (
	"context"
	"fmt"
	"time"

	"countersign/audit"
	"countersign/caller"
	"countersign/ids"
)

// A Proposal is a TOTP that a user who isn't signed in yet may set up. Nothing of it is
// stored: who carries it between pages has all there is. The zero Proposal is none.
type Proposal struct {
	ID     ids.Factor
	Sealed []byte // its secret
}

// Propose makes a Proposal; the zero one if users may set up no TOTP.
func (s *Service) Propose() Proposal {
	if !s.Offers(TOTP) {
		return Proposal{}
	}
	made, _ := s.newTOTP()
	return Proposal{made.ID, made.Sealed}
}

// Proposed returns what an authenticator app needs for a Proposal. account is the name that
// the app shows. ErrNotOffered for the zero Proposal, and when users may set up none any more.
func (s *Service) Proposed(p Proposal, account string) (Enrolment, error) {
	if p.ID.IsZero() || !s.Offers(TOTP) {
		return Enrolment{}, ErrNotOffered
	}
	return s.shown(p.secret(), account)
}

func (p Proposal) secret() *Secret {
	return &Secret{Factor: Factor{ID: p.ID, Kind: TOTP}, Sealed: p.Sealed}
}

// Establish puts a Proposal in force as the first factor of a user who has given a first
// proof in that epoch, by a code of the app, and returns the recovery codes. It moves the
// epoch by one, and ends all sign-ins. ErrUnknown if the account has changed since, or has a
// factor; ErrNotOffered, ErrBadCode, or a *limits.WaitError.
func (s *Service) Establish(ctx context.Context, now time.Time, user ids.User, epoch int64, p Proposal, code string, from caller.Caller) ([]string, error) {
	if p.ID.IsZero() || !s.Offers(TOTP) {
		return nil, ErrNotOffered
	}
	// The page shows the user the secret: a budget is only for those who try without end.
	guess, err := s.begin(ctx, now, setUpBudget(p.ID, user))
	if err != nil {
		return nil, err
	}
	made := p.secret()
	step, err := s.match(now, made, code)
	if err != nil {
		return nil, err
	}
	made.UserID, made.CreatedAt = user, now
	with, err := s.newCodes(ctx, now, user, audit.FactorAdded, from)
	if err != nil {
		return nil, err
	}
	if err := s.o.Store.EstablishTOTP(ctx, *made, step, with.stored, epoch, now, with.ev, with.letters...); err != nil {
		return nil, fmt.Errorf("establish a TOTP: %w", err)
	}
	return with.shown, guess.right(ctx)
}
