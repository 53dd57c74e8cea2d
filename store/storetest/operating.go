package storetest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"countersign/accounts"
	"countersign/audit"
	"countersign/clients"
	"countersign/ids"
	"countersign/store"
)

// What the operator changes of an account.
var operatingPromises = []promise{
	{"SetEmail/replaces the address", func(t *testing.T, db *store.DB) {
		u := withEmail(t, db, "alice", "a@example.com")
		now := at.Add(time.Minute)
		for _, verified := range []bool{true, false} {
			u.Email, u.EmailVerified, u.UpdatedAt = fmt.Sprint("B", verified, "@example.com"), verified, now
			leaves(t, db, func(ctx context.Context) {
				succeeds(t, db.SetEmail(ctx, u.ID, u.Email, verified, now, event(audit.UserEmailChanged)))
			}, event(audit.UserEmailChanged))
			isUser(t, db, u)
			got, err := db.UserByEmail(t.Context(), accounts.EmailKey(u.Email))
			succeeds(t, err)
			same(t, "user by the new address", got, u)
		}
		withEmail(t, db, "bob", "a@example.com") // which is free
	}},
	{"SetEmail/no other account's", func(t *testing.T, db *store.DB) {
		u := withEmail(t, db, "alice", "a@example.com")
		withEmail(t, db, "bob", "B@example.com")
		leaves(t, db, func(ctx context.Context) {
			fails(t, "another's", db.SetEmail(ctx, u.ID, "b@EXAMPLE.com", true, at, event(audit.UserEmailChanged)), accounts.ErrEmailTaken)
			fails(t, "unknown user", db.SetEmail(ctx, ids.New[ids.User](), "c@example.com", true, at, event(audit.UserEmailChanged)), accounts.ErrUnknownUser)
		})
		isUser(t, db, u)
	}},
	{"SetEmail/voids mailed links", func(t *testing.T, db *store.DB) {
		u := withEmail(t, db, "alice", "a@example.com")
		for _, kind := range []accounts.LetterKind{accounts.ResetPassword, accounts.ChangeEmail} {
			l := letter(kind, u)
			succeeds(t, db.PostLetter(t.Context(), l, ids.Place{}))
			succeeds(t, db.SetEmail(t.Context(), u.ID, "b@example.com", true, at, event(audit.UserEmailChanged)))
			_, err := db.Letter(t.Context(), l.ID, at)
			fails(t, string(kind), err, accounts.ErrBadToken)
		}
	}},
	{"ChangeRoles/replaces the roles, or nothing", func(t *testing.T, db *store.DB) {
		u := addUser(t, db, "alice")
		now := at.Add(time.Minute)
		to := func(roles ...string) func([]string) ([]string, error) {
			return func(was []string) ([]string, error) {
				if !slices.Equal(was, u.Roles) {
					t.Errorf("the roles were %q, want %q", was, u.Roles)
				}
				return roles, nil
			}
		}
		for _, roles := range [][]string{{"admin", odd, "<&>"}, {}} {
			leaves(t, db, func(ctx context.Context) {
				succeeds(t, db.ChangeRoles(ctx, u.ID, to(roles...), now, event(audit.UserRolesChanged)))
			}, event(audit.UserRolesChanged))
			u.Roles, u.UpdatedAt = roles, now
			isUser(t, db, u)
		}
		leaves(t, db, func(ctx context.Context) {
			later, refused := now.Add(time.Minute), errors.New("refused")
			succeeds(t, db.ChangeRoles(ctx, u.ID, to(), later, event(audit.UserRolesChanged)))
			fails(t, "refused", db.ChangeRoles(ctx, u.ID, func([]string) ([]string, error) { return []string{"x"}, refused }, later, event(audit.UserRolesChanged)), refused)
			fails(t, "unknown user", db.ChangeRoles(ctx, ids.New[ids.User](), to("x"), later, event(audit.UserRolesChanged)), accounts.ErrUnknownUser)
		})
		isUser(t, db, u)
	}},
}

