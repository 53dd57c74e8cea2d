// Package audit defines the security events that Countersign records.
//
// The store method that makes a change writes its event in the same transaction. So
// no caller can skip the event, and there is no event for a change that did not happen.
package audit

import (
	"time"

	"countersign/ids"
)

// Kind names what happened. Kinds are stable: operators alert on them.
type Kind string

// The kinds, by what they are about.
const (
	UserCreated         Kind = "user.created"
	UserDisabled        Kind = "user.disabled"
	UserEnabled         Kind = "user.enabled"
	UserDeleted         Kind = "user.deleted"
	UserPasswordChanged Kind = "user.password_changed"
	UserPasswordRemoved Kind = "user.password_removed"
	UserEmailVerified   Kind = "user.email_verified"
	UserEmailChanged    Kind = "user.email_changed"
	UserProfileChanged  Kind = "user.profile_changed"
	UserRolesChanged    Kind = "user.roles_changed"
	UserUnlocked        Kind = "user.unlocked"

	FactorAdded            Kind = "factor.added"
	FactorRemoved          Kind = "factor.removed"
	FactorsReset           Kind = "factor.reset" // by the operator, all of them
	RecoveryCodesRenewed   Kind = "factor.recovery_codes_renewed"
	RecoveryCodeUsed       Kind = "factor.recovery_code_used"
	FactorCounterRegressed Kind = "factor.counter_regressed" // a passkey may have been copied

	IdentityLinked   Kind = "identity.linked"   // an account at another provider opens this one from now on
	IdentityUnlinked Kind = "identity.unlinked" // and no more

	ClientCreated       Kind = "client.created"
	ClientUpdated       Kind = "client.updated"
	ClientDeleted       Kind = "client.deleted"
	ClientSecretRotated Kind = "client.secret_rotated"

	SessionCreated Kind = "session.created"
	SessionRevoked Kind = "session.revoked"
	// SessionReused reports that a client presented a refresh token superseded longer
	// ago than the replay window, and that its session was revoked for it.
	SessionReused Kind = "session.reused"

	// CodeReused reports that a client used an authorization code a second time, and
	// that the session of the first use was revoked for it.
	CodeReused Kind = "code.reused"

	LoginCreated Kind = "login.created" // a user signed in to a browser at the hosted pages
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
	UserID    ids.User    // the account concerned, which may be deleted by now
	ClientID  ids.Client  // the client concerned
	SessionID ids.Session // the session concerned
	KeyID     string      // the signing key concerned (its kid)
	Address   string      // IP address the request came from; empty for the command line
	RequestID string      // the X-Request-Id of the request; empty for the command line
}

// Filter selects events. The zero value selects all.
type Filter struct {
	UserID ids.User  // only this account's
	Since  time.Time // only at or after this instant
	After  Place     // only those that come after this one, in the order of their times
	Limit  int       // at most this many, oldest first; 0: 1000
	// ByNumber orders the events of an account by their numbers and not by their times. A
	// page then costs what it holds, however many there are. The nodes of a cluster number
	// independently, so a caller who waits for new events would miss some.
	ByNumber bool
	// Latest selects the latest events of an account of some Kinds, newest first, by their
	// numbers. After must be zero.
	Latest bool
	Kinds  []Kind // with Latest, at least one
}

// A Place is the position of an event among all events: by its time, then by its
// number. The zero Place is before all events.
type Place struct {
	Time   time.Time
	Number int64
}

// A Record is an Event as stored. Its number is unique and never changes. In a
// database cluster, numbers don't give the order of events; and with several writers,
// an event may appear a moment after one with a later time.
type Record struct {
	Number int64
	Event
}

// Place returns the position of the event.
func (r Record) Place() Place { return Place{r.Time, r.Number} }
