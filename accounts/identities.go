package accounts

import (
	"context"
	"errors"
	"fmt"
	"time"

	"countersign/audit"
	"countersign/caller"
	"countersign/ids"
)

// The errors about identities.
var (
	// ErrUnknownIdentity means that the user has no such identity.
	ErrUnknownIdentity = errors.New("no such identity")
	// ErrIdentityTaken means that another user has the identity.
	ErrIdentityTaken = errors.New("the identity belongs to another account")
	// ErrTooManyIdentities means that a user has MaxIdentities.
	ErrTooManyIdentities = errors.New("the account has too many identities")
	// ErrLastWayIn means that without what is to be removed nothing would open the account:
	// no password, no passkey, and no identity at a provider of the settings.
	ErrLastWayIn = errors.New("nothing else opens the account")
)

// MaxIdentities is how many identities a user has at most.
const MaxIdentities = 20

// Identity is a user's account at another provider, which opens the account here.
type Identity struct {
	ID       ids.Identity
	UserID   ids.User
	Provider string // its id in the settings
	// Key stands for the account at the provider. It is one user's, and stays so: an identity
	// is never given to another user, only unlinked.
	Key      [32]byte
	Email    string // as the provider named it when it was linked, proven or not; empty: none
	LinkedAt time.Time
}

// Named is what a provider says of a user: an Identity without the user's side.
type Named struct {
	Provider string
	Name     string // what users know the provider as
	Key      [32]byte
	Email    string
}

func (n *Named) identity(now time.Time, user ids.User) Identity {
	email := n.Email
	if len(email) > maxEmail {
		email = ""
	}
	return Identity{ID: ids.New[ids.Identity](), UserID: user, Provider: n.Provider, Key: n.Key, Email: email, LinkedAt: now}
}

// IdentityStore stores identities. Every method is atomic, safe for concurrent use, and
// writes the events with its change.
type IdentityStore interface {
	// Identities lists a user's identities, oldest first.
	Identities(ctx context.Context, user ids.User) ([]Identity, error)
	// UserByIdentity returns the user who has the identity with a key. ErrUnknownUser.
	UserByIdentity(ctx context.Context, key [32]byte) (User, error)
	// CreateLinkedUser is CreateUser for a user with a profile and an identity. ErrIdentityTaken,
	// ErrUsernameTaken, ErrEmailTaken.
	CreateLinkedUser(ctx context.Context, u User, p Profile, i Identity, created, linked audit.Event, letters ...Letter) error
	// LinkIdentity adds an identity of a user for a place that is alive. ErrSignedOut,
	// ErrIdentityTaken, also where the user has it already; ErrTooManyIdentities.
	LinkIdentity(ctx context.Context, i Identity, at ids.Place, ev audit.Event, letters ...Letter) error
	// UnlinkIdentity removes an identity for a place that is alive, and signs the user out
	// everywhere else: what it has opened ends. Something must be left that opens the
	// account; of identities only those of the providers count. ErrSignedOut,
	// ErrUnknownIdentity, ErrLastWayIn.
	UnlinkIdentity(ctx context.Context, user ids.User, id ids.Identity, providers []string, now time.Time, at ids.Place, ev audit.Event, letters ...Letter) error
}

// Identities lists a user's identities, oldest first.
func (u *Users) Identities(ctx context.Context, user ids.User) ([]Identity, error) {
	all, err := u.store.Identities(ctx, user)
	if err != nil {
		return nil, fmt.Errorf("list identities: %w", err)
	}
	return all, nil
}

// ByIdentity returns the user who has an identity. ErrUnknownUser.
func (u *Users) ByIdentity(ctx context.Context, key [32]byte) (User, error) {
	return u.store.UserByIdentity(ctx, key)
}

// Link adds an identity of a user who has just given a proof at a place, and tells the user.
// It does nothing if the user has it already. The caller must have checked the proof.
// ErrSignedOut, ErrIdentityTaken, ErrTooManyIdentities.
func (u *Users) Link(ctx context.Context, now time.Time, id ids.User, at ids.Place, n Named, from caller.Caller) error {
	if at.IsZero() {
		return ErrSignedOut
	}
	user, err := u.store.User(ctx, id)
	if err != nil {
		return fmt.Errorf("link identity: %w", err)
	}
	letters, err := u.identityNotice(ctx, now, IdentityLinked, &user, n.Name, from)
	if err != nil {
		return err
	}
	err = u.store.LinkIdentity(ctx, n.identity(now, id), at, userEvent(audit.IdentityLinked, now, id, from), letters...)
	if errors.Is(err, ErrIdentityTaken) {
		if has, found := u.store.UserByIdentity(ctx, n.Key); found == nil && has.ID == id {
			return nil // the form was sent twice
		}
	}
	if err != nil {
		return fmt.Errorf("link identity: %w", err)
	}
	return nil
}

// Unlink removes an identity of a user who has just given a proof at a place, signs the
// user out everywhere else, and tells the user. name is what users know its provider as.
// The caller must have checked the proof. ErrSignedOut, ErrUnknownIdentity, ErrLastWayIn.
func (u *Users) Unlink(ctx context.Context, now time.Time, id ids.User, identity ids.Identity, at ids.Place, name func(provider string) string, from caller.Caller) error {
	if at.IsZero() {
		return ErrSignedOut
	}
	user, err := u.store.User(ctx, id)
	if err != nil {
		return fmt.Errorf("unlink identity: %w", err)
	}
	has, err := u.store.Identities(ctx, id)
	if err != nil {
		return fmt.Errorf("unlink identity: %w", err)
	}
	var letters []Letter
	for _, i := range has {
		if i.ID == identity {
			if letters, err = u.identityNotice(ctx, now, IdentityUnlinked, &user, name(i.Provider), from); err != nil {
				return err
			}
		}
	}
	err = u.store.UnlinkIdentity(ctx, id, identity, u.providers, now, at, userEvent(audit.IdentityUnlinked, now, id, from), letters...)
	if err != nil {
		return fmt.Errorf("unlink identity: %w", err)
	}
	return nil
}

// identityNotice is notice with the provider's name.
func (u *Users) identityNotice(ctx context.Context, now time.Time, kind LetterKind, user *User, provider string, from caller.Caller) ([]Letter, error) {
	letters, err := u.notice(ctx, now, kind, user, from)
	for i := range letters {
		letters[i].Provider, letters[i].CallerAddress = provider, from.Address
	}
	return letters, err
}
