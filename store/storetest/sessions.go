package storetest

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"countersign/accounts"
	"countersign/audit"
	"countersign/factors"
	"countersign/ids"
	"countersign/oauth"
	"countersign/store"
	"countersign/tokens"
)

var sessionPromises = []promise{
	{"CreateSession/every field comes back", func(t *testing.T, db *store.DB) {
		u := user("alice")
		u.Roles, u.Epoch = []string{"admin", odd}, 7
		succeeds(t, db.CreateUser(t.Context(), u, event(audit.UserCreated)))
		want := tokens.Session{
			ID: ids.New[ids.Session](), UserID: u.ID, ClientID: addClient(t, db, "App x%+").ID, Scopes: oauth.Scopes{"openid", "z", "a:b/c"}, Counter: 1 << 40,
			Rotations: []time.Time{at.Add(-2 * time.Millisecond), at.Add(-time.Millisecond)}, Device: "Firefox · " + odd,
			AuthTime: at.Add(time.Millisecond), Methods: oauth.Methods{"swk", "user"}, CreatedAt: at.Add(2 * time.Millisecond), LastUsedAt: at.Add(3 * time.Millisecond),
			ExpiresAt: at.Add(4 * time.Millisecond), AbsoluteExpiresAt: at.Add(5 * time.Millisecond), ProvenAt: at.Add(6 * time.Millisecond),
		}
		created := event(audit.SessionCreated)
		created.UserID, created.SessionID, created.ClientID = want.UserID, want.ID, want.ClientID
		leaves(t, db, func(ctx context.Context) {
			succeeds(t, db.CreateSession(ctx, want, u.Epoch, created))
		}, created)
		want.Roles, want.Epoch = u.Roles, u.Epoch
		lives(t, db, want)
		all, err := db.UserSessions(t.Context(), u.ID, at, ids.Session{}, 1000)
		succeeds(t, err)
		same(t, "sessions of the user", all, []tokens.Session{want})
	}},
	{"CreateSession/what is absent stays absent", func(t *testing.T, db *store.DB) {
		_, s := signIn(t, db, "alice")
		lives(t, db, s)
	}},
	{"CreateSession/the longest fields fit", func(t *testing.T, db *store.DB) {
		u, c := addUser(t, db, "alice"), addClient(t, db, strings.Repeat("i", 64))
		s := session(u, c.ID)
		s.Scopes = numbered(strings.Repeat("s", 97), 100)
		s.Device = strings.Repeat("𐐨", 100)
		s.AbsoluteExpiresAt = time.Date(9999, 12, 31, 23, 59, 59, 999_000_000, time.UTC)
		succeeds(t, db.CreateSession(t.Context(), s, u.Epoch, event(audit.SessionCreated)))
		lives(t, db, s)
	}},
	{"CreateSession/the roles are not the session's but the user's", func(t *testing.T, db *store.DB) {
		u, c := addUser(t, db, "alice"), addClient(t, db, "app")
		s := session(u, c.ID)
		s.Roles = []string{"admin"}
		succeeds(t, db.CreateSession(t.Context(), s, u.Epoch, event(audit.SessionCreated)))
		s.Roles = nil
		lives(t, db, s)
	}},
	{"CreateSession/refused once the user may no longer sign in", func(t *testing.T, db *store.DB) {
		for _, end := range slices.Concat(partings, []parting{
			{"disabled, in the epoch since", func(ctx context.Context, db *store.DB, u *accounts.User) error {
				id := u.ID
				u.Epoch++
				return db.DisableUser(ctx, id, at, event(audit.UserDisabled))
			}},
			{"never existed", func(_ context.Context, _ *store.DB, u *accounts.User) error { u.ID = ids.New[ids.User](); return nil }},
			{"from an epoch to come", func(_ context.Context, _ *store.DB, u *accounts.User) error { u.Epoch++; return nil }},
		}) {
			t.Run(end.name, func(t *testing.T) {
				u, c := withEmail(t, db, end.name, end.name+"@example.com"), addClient(t, db, end.name)
				succeeds(t, end.do(t.Context(), db, &u))
				s := session(u, c.ID)
				leaves(t, db, func(ctx context.Context) {
					fails(t, "create", db.CreateSession(ctx, s, u.Epoch, event(audit.SessionCreated)), tokens.ErrUserGone)
				})
				sessionGone(t, db, s)
			})
		}
	}},
	{"CreateSession/refused once the client is gone", func(t *testing.T, db *store.DB) {
		u, c := addUser(t, db, "alice"), addClient(t, db, "app")
		succeeds(t, db.DeleteClient(t.Context(), c.ID, event(audit.ClientDeleted)))
		leaves(t, db, func(ctx context.Context) {
			err := db.CreateSession(ctx, session(u, c.ID), u.Epoch, event(audit.SessionCreated))
			fails(t, "create", err, tokens.ErrUserGone)
		})
	}},
	{"CreateSession/works after the hash was upgraded", func(t *testing.T, db *store.DB) {
		u, c := addUser(t, db, "alice"), addClient(t, db, "app")
		succeeds(t, db.UpgradePasswordHash(t.Context(), u.ID, u.PasswordHash, "stronger"))
		lives(t, db, addSession(t, db, u, c.ID))
	}},

	{"Session/an expired one is ErrUnknown", func(t *testing.T, db *store.DB) {
		_, s := signIn(t, db, "alice")
		_, err := db.Session(t.Context(), s.ID, s.ExpiresAt.Add(-time.Millisecond))
		succeeds(t, err)
		for _, late := range []time.Duration{0, time.Millisecond, time.Hour} {
			_, err = db.Session(t.Context(), s.ID, s.ExpiresAt.Add(late))
			fails(t, "session expired for "+late.String(), err, tokens.ErrUnknown)
		}
	}},
	{"Session/an unknown id is ErrUnknown", func(t *testing.T, db *store.DB) {
		signIn(t, db, "alice")
		for _, id := range []ids.Session{{}, lastID[ids.Session](), ids.New[ids.Session]()} {
			_, err := db.Session(t.Context(), id, at)
			fails(t, id.String(), err, tokens.ErrUnknown)
		}
	}},

	{"AdvanceSession/moves counter, rotations, last use and expiry alone", func(t *testing.T, db *store.DB) {
		u, s := signIn(t, db, "alice")
		bystander := addSession(t, db, u, s.ClientID)
		want := s
		for i := range 10 { // the session keeps fewer rotations
			want = advanced(want, at.Add(time.Duration(i)*time.Minute))
			next := want
			next.UserID, next.Scopes, next.Device, next.Roles = ids.New[ids.User](), oauth.Scopes{"more"}, "other", []string{"admin"}
			next.AuthTime, next.CreatedAt, next.AbsoluteExpiresAt = at.Add(1), at.Add(time.Second), at.Add(1000*time.Hour)
			leaves(t, db, func(ctx context.Context) {
				succeeds(t, db.AdvanceSession(ctx, next, next.LastUsedAt))
			})
			lives(t, db, want)
		}
		if len(want.Rotations) != 8 {
			t.Errorf("got %d rotations, want 8", len(want.Rotations))
		}
		lives(t, db, bystander)
	}},
	{"AdvanceSession/once per counter", func(t *testing.T, db *store.DB) {
		_, s := signIn(t, db, "alice")
		s.Counter = 0
		first := advanced(s, at)
		succeeds(t, db.AdvanceSession(t.Context(), first, at))
		again := advanced(s, at.Add(time.Second))
		fails(t, "the same counter again", db.AdvanceSession(t.Context(), again, at), tokens.ErrStale)
		fails(t, "the very same call again", db.AdvanceSession(t.Context(), first, at), tokens.ErrStale)
		lives(t, db, first)
	}},
	{"AdvanceSession/not from another counter", func(t *testing.T, db *store.DB) {
		u, c := addUser(t, db, "alice"), addClient(t, db, "app")
		s := session(u, c.ID)
		s.Counter = 5
		succeeds(t, db.CreateSession(t.Context(), s, u.Epoch, event(audit.SessionCreated)))
		for _, counter := range []uint64{0, 1, 4, 5, 7, 1 << 40, 1<<64 - 1} {
			next := advanced(s, at)
			next.Counter = counter
			fails(t, "advance", db.AdvanceSession(t.Context(), next, at), tokens.ErrStale)
		}
		lives(t, db, s)
	}},
	{"AdvanceSession/not another client's", func(t *testing.T, db *store.DB) {
		_, s := signIn(t, db, "alice")
		addClient(t, db, "app")
		for _, c := range []ids.Client{"app", ids.Client(strings.ToUpper(string(s.ClientID))), s.ClientID + " ", "", "unknown"} {
			next := advanced(s, at)
			next.ClientID = c
			fails(t, "as client "+string(c), db.AdvanceSession(t.Context(), next, at), tokens.ErrStale)
		}
		lives(t, db, s)
	}},
	{"AdvanceSession/not an expired one", func(t *testing.T, db *store.DB) {
		_, s := signIn(t, db, "alice")
		for _, late := range []time.Duration{0, time.Millisecond, time.Hour} {
			now := s.ExpiresAt.Add(late)
			fails(t, "expired for "+late.String(), db.AdvanceSession(t.Context(), advanced(s, now), now), tokens.ErrStale)
		}
		lives(t, db, s)
		now := s.ExpiresAt.Add(-time.Millisecond)
		next := advanced(s, now)
		succeeds(t, db.AdvanceSession(t.Context(), next, now))
		lives(t, db, next)
	}},
	{"AdvanceSession/not one that ended", func(t *testing.T, db *store.DB) {
		_, s := signIn(t, db, "alice")
		succeeds(t, db.EndSession(t.Context(), s.ID, event(audit.SessionRevoked)))
		fails(t, "advance", db.AdvanceSession(t.Context(), advanced(s, at), at), tokens.ErrStale)
		sessionGone(t, db, s)
	}},

	{"EndSession/ends that one", func(t *testing.T, db *store.DB) {
		u, s := signIn(t, db, "alice")
		other := addSession(t, db, u, s.ClientID)
		revoked := event(audit.SessionReused)
		revoked.SessionID = s.ID
		leaves(t, db, func(ctx context.Context) {
			succeeds(t, db.EndSession(ctx, s.ID, revoked))
		}, revoked)
		sessionGone(t, db, s)
		lives(t, db, other)
	}},
	{"EndSession/without one it is ErrUnknown", func(t *testing.T, db *store.DB) {
		_, s := signIn(t, db, "alice")
		succeeds(t, db.EndSession(t.Context(), s.ID, event(audit.SessionRevoked)))
		leaves(t, db, func(ctx context.Context) {
			for _, id := range []ids.Session{s.ID, ids.New[ids.Session](), {}} {
				fails(t, "end", db.EndSession(ctx, id, event(audit.SessionRevoked)), tokens.ErrUnknown)
			}
		})
	}},
	{"ProveSession/in the account's epoch, while it lives", func(t *testing.T, db *store.DB) {
		u, s := signIn(t, db, "alice")
		other := addSession(t, db, u, s.ClientID)
		fails(t, "former epoch", db.ProveSession(t.Context(), s.ID, u.Epoch-1, nil, at), tokens.ErrUnknown)
		fails(t, "expired", db.ProveSession(t.Context(), s.ID, u.Epoch, nil, s.ExpiresAt), tokens.ErrUnknown)
		fails(t, "unknown", db.ProveSession(t.Context(), ids.New[ids.Session](), u.Epoch, nil, at), tokens.ErrUnknown)
		lives(t, db, s)
		succeeds(t, db.ProveSession(t.Context(), s.ID, u.Epoch, factors.CodeMethods, at.Add(time.Millisecond)))
		s.ProvenAt, s.Methods = at.Add(time.Millisecond), s.Methods.And(factors.CodeMethods)
		lives(t, db, s)
		lives(t, db, other) // not proven with it
		s = advanced(s, at)
		succeeds(t, db.AdvanceSession(t.Context(), s, at))
		lives(t, db, s) // still proven
		succeeds(t, db.SetPasswordHash(t.Context(), u.ID, "new", accounts.By{Place: ids.Place{Session: s.ID}, Epoch: u.Epoch}, at, event(audit.UserPasswordChanged)))
		s.ProvenAt = time.Time{}
		lives(t, db, s)
		fails(t, "former password", db.ProveSession(t.Context(), s.ID, u.Epoch, nil, at), tokens.ErrUnknown)
	}},
	{"EndUserSessions/and what was pending", func(t *testing.T, db *store.DB) {
		u, c := addUser(t, db, "alice"), addClient(t, db, "app")
		l := addLogin(t, db, u)
		kept, pending := exchanged(t, db, addCode(t, db, l, c.ID)), addCode(t, db, l, c.ID)
		verify, change, reset := letter(accounts.VerifyEmail, u), letter(accounts.ChangeEmail, u), letter(accounts.ResetPassword, u)
		for _, one := range []accounts.Letter{verify, change, reset} {
			succeeds(t, db.PostLetter(t.Context(), one, ids.Place{}))
		}
		_, err := db.EndUserSessions(t.Context(), u.ID, ids.Place{Session: kept.ID}, event(audit.SessionRevoked))
		succeeds(t, err)
		lives(t, db, kept)
		redeemFails(t, db, pending, tokens.ErrUnknown)
		for _, one := range []accounts.Letter{change, reset} {
			_, err := db.Letter(t.Context(), one.ID, at)
			fails(t, string(one.Kind), err, accounts.ErrBadToken)
		}
		_, err = db.Letter(t.Context(), verify.ID, at)
		succeeds(t, err) // it gives no access
	}},
	{"EndUserSessions/ends all of one user", func(t *testing.T, db *store.DB) {
		u, s := signIn(t, db, "alice")
		second := addSession(t, db, u, addClient(t, db, "second").ID)
		_, other := signIn(t, db, "bob")
		leaves(t, db, func(ctx context.Context) {
			n, err := db.EndUserSessions(ctx, u.ID, ids.Place{}, event(audit.SessionRevoked))
			succeeds(t, err)
			same(t, "sessions ended", n, 2)
		}, event(audit.SessionRevoked))
		sessionGone(t, db, s)
		sessionGone(t, db, second)
		lives(t, db, other)
		u.Epoch++ // what a race leaves behind is dead
		isUser(t, db, u)
	}},
	{"EndUserSessions/only by a session that is live", func(t *testing.T, db *store.DB) {
		u, s := signIn(t, db, "alice")
		other := addSession(t, db, u, s.ClientID)
		_, err := db.EndUserSessions(t.Context(), u.ID, ids.Place{Session: s.ID}, event(audit.SessionRevoked))
		succeeds(t, err)
		lives(t, db, s)
		sessionGone(t, db, other)
		for _, dead := range []ids.Session{other.ID, ids.New[ids.Session]()} {
			_, err = db.EndUserSessions(t.Context(), u.ID, ids.Place{Session: dead}, event(audit.SessionRevoked))
			fails(t, "by a session that has ended", err, tokens.ErrUnknown)
		}
		lives(t, db, s)
		fails(t, "advance one that has ended", db.AdvanceSession(t.Context(), advanced(other, at), at), tokens.ErrStale)
	}},
	{"EndUserSessions/more than one batch", func(t *testing.T, db *store.DB) {
		u, s := signIn(t, db, "alice")
		for c := range 5 {
			client := addClient(t, db, fmt.Sprint("app", c)).ID
			for range 90 {
				addSession(t, db, u, client)
			}
		}
		n, err := db.EndUserSessions(t.Context(), u.ID, ids.Place{Session: s.ID}, event(audit.SessionRevoked))
		succeeds(t, err)
		same(t, "ended", n, 450)
		lives(t, db, s)
		s.Epoch = u.Epoch + 1
		left, err := db.UserSessions(t.Context(), u.ID, at, ids.Session{}, 1000)
		succeeds(t, err)
		same(t, "sessions left", len(left), 1)
	}},
	{"EndUserSessions/there may be none", func(t *testing.T, db *store.DB) {
		u := addUser(t, db, "alice")
		leaves(t, db, func(ctx context.Context) {
			for _, user := range []ids.User{u.ID, ids.New[ids.User]()} {
				n, err := db.EndUserSessions(ctx, user, ids.Place{}, event(audit.SessionRevoked))
				succeeds(t, err)
				same(t, "sessions ended", n, 0)
			}
		})
	}},

	{"UserSessions/live ones of that user, newest first", func(t *testing.T, db *store.DB) {
		u, first := signIn(t, db, "alice")
		signIn(t, db, "bob")
		want := []tokens.Session{first}
		for i := range 4 {
			s := session(u, first.ClientID)
			s.CreatedAt = at.Add(time.Duration(i+1) * time.Millisecond)
			succeeds(t, db.CreateSession(t.Context(), s, u.Epoch, event(audit.SessionCreated)))
			want = append(want, s)
		}
		short := session(u, first.ClientID)
		short.ExpiresAt = at.Add(time.Minute)
		succeeds(t, db.CreateSession(t.Context(), short, u.Epoch, event(audit.SessionCreated)))
		slices.Reverse(want)
		got, err := db.UserSessions(t.Context(), u.ID, short.ExpiresAt, ids.Session{}, 1000)
		succeeds(t, err)
		same(t, "sessions", got, want)
	}},
	{"UserSessions/in pages", func(t *testing.T, db *store.DB) {
		u, first := signIn(t, db, "alice")
		for i := range 6 {
			s := session(u, first.ClientID)
			s.CreatedAt = at.Add(time.Duration(i/3) * time.Millisecond) // some at one instant
			succeeds(t, db.CreateSession(t.Context(), s, u.Epoch, event(audit.SessionCreated)))
		}
		want, err := db.UserSessions(t.Context(), u.ID, at, ids.Session{}, 1000)
		succeeds(t, err)
		var got []tokens.Session
		for after := (ids.Session{}); ; after = got[len(got)-1].ID {
			some, err := db.UserSessions(t.Context(), u.ID, at, after, 2)
			succeeds(t, err)
			if got = append(got, some...); len(some) < 2 {
				break
			}
		}
		same(t, "sessions", got, want)
	}},
	{"CreateSession/ends those used least recently beyond MaxSessions at a client", func(t *testing.T, db *store.DB) {
		u, elsewhere := signIn(t, db, "alice")
		app := addClient(t, db, "app with many").ID
		add := func(used time.Duration, expires time.Time) tokens.Session {
			s := session(u, app)
			s.LastUsedAt, s.ExpiresAt = at.Add(used), expires
			succeeds(t, db.CreateSession(t.Context(), s, u.Epoch, event(audit.SessionCreated)))
			return s
		}
		later := at.Add(time.Hour)
		recent := add(time.Hour, later)                                  // the oldest, but in use
		second, third := add(time.Second, later), add(2*time.Second, at) // one of them has expired
		for range tokens.MaxSessions - 3 {
			add(time.Minute, later)
		}
		created := event(audit.SessionCreated)
		created.UserID, created.Address, created.RequestID = u.ID, "192.0.2.1", "r1"
		ended := created
		ended.Kind, ended.ClientID, ended.SessionID = audit.SessionRevoked, app, second.ID
		for _, want := range [][]audit.Event{{ended, created}, {created}} {
			s := session(u, app)
			s.LastUsedAt, s.ExpiresAt = at, later // used longer ago than all others, but new
			leaves(t, db, func(ctx context.Context) { succeeds(t, db.CreateSession(ctx, s, u.Epoch, created)) }, want...)
			_, err := db.Session(t.Context(), s.ID, at)
			succeeds(t, err)
			succeeds(t, db.EndSession(t.Context(), s.ID, event(audit.SessionRevoked)))
			add(time.Minute, later)
		}
		_, err := db.Session(t.Context(), third.ID, at.Add(-time.Second))
		fails(t, "the expired one", err, tokens.ErrUnknown)
		lives(t, db, recent)
		lives(t, db, elsewhere)
	}},
	{"UserSessions/there may be none", func(t *testing.T, db *store.DB) {
		got, err := db.UserSessions(t.Context(), addUser(t, db, "alice").ID, at, ids.Session{}, 1000)
		succeeds(t, err)
		same(t, "sessions", got, nil)
	}},

	{"CountSessions/those that have not expired", func(t *testing.T, db *store.DB) {
		_, one := signIn(t, db, "alice")
		signIn(t, db, "bob")
		for now, want := range map[time.Time]int64{at: 2, one.ExpiresAt.Add(-time.Millisecond): 2, one.ExpiresAt: 0} {
			got, err := db.CountSessions(t.Context(), now)
			succeeds(t, err)
			same(t, "sessions at "+now.String(), got, want)
		}
	}},
	{"PurgeSessions/removes what has expired, a batch at a time", func(t *testing.T, db *store.DB) {
		u, live := signIn(t, db, "alice")
		var expired []tokens.Session
		for i := range 5 {
			s := session(u, live.ClientID)
			s.ExpiresAt = at.Add(time.Duration(i) * time.Minute)
			succeeds(t, db.CreateSession(t.Context(), s, u.Epoch, event(audit.SessionCreated)))
			expired = append(expired, s)
		}
		now := expired[4].ExpiresAt // the instant at which the last of them expires
		leaves(t, db, func(ctx context.Context) {
			for _, want := range []int64{2, 2, 1, 0} {
				n, err := db.PurgeSessions(ctx, now, 2)
				succeeds(t, err)
				same(t, "sessions purged", n, want)
			}
		})
		lives(t, db, live)
		for _, s := range expired {
			_, err := db.Session(t.Context(), s.ID, at.Add(-time.Hour))
			fails(t, "purged session", err, tokens.ErrUnknown)
		}
	}},
}
