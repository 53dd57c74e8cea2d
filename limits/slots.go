// Package limits bounds what strangers can make the server do: how much
// expensive work runs at once (Slots), and how often a secret may be guessed
// (Throttle).
package limits

import (
	"context"
	"errors"
	"time"
)

// ErrBusy says that all slots and all places in the queue are taken, or that no
// slot got free in time. The caller answers 503 with Retry-After.
var ErrBusy = errors.New("too many requests of this kind are waiting")

// maxWait is how long anybody waits for a slot: who signs in will not wait
// longer without trying again, which makes it worse.
const maxWait = 5 * time.Second

// Slots runs work at a bounded concurrency behind a queue that is bounded in
// length and time.
//
// Hashing a password costs tens of milliseconds of a core and megabytes of
// memory, and anybody may ask for it. Without a bound a flood of logins starves
// everything else the server does; with an unbounded queue it holds memory and
// answers everybody too late. A flood here fills these slots and this queue and
// nothing else: refresh, JWKS and userinfo don't pass through them.
type Slots struct {
	admitted chan struct{} // one per caller, running or queued
	running  chan struct{} // one per caller that has a slot
}

// NewSlots returns slots for that many functions at once (at least one), with
// room for queue more callers to wait.
func NewSlots(slots, queue int) *Slots {
	slots, queue = max(slots, 1), max(queue, 0)
	return &Slots{
		admitted: make(chan struct{}, slots+queue),
		running:  make(chan struct{}, slots),
	}
}

// Do runs fn in a slot, first come, first served, and returns nil when it has
// run. It did not run if the error is ErrBusy, because the queue was full or too
// slow, or ctx's, because the caller gave up before a slot was free.
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

	// Select chooses at random when both are ready: never work for somebody
	// who has hung up.
	if err := ctx.Err(); err != nil {
		return err
	}
	fn()
	return nil
}
