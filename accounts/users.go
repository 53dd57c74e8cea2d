package accounts

import (
	"cmp"
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
	Log      *slog.Logger
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
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return &Users{
		store: o.Store, policy: o.Passwords, hasher: hasher, throttle: o.Throttle,
		mail: o.Mail, seal: o.Seal, utf8Mail: o.UTF8Mail, requireVerifiedEmail: o.RequireVerifiedEmail, log: o.Log,
	}, nil
}

// NewUser is what a visitor fills in to get an account.
type NewUser struct {
	Username string
	Email    string // optional
	Password secrecy.Text
	Roles    []string // only the operator may give them
	// EmailVerified says that the address is proven. Only the operator may say so.
	EmailVerified bool
	// NoPassword makes an account that no password opens, until it gets one. Only the
	// operator may.
	NoPassword bool
}

// Create adds an account, and posts a letter that proves its address. Malformed input
// is an *input.Error with all problems at once; it is also ErrUsernameTaken or
// ErrEmailTaken if that is the only one. limits.ErrBusy means that too many requests
// wait already. A *limits.WaitError means that the caller tried too many taken names,
// or that the caller's network has had too many letters sent. Roles, a proven address and
// no password from another caller than the operator are caller.ErrNotOperator.
//
// Where users must prove their address, the result doesn't tell whether another account
// has it, unless the operator says that it is proven: the other account's owner gets a
// letter, and the new account can't be used.
func (u *Users) Create(ctx context.Context, now time.Time, n NewUser, from caller.Caller) (User, error) {
	if len(n.Roles) > 0 || n.EmailVerified || n.NoPassword {
		if err := from.MustBeOperator(); err != nil {
			return User{}, err
		}
	}
	var bad input.Error
	name := checkUsername(&bad, n.Username)
	n.Email = u.checkNewEmail(ctx, &bad, n.Email)
	if (u.requireVerifiedEmail || n.EmailVerified) && n.Email == "" {
		bad.Add("email", input.Required, "email must not be empty.")
	}
	checkRoles(&bad, n.Roles)
	var prepared string
	if !n.NoPassword {
		prepared = u.policy.check(&bad, "password", string(n.Password), name, n.Email)
	} else if n.Password != "" {
		bad.Add("password", input.NotAllowed, "password must be empty for an account without one.")
	}
	if err := bad.Err(); err != nil {
		return User{}, err
	}
	// Learning that a name is taken helps an attacker, so it costs a guess. The
	// operator's attempts are free.
	asking := limits.Key("sign-up", from.Network())
	var seen limits.Failures
	if !from.IsOperator() {
		var err error
		if seen, err = u.throttle.Check(ctx, now, asking); err != nil {
			return User{}, err
		}
		// Before the server looks at any account, so that the answer tells of none.
		if u.mail && n.Email != "" {
			if err := u.checkNetwork(ctx, now, signingUp, from); err != nil {
				return User{}, err
			}
		}
	}
	user, err := u.create(ctx, now, name, prepared, n, from)
	if !from.IsOperator() && (errors.Is(err, ErrUsernameTaken) || errors.Is(err, ErrEmailTaken)) {
		err = cmp.Or(u.throttle.Charge(ctx, now, asking, seen), err)
	}
	return user, err
}

