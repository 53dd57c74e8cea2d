// Package caller says who makes a request of the domain: a stranger, described by the
// request, or the operator, whom only Operator returns.
package caller

import (
	"errors"
	"time"

	"countersign/audit"
	"countersign/browser"
	"countersign/ids"
	"countersign/limits"
)

// Caller is who makes a request. The zero Caller is a stranger without an address: all
// such strangers share the budgets of one network.
type Caller struct {
	operator bool

	Address   string // IP address; a security event records it
	RequestID string // X-Request-Id; a security event records it
	Language  string // the languages that the caller prefers, as in Accept-Language
	UserAgent string // the User-Agent header; see Device
	// Browser returns the id of the caller's browser and the epoch that a user was in
	// at the last sign-in with it; an empty id if the user has never signed in with it.
	// nil: no browser, or none whose knowledge counts.
	Browser func(user ids.User) (id string, epoch int64)
	// Remembers returns what the caller's browser has kept of a second factor that a user has
	// proven there, and the epoch that the account was in; false if there is nothing. nil: no
	// browser, or none that is remembered.
	Remembers func(user ids.User) (proof browser.Proof, epoch int64, ok bool)
	// Binding is what a challenge is bound to, be it for a second factor, for a passkey or to
	// set up a factor: a secret of the browser, or the name of another door. A caller without
	// one can't answer a challenge.
	Binding string
}

// Operator returns the caller that runs commands on the server's own machine. The
// operator has no budgets.
func Operator() Caller { return Caller{operator: true} }

// ErrNotOperator means that only the operator may do this.
var ErrNotOperator = errors.New("only the operator may do this")

// MustBeOperator returns ErrNotOperator unless the caller is the operator. Each method of
// the domain that is the operator's asks it first.
func (c Caller) MustBeOperator() error {
	if !c.operator {
		return ErrNotOperator
	}
	return nil
}

// Device returns a readable label of the caller's browser or program, or the empty text.
func (c Caller) Device() string { return browser.Label(c.UserAgent) }

// IsOperator reports whether the caller was made by Operator.
func (c Caller) IsOperator() bool { return c.operator }

// Network returns the part of the address that one subscriber can't change at will.
// Guesses from one network count together.
func (c Caller) Network() string { return limits.Network(c.Address) }

// Party returns the party that the caller is while it waits for a slot. known is the
// account that knows the caller, or zero for a stranger.
func (c Caller) Party(known ids.User) limits.Party {
	p := limits.Party{Known: c.operator, Group: limits.Site(c.Address), Member: c.Network()}
	if !known.IsZero() {
		p.Known, p.Member = true, known.String()
	}
	return p
}

// Event returns a security event that the caller causes. The caller of Event adds what
// it concerns.
func (c Caller) Event(now time.Time, kind audit.Kind) audit.Event {
	return audit.Event{Time: now, Kind: kind, Address: c.Address, RequestID: c.RequestID}
}
