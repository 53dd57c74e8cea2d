package storetest

import (
	"context"
	"testing"
	"time"

	"countersign/accounts"
	"countersign/audit"
	"countersign/ids"
	"countersign/store"
)

// identityOf makes an identity of a user.
func identityOf(user ids.User, provider string, key byte) accounts.Identity {
	return accounts.Identity{
		ID: ids.New[ids.Identity](), UserID: user, Provider: provider, Key: [32]byte{key, 31: 0xff}, Email: "\U0001F4EE@example.com", LinkedAt: at,
	}
}

var identityPromises = []promise{
	{"CreateLinkedUser/all or nothing", func(t *testing.T, db *store.DB) {
		profile := accounts.Profile{Name: "Alice Liddell"}
		u := accounts.User{ID: ids.New[ids.User](), Username: "alice", CreatedAt: at, UpdatedAt: at}
		i := identityOf(u.ID, "google", 1)
		leaves(t, db, func(ctx context.Context) {
			succeeds(t, db.CreateLinkedUser(ctx, u, profile, i, event(audit.UserCreated), event(audit.IdentityLinked), letter(accounts.NewBrowser, u)))
		}, event(audit.UserCreated), event(audit.IdentityLinked))
		got, err := db.UserByIdentity(t.Context(), i.Key)
		succeeds(t, err)
		same(t, "user", got, u)
		had, err := db.Profile(t.Context(), u.ID)
		succeeds(t, err)
		same(t, "profile", had, profile)
		all, err := db.Identities(t.Context(), u.ID)
		succeeds(t, err)
		same(t, "identities", all, []accounts.Identity{i})

		other := accounts.User{ID: ids.New[ids.User](), Username: "mallory", CreatedAt: at, UpdatedAt: at}
		taken := identityOf(other.ID, "google", 1)
		leaves(t, db, func(ctx context.Context) {
			fails(t, "an identity that alice has", db.CreateLinkedUser(ctx, other, profile, taken, event(audit.UserCreated), event(audit.IdentityLinked)), accounts.ErrIdentityTaken)
			other.Username = "alice"
			fails(t, "a name that alice has", db.CreateLinkedUser(ctx, other, profile, identityOf(other.ID, "google", 2), event(audit.UserCreated), event(audit.IdentityLinked)), accounts.ErrUsernameTaken)
		})
		_, err = db.User(t.Context(), other.ID)
		fails(t, "the other user", err, accounts.ErrUnknownUser)
		_, err = db.UserByIdentity(t.Context(), [32]byte{2})
		fails(t, "an unknown identity", err, accounts.ErrUnknownUser)
	}},
	{"LinkIdentity/never to two users, and not without end", func(t *testing.T, db *store.DB) {
		u, s := signIn(t, db, "alice")
		v, theirs := signIn(t, db, "bob")
		i := identityOf(u.ID, "google", 1)
		leaves(t, db, func(ctx context.Context) {
			succeeds(t, db.LinkIdentity(ctx, i, ids.Place{Session: s.ID}, event(audit.IdentityLinked)))
		},
			event(audit.IdentityLinked))
		leaves(t, db, func(ctx context.Context) {
			fails(t, "again", db.LinkIdentity(ctx, identityOf(u.ID, "google", 1), ids.Place{Session: s.ID}, event(audit.IdentityLinked)), accounts.ErrIdentityTaken)
			fails(t, "to bob", db.LinkIdentity(ctx, identityOf(v.ID, "google", 1), ids.Place{Session: theirs.ID}, event(audit.IdentityLinked)), accounts.ErrIdentityTaken)
			fails(t, "from bob's session", db.LinkIdentity(ctx, identityOf(u.ID, "google", 2), ids.Place{Session: theirs.ID}, event(audit.IdentityLinked)), accounts.ErrSignedOut)
			fails(t, "from nowhere", db.LinkIdentity(ctx, identityOf(u.ID, "google", 2), ids.Place{}, event(audit.IdentityLinked)), accounts.ErrSignedOut)
		})
		for n := byte(2); n <= accounts.MaxIdentities; n++ {
			succeeds(t, db.LinkIdentity(t.Context(), identityOf(u.ID, "google", n), ids.Place{Session: s.ID}, event(audit.IdentityLinked)))
		}
		fails(t, "one more", db.LinkIdentity(t.Context(), identityOf(u.ID, "google", 99), ids.Place{Session: s.ID}, event(audit.IdentityLinked)), accounts.ErrTooManyIdentities)
	}},
	{"UnlinkIdentity/leaves a way in, and signs out everywhere else", func(t *testing.T, db *store.DB) {
		u := accounts.User{ID: ids.New[ids.User](), Username: "alice", CreatedAt: at, UpdatedAt: at} // without a password
		i, j := identityOf(u.ID, "google", 1), identityOf(u.ID, "gone", 2)
		succeeds(t, db.CreateLinkedUser(t.Context(), u, accounts.Profile{}, i, event(audit.UserCreated), event(audit.IdentityLinked)))
		c := addClient(t, db, "client")
		s, elsewhere := addSession(t, db, u, c.ID), addSession(t, db, u, c.ID)
		here, now := ids.Place{Session: s.ID}, at.Add(time.Minute)
		succeeds(t, db.LinkIdentity(t.Context(), j, here, event(audit.IdentityLinked)))
		leaves(t, db, func(ctx context.Context) {
			fails(t, "the last", db.UnlinkIdentity(ctx, u.ID, i.ID, []string{"google"}, now, here, event(audit.IdentityUnlinked)), accounts.ErrLastWayIn)
			fails(t, "without providers", db.UnlinkIdentity(ctx, u.ID, i.ID, nil, now, here, event(audit.IdentityUnlinked)), accounts.ErrLastWayIn)
			fails(t, "an unknown one", db.UnlinkIdentity(ctx, u.ID, ids.New[ids.Identity](), []string{"google"}, now, here, event(audit.IdentityUnlinked)), accounts.ErrUnknownIdentity)
			fails(t, "from nowhere", db.UnlinkIdentity(ctx, u.ID, i.ID, []string{"google"}, now, ids.Place{}, event(audit.IdentityUnlinked)), accounts.ErrSignedOut)
		})
		leaves(t, db, func(ctx context.Context) {
			succeeds(t, db.UnlinkIdentity(ctx, u.ID, j.ID, []string{"google"}, now, here, event(audit.IdentityUnlinked), letter(accounts.IdentityUnlinked, u)))
		}, event(audit.IdentityUnlinked))
		_, err := db.Session(t.Context(), s.ID, now)
		succeeds(t, err)
		if _, err = db.Session(t.Context(), elsewhere.ID, now); err == nil {
			t.Error("the user is still signed in elsewhere")
		}
		all, err := db.Identities(t.Context(), u.ID)
		succeeds(t, err)
		same(t, "identities", all, []accounts.Identity{i})
		succeeds(t, db.DeleteUser(t.Context(), u.ID, accounts.By{Operator: true}, now, event(audit.UserDeleted)))
		_, err = db.UserByIdentity(t.Context(), i.Key)
		fails(t, "after the user is deleted", err, accounts.ErrUnknownUser)
	}},
}