// create adds an account whose name and password have been checked.
func (u *Users) create(ctx context.Context, now time.Time, name, prepared string, n NewUser, from caller.Caller) (User, error) {
	// CreateUser decides; asking first saves the hash for a name that is taken.
	switch _, err := u.store.UserByUsername(ctx, name); {
	case err == nil:
		return User{}, alreadyTaken(ErrUsernameTaken)
	case !errors.Is(err, ErrUnknownUser):
		return User{}, fmt.Errorf("find user: %w", err)
	}
	var holder User
	if n.Email != "" {
		var err error
		if holder, err = u.addressee(ctx, n.Email, ""); err != nil {
			return User{}, fmt.Errorf("find user: %w", err)
		}
		if !holder.ID.IsZero() && (!u.requireVerifiedEmail || n.EmailVerified) {
			return User{}, alreadyTaken(ErrEmailTaken)
		}
	}
	user := User{
		ID:             ids.New[ids.User](),
		Username:       name,
		Email:          n.Email,
		EmailVerified:  n.EmailVerified,
		EmailUnclaimed: u.requireVerifiedEmail && !n.EmailVerified,
		Roles:          n.Roles,
		CreatedAt:      now,
		UpdatedAt:      now,
	}
	if !n.NoPassword {
		if err := u.hasher.Do(ctx, from.Party(ids.User{}), func() { user.PasswordHash = u.hasher.Hash(prepared) }); err != nil {
			return User{}, err
		}
	}
	var letters []Letter
	if u.mail && user.Email != "" && !user.EmailVerified {
		l := u.welcome(now, &user, &holder, from.Language)
		if !from.IsOperator() {
			if err := u.chargeNetwork(ctx, now, signingUp, from); err != nil {
				return User{}, err
			}
			about := &user
			if l.Kind == AlreadyRegistered {
				about = &holder
			}
			if err := u.ration(ctx, now, &l, about, "", from); err != nil {
				return User{}, err
			}
		}
		letters = append(letters, l)
	}
	if err := u.store.CreateUser(ctx, user, userEvent(audit.UserCreated, now, user.ID, from), letters...); err != nil {
		return User{}, alreadyTaken(err)
	}
	return user, nil
}

// welcome returns the letter to a new account's address: the verification or, if holder
// has the address already, a notice to holder.
func (u *Users) welcome(now time.Time, user, holder *User, language string) Letter {
	if !holder.ID.IsZero() {
		return u.alreadyRegistered(now, holder, language)
	}
	return u.letter(now, VerifyEmail, user, user.Email, language)
}

func alreadyTaken(err error) error {
	switch {
	case errors.Is(err, ErrUsernameTaken):
		return input.Conflict("username", "username is taken.", err)
	case errors.Is(err, ErrEmailTaken):
		return input.Conflict("email", "email belongs to another account.", err)
	default:
		return fmt.Errorf("create user: %w", err)
	}
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
// of the user's sessions but the given one, and returns the user with the new epoch.
// The caller must have checked the proof. user is the account as it was before the
// proof: of all changes that rest on one proof, one succeeds. *input.Error,
// ErrSignedOut, ErrBadCredentials if the account changed since the proof,
// ErrUnknownUser if it is gone, limits.ErrBusy.
func (u *Users) ChangePassword(ctx context.Context, now time.Time, user User, session ids.Session, password secrecy.Text, from caller.Caller) (User, error) {
	if session.IsZero() { // spares a hash
		return User{}, ErrSignedOut
	}
	if err := u.setPassword(ctx, now, user.ID, "new_password", password, By{Session: session, Epoch: user.Epoch}, from); err != nil {
		return User{}, err
	}
	user.Epoch++
	return user, nil
}

// setPassword sets a password that came in the named field, and notifies the user in
// the caller's language.
func (u *Users) setPassword(ctx context.Context, now time.Time, id ids.User, field string, password secrecy.Text, by By, from caller.Caller) error {
	user, err := u.store.User(ctx, id)
	if err != nil {
		return fmt.Errorf("set password: %w", err)
	}
	hash, err := u.hashNew(ctx, field, password, &user, from)
	if err != nil {
		return err
	}
	letters := u.notice(now, PasswordChanged, &user, from.Language)
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
	err = u.hasher.Do(ctx, from.Party(user.ID), func() { hash = u.hasher.Hash(prepared) })
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

// DeleteOwn is Delete for a user whose session asks for it. ErrSignedOut.
func (u *Users) DeleteOwn(ctx context.Context, now time.Time, id ids.User, session ids.Session, from caller.Caller) error {
	return u.delete(ctx, now, id, By{Session: session}, from)
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

// List returns at most limit users by name, those after the given one.
func (u *Users) List(ctx context.Context, after string, limit int) ([]User, error) {
	return u.store.Users(ctx, after, limit)
}

func userEvent(kind audit.Kind, now time.Time, id ids.User, from caller.Caller) audit.Event {
	ev := from.Event(now, kind)
	ev.UserID = id
	return ev
}
