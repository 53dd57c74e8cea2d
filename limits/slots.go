// Package limits bounds what unauthenticated callers can make the server do: how
// much expensive work runs at once, and for whom first ([Slots]), and how often a
// caller may guess a secret ([Throttle]).
package limits

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"slices"
	"sync"
	"time"
)

// ErrBusy says that all slots are taken, and all places in the queue that the caller may
// have, or that no slot became free in time. The handler answers 503 with Retry-After.
var ErrBusy = errors.New("too many requests of this kind are waiting")

// maxWait is the longest that a caller waits for a slot. A user who waits longer to
// sign in tries again, which adds to the load.
const maxWait = 5 * time.Second

// A Party is who waits for a slot. The zero Party is a stranger of no network.
type Party struct {
	// Known says that the account in question knows the caller: by the caller's browser
	// or device, a session or a mailed link. Known parties go ahead of strangers.
	Known bool
	// Group and Member share what is scarce: first all groups alike, then all members of
	// a group. An attacker must not be able to be of many groups.
	Group, Member string
}

// Slots runs work at a bounded concurrency behind a queue that is bounded in
// length and time, and fair.
//
// Hashing a password costs tens of milliseconds of a core and megabytes of memory,
// and every caller may ask for it. Without a bound, a flood of logins starves all
// other work of the server; with an unbounded queue, it holds memory and the server
// answers every caller too late. With slots, a flood fills only these slots and this
// queue: refresh, JWKS and userinfo don't pass through them.
//
// Nor does a flood keep others out of the queue. The next slot goes to the group that got
// one longest ago, and in it to the member that did. Once the queue is full, a newcomer
// takes the place of the latest caller of the largest group. Known parties go first and
// take strangers' places, but for a quarter of the turns and of the places.
type Slots struct {
	// Observe, if set before the first call of Do, is told of each that enters, at its end:
	// when the caller asked, and when it got a slot, the zero time if it got none.
	Observe func(ctx context.Context, asked, got time.Time)

	size    int
	mu      sync.Mutex
	free    int // 0 while callers wait
	room    int
	waiting []*waiter // in order of arrival
	turn    uint64    // counts the slots given
	lanes   map[lane]*use
}

// strangersShare is the part of turns and places that known parties leave to strangers:
// each fourth. Otherwise users whose browsers are known could keep new users out.
const strangersShare = 4

// A lane is a group, or one member of it.
type lane struct {
	Party
	isGroup bool
}

// use is what a lane has of the slots and the queue.
type use struct {
	waiting int
	served  uint64 // the turn in which it got its latest slot
}

type waiter struct {
	Party
	group, member *use
	answer        chan error // gets nil with a slot, or ErrBusy
}

// NewSlots returns Slots that run at most slots functions at once (at least one),
// while at most queue more callers wait.
func NewSlots(slots, queue int) *Slots {
	size := max(slots, 1)
	return &Slots{size: size, free: size, room: max(queue, 0), lanes: map[lane]*use{}}
}

// Size returns how many functions run at once at most.
func (s *Slots) Size() int { return s.size }

// Do runs fn in a slot and returns nil when fn has run. After an error fn did not run:
// ErrBusy says that the queue was full or too slow, ctx's error that the caller gave up
// before a slot was free.
func (s *Slots) Do(ctx context.Context, p Party, fn func()) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	var got time.Time
	if s.Observe != nil {
		asked := time.Now()
		defer func() { s.Observe(ctx, asked, got) }()
	}
	w := s.enter(p)
	timeout := time.NewTimer(maxWait)
	defer timeout.Stop()
	var err error
	select {
	case err = <-w.answer:
	case <-timeout.C:
		err = s.giveUp(w, ErrBusy)
	case <-ctx.Done():
		err = s.giveUp(w, ctx.Err())
	}
	if err != nil {
		return err
	}
	defer s.leave()
	if s.Observe != nil {
		got = time.Now()
	}
	// Select chooses at random when both are ready. Never work for a caller that
	// has hung up.
	if err := ctx.Err(); err != nil {
		return err
	}
	fn()
	return nil
}

// Waiting returns how many callers wait for a slot.
func (s *Slots) Waiting() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.waiting)
}

// enter gives the caller a slot or a place in the queue, or turns a caller away, perhaps
// this one.
func (s *Slots) enter(p Party) *waiter {
	s.mu.Lock()
	defer s.mu.Unlock()
	w := &waiter{p, s.lane(lane{Party{p.Known, p.Group, ""}, true}), s.lane(lane{p, false}), make(chan error, 1)}
	s.add(w)
	switch {
	case s.free > 0:
		s.free--
		s.give(w)
	case len(s.waiting) > s.room:
		out := s.last()
		s.remove(out)
		out.answer <- ErrBusy
	}
	return w
}

// giveUp takes the caller out of the queue and returns err, unless the caller got an
// answer meanwhile: that counts.
func (s *Slots) giveUp(w *waiter, err error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	select {
	case answer := <-w.answer:
		return answer
	default:
		s.remove(w)
		return err
	}
}

// leave gives the caller's slot to the next.
func (s *Slots) leave() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if w := s.next(); w != nil {
		s.give(w)
	} else {
		s.free++
	}
}

// give takes a caller out of the queue for a slot.
func (s *Slots) give(w *waiter) {
	s.turn++
	w.group.served, w.member.served = s.turn, s.turn
	s.remove(w)
	w.answer <- nil
}

// next returns who gets the next slot, or nil if no caller waits.
func (s *Slots) next() (next *waiter) {
	knownFirst := (s.turn+1)%strangersShare != 0
	for _, w := range s.waiting {
		if next == nil || cmp.Or(
			-prefer(knownFirst, w, next),
			cmp.Compare(w.group.served, next.group.served),
			cmp.Compare(w.member.served, next.member.served),
		) < 0 {
			next = w
		}
	}
	return next
}

// last returns who has to leave the queue because it is full.
func (s *Slots) last() (last *waiter) {
	known := 0
	for _, w := range s.waiting {
		if w.Known {
			known++
		}
	}
	tooManyKnown := known > s.room-s.room/strangersShare
	for _, w := range s.waiting {
		if last == nil || cmp.Or(
			prefer(tooManyKnown, w, last),
			cmp.Compare(w.group.waiting, last.group.waiting),
			cmp.Compare(w.member.waiting, last.member.waiting),
		) >= 0 {
			last = w
		}
	}
	return last
}

// prefer returns 1 if only a is of the preferred kind, known or not, -1 if only b is, and
// 0 if they are of one kind.
func prefer(known bool, a, b *waiter) int {
	switch a.Known {
	case b.Known:
		return 0
	case known:
		return 1
	default:
		return -1
	}
}

func (s *Slots) add(w *waiter) {
	s.waiting = append(s.waiting, w)
	w.group.waiting++
	w.member.waiting++
}

func (s *Slots) remove(w *waiter) {
	if i := slices.Index(s.waiting, w); i >= 0 {
		s.waiting = slices.Delete(s.waiting, i, i+1)
		w.group.waiting--
		w.member.waiting--
	}
}

// lane returns the use of a lane. It forgets lanes that have not been used for as many
// turns as there are places: they come first anyway.
func (s *Slots) lane(l lane) *use {
	if len(s.lanes) > 4*(s.room+16) {
		maps.DeleteFunc(s.lanes, func(_ lane, u *use) bool { return u.waiting == 0 && u.served+uint64(s.room) < s.turn })
	}
	u := s.lanes[l]
	if u == nil {
		u = new(use)
		s.lanes[l] = u
	}
	return u
}
