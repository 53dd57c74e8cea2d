// Package limits bounds what unauthenticated callers can make the server do: how
// much expensive work runs at once ([Slots]), and how often a caller may guess a
// secret ([Throttle]).
package limits

import (
	"context"
	"errors"
	"time"
)

// ErrBusy says that all slots and all places in the queue are taken, or that no
// slot became free in time. The handler answers 503 with Retry-After.
var ErrBusy = errors.New("too many requests of this kind are waiting")

// maxWait is the longest that a caller waits for a slot. A user who waits longer to
// sign in tries again, which adds to the load.
const maxWait = 5 * time.Second

// Slots runs work at a bounded concurrency behind a queue that is bounded in
// length and time.
//
// Hashing a password costs tens of milliseconds of a core and megabytes of memory,
// and every caller may ask for it. Without a bound, a flood of logins starves all
// other work of the server; with an unbounded queue, it holds memory and the server
// answers every caller too late. With slots, a flood fills only these slots and this
// queue: refresh, JWKS and userinfo don't pass through them.
type Slots struct {
	admitted chan struct{} // one per caller, running or queued
	running  chan struct{} // one per caller that has a slot
}

// NewSlots returns Slots that run at most slots functions at once (at least one),
// while at most queue more callers wait.
func NewSlots(slots, queue int) *Slots {
	slots, queue = max(slots, 1), max(queue, 0)
	return &Slots{
		admitted: make(chan struct{}, slots+queue),
		running:  make(chan struct{}, slots),
	}
}

// Do runs fn in a slot, first come, first served, and returns nil when fn has run.
// After an error fn did not run: ErrBusy says that the queue was full or too slow,
// ctx's error that the caller gave up before a slot was free.
func (s *Slots) Do(ctx context.Context, fn func()) error {
	select {
	case s.admitted <- struct{}{}:
	default:
		return ErrBusy
	}
	defer func() { <-s.admitted }()

	timeout := time.NewTimer(maxWait)
	defer timeout.Stop()
	select {
	case s.running <- struct{}{}:
	case <-timeout.C:
		return ErrBusy
	case <-ctx.Done():
		return ctx.Err()
	}
	defer func() { <-s.running }()

	// Select chooses at random when both are ready. Never work for a caller that
	// has hung up.
	if err := ctx.Err(); err != nil {
		return err
	}
	fn()
	return nil
}
