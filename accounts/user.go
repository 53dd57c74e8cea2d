package accounts

import (
	"context"
	"errors"
	"time"

	"github.com/google/uuid"

	"countersign/audit"
)

// What can be wrong with a user, apart from malformed input (see input.Error).
var (
	ErrUnknownUser   = errors.New("no such user")
	ErrUsernameTaken = errors.New("username is taken")
	ErrEmailTaken    = errors.New("e-mail address is taken")
	// ErrBadCredentials covers an unknown user, one who is disabled or has yet to
	// prove an address, and a wrong password alike, also one that was right a moment
	// ago: no caller can tell them apart.
	ErrBadCredentials = errors.New("wrong username or password")
	// ErrSignedOut says that the session that asks for a change has ended meanwhile.
	ErrSignedOut = errors.New("the session has ended")
)

// User is a person's account.
type User struct {
	ID       uuid.UUID // the "sub" of every token; never changes, never reused
	Username string    // in PRECIS UsernameCaseMapped form (RFC 8265), unique

	Email         string // as given; empty if none
	EmailVerified bool
	// EmailUnclaimed lets others have the same address, until one of them proves
	// it. All other addresses are unique without regard to case. Not read back.
	EmailUnclaimed bool
	Roles          []string

	PasswordHash string // PHC string
	// Epoch grows whenever what the account may do ends: password changed,
	// disabled. A sign-in that began in an older epoch must not complete.
	Epoch int64

	DisabledAt time.Time // zero: enabled
	CreatedAt  time.Time
	UpdatedAt  time.Time // last change a client may see (the "updated_at" claim)
}

// Disabled reports whether the account is barred from signing in.
func (u *User) Disabled() bool { return !u.DisabledAt.IsZero() }

// By is who changes a password: a session of the user, in which they have proven
// that they know the password of an epoch. The operator is the zero By.
type By struct {
	Session uuid.UUID
	Epoch   int64
}

// UserStore is the memory accounts needs for users. Every method is atomic,
// safe for concurrent use, and writes ev with the change it makes.
type UserStore interface {
	LetterStore
	ProfileStore
	// CreateUser adds u and posts letters with it. ErrUsernameTaken, ErrEmailTaken.
	CreateUser(ctx context.Context, u User, ev audit.Event, letters ...Letter) error
	// UserByEmail finds the user who claims an address, by its EmailKey. ErrUnknownUser.
	UserByEmail(ctx context.Context, key string) (User, error)
	// UserByUsername finds a user by the normalised username. ErrUnknownUser.
	UserByUsername(ctx context.Context, username string) (User, error)
	// User finds a user by id. ErrUnknownUser.
	User(ctx context.Context, id uuid.UUID) (User, error)
	// Users lists users by username, those after the given one, at most limit.
	Users(ctx context.Context, after string, limit int) ([]User, error)
	// DisableUser bars the user, moves the epoch and ends all sessions and logins.
	// Disabling a disabled user changes nothing. ErrUnknownUser.
	DisableUser(ctx context.Context, id uuid.UUID, now time.Time, ev audit.Event) error
	// EnableUser lets the user in again; ended sessions stay ended. ErrUnknownUser.
	EnableUser(ctx context.Context, id uuid.UUID, now time.Time, ev audit.Event) error
	// SetPasswordHash replaces the hash, moves the epoch, ends all sessions and logins
	// and posts letters. A session that asks for it must be alive, and lives on; the
	// account must still be in the epoch that it names, so that of all changes that
	// rest on one password one succeeds. ErrUnknownUser, ErrSignedOut,
	// ErrBadCredentials.
	SetPasswordHash(ctx context.Context, id uuid.UUID, hash string, by By, now time.Time, ev audit.Event, letters ...Letter) error
	// UpgradePasswordHash replaces old by an equivalent hash of the same
	// password, unless the hash is no longer old. Sessions live on.
	UpgradePasswordHash(ctx context.Context, id uuid.UUID, old, hash string) error
	// DeleteUser removes the user and all that is the user's. A session that asks for it
	// must be alive. ErrUnknownUser, ErrSignedOut.
	DeleteUser(ctx context.Context, id, session uuid.UUID, now time.Time, ev audit.Event) error
}
