package tokens

import (
	"slices"
	"time"
)

// standing tells how a refresh token relates to its session's current one.
type standing int

const (
	undecidable standing = iota // older than the remembered rotations, which are all within the window
	current                     // the latest
	superseded                  // by a rotation within the window
	reused                      // superseded earlier
)

// standing judges the refresh token with counter. With a window of 0 every token except
// the latest is reused.
func (s *Session) standing(counter uint64, now time.Time, window time.Duration) standing {
	if counter == s.Counter {
		return current
	}
	if counter > s.Counter {
		// Our MAC, but ahead of the database: an operator must have restored a
		// backup. Nothing says that the token was stolen.
		return undecidable
	}
	age := s.Counter - counter // 1: superseded by the last rotation
	remembered := uint64(len(s.Rotations))
	if remembered == 0 {
		return undecidable
	}
	at := s.Rotations[remembered-min(age, remembered)]
	switch recent := window > 0 && now.Sub(at) <= window; {
	case !recent:
		// Even the oldest remembered rotation is outside the window, and this
		// token's was no later.
		return reused
	case age > remembered:
		return undecidable
	default:
		return superseded
	}
}

// rotated returns the session after one more rotation.
func (s Session) rotated(now time.Time, idleTTL time.Duration) Session {
	s.Counter++
	s.Rotations = slices.Concat(s.Rotations[max(0, len(s.Rotations)+1-rotationsKept):], []time.Time{now})
	s.LastUsedAt = now
	s.ExpiresAt = earlier(now.Add(idleTTL), s.AbsoluteExpiresAt)
	return s
}

// earlier returns the earlier of two times.
func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}
