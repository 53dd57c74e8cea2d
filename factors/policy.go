package factors

import (
	"context"
	"crypto/sha256"
	"time"

	"countersign/ids"
)

// MustHave reports whether a user with these roles must have a second factor.
func (s *Service) MustHave(roles []string) bool { return s.o.Settings.MustHave(roles) }

// Requires reports whether any user must have a second factor.
func (s *Service) Requires() bool { return s.o.Settings.someMust() }

// Remembers returns how long a browser needs no second factor after a user has proven one
// there and asked for that; 0: it always does.
func (s *Service) Remembers() time.Duration { return s.o.Settings.RememberBrowser }

// State returns what stands for a user's factors in force, recovery codes included: another
// set of factors has another state, and so has the same set with new recovery codes.
func (s *Service) State(ctx context.Context, user ids.User) ([16]byte, error) {
	all, err := s.Of(ctx, user)
	h := sha256.New()
	for _, f := range all {
		h.Write(f.ID[:])
	}
	return [16]byte(h.Sum(nil)), err
}