// Wrong guesses at accounts.
var unlockPromises = []promise{
	{"UnlockUser/forgets the guesses at an account", func(t *testing.T, db *store.DB) {
		u, other := withEmail(t, db, "alice", "a@example.com"), withEmail(t, db, "bob", "b@example.com")
		fail := func(key byte, who ids.User) {
			_, err := db.RecordFailure(t.Context(), [32]byte{key}, who, at, time.Hour)
			succeeds(t, err)
		}
		for range 2 {
			fail(1, u.ID)
			fail(2, u.ID)
			fail(3, other.ID)
			fail(4, ids.User{})
		}
		leaves(t, db, func(ctx context.Context) {
			unlocked, err := db.UnlockUser(ctx, u.ID, event(audit.UserUnlocked))
			succeeds(t, err)
			same(t, "unlocked", unlocked, true)
		}, event(audit.UserUnlocked))
		for key, left := range map[byte]int{1: 0, 2: 0, 3: 2, 4: 2} {
			f, err := db.Failures(t.Context(), [32]byte{key})
			succeeds(t, err)
			same(t, "failures left", f.Count, left)
		}
		leaves(t, db, func(ctx context.Context) {
			unlocked, err := db.UnlockUser(ctx, u.ID, event(audit.UserUnlocked))
			succeeds(t, err)
			same(t, "unlocked again", unlocked, false)
			_, err = db.UnlockUser(ctx, ids.New[ids.User](), event(audit.UserUnlocked))
			fails(t, "unknown user", err, accounts.ErrUnknownUser)
		})
		isUser(t, db, u)
	}},
	{"UnlockUser/forgets those at accounts with the same address", func(t *testing.T, db *store.DB) {
		var held []accounts.User
		for _, name := range []string{"alice", "mallory"} {
			u := user(name)
			u.Email, u.EmailUnclaimed = "a@example.com", true
			succeeds(t, db.CreateUser(t.Context(), u, event(audit.UserCreated)))
			held = append(held, u)
		}
		owner := withEmail(t, db, "owner", "A@example.com")
		for i, who := range []ids.User{held[0].ID, held[1].ID, owner.ID} {
			for _, by := range []ids.User{held[0].ID, owner.ID} {
				_, err := db.RecordFailure(t.Context(), [32]byte{byte(i)}, who, at, time.Hour)
				succeeds(t, err)
				unlocked, err := db.UnlockUser(t.Context(), by, event(audit.UserUnlocked))
				succeeds(t, err)
				same(t, "unlocked", unlocked, true)
			}
		}
	}},
}

// Finding accounts.
var searchPromises = []promise{
	{"SearchUsers/finds what begins so, once, by name, address and id", func(t *testing.T, db *store.DB) {
		al := withEmail(t, db, "al", "al@example.com")
		alice := withEmail(t, db, "alice", "Work@example.com")
		bob := withEmail(t, db, "bob", "Alice.B@example.com")
		han := withEmail(t, db, "한글", "h%@example.com")
		addUser(t, db, "a")
		withEmail(t, db, "carol", "b@example.com")
		unproven := user("mallory")
		unproven.Email, unproven.EmailUnclaimed = "alice.b@Example.com", true
		succeeds(t, db.CreateUser(t.Context(), unproven, event(audit.UserCreated)))
		last := ids.User{0: 0xff}
		for name, c := range map[string]struct {
			of    accounts.Beginnings
			limit int
			want  []accounts.User
		}{
			"name and address":   {accounts.Beginnings{Username: "al", EmailKey: "al"}, 10, []accounts.User{al, alice, bob, unproven}},
			"the limit":          {accounts.Beginnings{Username: "al", EmailKey: "al"}, 2, []accounts.User{al, alice}},
			"the limit and more": {accounts.Beginnings{Username: "alice", EmailKey: "al"}, 2, []accounts.User{alice, al}},
			"a whole name":       {accounts.Beginnings{Username: "alice"}, 10, []accounts.User{alice}},
			"no name":            {accounts.Beginnings{EmailKey: "alice.b@example.com"}, 10, []accounts.User{bob, unproven}},
			"no pattern":         {accounts.Beginnings{Username: "%", EmailKey: "h%"}, 10, []accounts.User{han}},
			"another script":     {accounts.Beginnings{Username: "한"}, 10, []accounts.User{han}},
			"an id":              {accounts.Beginnings{ID: al.ID, LastID: al.ID}, 10, []accounts.User{al}},
			"a name and its id":  {accounts.Beginnings{Username: "al", ID: al.ID, LastID: al.ID}, 10, []accounts.User{al, alice}},
			"no id":              {accounts.Beginnings{ID: last, LastID: last}, 10, nil},
			"nothing":            {accounts.Beginnings{}, 10, nil},
		} {
			got, err := db.SearchUsers(t.Context(), c.of, c.limit)
			succeeds(t, err)
			same(t, name, got, c.want)
		}
	}},
}

