// Package audit defines the security events that Countersign records.
//
// An event is written in the same transaction as the change it reports, by the
// store method that makes the change, so that no caller can skip it and none
// is recorded for a change that did not happen.
package audit

import (
	"time"

	"github.com/google/uuid"
)

// Kind names what happened. Kinds are stable: operators alert on them.
type Kind string

// The events, by what they are about.
const (
	UserCreated         Kind = "user.created"
	UserDisabled        Kind = "user.disabled"
	UserEnabled         Kind = "user.enabled"
	UserDeleted         Kind = "user.deleted"
	UserPasswordChanged Kind = "user.password_changed"
	UserEmailVerified   Kind = "user.email_verified"
	UserEmailChanged    Kind = "user.email_changed"
	UserProfileChanged  Kind = "user.profile_changed"

	ClientCreated       Kind = "client.created"
	ClientUpdated       Kind = "client.updated"
	ClientDeleted       Kind = "client.deleted"
	ClientSecretRotated Kind = "client.secret_rotated"

	SessionCreated Kind = "session.created"
	SessionRevoked Kind = "session.revoked"
	// SessionReused reports that a refresh token superseded longer ago than
	// the replay window was presented, and that its session was revoked for it.
	SessionReused Kind = "session.reused"

	// CodeReused reports that an authorization code was used a second time, and that
	// the session it had been exchanged for was revoked for it.
	CodeReused Kind = "code.reused"

	LoginCreated Kind = "login.created" // somebody signed in to a browser at the hosted pages
	LoginEnded   Kind = "login.ended"

	ConsentGiven   Kind = "consent.given"
	ConsentRevoked Kind = "consent.revoked"

	KeyCreated Kind = "key.created"
	KeyRevoked Kind = "key.revoked"
)

// Event is one security event. Fields that don't apply are zero.
type Event struct {
	Time      time.Time
	Kind      Kind
	UserID    uuid.UUID // the account concerned, also after it was deleted
	ClientID  string    // the client concerned
	SessionID uuid.UUID // the session concerned
	KeyID     string    // the signing key concerned (its kid)
	Address   string    // IP address the request came from; empty for the command line
	RequestID string    // the X-Request-Id of the request; empty for the command line
}

// Filter selects events. The zero value selects all.
type Filter struct {
	UserID uuid.UUID // only this account's
	Since  time.Time // only at or after this instant
	After  Place     // only those that come after this one, in the order of their times
	Limit  int       // at most this many, oldest first; 0 means 1000
}

// Place is where an event stands among all: by its time, then by its number. The
// zero Place is before all.
type Place struct {
	Time   time.Time
	Number int64
}

// Record is an Event as stored. Its number is its own for ever. On a cluster
// numbers don't tell who came first, and wherever several write, an event may turn
// up a moment after one with a later time.
type Record struct {
	Number int64
	Event
}

// Place is where the event stands.
func (r Record) Place() Place { return Place{r.Time, r.Number} }

// Origin says where a request came from, for the events it causes. The
// command line has the zero Origin.
type Origin struct {
	Address   string
	RequestID string
}
