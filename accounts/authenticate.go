package accounts

import (
	"context"
	"errors"
	"fmt"
	"time"

	"countersign/caller"
	"countersign/ids"
	"countersign/limits"
	"countersign/secrecy"
)

// budget is what a wrong guess is counted against.
type budget struct {
	own    [32]byte
	shared *[32]byte // with other callers whose browser the account doesn't know; nil for a known browser
	// known is the account that knows the caller's browser. If it is zero, the guess also
	// counts against the caller's network, over all accounts.
	known ids.User
}

// budgetOf returns the budget for a guess at the password of the account with that
// name.
//
// A browser that is known to the account has its own budget, so that its owner can sign
// in whatever strangers do. All other callers have one per network and share one more.
// A browser that was known only before the last change of the password has its own and
// shares one with its like: strangers don't spend it, but an attacker who knew the
// former password may hold any number of such browsers.
func (u *Users) budgetOf(ctx context.Context, name string, from caller.Caller) (budget, error) {
	if from.Browser != nil {
		user, err := u.store.UserByUsername(ctx, name)
		if err != nil && !errors.Is(err, ErrUnknownUser) {
			return budget{}, fmt.Errorf("find user: %w", err)
		}
		if browser, epoch := from.Browser(user.ID); browser != "" {
			b := budget{own: limits.Key("password from a known browser", user.ID.String(), browser), known: user.ID}
			if epoch != user.Epoch {
				former := limits.Key("password from former browsers", user.ID.String())
				b.shared = &former
			}
			return b, nil
		}
	}
	strangers := limits.Key("password from strangers", name)
	return budget{own: limits.Key("password", name, from.Network()), shared: &strangers}, nil
}

// check returns the failures so far in the caller's own budget, or a *limits.WaitError.
func (u *Users) check(ctx context.Context, now time.Time, b budget, from caller.Caller) (limits.Failures, error) {
	if b.known.IsZero() {
		if err := u.throttle.CheckNetwork(ctx, now, guesses, from.Address); err != nil {
			return limits.Failures{}, err
		}
	}
	if b.shared != nil {
		if err := u.throttle.CheckShared(ctx, now, *b.shared, u.throttle.StrangersPerAccount()); err != nil {
			return limits.Failures{}, err
		}
	}
	return u.throttle.Check(ctx, now, b.own)
}

// charge counts a wrong guess.
func (u *Users) charge(ctx context.Context, now time.Time, b budget, from caller.Caller) error {
	err := u.throttle.Failed(ctx, now, b.own)
	if b.shared != nil {
		err = errors.Join(err, u.throttle.Failed(ctx, now, *b.shared))
	}
	if b.known.IsZero() {
		err = errors.Join(err, u.throttle.FailedNetwork(ctx, now, guesses, from.Address))
	}
	return err
}

// guesses is the purpose of the budget that all guesses from a network share.
const guesses = "passwords"

// Authenticate returns the user with that name if the password is correct.
//
// Every failure is the same ErrBadCredentials, takes the same work and counts alike: a
// name that is unknown, disabled or malformed, an address that must be proven first,
// an account without a password, and a wrong or malformed password. A caller that guesses too often gets a
// *limits.WaitError: see budgetOf. limits.ErrBusy means that too many sign-ins wait
// already.
func (u *Users) Authenticate(ctx context.Context, now time.Time, username string, password secrecy.Text, from caller.Caller) (User, error) {
	name, err := NormalizeUsername(username)
	b := budget{own: limits.Key("password of a malformed name", trim(username), from.Network())}
	if err != nil {
		name = ""
	} else if b, err = u.budgetOf(ctx, name, from); err != nil {
		return User{}, err
	}
	return u.authenticate(ctx, now, b, name, password, u.AddressDue, from)
}

// authenticate is Authenticate for a name in its stored form, which is empty for a
// malformed one, and the budget of the guess. The password of a user who is barred is wrong.
func (u *Users) authenticate(ctx context.Context, now time.Time, b budget, name string, password secrecy.Text, barred func(*User) bool, from caller.Caller) (user User, err error) {
	// A caller that must wait takes no place in the queue.
	if _, err := u.check(ctx, now, b, from); err != nil {
		return User{}, err
	}
	if busy := u.hasher.Do(ctx, from.Party(b.known), func() { user, err = u.guess(ctx, now, b, name, password, barred, from) }); busy != nil {
		return User{}, busy
	}
	return user, err
}

// guess does the work of authenticate. It runs in a slot, from checking the
// budget to charging it, so that parallel guesses can't overdraw the budget.
func (u *Users) guess(ctx context.Context, now time.Time, b budget, name string, password secrecy.Text, barred func(*User) bool, from caller.Caller) (User, error) {
	spent, err := u.check(ctx, now, b, from)
	if err != nil {
		return User{}, err
	}
	user, err := u.store.UserByUsername(ctx, name)
	if err != nil && !errors.Is(err, ErrUnknownUser) {
		return User{}, fmt.Errorf("find user: %w", err)
	}
	entitled := err == nil && !user.Disabled() && !barred(&user) && user.PasswordHash != ""
	prepared, err := preparePassword(string(password))
	entitled = entitled && err == nil

	stored := u.hasher.Dummy()
	if entitled {
		stored = user.PasswordHash
	}
	match, outdated, err := u.hasher.Verify(stored, prepared)
	if err != nil {
		u.log.ErrorContext(ctx, "stored password hash is unusable", "subject", user.ID, "err", err)
		u.hasher.Verify(u.hasher.Dummy(), prepared)
	}
	if !match && outdated {
		u.hasher.TopUp(stored, prepared)
	}
	if !entitled || !match {
		if err := u.charge(ctx, now, b, from); err != nil {
			return User{}, err
		}
		return User{}, ErrBadCredentials
	}
	if err := u.throttle.Succeeded(ctx, b.own, spent); err != nil {
		return User{}, err
	}
	if outdated {
		// The sign-in succeeds even if the upgrade fails; the next one tries again.
		upgraded := u.hasher.Hash(prepared)
		if err := u.store.UpgradePasswordHash(ctx, user.ID, stored, upgraded); err != nil {
			u.log.WarnContext(ctx, "password hash not upgraded", "subject", user.ID, "err", err)
		} else {
			user.PasswordHash = upgraded
		}
	}
	return user, nil
}

// AddressDue reports whether the user must prove the address before signing in.
func (u *Users) AddressDue(user *User) bool { return u.requireVerifiedEmail && !user.EmailVerified }

// Prove checks the password of a user who is signed in already, in one of the user's live
// sessions, and returns the user as of the check. Its errors are those of Authenticate,
// and ErrSignedOut.
//
// The session has a budget of its own, which no stranger spends. All sessions of the user
// share one more: an attacker in a browser that is signed in may start any number of them.
func (u *Users) Prove(ctx context.Context, now time.Time, id ids.User, session ids.Session, password secrecy.Text, from caller.Caller) (User, error) {
	if session.IsZero() {
		return User{}, ErrSignedOut
	}
	user, err := u.store.User(ctx, id)
	if errors.Is(err, ErrUnknownUser) {
		return User{}, ErrSignedOut
	}
	if err != nil {
		return User{}, fmt.Errorf("find user: %w", err)
	}
	all := limits.Key("password in all sessions", id.String())
	b := budget{own: limits.Key("password in a session", id.String(), session.String()), shared: &all, known: id}
	return u.authenticate(ctx, now, b, user.Username, password, u.AddressDue, from)
}
