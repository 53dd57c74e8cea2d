package storetest

import (
	"context"
	"strings"
	"sync"
	"testing"
	"time"

	"countersign/accounts"
	"countersign/audit"
	"countersign/ids"
	"countersign/store"
)

var profilePromises = []promise{
	{"PutProfile/every claim comes back", func(t *testing.T, db *store.DB) {
		u, other := addUser(t, db, "alice"), addUser(t, db, "bob")
		var want accounts.Profile
		for _, claim := range accounts.ProfileClaims() {
			want.Set(claim, claim+` <&> \n `+odd+"\n")
		}
		now := at.Add(time.Minute)
		changed := event(audit.UserProfileChanged)
		changed.UserID = u.ID
		leaves(t, db, func(ctx context.Context) {
			succeeds(t, db.PutProfile(ctx, u.ID, accounts.By{Operator: true}, want, now, changed))
		}, changed)
		hasProfile(t, db, u, want)
		hasProfile(t, db, other, accounts.Profile{})
		u.UpdatedAt = now
		isUser(t, db, u)
		isUser(t, db, other)
	}},
	{"PutProfile/the longest fits", func(t *testing.T, db *store.DB) {
		u := addUser(t, db, "alice")
		want := accounts.Profile{Name: strings.Repeat("𐐨<", 10_000)}
		succeeds(t, db.PutProfile(t.Context(), u.ID, accounts.By{Operator: true}, want, at, event(audit.UserProfileChanged)))
		hasProfile(t, db, u, want)
	}},
	{"PutProfile/replaces all of it", func(t *testing.T, db *store.DB) {
		u, s := signIn(t, db, "alice")
		for _, want := range []accounts.Profile{
			{Name: "Alice", Nickname: "Al", Address: accounts.Address{Country: "KR"}},
			{Name: "Alice", Nickname: "Al", Address: accounts.Address{Country: "KR"}}, // the same profile again
			{Nickname: "Ally"},
			{},
			{Address: accounts.Address{Locality: "Seoul"}},
		} {
			succeeds(t, db.PutProfile(t.Context(), u.ID, accounts.By{Operator: true}, want, at, event(audit.UserProfileChanged)))
			hasProfile(t, db, u, want)
		}
		lives(t, db, s)
	}},
	{"PutProfile/that changes nothing writes nothing", func(t *testing.T, db *store.DB) {
		u := addUser(t, db, "alice")
		put := func(ctx context.Context, p accounts.Profile, now time.Time) {
			succeeds(t, db.PutProfile(ctx, u.ID, accounts.By{Operator: true}, p, now, event(audit.UserProfileChanged)))
		}
		leaves(t, db, func(ctx context.Context) { put(ctx, accounts.Profile{}, at.Add(time.Minute)) })
		isUser(t, db, u)
		put(t.Context(), accounts.Profile{Name: "Alice"}, at)
		leaves(t, db, func(ctx context.Context) { put(ctx, accounts.Profile{Name: "Alice"}, at.Add(time.Minute)) })
		isUser(t, db, u)
	}},
	{"PutProfile/of an unknown user is ErrUnknownUser", func(t *testing.T, db *store.DB) {
		unknown := ids.New[ids.User]()
		leaves(t, db, func(ctx context.Context) {
			err := db.PutProfile(ctx, unknown, accounts.By{Operator: true}, accounts.Profile{Name: "Unknown"}, at, event(audit.UserProfileChanged))
			fails(t, "put", err, accounts.ErrUnknownUser)
		})
		hasProfile(t, db, accounts.User{ID: unknown}, accounts.Profile{})
	}},
	{"PutProfile/for a session that is alive", func(t *testing.T, db *store.DB) {
		u, other := addUser(t, db, "alice"), addUser(t, db, "bob")
		s, ended, foreign := signedIn(t, db, u), signedIn(t, db, u), signedIn(t, db, other)
		succeeds(t, db.EndSession(t.Context(), ended.ID, event(audit.SessionRevoked)))
		put := func(ctx context.Context, session ids.Session, now time.Time) error {
			return db.PutProfile(ctx, u.ID, accounts.By{Place: ids.Place{Session: session}}, accounts.Profile{Name: "Alice"}, now, event(audit.UserProfileChanged))
		}
		leaves(t, db, func(ctx context.Context) {
			fails(t, "ended", put(ctx, ended.ID, at), accounts.ErrSignedOut)
			fails(t, "another's", put(ctx, foreign.ID, at), accounts.ErrSignedOut)
			fails(t, "no session", put(ctx, ids.New[ids.Session](), at), accounts.ErrSignedOut)
			fails(t, "expired", put(ctx, s.ID, s.ExpiresAt), accounts.ErrSignedOut)
		})
		hasProfile(t, db, u, accounts.Profile{})
		isUser(t, db, u)
		succeeds(t, put(t.Context(), s.ID, at.Add(time.Minute)))
		hasProfile(t, db, u, accounts.Profile{Name: "Alice"})
		succeeds(t, db.DisableUser(t.Context(), u.ID, at, event(audit.UserDisabled)))
		fails(t, "of a disabled user", put(t.Context(), s.ID, at), accounts.ErrSignedOut)
	}},
	{"PutProfile/a cancelled one leaves nothing", func(t *testing.T, db *store.DB) {
		u := addUser(t, db, "alice")
		leaves(t, db, func(ctx context.Context) {
			ctx, cancel := context.WithCancel(ctx)
			cancel()
			err := db.PutProfile(ctx, u.ID, accounts.By{Operator: true}, accounts.Profile{Name: "Alice"}, at, event(audit.UserProfileChanged))
			fails(t, "cancelled", err, context.Canceled)
		})
		hasProfile(t, db, u, accounts.Profile{})
		isUser(t, db, u)
	}},
	{"PutProfile/of racers one is kept whole", func(t *testing.T, db *store.DB) {
		u := addUser(t, db, "alice")
		var wg sync.WaitGroup
		for _, name := range numbered("name", 16) {
			wg.Go(func() {
				err := db.PutProfile(t.Context(), u.ID, accounts.By{Operator: true}, accounts.Profile{Name: name, Nickname: name}, at, event(audit.UserProfileChanged))
				if err != nil {
					t.Errorf("put: %v", err)
				}
			})
		}
		wg.Wait()
		got, err := db.Profile(t.Context(), u.ID)
		succeeds(t, err)
		if got.Name == "" || got.Name != got.Nickname {
			t.Errorf("the profile is %+v", got)
		}
	}},
	{"DeleteUser/takes the profile along", func(t *testing.T, db *store.DB) {
		u := addUser(t, db, "alice")
		succeeds(t, db.PutProfile(t.Context(), u.ID, accounts.By{Operator: true}, accounts.Profile{Name: "Alice"}, at, event(audit.UserProfileChanged)))
		succeeds(t, db.DeleteUser(t.Context(), u.ID, accounts.By{Operator: true}, at, event(audit.UserDeleted)))
		hasProfile(t, db, u, accounts.Profile{})
		succeeds(t, db.CreateUser(t.Context(), u, event(audit.UserCreated))) // reuses the id, which the server never does, to find remains
		hasProfile(t, db, u, accounts.Profile{})
	}},
}

// hasProfile fails the test unless the user has this profile.
func hasProfile(t testing.TB, db *store.DB, u accounts.User, want accounts.Profile) {
	t.Helper()
	got, err := db.Profile(t.Context(), u.ID)
	succeeds(t, err)
	same(t, "profile", got, want)
}
