package server_test

import (
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/anishathalye/porcupine"
)

// This file says what may have happened to one user's sessions if every call, to
// whichever replica, took effect at one instant between its beginning and its
// answer. The checker looks for such an order of a history (linear_test.go).
//
// Time is part of it: a server judges a superseded token by its own clock, read
// somewhere within the call. The model accepts what a reading within the call
// allows, so near the edge of the window it takes either answer, and elsewhere one.

// linearSessions is how many sessions a user has in a history, at most.
const linearSessions = 8

// The kinds of calls.
const (
	linSignIn     = "sign in"
	linRefresh    = "refresh"
	linElsewhere  = "refresh by another client"
	linEndSession = "end session"
	linEndOfUser  = "end all sessions"
	linDisable    = "disable"
	linEnable     = "enable"
)

// linearCall is a call, with its wall-clock time in nanoseconds.
type linearCall struct {
	what         string
	session      int    // which of the user's
	number       uint64 // of the refresh token that was presented
	began, ended int64
	superseded   []span // when the session's tokens were, by number
	overtaken    bool   // a sign-in, at the time of which all of the user's sessions were ended
}

// span is the time in which something happened, as exactly as the history tells.
type span struct{ from, until int64 }

// linearAnswer is the result of a call.
type linearAnswer struct {
	outcome outcome
	number  uint64 // of the new refresh token, or how many sessions were ended
}

type outcome string

const (
	happened  outcome = "done"
	denied    outcome = "refused"
	uncertain outcome = "uncertain" // the server reported a failure: the change happened or not
)

// linearState is the state of a user's sessions.
type linearState struct {
	disabled bool
	sessions [linearSessions]struct {
		lives   bool
		counter uint64
	}
}

// effect is a possible answer, and the state after it.
type effect struct {
	answer linearAnswer
	state  linearState
	orMore bool // the answer's number is the least it may be
}

func (e effect) explains(a linearAnswer) bool {
	if e.orMore {
		a.number = min(a.number, e.answer.number)
	}
	return a.outcome == uncertain || a == e.answer
}

// effects returns all possible effects of the call.
func (s linearState) effects(c linearCall, window time.Duration) []effect {
	refuse := effect{answer: linearAnswer{outcome: denied}, state: s}
	did := effect{answer: linearAnswer{outcome: happened}}
	switch c.what {
	case linSignIn:
		if s.disabled {
			return []effect{refuse}
		}
		s.sessions[c.session].lives = true
		if c.overtaken { // its proof may be of the epoch before
			did.state = s
			return []effect{did, refuse}
		}
	case linRefresh:
		return s.refresh(c, window)
	case linElsewhere:
		return []effect{refuse}
	case linEndSession:
		if !s.sessions[c.session].lives {
			return []effect{refuse}
		}
		s.sessions[c.session].lives = false
	case linEndOfUser:
		// On MySQL what a sign-in leaves that was overtaken by the disabling of
		// the user is counted as well, though it was dead from the beginning.
		did.answer.number, did.orMore = s.endAll(), true
	case linDisable:
		s.endAll()
		s.disabled = true
	case linEnable:
		s.disabled = false
	}
	did.state = s
	return []effect{did}
}

// endAll ends all sessions and returns how many lived.
func (s *linearState) endAll() (n uint64) {
	for i := range s.sessions {
		if s.sessions[i].lives {
			s.sessions[i].lives = false
			n++
		}
	}
	return n
}

// refresh returns the possible effects when a client presents its own refresh token.
func (s linearState) refresh(c linearCall, window time.Duration) (all []effect) {
	same, session := s, &s.sessions[c.session]
	may := func(becomes linearState, o outcome, number uint64) {
		all = append(all, effect{answer: linearAnswer{o, number}, state: becomes})
	}
	switch {
	case !session.lives:
		may(same, denied, 0)
	case c.number == session.counter:
		session.counter++
		may(s, happened, session.counter)
	case c.number < session.counter:
		// The oldest rotation that the server knows the time of, if it isn't
		// this token's.
		oldest := max(c.number, session.counter-min(session.counter, remembered))
		recent, counter := c.mayBeWithin(window, oldest), session.counter
		if recent && oldest == c.number {
			may(same, happened, counter)
		}
		if recent && oldest != c.number {
			may(same, denied, 0) // can't be told from theft
		}
		// Also where the token is too old to tell by now: it may have been
		// judged a few rotations before the session was ended.
		if c.mayBeBeyond(window, c.number) {
			session.lives = false
			may(s, denied, 0)
		}
	}
	return all
}

