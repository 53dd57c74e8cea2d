package signin

import (
	"context"

	"countersign/browser"
)

// remembered reports whether a user who has a second factor needs not prove it: the user has
// proven it in this browser not long ago, and asked for that. The account is in the same
// epoch since, and has the same factors: a new password, signing out everywhere, and any
// change of the factors end it. It counts for a Password and a Federated alone: a mailbox, for
// one, is no second factor.
func (s *Service) remembered(ctx context.Context, o *Outcome, p Proof, a attempt) (bool, error) {
	switch p.(type) {
	case Password, Federated:
	default:
		return false, nil
	}
	life := s.factors.Remembers()
	if life <= 0 || a.from.Remembers == nil {
		return false, nil
	}
	kept, epoch, ok := a.from.Remembers(o.User.ID)
	if !ok || epoch != o.User.Epoch || a.now.Sub(kept.At) >= life {
		return false, nil
	}
	state, err := s.factors.State(ctx, o.User.ID)
	return err == nil && state == kept.Factors, err
}

// keep sets what the browser of a user has to keep who has just proven a second factor, if the
// user wants that and the operator allows it.
func (s *Service) keep(ctx context.Context, o *Outcome, wanted bool) error {
	if !wanted || s.factors.Remembers() <= 0 {
		return nil
	}
	state, err := s.factors.State(ctx, o.User.ID)
	o.Keep = &browser.Proof{At: o.AuthTime, Factors: state}
	return err
}

// RemembersBrowsers reports whether users may ask for no second factor in a browser.
func (s *Service) RemembersBrowsers() bool { return s.factors.Remembers() > 0 }
