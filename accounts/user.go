package accounts

import (
	"context"
	"errors"
	"time"

	"countersign/audit"
	"countersign/ids"
)

// The errors about a user, apart from malformed input (see input.Error).
var (
	ErrUnknownUser   = errors.New("no such user")
	ErrUsernameTaken = errors.New("username is taken")
	ErrEmailTaken    = errors.New("e-mail address is taken")
	// ErrBadCredentials covers an unknown user and a wrong password, also one that was
	// right a moment ago, whatever account it is for. No caller can tell them apart.
	ErrBadCredentials = errors.New("wrong username or password")
	// ErrDisabled means that the password is right, and the account disabled.
	ErrDisabled = errors.New("the account is disabled")
	// ErrNotVerified means that the password is right, and that the user must prove the
	// address first. It comes as a *NotVerifiedError.
	ErrNotVerified = errors.New("the e-mail address is not verified")
	// ErrNoEmail means that the account has no address, or no longer the one in question.
	ErrNoEmail = errors.New("the account has no such e-mail address")
	// ErrSignedOut means that the session that asks for a change has ended meanwhile.
	ErrSignedOut = errors.New("the session has ended")
)

// NotVerifiedError is ErrNotVerified, with the account.
type NotVerifiedError struct{ User User }

// Error returns ErrNotVerified's text.
func (e *NotVerifiedError) Error() string { return ErrNotVerified.Error() }

// Is reports whether target is ErrNotVerified.
func (e *NotVerifiedError) Is(target error) bool { return target == ErrNotVerified }

// User is a person's account.
type User struct {
	ID       ids.User // the "sub" of every token; never changes, never reused
	Username string   // in PRECIS UsernameCaseMapped form (RFC 8265), unique; empty if none

	Email         string // as given; empty if none
	EmailVerified bool
	// EmailUnclaimed lets other accounts have the same address, until one of them
	// proves it. All other addresses are unique without regard to case.
	EmailUnclaimed bool
	Roles          []string

	PasswordHash string // PHC string; empty if no password opens the account
	// Epoch grows when the password changes or the account is disabled. A sign-in that
	// began in an older epoch must not complete.
	Epoch int64

	DisabledAt time.Time // zero: enabled
	CreatedAt  time.Time
	UpdatedAt  time.Time // last change that a client may see (the "updated_at" claim)
}

// Disabled reports whether the account is barred from signing in.
func (u *User) Disabled() bool { return !u.DisabledAt.IsZero() }

// By is who changes an account: the user, from a session or a login, or the operator, who
// has to be named as such. The zero By is neither and changes nothing.
type By struct {
	ids.Place // must be alive; ErrSignedOut
	// Epoch is the epoch whose password the user has proven there. Only a change of the
	// password asks for it.
	Epoch    int64
	Operator bool
}

// UserStore stores users. Every method is atomic, safe for concurrent use, and writes
// ev with its change.
type UserStore interface {
	LetterStore
	ProfileStore
	IdentityStore
	// CreateUser adds u and posts letters with it. ErrUsernameTaken, ErrEmailTaken.
	CreateUser(ctx context.Context, u User, ev audit.Event, letters ...Letter) error
	// UserByEmail returns the user who claims an address, by its EmailKey.
	// ErrUnknownUser.
	UserByEmail(ctx context.Context, key string) (User, error)
	// UserByUsername returns a user by normalised username. ErrUnknownUser.
	UserByUsername(ctx context.Context, username string) (User, error)
	// Claimants returns the accounts that a caller may mean who types a name with an @: by
	// the normalised username, or by the EmailKey of an address.
	Claimants(ctx context.Context, username, key string) (Claimants, error)
	// UnclaimedUser returns the oldest account with that password hash that holds, but does
	// not claim, the address with that EmailKey. ErrUnknownUser.
	UnclaimedUser(ctx context.Context, key, hash string) (User, error)
	// User returns a user by id. ErrUnknownUser.
	User(ctx context.Context, id ids.User) (User, error)
	// Users lists users: those without a name by id, then the others by name; and of these
	// those after the given one, of whom the ID and Username count, at most limit.
	Users(ctx context.Context, after User, limit int) ([]User, error)
	// SearchUsers lists at most limit users, each once: those whose username begins so, by
	// it, then those whose claimed address does, those whose unclaimed one does, and those
	// whose id does.
	SearchUsers(ctx context.Context, of Beginnings, limit int) ([]User, error)
	// DisableUser bars the user from signing in, moves the epoch and ends all sessions
	// and logins. Disabling a disabled user changes nothing. ErrUnknownUser.
	DisableUser(ctx context.Context, id ids.User, now time.Time, ev audit.Event) error
	// EnableUser lets the user sign in again; ended sessions stay ended.
	// ErrUnknownUser.
	EnableUser(ctx context.Context, id ids.User, now time.Time, ev audit.Event) error
	// ProveEmail marks an address that the user has as proven, which makes it no other
	// account's. A proven one stays as it is. ErrUnknownUser, ErrNoEmail, ErrEmailTaken.
	ProveEmail(ctx context.Context, id ids.User, address string, now time.Time, ev audit.Event) error
	// SetEmail replaces the address and voids the links mailed to set a password or to
	// change the address. The new one is no other account's. ErrUnknownUser, ErrEmailTaken.
	SetEmail(ctx context.Context, id ids.User, address string, verified bool, now time.Time, ev audit.Event) error
	// UnlockUser forgets the wrong guesses at the accounts of the user and of those who hold
	// the same address. It returns whether there were some; without, it writes no ev.
	// ErrUnknownUser.
	UnlockUser(ctx context.Context, id ids.User, ev audit.Event) (bool, error)
	// ChangeRoles replaces the roles by what change makes of them. The same roles change
	// nothing. An error of change is returned; it may be called several times.
	// ErrUnknownUser.
	ChangeRoles(ctx context.Context, id ids.User, change func(roles []string) ([]string, error), now time.Time, ev audit.Event) error
	// SetPasswordHash replaces the hash, moves the epoch, ends all sessions and logins
	// and posts letters. The place in by must be alive and stays alive, a login with its
	// sessions. The account
	// must still be in the epoch that by names, so that of all changes that rest on one
	// password one succeeds. ErrUnknownUser, ErrSignedOut, ErrBadCredentials.
	SetPasswordHash(ctx context.Context, id ids.User, hash string, by By, now time.Time, ev audit.Event, letters ...Letter) error
	// RemovePassword is SetPasswordHash without a hash, by the user, for an account that has
	// another way in: see OtherWayIn. ErrLastWayIn, ErrUnknownUser, ErrSignedOut,
	// ErrBadCredentials.
	RemovePassword(ctx context.Context, id ids.User, providers []string, by By, now time.Time, ev audit.Event, letters ...Letter) error
	// OtherWayIn reports whether the user can sign in without the password: by a passkey, or by
	// an identity at one of the providers.
	OtherWayIn(ctx context.Context, id ids.User, providers []string) (bool, error)
	// UpgradePasswordHash replaces old by another hash of the same password, if old is
	// still the user's hash. Sessions stay alive.
	UpgradePasswordHash(ctx context.Context, id ids.User, old, hash string) error
	// DeleteUser removes the user and everything that belongs to the user.
	// ErrUnknownUser, ErrSignedOut.
	DeleteUser(ctx context.Context, id ids.User, by By, now time.Time, ev audit.Event) error
}
