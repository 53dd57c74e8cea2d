package tokens

import (
	"context"
	"errors"
	"time"

	"countersign/audit"
	"countersign/ids"
	"countersign/oauth"
)

// Reasons to refuse a token.
var (
	// ErrUnknown says that a refresh token is malformed, forged, expired, revoked or
	// another client's. The caller must not learn which.
	ErrUnknown = errors.New("unknown token")
	// ErrReused says that the refresh token was superseded before the replay window, and
	// that its session is now revoked.
	ErrReused = errors.New("refresh token reused")
	// ErrStale says that another call has moved the session's counter.
	ErrStale = errors.New("another call has refreshed the session")
	// ErrScope says that the client asked for more scopes than it was granted.
	ErrScope = errors.New("scope exceeds what was granted")
	// ErrAccountScope says that only the scope account is left for a token that is not for
	// this server alone, or that does not name it.
	ErrAccountScope = errors.New("account goes into no other token than one that asks for it and is for the issuer alone")
	// ErrNotYours says that a token was issued to another client.
	ErrNotYours = errors.New("another client's token")
	// ErrNoSession says that a token is a client's own: it has no session to end, and
	// lives until it expires.
	ErrNoSession = errors.New("token without a session")
	// ErrClass says that a sign-in has proven less than the client requires of its users.
	ErrClass = errors.New("the sign-in is below the class that the client requires")
	// ErrUserGone says that the user was disabled or deleted, or the password
	// changed, while the sign-in was under way.
	ErrUserGone = errors.New("user may no longer sign in")
)

// rotationsKept is the number of rotations whose times a session keeps.
const rotationsKept = 8

// Session is one sign-in of a user at a client. Its refresh tokens are one
// family; Counter says which of them is current, so they take no storage.
type Session struct {
	ID       ids.Session // the "sid" of its tokens
	UserID   ids.User
	ClientID ids.Client
	Scopes   oauth.Scopes // as first granted; a refresh may narrow a token, not the session
	Counter  uint64       // number of the current refresh token, from 0

	// Rotations are the times of the last rotations, oldest first, at most
	// eight. Its last element is when token Counter-1 was superseded.
	Rotations []time.Time

	AuthTime          time.Time     // when the user signed in
	Methods           oauth.Methods // what the user has proven then
	CreatedAt         time.Time
	LastUsedAt        time.Time
	ExpiresAt         time.Time // the earlier of idle and absolute end
	AbsoluteExpiresAt time.Time // never moves
	Device            string    // readable label of the user's device, or empty
	// ProvenAt is when the user last proved who they are in this session, for a change of
	// the account; zero if never, or not since the password changed. In a browser's session
	// the sign-in is the first proof.
	ProvenAt time.Time

	LoginID ids.Login // the login that it began from; zero if it began without a browser
	Details Details   // what the authorization request asked for, if there was one

	Roles []string // the user's roles as they are now; not written by CreateSession
	// Consent is what the user lets the client have now, nil if nothing; not written either.
	Consent oauth.Scopes
	Epoch   int64 // the account's; the session is dead in any other. CreateSession has it of its own
}

// MaxSessions is how many sessions a user has at one client at most, and MaxLogins how
// many logins. A new one ends the one used least recently, or the oldest login: a script
// that signs in all the time fills no disk, and no user has that many browsers.
const (
	MaxSessions = 100
	MaxLogins   = 64
)

// Store stores sessions, codes and logins. Every method is atomic and safe for concurrent
// use, across all replicas.
type Store interface {
	LoginStore
	CodeStore
	// CreateSession adds s and writes ev if the user exists, is enabled and is in epoch.
	// Otherwise it returns ErrUserGone. If the user then has more than MaxSessions at the
	// client, it removes those used least recently and writes a SessionRevoked for each
	// that was live. RedeemCode does the same.
	CreateSession(ctx context.Context, s Session, epoch int64, ev audit.Event) error
	// Session returns a session that is live at now, or ErrUnknown if it is missing,
	// revoked or expired.
	Session(ctx context.Context, id ids.Session, now time.Time) (Session, error)
	// AdvanceSession moves next's session from counter next.Counter-1 to next.Counter and
	// sets its rotations, last use and expiry to next's, if the session is next.ClientID's,
	// live at now and at the former counter. Of any number of concurrent calls for one
	// counter exactly one succeeds; the others get ErrStale.
	AdvanceSession(ctx context.Context, next Session, now time.Time) error
	// ProveSession sets the ProvenAt of a session that is live at now and in epoch, and adds
	// to its Methods, or returns ErrUnknown.
	ProveSession(ctx context.Context, id ids.Session, epoch int64, methods oauth.Methods, now time.Time) error
	// EndSession removes a session and writes ev, or returns ErrUnknown if there is none.
	EndSession(ctx context.Context, id ids.Session, ev audit.Event) error
	// EndSignIn is EndSession, and also removes the session's login.
	EndSignIn(ctx context.Context, id ids.Session, ev audit.Event) error
	// EndUserSessions removes all sessions and logins of a user, except those at keep, if
	// any: a session and its login, or a login and its sessions. It removes what is
	// pending, too: codes, and the mailed links that give access to the account. It writes
	// ev if there were sessions, and returns how many. It moves the user's epoch, and what
	// it keeps with it. If keep is no longer live, nothing changes: ErrUnknown.
	EndUserSessions(ctx context.Context, user ids.User, keep ids.Place, ev audit.Event) (int64, error)
	// UserSessions lists at most limit sessions of a user that are live at now, newest
	// first: those after one of them, or from the newest on if that is zero.
	UserSessions(ctx context.Context, user ids.User, now time.Time, after ids.Session, limit int) ([]Session, error)
	// PurgeSessions removes at most limit sessions that have expired at now and returns
	// how many.
	PurgeSessions(ctx context.Context, now time.Time, limit int) (int64, error)
}
