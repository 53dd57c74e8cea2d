package storetest

import (
	"context"
	"strings"
	"testing"
	"time"

	"countersign/accounts"
	"countersign/audit"
	"countersign/ids"
	"countersign/oauth"
	"countersign/store"
	"countersign/tokens"
)

// login returns a login that lives for an hour.
func login(u accounts.User) tokens.Login {
	return tokens.Login{
		ID: ids.New[ids.Login](), UserID: u.ID, Epoch: u.Epoch, AuthTime: at, Methods: oauth.Methods{"pwd"}, CreatedAt: at,
		ExpiresAt: at.Add(time.Hour), AbsoluteExpiresAt: at.Add(24 * time.Hour), Username: u.Username,
	}
}

// addLogin creates a login.
func addLogin(t testing.TB, db *store.DB, u accounts.User) tokens.Login {
	t.Helper()
	l := login(u)
	succeeds(t, db.CreateLogin(t.Context(), l, event(audit.LoginCreated)))
	return l
}

// loginLives fails the test unless the store has exactly this login.
func loginLives(t testing.TB, db *store.DB, want tokens.Login) {
	t.Helper()
	got, err := db.Login(t.Context(), want.ID, at)
	if err != nil {
		t.Errorf("login must be live: %v", err)
		return
	}
	same(t, "login", got, want)
}

// isOver fails the test if the login exists, or if a call accepts it.
func isOver(t testing.TB, db *store.DB, l tokens.Login) {
	t.Helper()
	_, err := db.Login(t.Context(), l.ID, at)
	fails(t, "login that ended", err, tokens.ErrUnknown)
	next := l
	next.ID = ids.New[ids.Login]()
	fails(t, "replace it", db.ReplaceLogin(t.Context(), l.ID, next, at, event(audit.LoginCreated)), tokens.ErrUnknown)
	fails(t, "a code of it", db.CreateCode(t.Context(), code(l, "unknown"), at.Add(time.Hour), at), tokens.ErrUnknown)
}