// mayBeWithin reports whether a clock that was read during the call can have
// called the token's rotation recent. A rotation's time is kept in whole
// milliseconds.
func (c linearCall) mayBeWithin(window time.Duration, number uint64) bool {
	return c.began-wholeMillis(c.superseded[number].until) <= int64(window)
}

// mayBeBeyond reports whether such a clock can have called the rotation long ago.
func (c linearCall) mayBeBeyond(window time.Duration, number uint64) bool {
	return c.ended-wholeMillis(c.superseded[number].from) > int64(window)
}

func wholeMillis(t int64) int64 { return t - t%int64(time.Millisecond) }

// supersessions are when a session's tokens were superseded, by number. A call that
// presented token n, and got n+1 or no answer, superseded it; it did so before any call
// got n+1 or a later one.
func supersessions(history []porcupine.Operation, session int) []span {
	var spans []span
	at := func(n uint64) *span {
		for uint64(len(spans)) <= n {
			spans = append(spans, span{math.MaxInt64, math.MaxInt64})
		}
		return &spans[n]
	}
	for _, op := range history {
		c, a := op.Input.(linearCall), op.Output.(linearAnswer)
		if c.what != linRefresh || c.session != session {
			continue
		}
		presented := at(c.number)
		if a.outcome == uncertain || a.outcome == happened && a.number == c.number+1 {
			presented.from = min(presented.from, c.began)
		}
		if a.outcome == happened {
			before := at(a.number - 1)
			before.until = min(before.until, c.ended)
		}
	}
	for n := len(spans) - 2; n >= 0; n-- {
		spans[n].until = min(spans[n].until, spans[n+1].until)
	}
	return spans
}

// linearModel is the model for the checker. The history must be whole, and one user's.
func linearModel(window time.Duration) porcupine.Model {
	m := porcupine.NondeterministicModel{
		Init: func() []any { return []any{linearState{}} },
		Step: func(state, input, output any) (next []any) {
			s, c, a := state.(linearState), input.(linearCall), output.(linearAnswer)
			if a.outcome == uncertain {
				next = append(next, s)
			}
			for _, e := range s.effects(c, window) {
				if e.explains(a) {
					next = append(next, e.state)
				}
			}
			return next
		},
		DescribeOperation: func(input, output any) string {
			return fmt.Sprint(input.(linearCall), ": ", output.(linearAnswer))
		},
	}
	return m.ToModel()
}

// ofSession reports whether the call is about one session.
func (c linearCall) ofSession() bool {
	return c.what != linEndOfUser && c.what != linDisable && c.what != linEnable
}

func (c linearCall) String() string {
	switch {
	case c.what == linRefresh || c.what == linElsewhere:
		return fmt.Sprintf("session %d: %s with number %d", c.session, c.what, c.number)
	case c.ofSession():
		return fmt.Sprintf("session %d: %s", c.session, c.what)
	}
	return c.what
}

func (a linearAnswer) String() string {
	if a.number > 0 {
		return fmt.Sprintf("%s, %d", a.outcome, a.number)
	}
	return string(a.outcome)
}

// withTimes tells each call when the tokens of its session were superseded, and each sign-in
// whether all sessions were ended meanwhile.
func withTimes(history []porcupine.Operation) []porcupine.Operation {
	history = slices.Clone(history)
	var spans [linearSessions][]span
	for i := range spans {
		spans[i] = supersessions(history, i)
	}
	for i := range history {
		c := history[i].Input.(linearCall)
		c.superseded = spans[c.session]
		c.overtaken = c.what == linSignIn && slices.ContainsFunc(history, func(other porcupine.Operation) bool {
			return other.Input.(linearCall).what == linEndOfUser && other.Call <= history[i].Return && history[i].Call <= other.Return
		})
		history[i].Input = c
	}
	return history
}
