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

// budgetOf returns the budget for a guess at the password of the account that a caller
// means.
//
// A browser that is known to the account has its own budget, so that its owner can sign
// in whatever strangers do. All other callers have one per network and share one more.
// A browser that was known only before the last change of the password has its own and
// shares one with its like: strangers don't spend it, but an attacker who knew the
// former password may hold any number of such browsers.
func (u *Users) budgetOf(ctx context.Context, who typed, from caller.Caller) (budget, error) {
	if who.nothing() {
		return budget{own: limits.Key("password of a malformed name", who.text, from.Network())}, nil
	}
	user, err := u.find(ctx, who)
	if err != nil {
		return budget{}, err
	}
	// An account that only holds an address knows no browser: see typed.budget.
	if from.Browser != nil && !user.EmailUnclaimed {
		if browser, epoch := from.Browser(user.ID); browser != "" {
			b := budget{own: limits.Key("password from a known browser", user.ID.String(), browser), known: user.ID}
			if epoch != user.Epoch {
				former := limits.Key("password from former browsers", user.ID.String())
				b.shared = &former
			}
			return b, nil
		}
	}
	name := who.budget(&user)
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

// charge counts a wrong guess at the account of a user, zero for none.
func (u *Users) charge(ctx context.Context, now time.Time, b budget, at ids.User, from caller.Caller) error {
	err := u.throttle.FailedAt(ctx, now, b.own, at)
	if b.shared != nil {
		err = errors.Join(err, u.throttle.FailedAt(ctx, now, *b.shared, at))
	}
	if b.known.IsZero() {
		err = errors.Join(err, u.throttle.FailedNetwork(ctx, now, guesses, from.Address))
	}
	return err
}

// guesses is the purpose of the budget that all guesses from a network share.
const guesses = "passwords"

// Authenticate returns the user with that name or e-mail address if the password is
// correct. A name is a username, or an address that the user has.
//
// The owner of a right password learns why the account may not sign in: ErrDisabled, or a
// *NotVerifiedError where an address must be proven first. Every other failure is the same
// ErrBadCredentials, takes the same work and counts alike: a name that is unknown or
// malformed, an account without a password, and a wrong or malformed password, whatever the
// account. A caller that guesses too often gets a *limits.WaitError: see budgetOf.
// limits.ErrBusy means that too many sign-ins wait already.
func (u *Users) Authenticate(ctx context.Context, now time.Time, name string, password secrecy.Text, from caller.Caller) (User, error) {
	return u.authenticateAs(ctx, now, readTyped(name), password, u.notVerified, from)
}

// authenticateAs is Authenticate for whom a caller means. bar returns why an account may not
// sign in, nil if it may.
func (u *Users) authenticateAs(ctx context.Context, now time.Time, who typed, password secrecy.Text, bar func(*User) error, from caller.Caller) (User, error) {
	b, err := u.budgetOf(ctx, who, from)
	if err != nil {
		return User{}, err
	}
	return u.authenticate(ctx, now, b, who, password, bar, from)
}

// authenticate is authenticateAs with the budget of the guess.
func (u *Users) authenticate(ctx context.Context, now time.Time, b budget, who typed, password secrecy.Text, bar func(*User) error, from caller.Caller) (user User, err error) {
	// A caller that must wait takes no place in the queue.
	if _, err := u.check(ctx, now, b, from); err != nil {
		return User{}, err
	}
	if busy := u.hasher.Do(ctx, from.Party(b.known), func() { user, err = u.guess(ctx, now, b, who, password, bar, from) }); busy != nil {
		return User{}, busy
	}
	return user, err
}

// guess does the work of authenticate. It runs in a slot, from checking the
// budget to charging it, so that parallel guesses can't overdraw the budget.
func (u *Users) guess(ctx context.Context, now time.Time, b budget, who typed, password secrecy.Text, bar func(*User) error, from caller.Caller) (User, error) {
	spent, err := u.check(ctx, now, b, from)
	if err != nil {
		return User{}, err
	}
	user, err := u.guessed(ctx, who)
	if err == nil && !who.id.IsZero() && user.ID.IsZero() {
		err = ErrSignedOut // the account was deleted while this call waited for its slot
	}
	if err != nil {
		return User{}, err
	}
	prepared, malformed := preparePassword(string(password))
	// The password of the dummy hash opens nothing, whatever it may be.
	stored, opens := u.hasher.Dummy(), user.PasswordHash != "" && malformed == nil
	if opens {
		stored = user.PasswordHash
	}
	verdict, err := u.hasher.Verify(stored, prepared)
	if err != nil {
		u.log.ErrorContext(ctx, "stored password hash is unusable", "subject", user.ID, "err", err)
		verdict, _ = u.hasher.Verify(u.hasher.Dummy(), prepared)
		opens = false
	}
	match := opens && verdict.Match
	if !match && who.key != "" {
		other, err := u.sharing(ctx, who, verdict.Hash)
		if err != nil && !errors.Is(err, ErrUnknownUser) {
			return User{}, err
		}
		if match = err == nil; match {
			user = other
		}
	}
	if !match && verdict.Outdated {
		u.hasher.TopUp(stored, prepared)
	}
	if !match || malformed != nil || user.ID.IsZero() {
		if err := u.charge(ctx, now, b, user.ID, from); err != nil {
			return User{}, err
		}
		return User{}, ErrBadCredentials
	}
	// An account that may not sign in refills nothing: an attacker may have made it for an
	// address whose owner has the same budget.
	if user.Disabled() {
		return User{}, ErrDisabled
	}
	if err := bar(&user); err != nil {
		return User{}, err
	}
	if !user.EmailUnclaimed || !b.known.IsZero() {
		if err := u.throttle.Succeeded(ctx, b.own, spent); err != nil {
			return User{}, err
		}
	}
	if verdict.Outdated {
		// The sign-in succeeds even if the upgrade fails; the next one tries again.
		upgraded := u.hasher.Hash(prepared)
		if err := u.store.UpgradePasswordHash(ctx, user.ID, user.PasswordHash, upgraded); err != nil {
			u.log.WarnContext(ctx, "password hash not upgraded", "subject", user.ID, "err", err)
		} else {
			user.PasswordHash = upgraded
		}
	}
	return user, nil
}

// AddressDue reports whether the user must prove the address before signing in.
func (u *Users) AddressDue(user *User) bool { return u.requireVerifiedEmail && !user.EmailVerified }

// Barred returns why a user who has proven who they are may not sign in: ErrDisabled, or a
// *NotVerifiedError; nil if the user may.
func (u *Users) Barred(user *User) error {
	if user.Disabled() {
		return ErrDisabled
	}
	return u.notVerified(user)
}

// notVerified returns a *NotVerifiedError for a user whose address is due.
func (u *Users) notVerified(user *User) error {
	if u.AddressDue(user) {
		return &NotVerifiedError{*user}
	}
	return nil
}

// Prove checks the password of a user who is signed in already, at a place that is alive,
// and returns the user as of the check. Its errors are those of Authenticate,
// and ErrSignedOut.
//
// The place has a budget of its own, which no stranger spends. All places of the user
// share one more: an attacker in a browser that is signed in may start any number of them.
func (u *Users) Prove(ctx context.Context, now time.Time, id ids.User, at ids.Place, password secrecy.Text, from caller.Caller) (User, error) {
	if at.IsZero() {
		return User{}, ErrSignedOut
	}
	if _, err := u.store.User(ctx, id); errors.Is(err, ErrUnknownUser) {
		return User{}, ErrSignedOut
	} else if err != nil {
		return User{}, fmt.Errorf("find user: %w", err)
	}
	all := limits.Key("password in all sessions", id.String())
	b := budget{own: limits.Key("password in a session", id.String(), at.Session.String()), shared: &all, known: id}
	if !at.Login.IsZero() {
		b.own = limits.Key("password in a login", id.String(), at.Login.String())
	}
	return u.authenticate(ctx, now, b, typed{id: id}, password, u.notVerified, from)
}
