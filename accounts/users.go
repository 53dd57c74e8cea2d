package accounts

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"countersign/audit"
	"countersign/caller"
	"countersign/hashing"
	"countersign/ids"
	"countersign/input"
	"countersign/limits"
	"countersign/seal"
	"countersign/secrecy"
)

// Settings are the rules for accounts.
type Settings struct {
	Passwords PasswordPolicy
	// RequireVerifiedEmail bars accounts without a proven address from signing in. It
	// needs mail.
	RequireVerifiedEmail bool
	Signup               SignupNames
	Notices              Notices
}

// Options are the parts of Users. Store, Settings, Argon2, Slots and Throttle are required.
type Options struct {
	Settings
	Store    UserStore
	Argon2   hashing.Argon2
	Slots    *limits.Slots // for hashing passwords, and nothing else
	Throttle *limits.Throttle
	// Mail says that the server sends letters. Their tokens need Seal.
	Mail bool
	Seal *seal.Keys
	// UTF8Mail reports whether letters can go to addresses that are not ASCII before the
	// @. nil: they can't. Addresses are held to that only with Mail.
	UTF8Mail func(context.Context) bool
	// Providers are the ids of the providers whose identities open accounts.
	Providers []string
	Log       *slog.Logger
}

// Users creates accounts and authenticates their owners.
type Users struct {
	store                UserStore
	policy               PasswordPolicy
	hasher               *hashing.Hasher
	throttle             *limits.Throttle
	mail                 bool
	seal                 *seal.Keys
	utf8Mail             func(context.Context) bool
	requireVerifiedEmail bool
	signupNames          SignupNames
	notices              Notices
	providers            []string
	log                  *slog.Logger
}