// How the operator changes a client.
var changingPromises = []promise{
	{"ChangeClient/replaces the settings, the secret, or both", func(t *testing.T, db *store.DB) {
		want := fullClient("app")
		want.Public = false
		succeeds(t, db.CreateClient(t.Context(), want, event(audit.ClientCreated)))
		bystander := fullClient("App")
		succeeds(t, db.CreateClient(t.Context(), bystander, event(audit.ClientCreated)))
		now := at
		for _, c := range []struct {
			change func(*clients.Client)
			kinds  []audit.Kind
		}{
			{func(c *clients.Client) { c.Name, c.RedirectURIs = "another", []string{"https://app.example.com/other"} }, []audit.Kind{audit.ClientUpdated}},
			{func(c *clients.Client) { c.SecretHash, c.SecretMAC = "another", nil }, []audit.Kind{audit.ClientSecretRotated}},
			{func(c *clients.Client) { c.Scopes, c.SecretHash = []string{"x"}, "a third" }, []audit.Kind{audit.ClientUpdated, audit.ClientSecretRotated}},
			{func(c *clients.Client) { c.Public, c.SecretHash = true, "" }, []audit.Kind{audit.ClientUpdated}},
			{func(c *clients.Client) { c.Public, c.SecretHash = false, "a fourth" }, []audit.Kind{audit.ClientUpdated}},
			{func(*clients.Client) {}, nil},
		} {
			now = now.Add(time.Minute)
			var events []audit.Event
			for _, kind := range c.kinds {
				events = append(events, event(kind))
			}
			was := want
			if c.change(&want); len(events) > 0 {
				want.UpdatedAt = now
			}
			leaves(t, db, func(ctx context.Context) {
				got, done, err := db.ChangeClient(ctx, "app", func(old clients.Client) (clients.Client, error) {
					same(t, "client before", old, was)
					c.change(&old)
					return old, nil
				}, now, event(""))
				succeeds(t, err)
				same(t, "client", got, want)
				if changed := done == clients.Updated; changed != (len(events) > 0) {
					t.Errorf("change %d with the events %v", done, c.kinds)
				}
			}, events...)
			isClient(t, db, want)
		}
		isClient(t, db, bystander)
	}},
	{"ChangeClient/a refusal changes nothing", func(t *testing.T, db *store.DB) {
		want, refused := addClient(t, db, "app"), errors.New("refused")
		leaves(t, db, func(ctx context.Context) {
			change := func(c clients.Client) (clients.Client, error) {
				c.Name = "another"
				return c, refused
			}
			_, _, err := db.ChangeClient(ctx, "app", change, at, event(""))
			fails(t, "refused", err, refused)
			_, _, err = db.ChangeClient(ctx, "App", change, at, event(""))
			fails(t, "unknown", err, clients.ErrUnknown)
		})
		isClient(t, db, want)
	}},
}

var operatingRaces = []racePromise{
	{"ChangeRoles/no change is lost", func(t *testing.T, r replicas) {
		u := addUser(t, r[0], "alice")
		allSucceed(t, r.race(t.Context(), racers, func(ctx context.Context, db *store.DB, i int) error {
			return db.ChangeRoles(ctx, u.ID, func(roles []string) ([]string, error) { return append(roles, fmt.Sprint(i)), nil }, at, event(audit.UserRolesChanged))
		}))
		got, err := r[1].User(t.Context(), u.ID)
		succeeds(t, err)
		if len(got.Roles) != racers {
			t.Errorf("of %d roles added at once, %q are there", racers, got.Roles)
		}
	}},
	{"ChangeClient/no change is lost", func(t *testing.T, r replicas) {
		addClient(t, r[0], "app")
		allSucceed(t, r.race(t.Context(), racers, func(ctx context.Context, db *store.DB, i int) error {
			_, _, err := db.ChangeClient(ctx, "app", func(c clients.Client) (clients.Client, error) {
				c.Scopes = append(slices.Clone(c.Scopes), fmt.Sprint(i))
				return c, nil
			}, at, event(""))
			return err
		}))
		got, err := r[1].Client(t.Context(), "app")
		succeeds(t, err)
		if len(got.Scopes) != racers {
			t.Errorf("of %d scopes added at once, %q are there", racers, got.Scopes)
		}
	}},
}