var loginPromises = []promise{
	{"CreateLogin/every field comes back", func(t *testing.T, db *store.DB) {
		u := user(odd)
		u.Epoch = 7
		succeeds(t, db.CreateUser(t.Context(), u, event(audit.UserCreated)))
		want := tokens.Login{
			ID: ids.New[ids.Login](), UserID: u.ID, Epoch: 7, AuthTime: at.Add(time.Millisecond), Methods: oauth.Methods{"pwd", "otp", "mfa"}, CreatedAt: at.Add(2 * time.Millisecond),
			ExpiresAt: at.Add(3 * time.Millisecond), AbsoluteExpiresAt: at.Add(4 * time.Millisecond), Device: "Firefox · " + odd,
			Username: "another user",
		}
		created := event(audit.LoginCreated)
		created.UserID = u.ID
		leaves(t, db, func(ctx context.Context) {
			succeeds(t, db.CreateLogin(ctx, want, created))
		}, created)
		want.Username = u.Username // the store returns the user's present name
		loginLives(t, db, want)
	}},
	{"CreateLogin/ends the oldest beyond MaxLogins", func(t *testing.T, db *store.DB) {
		u := addUser(t, db, "alice")
		oldest := addLogin(t, db, u)
		for range tokens.MaxLogins - 1 {
			l := login(u)
			l.CreatedAt = at.Add(time.Minute)
			succeeds(t, db.CreateLogin(t.Context(), l, event(audit.LoginCreated)))
		}
		his := addLogin(t, db, addUser(t, db, "bob"))
		ended := event(audit.LoginEnded)
		ended.UserID = u.ID
		l := login(u)
		leaves(t, db, func(ctx context.Context) { succeeds(t, db.CreateLogin(ctx, l, event(audit.LoginCreated))) }, ended, event(audit.LoginCreated))
		loginLives(t, db, l)
		loginLives(t, db, his)
		_, err := db.Login(t.Context(), oldest.ID, at)
		fails(t, "the oldest", err, tokens.ErrUnknown)
	}},
	{"CreateLogin/what is absent stays absent", func(t *testing.T, db *store.DB) {
		loginLives(t, db, addLogin(t, db, addUser(t, db, "alice")))
	}},
	{"CreateLogin/the longest fields fit", func(t *testing.T, db *store.DB) {
		l := login(addUser(t, db, "alice"))
		l.Device = strings.Repeat("𐐨", 100)
		l.AbsoluteExpiresAt = time.Date(9999, 12, 31, 23, 59, 59, 999_000_000, time.UTC)
		succeeds(t, db.CreateLogin(t.Context(), l, event(audit.LoginCreated)))
		loginLives(t, db, l)
	}},
	{"CreateLogin/refused once the user may no longer sign in", func(t *testing.T, db *store.DB) {
		for _, end := range partings {
			u := withEmail(t, db, end.name, end.name+"@example.com")
			succeeds(t, end.do(t.Context(), db, &u))
			l := login(u)
			leaves(t, db, func(ctx context.Context) {
				fails(t, end.name, db.CreateLogin(ctx, l, event(audit.LoginCreated)), tokens.ErrUserGone)
			})
			isOver(t, db, l)
		}
		disabled := addUser(t, db, "alice")
		succeeds(t, db.DisableUser(t.Context(), disabled.ID, at, event(audit.UserDisabled)))
		disabled.Epoch++
		fails(t, "disabled, in the epoch since", db.CreateLogin(t.Context(), login(disabled), event(audit.LoginCreated)), tokens.ErrUserGone)
	}},

	{"Login/an expired one is ErrUnknown", func(t *testing.T, db *store.DB) {
		l := addLogin(t, db, addUser(t, db, "alice"))
		_, err := db.Login(t.Context(), l.ID, l.ExpiresAt.Add(-time.Millisecond))
		succeeds(t, err)
		for _, late := range []time.Duration{0, time.Millisecond, time.Hour} {
			_, err = db.Login(t.Context(), l.ID, l.ExpiresAt.Add(late))
			fails(t, "login expired for "+late.String(), err, tokens.ErrUnknown)
		}
	}},
	{"Login/an unknown id is ErrUnknown", func(t *testing.T, db *store.DB) {
		addLogin(t, db, addUser(t, db, "alice"))
		for _, id := range []ids.Login{{}, lastID[ids.Login](), ids.New[ids.Login]()} {
			_, err := db.Login(t.Context(), id, at)
			fails(t, id.String(), err, tokens.ErrUnknown)
		}
	}},
	{"Login/over once the user may no longer sign in", func(t *testing.T, db *store.DB) {
		other := addLogin(t, db, addUser(t, db, "bob"))
		for _, end := range partings {
			u := withEmail(t, db, end.name, end.name+"@example.com")
			l := addLogin(t, db, u)
			succeeds(t, end.do(t.Context(), db, &u))
			isOver(t, db, l)
		}
		loginLives(t, db, other)
	}},

	{"ReplaceLogin/what came of the former comes of the new one", func(t *testing.T, db *store.DB) {
		u, c := addUser(t, db, "alice"), addClient(t, db, "app")
		old, bystander := addLogin(t, db, u), addLogin(t, db, u)
		used, pending := addCode(t, db, old, c.ID), addCode(t, db, old, c.ID)
		s, other := exchanged(t, db, used), exchanged(t, db, addCode(t, db, bystander, c.ID))
		next := login(u)
		next.AuthTime, next.Username = at.Add(time.Minute), u.Username
		ev := event(audit.LoginCreated)
		leaves(t, db, func(ctx context.Context) { succeeds(t, db.ReplaceLogin(ctx, old.ID, next, at, ev)) }, ev)
		isOver(t, db, old)
		loginLives(t, db, next)
		bystander.ExpiresAt = bystander.ExpiresAt.Add(time.Millisecond) // the exchange has extended the login
		loginLives(t, db, bystander)
		s.LoginID = next.ID
		lives(t, db, s)
		lives(t, db, other)
		late := exchanged(t, db, pending) // the caller has read the code before its login was replaced
		late.LoginID = next.ID
		lives(t, db, late)
		succeeds(t, db.EndLogin(t.Context(), next.ID, event(audit.LoginEnded)))
		sessionGone(t, db, s)
		sessionGone(t, db, late)
		lives(t, db, other)
	}},
	{"ReplaceLogin/only one of the same user that is live, and in a good epoch", func(t *testing.T, db *store.DB) {
		u := addUser(t, db, "alice")
		l, others := addLogin(t, db, u), addLogin(t, db, addUser(t, db, "bob"))
		next := login(u)
		leaves(t, db, func(ctx context.Context) {
			fails(t, "another user's", db.ReplaceLogin(ctx, others.ID, next, at, event(audit.LoginCreated)), tokens.ErrUnknown)
			fails(t, "an unknown one", db.ReplaceLogin(ctx, ids.New[ids.Login](), next, at, event(audit.LoginCreated)), tokens.ErrUnknown)
			fails(t, "an expired one", db.ReplaceLogin(ctx, l.ID, next, l.ExpiresAt, event(audit.LoginCreated)), tokens.ErrUnknown)
			next.Epoch++
			fails(t, "of another epoch", db.ReplaceLogin(ctx, l.ID, next, at, event(audit.LoginCreated)), tokens.ErrUserGone)
		})
		loginLives(t, db, l)
		loginLives(t, db, others)
	}},

	{"ForgetLogin/removes it, and none of the sessions that came of it", func(t *testing.T, db *store.DB) {
		u, c := addUser(t, db, "alice"), addClient(t, db, "app")
		l, bystander := addLogin(t, db, u), addLogin(t, db, u)
		s := exchanged(t, db, addCode(t, db, l, c.ID))
		leaves(t, db, func(ctx context.Context) { succeeds(t, db.ForgetLogin(ctx, l.ID)) })
		isOver(t, db, l)
		loginLives(t, db, bystander)
		lives(t, db, s)
		succeeds(t, db.AdvanceSession(t.Context(), advanced(s, at), at))
	}},
	{"ForgetLogin/its codes are dead", func(t *testing.T, db *store.DB) {
		l, c := addLogin(t, db, addUser(t, db, "alice")), addClient(t, db, "app")
		code := addCode(t, db, l, c.ID)
		succeeds(t, db.ForgetLogin(t.Context(), l.ID))
		redeemFails(t, db, code, tokens.ErrUserGone)
	}},
	{"ForgetLogin/without one it is no error", func(t *testing.T, db *store.DB) {
		l := addLogin(t, db, addUser(t, db, "alice"))
		for _, id := range []ids.Login{ids.New[ids.Login](), {}} {
			succeeds(t, db.ForgetLogin(t.Context(), id))
		}
		loginLives(t, db, l)
		succeeds(t, db.ForgetLogin(t.Context(), l.ID))
		succeeds(t, db.ForgetLogin(t.Context(), l.ID))
	}},

	{"EndLogin/removes it, and the sessions that came of it", func(t *testing.T, db *store.DB) {
		u, c := addUser(t, db, "alice"), addClient(t, db, "app")
		l, elsewhere := addLogin(t, db, u), addLogin(t, db, u)
		first, second := exchanged(t, db, addCode(t, db, l, c.ID)), exchanged(t, db, addCode(t, db, l, addClient(t, db, "second").ID))
		other, byPassword := exchanged(t, db, addCode(t, db, elsewhere, c.ID)), addSession(t, db, u, c.ID)
		ended := event(audit.LoginEnded)
		ended.UserID = u.ID
		leaves(t, db, func(ctx context.Context) { succeeds(t, db.EndLogin(ctx, l.ID, ended)) }, ended)
		isOver(t, db, l)
		sessionGone(t, db, first)
		sessionGone(t, db, second)
		elsewhere.ExpiresAt = elsewhere.ExpiresAt.Add(time.Millisecond) // the exchange has extended the login
		loginLives(t, db, elsewhere)
		lives(t, db, other)
		lives(t, db, byPassword)
	}},
	{"EndLogin/sessions with offline_access outlive it", func(t *testing.T, db *store.DB) {
		l, c := addLogin(t, db, addUser(t, db, "alice")), addClient(t, db, "app")
		var online, offline []tokens.Session
		for _, scopes := range []string{"", "openid", "offline_access_not", "OFFLINE_ACCESS", "x-offline_access"} {
			online = append(online, exchanged(t, db, addCode(t, db, l, c.ID, scopes)))
		}
		for _, scopes := range []string{"offline_access", "openid offline_access", "offline_access openid"} {
			offline = append(offline, exchanged(t, db, addCode(t, db, l, c.ID, scopes)))
		}
		succeeds(t, db.EndLogin(t.Context(), l.ID, event(audit.LoginEnded)))
		for _, s := range online {
			sessionGone(t, db, s)
		}
		for _, s := range offline {
			lives(t, db, s)
		}
	}},
	{"EndLogin/ends all sessions, however many", func(t *testing.T, db *store.DB) {
		l, c := addLogin(t, db, addUser(t, db, "alice")), addClient(t, db, "app")
		for range 1100 {
			exchanged(t, db, addCode(t, db, l, c.ID))
		}
		succeeds(t, db.EndLogin(t.Context(), l.ID, event(audit.LoginEnded)))
		left, err := db.UserSessions(t.Context(), l.UserID, at, ids.Session{}, 1000)
		succeeds(t, err)
		same(t, "sessions left", left, nil)
	}},
	{"EndLogin/its codes are dead, and a second use of one is noticed", func(t *testing.T, db *store.DB) {
		l, c := addLogin(t, db, addUser(t, db, "alice")), addClient(t, db, "app")
		unused, used := addCode(t, db, l, c.ID), addCode(t, db, l, c.ID, "offline_access")
		s := exchanged(t, db, used)
		succeeds(t, db.EndLogin(t.Context(), l.ID, event(audit.LoginEnded)))
		redeemFails(t, db, unused, tokens.ErrUserGone)
		redeemFails(t, db, used, tokens.ErrCodeUsed)
		used.SessionID = s.ID
		isCode(t, db, used)
	}},
	{"EndLogin/without one it is ErrUnknown", func(t *testing.T, db *store.DB) {
		l, c := addLogin(t, db, addUser(t, db, "alice")), addClient(t, db, "app")
		s := exchanged(t, db, addCode(t, db, l, c.ID))
		succeeds(t, db.ForgetLogin(t.Context(), l.ID))
		leaves(t, db, func(ctx context.Context) {
			for _, id := range []ids.Login{l.ID, ids.New[ids.Login](), {}} {
				fails(t, "end", db.EndLogin(ctx, id, event(audit.LoginEnded)), tokens.ErrUnknown)
			}
		})
		lives(t, db, s)
	}},

	{"PurgeLogins/removes what has expired, a batch at a time", func(t *testing.T, db *store.DB) {
		u, c := addUser(t, db, "alice"), addClient(t, db, "app")
		live := addLogin(t, db, u)
		var expired []tokens.Login
		var sessions []tokens.Session
		for i := range 5 {
			l := login(u)
			l.ExpiresAt = at.Add(time.Duration(i+1) * time.Minute)
			succeeds(t, db.CreateLogin(t.Context(), l, event(audit.LoginCreated)))
			made := code(l, c.ID)
			succeeds(t, db.CreateCode(t.Context(), made, l.ExpiresAt, at))
			sessions = append(sessions, exchanged(t, db, made))
			expired = append(expired, l)
		}
		now := expired[4].ExpiresAt.Add(time.Millisecond) // the exchange of a code has extended the login
		leaves(t, db, func(ctx context.Context) {
			for _, want := range []int64{2, 2, 1, 0} {
				n, err := db.PurgeLogins(ctx, now, 2)
				succeeds(t, err)
				same(t, "logins purged", n, want)
			}
		})
		loginLives(t, db, live)
		for _, l := range expired {
			isOver(t, db, l)
		}
		for _, s := range sessions {
			lives(t, db, s)
		}
	}},

	{"EndSession/the login lives on", func(t *testing.T, db *store.DB) {
		l, c := addLogin(t, db, addUser(t, db, "alice")), addClient(t, db, "app")
		s, other := exchanged(t, db, addCode(t, db, l, c.ID)), exchanged(t, db, addCode(t, db, l, c.ID))
		succeeds(t, db.EndSession(t.Context(), s.ID, event(audit.SessionRevoked)))
		sessionGone(t, db, s)
		lives(t, db, other)
		lives(t, db, exchanged(t, db, addCode(t, db, l, c.ID)))
	}},
	{"EndSignIn/ends the session and the login that it came of", func(t *testing.T, db *store.DB) {
		u, c := addUser(t, db, "alice"), addClient(t, db, "app")
		l, elsewhere := addLogin(t, db, u), addLogin(t, db, u)
		s, sibling := exchanged(t, db, addCode(t, db, l, c.ID)), exchanged(t, db, addCode(t, db, l, c.ID))
		pending := addCode(t, db, l, c.ID)
		revoked := event(audit.SessionRevoked)
		revoked.SessionID = s.ID
		leaves(t, db, func(ctx context.Context) { succeeds(t, db.EndSignIn(ctx, s.ID, revoked)) }, revoked)
		sessionGone(t, db, s)
		isOver(t, db, l)
		redeemFails(t, db, pending, tokens.ErrUserGone)
		lives(t, db, sibling)
		loginLives(t, db, elsewhere)
	}},
	{"EndSignIn/of a session without a login ends that", func(t *testing.T, db *store.DB) {
		u, s := signIn(t, db, "alice")
		l, other := addLogin(t, db, u), addSession(t, db, u, s.ClientID)
		leaves(t, db, func(ctx context.Context) {
			succeeds(t, db.EndSignIn(ctx, s.ID, event(audit.SessionRevoked)))
		}, event(audit.SessionRevoked))
		sessionGone(t, db, s)
		loginLives(t, db, l)
		lives(t, db, other)
	}},
	{"EndSignIn/ends a session whose login has ended", func(t *testing.T, db *store.DB) {
		l, c := addLogin(t, db, addUser(t, db, "alice")), addClient(t, db, "app")
		s := exchanged(t, db, addCode(t, db, l, c.ID, "offline_access"))
		succeeds(t, db.EndLogin(t.Context(), l.ID, event(audit.LoginEnded)))
		succeeds(t, db.EndSignIn(t.Context(), s.ID, event(audit.SessionRevoked)))
		sessionGone(t, db, s)
	}},
	{"EndSignIn/without a session it is ErrUnknown", func(t *testing.T, db *store.DB) {
		l, c := addLogin(t, db, addUser(t, db, "alice")), addClient(t, db, "app")
		s := exchanged(t, db, addCode(t, db, l, c.ID))
		succeeds(t, db.EndSession(t.Context(), s.ID, event(audit.SessionRevoked)))
		leaves(t, db, func(ctx context.Context) {
			for _, id := range []ids.Session{s.ID, ids.New[ids.Session](), {}, ids.Session(l.ID)} {
				fails(t, "end", db.EndSignIn(ctx, id, event(audit.SessionRevoked)), tokens.ErrUnknown)
			}
		})
		lives(t, db, exchanged(t, db, addCode(t, db, l, c.ID)))
	}},

	{"EndUserSessions/ends all logins of one user", func(t *testing.T, db *store.DB) {
		u, c := addUser(t, db, "alice"), addClient(t, db, "app")
		l, second, other := addLogin(t, db, u), addLogin(t, db, u), addLogin(t, db, addUser(t, db, "bob"))
		offline, pending := exchanged(t, db, addCode(t, db, l, c.ID, "offline_access")), addCode(t, db, second, c.ID)
		his := addCode(t, db, other, c.ID)
		leaves(t, db, func(ctx context.Context) {
			n, err := db.EndUserSessions(ctx, u.ID, ids.Place{}, event(audit.SessionRevoked))
			succeeds(t, err)
			same(t, "sessions ended", n, 1)
		}, event(audit.SessionRevoked))
		sessionGone(t, db, offline)
		isOver(t, db, l)
		isOver(t, db, second)
		redeemFails(t, db, pending, tokens.ErrUserGone)
		lives(t, db, exchanged(t, db, his))
	}},
	{"EndUserSessions/keeps one and its login", func(t *testing.T, db *store.DB) {
		u, c := addUser(t, db, "alice"), addClient(t, db, "app")
		l, elsewhere := addLogin(t, db, u), addLogin(t, db, u)
		kept, sibling := exchanged(t, db, addCode(t, db, l, c.ID)), exchanged(t, db, addCode(t, db, l, c.ID))
		other := exchanged(t, db, addCode(t, db, elsewhere, c.ID))
		leaves(t, db, func(ctx context.Context) {
			n, err := db.EndUserSessions(ctx, u.ID, ids.Place{Session: kept.ID}, event(audit.SessionRevoked))
			succeeds(t, err)
			same(t, "sessions ended", n, 2)
		}, event(audit.SessionRevoked))
		lives(t, db, kept)
		l.Epoch++
		lives(t, db, exchanged(t, db, addCode(t, db, l, c.ID)))
		sessionGone(t, db, sibling)
		sessionGone(t, db, other)
		isOver(t, db, elsewhere)
	}},
	{"EndUserSessions/keeps no login for a session without one, or another's", func(t *testing.T, db *store.DB) {
		u, c := addUser(t, db, "alice"), addClient(t, db, "app")
		l, kept := addLogin(t, db, u), addSession(t, db, u, c.ID)
		_, err := db.EndUserSessions(t.Context(), u.ID, ids.Place{Session: kept.ID}, event(audit.SessionRevoked))
		succeeds(t, err)
		lives(t, db, kept)
		isOver(t, db, l)

		u.Epoch++
		l, other := addLogin(t, db, u), addLogin(t, db, addUser(t, db, "bob"))
		his := exchanged(t, db, addCode(t, db, other, c.ID))
		_, err = db.EndUserSessions(t.Context(), u.ID, ids.Place{Session: his.ID}, event(audit.SessionRevoked))
		fails(t, "another user's", err, tokens.ErrUnknown)
		lives(t, db, kept)
		lives(t, db, exchanged(t, db, addCode(t, db, l, c.ID)))
		lives(t, db, his)
		lives(t, db, exchanged(t, db, addCode(t, db, other, c.ID)))
	}},
	{"UserLogins/those of one user that are live, newest first", func(t *testing.T, db *store.DB) {
		u, other := addUser(t, db, "alice"), addUser(t, db, "bob")
		first, second := addLogin(t, db, u), addLogin(t, db, u)
		addLogin(t, db, other)
		late := login(u)
		late.ExpiresAt = at
		succeeds(t, db.CreateLogin(t.Context(), late, event(audit.LoginCreated)))
		got, err := db.UserLogins(t.Context(), u.ID, at)
		succeeds(t, err)
		same(t, "logins", got, []tokens.Login{second, first})
		succeeds(t, db.DisableUser(t.Context(), u.ID, at, event(audit.UserDisabled)))
		got, err = db.UserLogins(t.Context(), u.ID, at)
		succeeds(t, err)
		same(t, "logins of a disabled user", got, nil)
	}},
	{"EndUserSessions/keeps a login and its sessions, and one beside it", func(t *testing.T, db *store.DB) {
		u, c := addUser(t, db, "alice"), addClient(t, db, "app")
		l, elsewhere := addLogin(t, db, u), addLogin(t, db, u)
		kept, sibling, beside := exchanged(t, db, addCode(t, db, l, c.ID)), exchanged(t, db, addCode(t, db, l, c.ID)), addSession(t, db, u, c.ID)
		other, pending := exchanged(t, db, addCode(t, db, elsewhere, c.ID)), addCode(t, db, l, c.ID)
		his := addSession(t, db, addUser(t, db, "bob"), c.ID)
		leaves(t, db, func(ctx context.Context) {
			n, err := db.EndUserSessions(ctx, u.ID, ids.Place{Login: l.ID, Session: beside.ID}, event(audit.SessionRevoked))
			succeeds(t, err)
			same(t, "sessions ended", n, 1)
		}, event(audit.SessionRevoked))
		for _, s := range []tokens.Session{kept, sibling, beside} {
			lives(t, db, s)
		}
		sessionGone(t, db, other)
		isOver(t, db, elsewhere)
		redeemFails(t, db, pending, tokens.ErrUnknown)
		l.Epoch++
		lives(t, db, exchanged(t, db, addCode(t, db, l, c.ID)))
		leaves(t, db, func(ctx context.Context) { // one beside it that has ended, or is another user's, is no matter
			n, err := db.EndUserSessions(ctx, u.ID, ids.Place{Login: l.ID, Session: his.ID}, event(audit.SessionRevoked))
			succeeds(t, err)
			same(t, "sessions ended", n, 1) // beside
		}, event(audit.SessionRevoked))
		lives(t, db, his)
		sessionGone(t, db, beside)
		leaves(t, db, func(ctx context.Context) {
			_, err := db.EndUserSessions(ctx, u.ID, ids.Place{Login: elsewhere.ID, Session: kept.ID}, event(audit.SessionRevoked))
			fails(t, "a login that has ended", err, tokens.ErrUnknown)
		})
		lives(t, db, kept)
	}},
	{"By/a login that is alive", func(t *testing.T, db *store.DB) {
		u, other := withEmail(t, db, "alice", "a@example.com"), addUser(t, db, "bob")
		c := addClient(t, db, "app")
		l, elsewhere, foreign := addLogin(t, db, u), addLogin(t, db, u), addLogin(t, db, other)
		mine := exchanged(t, db, addCode(t, db, l, c.ID))
		ended := addLogin(t, db, u)
		succeeds(t, db.EndLogin(t.Context(), ended.ID, event(audit.LoginEnded)))
		for name, id := range map[string]ids.Login{"another's": foreign.ID, "ended": ended.ID, "a session": ids.Login(mine.ID)} {
			by := accounts.By{Place: ids.Place{Login: id, Session: mine.ID}, Epoch: u.Epoch} // the login counts, not the session
			leaves(t, db, func(ctx context.Context) {
				if err := db.SetPasswordHash(ctx, u.ID, "new", by, at, event(audit.UserPasswordChanged)); err == nil {
					t.Errorf("%s sets the password", name)
				}
				fails(t, name+": put profile", db.PutProfile(ctx, u.ID, by, accounts.Profile{Name: "Alice"}, at, event(audit.UserProfileChanged)), accounts.ErrSignedOut)
				fails(t, name+": delete", db.DeleteUser(ctx, u.ID, by, at, event(audit.UserDeleted)), accounts.ErrSignedOut)
			})
		}
		late := letter(accounts.ChangeEmail, u)
		fails(t, "letter of an ended login", db.PostLetter(t.Context(), late, ids.Place{Login: ended.ID}), accounts.ErrSignedOut)
		late.CreatedAt = l.ExpiresAt.Add(time.Minute)
		fails(t, "letter of an expired login", db.PostLetter(t.Context(), late, ids.Place{Login: l.ID}), accounts.ErrSignedOut)

		by := accounts.By{Place: ids.Place{Login: l.ID}, Epoch: u.Epoch}
		fails(t, "former epoch", db.SetPasswordHash(t.Context(), u.ID, "new", accounts.By{Place: by.Place, Epoch: u.Epoch - 1}, at, event(audit.UserPasswordChanged)), accounts.ErrBadCredentials)
		succeeds(t, db.PutProfile(t.Context(), u.ID, by, accounts.Profile{Name: "Alice"}, at, event(audit.UserProfileChanged)))
		succeeds(t, db.SetPasswordHash(t.Context(), u.ID, "new", by, at, event(audit.UserPasswordChanged)))
		l.Epoch++
		now, err := db.Login(t.Context(), l.ID, at)
		succeeds(t, err)
		same(t, "epoch of the login", now.Epoch, l.Epoch)
		lives(t, db, mine)
		isOver(t, db, elsewhere)
		asked := letter(accounts.ChangeEmail, u)
		succeeds(t, db.PostLetter(t.Context(), asked, ids.Place{Login: l.ID}))
		got, err := db.Letter(t.Context(), asked.ID, at)
		succeeds(t, err)
		same(t, "epoch of the letter", got.Epoch, l.Epoch)
		succeeds(t, db.DeleteUser(t.Context(), u.ID, by, at, event(audit.UserDeleted)))
		fails(t, "twice", db.DeleteUser(t.Context(), u.ID, by, at, event(audit.UserDeleted)), accounts.ErrSignedOut)
	}},
	{"PostLetter/a token asked for in a login ends with it, and a notice doesn't", func(t *testing.T, db *store.DB) {
		u, c := withEmail(t, db, "alice", "a@example.com"), addClient(t, db, "app")
		for name, end := range map[string]func(ctx context.Context, l tokens.Login, s tokens.Session) error{
			"EndLogin": func(ctx context.Context, l tokens.Login, _ tokens.Session) error {
				return db.EndLogin(ctx, l.ID, event(audit.LoginEnded))
			},
			"ForgetLogin": func(ctx context.Context, l tokens.Login, _ tokens.Session) error { return db.ForgetLogin(ctx, l.ID) },
			"EndSignIn": func(ctx context.Context, _ tokens.Login, s tokens.Session) error {
				return db.EndSignIn(ctx, s.ID, event(audit.SessionRevoked))
			},
			"ReplaceLogin": func(ctx context.Context, l tokens.Login, _ tokens.Session) error {
				return db.ReplaceLogin(ctx, l.ID, login(u), at, event(audit.LoginCreated))
			},
		} {
			l, elsewhere := addLogin(t, db, u), addLogin(t, db, u)
			s := exchanged(t, db, addCode(t, db, l, c.ID))
			asked, notice, beside := letter(accounts.ChangeEmail, u), letter(accounts.EmailChangeAsked, u), letter(accounts.ChangeEmail, u)
			succeeds(t, db.PostLetter(t.Context(), asked, ids.Place{Login: l.ID, Session: s.ID}, notice)) // the login counts, not the session
			succeeds(t, db.PostLetter(t.Context(), beside, ids.Place{Login: elsewhere.ID}))
			succeeds(t, end(t.Context(), l, s))
			_, err := db.Letter(t.Context(), asked.ID, at)
			fails(t, name+": its letter", err, accounts.ErrBadToken)
			for _, lasting := range []accounts.Letter{notice, beside} {
				_, err = db.Letter(t.Context(), lasting.ID, at)
				succeeds(t, err)
			}
		}
	}},
	{"EndUserSessions/without sessions it ends logins and writes nothing", func(t *testing.T, db *store.DB) {
		u := addUser(t, db, "alice")
		l := addLogin(t, db, u)
		leaves(t, db, func(ctx context.Context) {
			n, err := db.EndUserSessions(ctx, u.ID, ids.Place{}, event(audit.SessionRevoked))
			succeeds(t, err)
			same(t, "sessions ended", n, 0)
		})
		isOver(t, db, l)
	}},
	{"SetPasswordHash/ends the login of the session that sets it, too", func(t *testing.T, db *store.DB) {
		u, c := addUser(t, db, "alice"), addClient(t, db, "app")
		l, elsewhere := addLogin(t, db, u), addLogin(t, db, u)
		mine, pending := exchanged(t, db, addCode(t, db, l, c.ID)), addCode(t, db, l, c.ID)
		other := exchanged(t, db, addCode(t, db, elsewhere, c.ID))
		succeeds(t, db.SetPasswordHash(t.Context(), u.ID, "new", accounts.By{Place: ids.Place{Session: mine.ID}, Epoch: u.Epoch}, at, event(audit.UserPasswordChanged)))
		lives(t, db, mine)
		sessionGone(t, db, other)
		isOver(t, db, l)
		isOver(t, db, elsewhere)
		redeemFails(t, db, pending, tokens.ErrUserGone)
		l.Epoch++
		isOver(t, db, l)
	}},
}
