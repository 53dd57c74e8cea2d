package accounts

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/google/uuid"

	"countersign/audit"
	"countersign/limits"
)

// UsersOptions are the parts of Users. Store, Slots and Throttle are needed.
type UsersOptions struct {
	Store    UserStore
	Policy   PasswordPolicy
	Argon2   Argon2
	Slots    *limits.Slots // for hashing passwords, and nothing else
	Throttle *limits.Throttle
	Log      *slog.Logger
}

// Users creates accounts and lets their people in.
type Users struct {
	store    UserStore
	policy   PasswordPolicy
	hasher   hasher
	slots    *limits.Slots
	throttle *limits.Throttle
	log      *slog.Logger
}

// NewUsers returns the users in a store. It fails if the price of a hash is
// out of bounds.
func NewUsers(o UsersOptions) (*Users, error) {
	hasher, err := newHasher(o.Argon2)
	if err != nil {
		return nil, err
	}
	if o.Policy.MinLength <= 0 {
		o.Policy.MinLength = 8
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return &Users{store: o.Store, policy: o.Policy, hasher: hasher, slots: o.Slots, throttle: o.Throttle, log: o.Log}, nil
}

// Authenticate returns the user with that name if the password is theirs.
//
// An unknown, disabled or malformed name and a wrong or malformed password are
// one ErrBadCredentials, take the same work and are counted alike. Whoever
// guesses too often, by name and network of the address, gets a
// *limits.WaitError. limits.ErrBusy says to come back later.
func (u *Users) Authenticate(ctx context.Context, now time.Time, username, password, address string) (User, error) {
	name, err := NormalizeUsername(username)
	key := limits.Key("password", name, limits.Network(address))
	if err != nil {
		name, key = "", limits.Key("password of a malformed name", username, limits.Network(address))
	}
	// Whoever must wait anyhow takes no place in the queue.
	if _, err := u.throttle.Check(ctx, now, key); err != nil {
		return User{}, err
	}
	var user User
	if busy := u.slots.Do(ctx, func() { user, err = u.guess(ctx, now, key, name, password) }); busy != nil {
		return User{}, busy
	}
	return user, err
}

// guess does the work of Authenticate. It runs in a slot, from checking the
// budget to charging it, so that parallel guesses can't overdraw it. An empty
// name is a malformed one.
func (u *Users) guess(ctx context.Context, now time.Time, key [32]byte, name, password string) (User, error) {
	spent, err := u.throttle.Check(ctx, now, key)
	if err != nil {
		return User{}, err
	}
	user, err := u.store.UserByUsername(ctx, name)
	if err != nil && !errors.Is(err, ErrUnknownUser) {
		return User{}, fmt.Errorf("find user: %w", err)
	}
	entitled := err == nil && !user.Disabled()
	prepared, err := preparePassword(password)
	entitled = entitled && err == nil

	stored := u.hasher.dummy
	if entitled {
		stored = user.PasswordHash
	}
	match, outdated, err := u.hasher.verify(stored, prepared)
	if err != nil {
		u.log.ErrorContext(ctx, "stored password hash is unusable", "subject", user.ID, "err", err)
		u.hasher.verify(u.hasher.dummy, prepared)
	}
	if !match && outdated {
		u.hasher.topUp(stored, prepared)
	}
	if !entitled || !match {
		if err := u.throttle.Failed(ctx, now, key); err != nil {
			return User{}, err
		}
		return User{}, ErrBadCredentials
	}
	if err := u.throttle.Succeeded(ctx, key, spent); err != nil {
		return User{}, err
	}
	if outdated {
		// The sign-in is good either way, and the next one tries again.
		upgraded := u.hasher.hash(prepared)
		if err := u.store.UpgradePasswordHash(ctx, user.ID, stored, upgraded); err != nil {
			u.log.WarnContext(ctx, "password hash not upgraded", "subject", user.ID, "err", err)
		} else {
			user.PasswordHash = upgraded
		}
	}
	return user, nil
}

// NewUser is what somebody fills in to get an account.
type NewUser struct {
	Username string
	Email    string // optional
	Password string
	Roles    []string // never from a stranger
}

// Create adds an account. What is wrong with the input is an *InputError, all
// of it at once; one that is also ErrUsernameTaken or ErrEmailTaken if that is
// all. limits.ErrBusy says to come back later.
func (u *Users) Create(ctx context.Context, now time.Time, n NewUser, origin audit.Origin) (User, error) {
	var bad InputError
	name := checkUsername(&bad, n.Username)
	checkEmail(&bad, n.Email)
	checkRoles(&bad, n.Roles)
	prepared := u.policy.check(&bad, n.Password, name, n.Email)
	if err := bad.err(); err != nil {
		return User{}, err
	}
	// CreateUser decides; asking first spares a hash for a name that is gone.
	switch _, err := u.store.UserByUsername(ctx, name); {
	case err == nil:
		return User{}, alreadyTaken(ErrUsernameTaken)
	case !errors.Is(err, ErrUnknownUser):
		return User{}, fmt.Errorf("find user: %w", err)
	}
	user := User{
		Username:  name,
		Email:     n.Email,
		Roles:     n.Roles,
		CreatedAt: now,
		UpdatedAt: now,
	}
	var err error
	if user.ID, err = uuid.NewV7(); err != nil {
		return User{}, fmt.Errorf("create user: %w", err)
	}
	if err := u.slots.Do(ctx, func() { user.PasswordHash = u.hasher.hash(prepared) }); err != nil {
		return User{}, err
	}
	if err := u.store.CreateUser(ctx, user, userEvent(audit.UserCreated, now, user.ID, origin)); err != nil {
		return User{}, alreadyTaken(err)
	}
	return user, nil
}

func alreadyTaken(err error) error {
	switch {
	case errors.Is(err, ErrUsernameTaken):
		return taken("username", "username is taken.", err)
	case errors.Is(err, ErrEmailTaken):
		return taken("email", "email belongs to another account.", err)
	default:
		return fmt.Errorf("create user: %w", err)
	}
}

// SetPassword replaces the password and ends all of the user's sessions. It
// doesn't ask who calls: a person who changes their own password has to
// Authenticate with the old one first. *InputError, ErrUnknownUser, limits.ErrBusy.
func (u *Users) SetPassword(ctx context.Context, now time.Time, id uuid.UUID, password string, origin audit.Origin) error {
	user, err := u.store.User(ctx, id)
	if err != nil {
		return fmt.Errorf("set password: %w", err)
	}
	var bad InputError
	prepared := u.policy.check(&bad, password, user.Username, user.Email)
	if err := bad.err(); err != nil {
		return err
	}
	var hash string
	if err := u.slots.Do(ctx, func() { hash = u.hasher.hash(prepared) }); err != nil {
		return err
	}
	if err := u.store.SetPasswordHash(ctx, id, hash, now, userEvent(audit.UserPasswordChanged, now, id, origin)); err != nil {
		return fmt.Errorf("set password: %w", err)
	}
	return nil
}

// Disable bars the user from signing in and ends their sessions. ErrUnknownUser.
func (u *Users) Disable(ctx context.Context, now time.Time, id uuid.UUID, origin audit.Origin) error {
	if err := u.store.DisableUser(ctx, id, now, userEvent(audit.UserDisabled, now, id, origin)); err != nil {
		return fmt.Errorf("disable user: %w", err)
	}
	return nil
}

// Enable lets a disabled user sign in again. ErrUnknownUser.
func (u *Users) Enable(ctx context.Context, now time.Time, id uuid.UUID, origin audit.Origin) error {
	if err := u.store.EnableUser(ctx, id, now, userEvent(audit.UserEnabled, now, id, origin)); err != nil {
		return fmt.Errorf("enable user: %w", err)
	}
	return nil
}

// Delete removes the user and their sessions. ErrUnknownUser.
func (u *Users) Delete(ctx context.Context, now time.Time, id uuid.UUID, origin audit.Origin) error {
	if err := u.store.DeleteUser(ctx, id, userEvent(audit.UserDeleted, now, id, origin)); err != nil {
		return fmt.Errorf("delete user: %w", err)
	}
	return nil
}

// ByID finds a user. ErrUnknownUser.
func (u *Users) ByID(ctx context.Context, id uuid.UUID) (User, error) {
	return u.store.User(ctx, id)
}

// ByUsername finds a user by name, in whatever form it is typed. ErrUnknownUser.
func (u *Users) ByUsername(ctx context.Context, username string) (User, error) {
	name, err := NormalizeUsername(username)
	if err != nil {
		return User{}, ErrUnknownUser
	}
	return u.store.UserByUsername(ctx, name)
}

// List returns at most limit users by name, those after the given one.
func (u *Users) List(ctx context.Context, after string, limit int) ([]User, error) {
	return u.store.Users(ctx, after, limit)
}

func userEvent(kind audit.Kind, now time.Time, id uuid.UUID, origin audit.Origin) audit.Event {
	return audit.Event{Time: now, Kind: kind, UserID: id, Address: origin.Address, RequestID: origin.RequestID}
}
