package accounts

import (
	"context"
	"errors"
	"time"

	"github.com/google/uuid"

	"countersign/audit"
)

// What can be wrong with a user, apart from malformed input (see InputError).
var (
	ErrUnknownUser   = errors.New("no such user")
	ErrUsernameTaken = errors.New("username is taken")
	ErrEmailTaken    = errors.New("e-mail address is taken")
	// ErrBadCredentials covers an unknown user, a disabled one and a wrong
	// password alike, so that no caller can tell them apart.
	ErrBadCredentials = errors.New("wrong username or password")
)

// User is a person's account.
type User struct {
	ID       uuid.UUID // the "sub" of every token; never changes, never reused
	Username string    // in PRECIS UsernameCaseMapped form (RFC 8265), unique

	Email         string // as given; empty if none; unique without regard to case
	EmailVerified bool
	Roles         []string

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

// UserStore is the memory accounts needs for users. Every method is atomic,
// safe for concurrent use, and writes ev with the change it makes.
type UserStore interface {
	// CreateUser adds u. ErrUsernameTaken, ErrEmailTaken.
	CreateUser(ctx context.Context, u User, ev audit.Event) error
	// UserByUsername finds a user by the normalised username. ErrUnknownUser.
	UserByUsername(ctx context.Context, username string) (User, error)
	// User finds a user by id. ErrUnknownUser.
	User(ctx context.Context, id uuid.UUID) (User, error)
	// Users lists users by username, those after the given one, at most limit.
	Users(ctx context.Context, after string, limit int) ([]User, error)
	// DisableUser bars the user, moves the epoch and ends all sessions.
	// Disabling a disabled user changes nothing. ErrUnknownUser.
	DisableUser(ctx context.Context, id uuid.UUID, now time.Time, ev audit.Event) error
	// EnableUser lets the user in again; ended sessions stay ended. ErrUnknownUser.
	EnableUser(ctx context.Context, id uuid.UUID, now time.Time, ev audit.Event) error
	// SetPasswordHash replaces the hash, moves the epoch and ends all sessions
	// but the one to keep, if any. ErrUnknownUser.
	SetPasswordHash(ctx context.Context, id uuid.UUID, hash string, keep uuid.UUID, now time.Time, ev audit.Event) error
	// UpgradePasswordHash replaces old by an equivalent hash of the same
	// password, unless the hash is no longer old. Sessions live on.
	UpgradePasswordHash(ctx context.Context, id uuid.UUID, old, hash string) error
	// DeleteUser removes the user and the user's sessions. ErrUnknownUser.
	DeleteUser(ctx context.Context, id uuid.UUID, ev audit.Event) error
}
