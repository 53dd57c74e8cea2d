package tokens

import (
	"context"
	"errors"
	"time"

	"github.com/google/uuid"

	"countersign/audit"
	"countersign/oauth"
)

// What can happen to somebody who presents a token.
var (
	// ErrUnknown covers a refresh token that is malformed, forged, expired,
	// revoked or another client's: the caller must not be able to tell.
	ErrUnknown = errors.New("unknown token")
	// ErrReused says that a refresh token superseded long ago was presented
	// and its session therefore revoked.
	ErrReused = errors.New("refresh token reused")
	// ErrStale says that the session's counter had moved on: another call won.
	ErrStale = errors.New("session moved on")
	// ErrScope says that more was asked for than was granted.
	ErrScope = errors.New("scope exceeds what was granted")
	// ErrNotYours says that a token was issued to another client.
	ErrNotYours = errors.New("another client's token")
	// ErrNoSession says that a token is a client's own: there is no session
	// to end, and nothing else ends it before its time.
	ErrNoSession = errors.New("token without a session")
	// ErrUserGone says that the user was disabled or deleted, or the password
	// changed, while the sign-in was under way.
	ErrUserGone = errors.New("user may no longer sign in")
)

// rotationsKept is how many rotations a session remembers the time of.
const rotationsKept = 8

// Session is one sign-in of a user at a client. Its refresh tokens are one
// family; Counter says which of them is current, so they take no storage.
type Session struct {
	ID       uuid.UUID // the "sid" of its tokens
	UserID   uuid.UUID
	ClientID string
	Scopes   oauth.Scopes // as first granted; a refresh may narrow a token, not the session
	Counter  uint64       // number of the current refresh token, from 0

	// Rotations are the times of the last rotations, oldest first, at most
	// eight. Its last element is when token Counter-1 was superseded.
	Rotations []time.Time

	AuthTime          time.Time // when the user proved who they are
	CreatedAt         time.Time
	LastUsedAt        time.Time
	ExpiresAt         time.Time // the earlier of idle and absolute end
	AbsoluteExpiresAt time.Time // never moves
	Device            string    // readable label of what signed in, or empty

	LoginID uuid.UUID // the login that it came of; nil if it began without a browser
	Details Details   // what the authorization request asked for, if there was one

	Roles []string // the user's roles as they are now; not written by CreateSession
}

// Store is the memory a Service needs. Every method is atomic and safe for
// concurrent use, on every replica together.
type Store interface {
	LoginStore
	CodeStore
	// CreateSession adds s if its user exists, is enabled and still is in
	// the given epoch, and writes ev with it. Otherwise ErrUserGone.
	CreateSession(ctx context.Context, s Session, epoch int64, ev audit.Event) error
	// Session returns a session that is live at now. A missing, revoked or
	// expired one is ErrUnknown.
	Session(ctx context.Context, id uuid.UUID, now time.Time) (Session, error)
	// AdvanceSession moves next's session from counter next.Counter-1 to
	// next.Counter, and its rotations, last use and expiry to next's, where it
	// still is next.ClientID's, live at now and at the former counter. Of any
	// number of concurrent calls for one counter exactly one succeeds, the
	// others get ErrStale.
	AdvanceSession(ctx context.Context, next Session, now time.Time) error
	// EndSession removes a session and writes ev with it. If there is none: ErrUnknown.
	EndSession(ctx context.Context, id uuid.UUID, ev audit.Event) error
	// EndSignIn is EndSession, and removes the login that the session came of, too.
	EndSignIn(ctx context.Context, id uuid.UUID, ev audit.Event) error
	// EndUserSessions removes all sessions and logins of a user but the one to keep, if
	// any, and its login, writes ev if there were sessions, and returns how many.
	EndUserSessions(ctx context.Context, user, keep uuid.UUID, ev audit.Event) (int64, error)
	// UserSessions lists the sessions of a user that are live at now, newest first.
	UserSessions(ctx context.Context, user uuid.UUID, now time.Time) ([]Session, error)
	// PurgeSessions removes at most limit sessions that have expired at now
	// and returns how many it removed.
	PurgeSessions(ctx context.Context, now time.Time, limit int) (int64, error)
}