// New returns the users in a store. It refuses a policy and a cost of a hash that don't
// pass their Check, and RequireVerifiedEmail without Mail, with which no new user could
// ever sign in.
func New(o Options) (*Users, error) {
	hasher, err := hashing.New(o.Argon2, o.Slots)
	if err != nil {
		return nil, err
	}
	if err := o.Passwords.Check(); err != nil {
		return nil, err
	}
	if o.RequireVerifiedEmail && !o.Mail {
		return nil, errors.New("require_verified_email: true needs mail, which this server does not send")
	}
	if err := o.Signup.Check(); err != nil {
		return nil, err
	}
	if o.RequireVerifiedEmail && o.Signup.Email == None {
		return nil, errors.New("require_verified_email: true needs the addresses that signup.email: none keeps out")
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return &Users{
		store: o.Store, policy: o.Passwords, hasher: hasher, throttle: o.Throttle,
		mail: o.Mail, seal: o.Seal, utf8Mail: o.UTF8Mail, requireVerifiedEmail: o.RequireVerifiedEmail, signupNames: o.Signup,
		notices: o.Notices, providers: o.Providers, log: o.Log,
	}, nil
}

// SetPassword replaces the password and ends all of the user's sessions, for the
// operator: see ChangePassword. *input.Error, ErrUnknownUser, caller.ErrNotOperator,
// limits.ErrBusy.
func (u *Users) SetPassword(ctx context.Context, now time.Time, id ids.User, password secrecy.Text, from caller.Caller) error {
	if err := from.MustBeOperator(); err != nil {
		return err
	}
	return u.setPassword(ctx, now, id, "password", password, By{Operator: true}, from)
}

// ChangePassword replaces the password of a user who has just given a proof, ends all
// of the user's sessions and logins but the place that asks, and returns the user with the
// new epoch.
// The caller must have checked the proof. user is the account as it was before the
// proof: of all changes that rest on one proof, one succeeds. *input.Error,
// ErrSignedOut, ErrBadCredentials if the account changed since the proof,
// ErrUnknownUser if it is gone, limits.ErrBusy.
func (u *Users) ChangePassword(ctx context.Context, now time.Time, user User, at ids.Place, password secrecy.Text, from caller.Caller) (User, error) {
	if at.IsZero() { // spares a hash
		return User{}, ErrSignedOut
	}
	if err := u.setPassword(ctx, now, user.ID, "new_password", password, By{Place: at, Epoch: user.Epoch}, from); err != nil {
		return User{}, err
	}
	user.Epoch++
	return user, nil
}

// setPassword sets a password that came in the named field, and notifies the user.
func (u *Users) setPassword(ctx context.Context, now time.Time, id ids.User, field string, password secrecy.Text, by By, from caller.Caller) error {
	user, err := u.store.User(ctx, id)
	if err != nil {
		return fmt.Errorf("set password: %w", err)
	}
	hash, err := u.hashNew(ctx, field, password, &user, from)
	if err != nil {
		return err
	}
	letters, err := u.notice(ctx, now, PasswordChanged, &user, from)
	if err != nil {
		return err
	}
	if err := u.store.SetPasswordHash(ctx, id, hash, by, now, userEvent(audit.UserPasswordChanged, now, id, from), letters...); err != nil {
		return fmt.Errorf("set password: %w", err)
	}
	return nil
}

// hashNew hashes a new password of the user that came in the named field, from a caller
// that has proven to be the user.
// *input.Error, limits.ErrBusy.
func (u *Users) hashNew(ctx context.Context, field string, password secrecy.Text, user *User, from caller.Caller) (hash string, err error) {
	var bad input.Error
	prepared := u.policy.check(&bad, field, string(password), user.Username, user.Email)
	if err := bad.Err(); err != nil {
		return "", err
	}
	var like string
	if u.requireVerifiedEmail && user.Email != "" && u.hasher.Current(user.PasswordHash) {
		like = user.PasswordHash // the salt that other accounts with the address share: see create
	}
	err = u.hasher.Do(ctx, from.Party(user.ID), func() { hash = u.hasher.HashAs(like, prepared) })
	return hash, err
}

// Disable bars the user from signing in and ends their sessions, for the operator.
// ErrUnknownUser, caller.ErrNotOperator.
func (u *Users) Disable(ctx context.Context, now time.Time, id ids.User, from caller.Caller) error {
	if err := from.MustBeOperator(); err != nil {
		return err
	}
	if err := u.store.DisableUser(ctx, id, now, userEvent(audit.UserDisabled, now, id, from)); err != nil {
		return fmt.Errorf("disable user: %w", err)
	}
	return nil
}

// Enable lets a disabled user sign in again, for the operator. ErrUnknownUser,
// caller.ErrNotOperator.
func (u *Users) Enable(ctx context.Context, now time.Time, id ids.User, from caller.Caller) error {
	if err := from.MustBeOperator(); err != nil {
		return err
	}
	if err := u.store.EnableUser(ctx, id, now, userEvent(audit.UserEnabled, now, id, from)); err != nil {
		return fmt.Errorf("enable user: %w", err)
	}
	return nil
}

// VerifyEmail marks the address of a user as proven, for the operator, and returns the
// user as it is then. user is the account as the operator knows it: an address that
// changed meanwhile is not proven. ErrNoEmail, ErrEmailTaken if another account has the
// address, ErrUnknownUser, caller.ErrNotOperator.
func (u *Users) VerifyEmail(ctx context.Context, now time.Time, user User, from caller.Caller) (User, error) {
	if err := from.MustBeOperator(); err != nil {
		return User{}, err
	}
	if user.Email == "" {
		return User{}, ErrNoEmail
	}
	if err := u.store.ProveEmail(ctx, user.ID, user.Email, now, userEvent(audit.UserEmailVerified, now, user.ID, from)); err != nil {
		return User{}, fmt.Errorf("verify e-mail address: %w", err)
	}
	return u.store.User(ctx, user.ID)
}

// Delete removes the user and their sessions, for the operator. ErrUnknownUser,
// caller.ErrNotOperator.
func (u *Users) Delete(ctx context.Context, now time.Time, id ids.User, from caller.Caller) error {
	if err := from.MustBeOperator(); err != nil {
		return err
	}
	return u.delete(ctx, now, id, By{Operator: true}, from)
}

// DeleteOwn is Delete for a user who asks for it. ErrSignedOut.
func (u *Users) DeleteOwn(ctx context.Context, now time.Time, id ids.User, at ids.Place, from caller.Caller) error {
	return u.delete(ctx, now, id, By{Place: at}, from)
}

func (u *Users) delete(ctx context.Context, now time.Time, id ids.User, by By, from caller.Caller) error {
	if err := u.store.DeleteUser(ctx, id, by, now, userEvent(audit.UserDeleted, now, id, from)); err != nil {
		return fmt.Errorf("delete user: %w", err)
	}
	return nil
}

// ByID returns a user. ErrUnknownUser.
func (u *Users) ByID(ctx context.Context, id ids.User) (User, error) {
	return u.store.User(ctx, id)
}

// ByUsername returns a user by name, which it normalises. ErrUnknownUser.
func (u *Users) ByUsername(ctx context.Context, username string) (User, error) {
	name, err := NormalizeUsername(username)
	if err != nil {
		return User{}, ErrUnknownUser
	}
	return u.store.UserByUsername(ctx, name)
}

// ByEmail returns the user who claims an address, proven or not. Where users must prove
// their address, only those who have claim it. ErrUnknownUser.
func (u *Users) ByEmail(ctx context.Context, email string) (User, error) {
	return u.store.UserByEmail(ctx, EmailKey(trim(email)))
}

// List returns at most limit users: those without a name by id, then the others by name;
// and of these those after the given one, of whom the ID and Username count.
func (u *Users) List(ctx context.Context, after User, limit int) ([]User, error) {
	return u.store.Users(ctx, after, limit)
}

func userEvent(kind audit.Kind, now time.Time, id ids.User, from caller.Caller) audit.Event {
	ev := from.Event(now, kind)
	ev.UserID = id
	return ev
}
