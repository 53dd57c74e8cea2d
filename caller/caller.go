// Package caller says who makes a request of the domain: a stranger, known by what the
// request tells, or the operator, who has to be named as such.
package caller

import (
	"time"

	"github.com/google/uuid"

	"countersign/audit"
	"countersign/limits"
)

// Caller is who makes a request. The zero Caller is a stranger without an address: all
// such strangers share the budgets of one network.
type Caller struct {
	operator bool

	Address   string // IP address; a security event records it
	RequestID string // X-Request-Id; a security event records it
	Language  string // what the caller prefers to read, as in Accept-Language
	Device    string // readable label of the browser or program, or empty
	// Browser returns the id of the caller's browser and the epoch that a user was in
	// at the last sign-in with it; an empty id if the user has never signed in with it.
	// nil: no browser, or none whose knowledge counts.
	Browser func(user uuid.UUID) (id string, epoch int64)
}

// Operator is who runs commands on the server's own machine. No budget binds the
// operator.
func Operator() Caller { return Caller{operator: true} }

// IsOperator reports whether the caller was made by Operator.
func (c Caller) IsOperator() bool { return c.operator }

// Network is the part of the address that one subscriber can't change at will: whose
// guesses are counted together.
func (c Caller) Network() string { return limits.Network(c.Address) }

// Event is a security event that the caller causes. What it is about is left to fill in.
func (c Caller) Event(now time.Time, kind audit.Kind) audit.Event {
	return audit.Event{Time: now, Kind: kind, Address: c.Address, RequestID: c.RequestID}
}
