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
			succeeds(t, db.PostLetter(t.Context(), l, ids.Session{}))
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
}
