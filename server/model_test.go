package server_test

import (
	"slices"
	"time"
)

// This file repeats what docs/decisions/0001-refresh-tokens-without-storage.md promises
// about refresh tokens, as simply as possible and independently of the server's code:
// the model remembers every token, with the instant when it was superseded. The random
// walks of model_steps_test.go hold the server to it.

// modelUser is an account.
type modelUser struct {
	name, id string
	password string
	disabled bool
}

// modelSession is one sign-in.
type modelSession struct {
	user          *modelUser
	id            string // the "sid" of its tokens
	client        string
	scope         []string
	created, used time.Time
	ended         bool

	tokens []string    // by number; empty where the answer that had it was lost
	spent  []time.Time // when token i was superseded; the last token isn't
}

// modelRules are the lifetimes in force.
type modelRules struct {
	window, idle, absolute time.Duration
}

// expires is when the session ends by itself.
func (r modelRules) expires(s *modelSession) time.Time {
	idle, absolute := s.used.Add(r.idle), s.created.Add(r.absolute)
	if absolute.Before(idle) {
		return absolute
	}
	return idle
}

func (r modelRules) live(s *modelSession, now time.Time) bool {
	return !s.ended && now.Before(r.expires(s))
}

// verdict is the model's answer to a refresh token.
type verdict string

const (
	rotates     verdict = "rotates"          // it was current: it is superseded by the next
	replays     verdict = "replays"          // superseded a moment ago: gets the current one
	isReused    verdict = "ends the session" // superseded too long ago
	refused     verdict = "refused"          // nothing changes
	undecidable verdict = "undecidable"      // refused too: too many rotations ago to tell
	tooWide     verdict = "scope too wide"   // nothing changes
)

// remembered is how many rotations back the server can tell when it happened.
const remembered = 8

// judge returns the verdict on the session's token number i that the client presents.
func (r modelRules) judge(s *modelSession, i int, client string, ask []string, now time.Time) verdict {
	if !r.live(s, now) || client != s.client {
		return refused
	}
	superseded := i < len(s.spent)
	if superseded {
		// Of a token that is further back than is remembered, it is known that
		// it was superseded no later than the oldest one that is.
		last := max(i, len(s.spent)-remembered)
		switch {
		case r.window == 0 || now.Sub(s.spent[last]) > r.window:
			return isReused
		case last != i:
			return undecidable
		}
	}
	if slices.ContainsFunc(ask, func(scope string) bool { return !slices.Contains(s.scope, scope) }) {
		return tooWide
	}
	if superseded {
		return replays
	}
	return rotates
}

// apply changes the session as the verdict says. next is the token after the current
// one, empty if no client learned it.
func (s *modelSession) apply(v verdict, now time.Time, next string) {
	switch v {
	case rotates:
		s.spent = append(s.spent, now)
		s.tokens = append(s.tokens, next)
		s.used = now
	case isReused:
		s.ended = true
	}
}
