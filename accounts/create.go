package accounts

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"countersign/audit"
	"countersign/caller"
	"countersign/ids"
	"countersign/input"
	"countersign/limits"
	"countersign/secrecy"
)

// NewUser is what a visitor fills in to get an account.
type NewUser struct {
	Username string // one of these may be empty: see SignupNames
	Email    string
	Password secrecy.Text
	Roles    []string // only the operator may give them
	// EmailVerified says that the address is proven. Only the operator may say so.
	EmailVerified bool
	// NoPassword makes an account that no password opens, until it gets one. Only the
	// operator may.
	NoPassword bool
	// By, if not nil, is how a provider knows the visitor: the account is linked to it, has no
	// password, and its address is proven if the provider says so. The caller must have
	// checked that it is the provider that says all this. Profile is of such an account
	// alone; claims that break a rule are left out.
	By      *Named
	Profile Profile
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
	n.NoPassword = n.NoPassword || n.By != nil
	if len(n.Roles) > 0 || n.By == nil && (n.EmailVerified || n.NoPassword) {
		if err := from.MustBeOperator(); err != nil {
			return User{}, err
		}
	}
	var bad input.Error
	name := checkUsername(&bad, n.Username)
	n.Email = u.checkNewEmail(ctx, &bad, n.Email)
	names := u.signupNames
	if from.IsOperator() {
		names = SignupNames{}
	}
	if u.requireVerifiedEmail || n.EmailVerified {
		names.Email = Required
	}
	names.check(&bad, name, n.Email)
	if n.Username = trim(n.Username); n.Username == "" && n.Email == "" && len(bad.Problems) == 0 {
		bad.Add("username", input.Required, "username or email must be given.")
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
	if err == nil {
		u.signedUp(ctx, now, &user, from)
	}
	if !from.IsOperator() && (errors.Is(err, ErrUsernameTaken) || errors.Is(err, ErrEmailTaken)) {
		err = cmp.Or(u.throttle.Charge(ctx, now, asking, seen, ids.User{}), err)
	}
	return user, err
}

// create adds an account whose name and password have been checked.
//
// Where accounts may hold an address that another has, all of them have the salt of the
// account that a sign-in by the address finds first: so one hash tells whose password it is,
// and signing in by the address looks and costs the same for an attacker who has made an
// account for it, whether or not its owner has one.
func (u *Users) create(ctx context.Context, now time.Time, name, prepared string, n NewUser, from caller.Caller) (User, error) {
	// CreateUser decides; asking first saves the hash for a name that is taken.
	if name != "" {
		switch _, err := u.store.UserByUsername(ctx, name); {
		case err == nil:
			return User{}, alreadyTaken(ErrUsernameTaken)
		case !errors.Is(err, ErrUnknownUser):
			return User{}, fmt.Errorf("find user: %w", err)
		}
	}
	var holder User
	var like string
	var twin User
	if n.Email != "" {
		address := readTyped(n.Email)
		if u.requireVerifiedEmail && !n.EmailVerified {
			done, err := u.takeTurn(ctx, now, address.key)
			if err != nil {
				return User{}, err
			}
			defer done()
		}
		holders, err := u.store.Claimants(ctx, address.username, address.key)
		if err != nil {
			return User{}, fmt.Errorf("find user: %w", err)
		}
		holder = holders.ByEmail
		if name == "" && !holders.ByUsername.ID.IsZero() && !u.requireVerifiedEmail {
			holder = holders.ByUsername // the new account could not sign in by it
		}
		if !holder.ID.IsZero() && (!u.requireVerifiedEmail || n.EmailVerified) {
			return User{}, alreadyTaken(ErrEmailTaken)
		}
		if u.requireVerifiedEmail && !n.EmailVerified {
			like, twin = holders.withPassword().PasswordHash, holders.Unclaimed
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
		if err := u.hasher.Do(ctx, from.Party(ids.User{}), func() { user.PasswordHash = u.hasher.HashAs(like, prepared) }); err != nil {
			return User{}, err
		}
	}
	if twin.PasswordHash == user.PasswordHash && twin.Username == name && !n.NoPassword && now.Sub(twin.CreatedAt) < createdAgain {
		return twin, nil // the form was sent twice, and nothing but the address names the account
	}
	var letters []Letter
	if u.mail && user.Email != "" && !user.EmailVerified {
		language, err := u.languageOf(ctx, holder.ID, from) // asked for a new address, too, so that the work is the same
		if err != nil {
			return User{}, err
		}
		l := u.welcome(now, &user, &holder, language)
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
	if err := u.add(ctx, now, user, &n, letters, from); err != nil {
		return User{}, alreadyTaken(err)
	}
	return user, nil
}

// add stores a new account.
func (u *Users) add(ctx context.Context, now time.Time, user User, n *NewUser, letters []Letter, from caller.Caller) error {
	created := userEvent(audit.UserCreated, now, user.ID, from)
	if n.By == nil {
		return u.store.CreateUser(ctx, user, created, letters...)
	}
	return u.store.CreateLinkedUser(ctx, user, n.Profile.sound(), n.By.identity(now, user.ID), created, userEvent(audit.IdentityLinked, now, user.ID, from), letters...)
}

// A sign-up looks every turnStep whether it is its turn. It waits no longer than turnSteps of them: the
// replica that had the turn may have died.
const turnStep, turnSteps = 50 * time.Millisecond, 60

// takeTurn lets sign-ups with one address come one after the other, on all replicas, until done
// is called: each has to see the account that the other has made, or a form that is sent twice
// at once would make two, and with two salts.
func (u *Users) takeTurn(ctx context.Context, now time.Time, key string) (done func(), err error) {
	turn := limits.Key("turn of a sign-up", key)
	done = func() {
		if _, err := u.throttle.TakeNote(context.WithoutCancel(ctx), now, turn); err != nil {
			u.log.WarnContext(ctx, "the next sign-up with an address waits in vain", "err", err)
		}
	}
	for range turnSteps {
		taken, err := u.throttle.Note(ctx, now, turn, turnSteps*turnStep)
		if err != nil || !taken {
			return done, err
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(turnStep):
		}
	}
	return func() {}, nil // the turn isn't this one's to end
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
