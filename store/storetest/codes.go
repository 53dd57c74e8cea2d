package storetest

import (
	"context"
	"crypto/sha256"
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

// code returns a code from a login. The code lives for a minute.
func code(l tokens.Login, clientID ids.Client) tokens.Code {
	id := ids.New[ids.Login]() // of any kind
	return tokens.Code{
		ID: sha256.Sum256(id[:]), ClientID: clientID, UserID: l.UserID, Epoch: l.Epoch, LoginID: l.ID, AuthTime: l.AuthTime, Methods: l.Methods,
		ExpiresAt: at.Add(time.Minute), RedirectURI: "https://app.example.com/callback", WithoutConsent: true,
	}
}

// addCode creates a code from a login, and leaves the login's expiry unchanged.
func addCode(t testing.TB, db *store.DB, l tokens.Login, clientID ids.Client, scopes ...string) tokens.Code {
	t.Helper()
	c := code(l, clientID)
	var err error
	c.Scopes, err = oauth.ParseScopes(strings.Join(scopes, " "))
	succeeds(t, err)
	succeeds(t, db.CreateCode(t.Context(), c, l.ExpiresAt, at))
	return c
}

// sessionFor returns the session that the exchange of a code creates.
func sessionFor(c tokens.Code) tokens.Session {
	s := session(accounts.User{ID: c.UserID}, c.ClientID)
	s.Scopes, s.LoginID, s.Details, s.AuthTime, s.Methods, s.Device = c.Scopes, c.LoginID, c.Details, c.AuthTime, c.Methods, c.Device
	return s
}

// exchanged exchanges a code for a session.
func exchanged(t testing.TB, db *store.DB, c tokens.Code) tokens.Session {
	t.Helper()
	s := sessionFor(c)
	succeeds(t, db.RedeemCode(t.Context(), c, s, at, event(audit.SessionCreated)))
	return s
}

// redeemFails fails the test unless the exchange of a code returns the wanted error and
// changes nothing.
func redeemFails(t testing.TB, db *store.DB, c tokens.Code, want error) {
	t.Helper()
	before, known := db.Code(t.Context(), c.ID)
	s := sessionFor(c)
	leaves(t, db, func(ctx context.Context) {
		fails(t, "redeem", db.RedeemCode(ctx, c, s, at, event(audit.SessionCreated)), want)
	})
	sessionGone(t, db, s)
	after, err := db.Code(t.Context(), c.ID)
	fails(t, "code", err, known)
	same(t, "code", after, before)
}

// isCode fails the test unless the stored code equals want.
func isCode(t testing.TB, db *store.DB, want tokens.Code) {
	t.Helper()
	got, err := db.Code(t.Context(), want.ID)
	succeeds(t, err)
	got.WithoutConsent, got.Consent = want.WithoutConsent, want.Consent // the store doesn't return the first as it was, nor write the second
	same(t, "code", got, want)
}

// isNoCode fails the test if the code exists.
func isNoCode(t testing.TB, db *store.DB, c tokens.Code) {
	t.Helper()
	_, err := db.Code(t.Context(), c.ID)
	fails(t, "code", err, tokens.ErrUnknown)
	redeemFails(t, db, c, tokens.ErrUnknown)
}

var codePromises = []promise{
	{"CreateCode/every field comes back", func(t *testing.T, db *store.DB) {
		u := user("alice")
		u.Roles, u.Epoch = []string{"admin", odd}, 7
		succeeds(t, db.CreateUser(t.Context(), u, event(audit.UserCreated)))
		l := addLogin(t, db, u)
		want := tokens.Code{
			ID: [32]byte{1, 31: 255}, ClientID: addClient(t, db, "App x%+").ID, UserID: u.ID, Epoch: 7, LoginID: l.ID,
			AuthTime: at.Add(time.Millisecond), Methods: oauth.Methods{"pwd", "mfa"}, Scopes: oauth.Scopes{"openid", "z", "a:b/c"}, Device: "Firefox · " + odd,
			ExpiresAt: at.Add(2 * time.Millisecond), RedirectURI: "https://app.example.com/?a=b&c=<d>" + odd, Nonce: odd, Challenge: "E9Mel",
			Details: tokens.Details{Resources: []string{"https://api.example.com/?" + odd}, IDTokenClaims: []string{"name", odd}, UserInfoClaims: []string{"email"}},
			Roles:   []string{"not written"}, WithoutConsent: true,
		}
		leaves(t, db, func(ctx context.Context) { succeeds(t, db.CreateCode(ctx, want, l.ExpiresAt, at)) })
		want.Roles = u.Roles // the user's present roles
		isCode(t, db, want)
	}},
	{"CreateCode/what is absent stays absent", func(t *testing.T, db *store.DB) {
		isCode(t, db, addCode(t, db, addLogin(t, db, addUser(t, db, "alice")), addClient(t, db, "app").ID))
	}},
	{"CreateCode/the longest fields fit", func(t *testing.T, db *store.DB) {
		want := code(addLogin(t, db, addUser(t, db, "alice")), addClient(t, db, strings.Repeat("i", 64)).ID)
		want.Scopes = numbered(strings.Repeat("s", 97), 100)
		want.Device, want.Nonce = strings.Repeat("𐐨", 100), strings.Repeat("<", 8<<10)
		want.RedirectURI = strings.Repeat("&", 8<<10)
		want.Details.Resources = numbered(strings.Repeat("r", 97), 80)
		succeeds(t, db.CreateCode(t.Context(), want, at.Add(time.Hour), at))
		isCode(t, db, want)
		lives(t, db, exchanged(t, db, want))
	}},
	{"CreateCode/puts off when the login expires", func(t *testing.T, db *store.DB) {
		l, c := addLogin(t, db, addUser(t, db, "alice")), addClient(t, db, "app")
		bystander := addLogin(t, db, accounts.User{ID: l.UserID, Username: l.Username})
		l.ExpiresAt = at.Add(2 * time.Hour)
		addCode(t, db, l, c.ID)
		loginLives(t, db, l)
		loginLives(t, db, bystander)
	}},
	{"CreateCode/refused without a live login", func(t *testing.T, db *store.DB) {
		u, c := addUser(t, db, "alice"), addClient(t, db, "app")
		l, bob := addLogin(t, db, u), addUser(t, db, "bob")
		try := func(what string, c tokens.Code, now time.Time) {
			t.Helper()
			fails(t, what, db.CreateCode(t.Context(), c, now.Add(time.Hour), now), tokens.ErrUnknown)
			_, err := db.Code(t.Context(), c.ID)
			fails(t, what, err, tokens.ErrUnknown)
		}
		try("expired", code(l, c.ID), l.ExpiresAt)
		try("unknown", code(login(u), c.ID), at)
		none := l
		none.ID = ids.Login{}
		try("none", code(none, c.ID), at)
		his := l
		his.UserID = bob.ID
		try("another user's", code(his, c.ID), at)
		later := l
		later.Epoch++
		try("of an epoch to come", code(later, c.ID), at)
		loginLives(t, db, l)
		succeeds(t, db.CreateCode(t.Context(), code(l, c.ID), l.ExpiresAt, l.ExpiresAt.Add(-time.Millisecond)))
		succeeds(t, db.ForgetLogin(t.Context(), l.ID))
		try("forgotten", code(l, c.ID), at)
		for _, end := range partings {
			u := withEmail(t, db, end.name, end.name+"@example.com")
			l := addLogin(t, db, u)
			succeeds(t, end.do(t.Context(), db, &u))
			try(end.name, code(l, c.ID), at)
		}
	}},
	{"CreateCode/refused without the consent that it rests on", func(t *testing.T, db *store.DB) {
		u, client := addUser(t, db, "alice"), addClient(t, db, "app")
		l, bob := addLogin(t, db, u), addUser(t, db, "bob")
		addConsent(t, db, bob, client, "openid")
		addConsent(t, db, u, addClient(t, db, "other"), "openid")
		c := code(l, client.ID)
		c.WithoutConsent = false
		fails(t, "create", db.CreateCode(t.Context(), c, at.Add(2*time.Hour), at), tokens.ErrUnknown)
		isNoCode(t, db, c)
		loginLives(t, db, l)
		addConsent(t, db, u, client, "openid")
		succeeds(t, db.CreateCode(t.Context(), c, l.ExpiresAt, at))
		isCode(t, db, c)
		lives(t, db, exchanged(t, db, c))
	}},
	{"CreateCode/refused once the client is gone", func(t *testing.T, db *store.DB) {
		l, c := addLogin(t, db, addUser(t, db, "alice")), addClient(t, db, "app")
		succeeds(t, db.DeleteClient(t.Context(), c.ID, event(audit.ClientDeleted)))
		fails(t, "create", db.CreateCode(t.Context(), code(l, c.ID), at.Add(2*time.Hour), at), tokens.ErrUnknown)
		loginLives(t, db, l) // the refusal has changed nothing
	}},

	{"Code/also one that has expired or been used", func(t *testing.T, db *store.DB) {
		l, c := addLogin(t, db, addUser(t, db, "alice")), addClient(t, db, "app")
		expired := code(l, c.ID)
		expired.ExpiresAt = at.Add(-time.Hour)
		succeeds(t, db.CreateCode(t.Context(), expired, l.ExpiresAt, at))
		isCode(t, db, expired)
		used := addCode(t, db, l, c.ID)
		used.SessionID = exchanged(t, db, used).ID
		isCode(t, db, used)
		succeeds(t, db.EndSession(t.Context(), used.SessionID, event(audit.SessionRevoked)))
		isCode(t, db, used)
	}},
	{"Code/an unknown one is ErrUnknown", func(t *testing.T, db *store.DB) {
		c := addCode(t, db, addLogin(t, db, addUser(t, db, "alice")), addClient(t, db, "app").ID)
		c.ID[31]++
		isNoCode(t, db, c)
		c.ID = [32]byte{}
		isNoCode(t, db, c)
	}},

	{"RedeemCode/marks the code and adds the session", func(t *testing.T, db *store.DB) {
		u := user("alice")
		u.Roles, u.Epoch = []string{"admin"}, 7
		succeeds(t, db.CreateUser(t.Context(), u, event(audit.UserCreated)))
		l, c := addLogin(t, db, u), addClient(t, db, "app")
		made, other := code(l, c.ID), addCode(t, db, l, c.ID)
		made.Details = tokens.Details{Resources: []string{"https://api.example.com/?" + odd}, IDTokenClaims: []string{"name"}, UserInfoClaims: []string{odd}}
		succeeds(t, db.CreateCode(t.Context(), made, l.ExpiresAt, at))
		want := sessionFor(made)
		want.Scopes, want.Device, want.Counter, want.Rotations = oauth.Scopes{"openid", "offline_access"}, odd, 3, []time.Time{at}
		created := event(audit.SessionCreated)
		created.UserID, created.SessionID, created.ClientID = u.ID, want.ID, c.ID
		leaves(t, db, func(ctx context.Context) {
			succeeds(t, db.RedeemCode(ctx, made, want, at, created))
		}, created)
		made.SessionID, made.Roles, other.Roles, want.Roles, want.Epoch = want.ID, u.Roles, u.Roles, u.Roles, u.Epoch
		isCode(t, db, made)
		isCode(t, db, other)
		lives(t, db, want)
		all, err := db.UserSessions(t.Context(), u.ID, at, ids.Session{}, 1000)
		succeeds(t, err)
		same(t, "sessions of the user", all, []tokens.Session{want})
		want = advanced(want, at)
		succeeds(t, db.AdvanceSession(t.Context(), want, at))
		lives(t, db, want) // has its login and its details
	}},
	{"RedeemCode/once", func(t *testing.T, db *store.DB) {
		c := addCode(t, db, addLogin(t, db, addUser(t, db, "alice")), addClient(t, db, "app").ID)
		s := exchanged(t, db, c)
		redeemFails(t, db, c, tokens.ErrCodeUsed)
		lives(t, db, s) // only the caller can end it
		succeeds(t, db.EndSession(t.Context(), s.ID, event(audit.CodeReused)))
		redeemFails(t, db, c, tokens.ErrCodeUsed)
		late := sessionFor(c)
		fails(t, "after it has expired", db.RedeemCode(t.Context(), c, late, c.ExpiresAt.Add(time.Hour), event(audit.SessionCreated)), tokens.ErrCodeUsed)
		sessionGone(t, db, late)
	}},
	{"RedeemCode/not an expired one", func(t *testing.T, db *store.DB) {
		c := addCode(t, db, addLogin(t, db, addUser(t, db, "alice")), addClient(t, db, "app").ID)
		for _, late := range []time.Duration{0, time.Millisecond, 30 * time.Minute} {
			s := sessionFor(c)
			fails(t, "expired for "+late.String(), db.RedeemCode(t.Context(), c, s, c.ExpiresAt.Add(late), event(audit.SessionCreated)), tokens.ErrUnknown)
			sessionGone(t, db, s)
		}
		isCode(t, db, c)
		s := sessionFor(c)
		succeeds(t, db.RedeemCode(t.Context(), c, s, c.ExpiresAt.Add(-time.Millisecond), event(audit.SessionCreated)))
		lives(t, db, s)
	}},
	{"RedeemCode/not another client's", func(t *testing.T, db *store.DB) {
		c := addCode(t, db, addLogin(t, db, addUser(t, db, "alice")), addClient(t, db, "app").ID)
		addClient(t, db, "APP")
		for _, state := range []string{"unused", "used"} {
			for _, client := range []ids.Client{"APP", "app ", "", "unknown"} {
				s := sessionFor(c)
				s.ClientID = client
				fails(t, state+", as client "+string(client), db.RedeemCode(t.Context(), c, s, at, event(audit.SessionCreated)), tokens.ErrUnknown)
				sessionGone(t, db, s)
			}
			if state == "unused" {
				exchanged(t, db, c)
			}
		}
	}},
	{"RedeemCode/refused once the user may no longer sign in", func(t *testing.T, db *store.DB) {
		for _, end := range partings {
			u, client := withEmail(t, db, end.name, end.name+"@example.com"), addClient(t, db, end.name)
			l := addLogin(t, db, u)
			c, before := addCode(t, db, l, client.ID), exchanged(t, db, addCode(t, db, l, client.ID, "offline_access"))
			succeeds(t, end.do(t.Context(), db, &u))
			if end.name == "deleted" {
				isNoCode(t, db, c)
			} else {
				redeemFails(t, db, c, tokens.ErrUserGone)
			}
			sessionGone(t, db, before)
		}
	}},
	{"RedeemCode/one without a login makes a session of none", func(t *testing.T, db *store.DB) {
		u, client := addUser(t, db, "alice"), addClient(t, db, "app")
		l := addLogin(t, db, u)
		made := code(tokens.Login{UserID: u.ID, Epoch: u.Epoch, AuthTime: at, Methods: withCode}, client.ID)
		made.RedirectURI, made.WithoutLogin = "", true
		succeeds(t, db.CreateCode(t.Context(), made, time.Time{}, at))
		read, err := db.Code(t.Context(), made.ID)
		succeeds(t, err)
		if !read.LoginID.IsZero() || read.RedirectURI != "" {
			t.Errorf("login %v, redirect_uri %q; want none", read.LoginID, read.RedirectURI)
		}
		s := exchanged(t, db, made)
		lives(t, db, s)
		succeeds(t, db.EndLogin(t.Context(), l.ID, event(audit.LoginEnded))) // another sign-in's end
		lives(t, db, s)
		redeemFails(t, db, made, tokens.ErrCodeUsed)
	}},
	{"RedeemCode/one without a login is refused once the user may no longer sign in", func(t *testing.T, db *store.DB) {
		for _, end := range partings {
			u, client := withEmail(t, db, end.name, end.name+"@example.com"), addClient(t, db, end.name)
			c := code(tokens.Login{UserID: u.ID, Epoch: u.Epoch, AuthTime: at}, client.ID)
			c.WithoutLogin = true
			succeeds(t, db.CreateCode(t.Context(), c, time.Time{}, at))
			succeeds(t, end.do(t.Context(), db, &u))
			if end.name == "deleted" {
				isNoCode(t, db, c)
			} else {
				redeemFails(t, db, c, tokens.ErrUserGone)
			}
			another := code(tokens.Login{UserID: u.ID, Epoch: u.Epoch, AuthTime: at}, client.ID)
			another.WithoutLogin = true
			fails(t, "another", db.CreateCode(t.Context(), another, time.Time{}, at), tokens.ErrUnknown)
			isNoCode(t, db, another)
		}
	}},
	{"RedeemCode/refused once the login has expired", func(t *testing.T, db *store.DB) {
		l, client := addLogin(t, db, addUser(t, db, "alice")), addClient(t, db, "app")
		c := code(l, client.ID)
		c.ExpiresAt = l.ExpiresAt.Add(time.Hour)
		succeeds(t, db.CreateCode(t.Context(), c, l.ExpiresAt, at))
		s := sessionFor(c)
		fails(t, "redeem", db.RedeemCode(t.Context(), c, s, l.ExpiresAt, event(audit.SessionCreated)), tokens.ErrUserGone)
		sessionGone(t, db, s)
		lives(t, db, exchanged(t, db, c))
	}},
	{"RedeemCode/refused once the client is gone", func(t *testing.T, db *store.DB) {
		l, c := addLogin(t, db, addUser(t, db, "alice")), addClient(t, db, "app")
		pending := addCode(t, db, l, c.ID)
		succeeds(t, db.DeleteClient(t.Context(), c.ID, event(audit.ClientDeleted)))
		isNoCode(t, db, pending)
		loginLives(t, db, l)
	}},
	{"RedeemCode/a cancelled one leaves nothing", func(t *testing.T, db *store.DB) {
		c := addCode(t, db, addLogin(t, db, addUser(t, db, "alice")), addClient(t, db, "app").ID)
		s := sessionFor(c)
		leaves(t, db, func(ctx context.Context) {
			ctx, cancel := context.WithCancel(ctx)
			cancel()
			fails(t, "cancelled", db.RedeemCode(ctx, c, s, at, event(audit.SessionCreated)), context.Canceled)
		})
		sessionGone(t, db, s)
		isCode(t, db, c)
		lives(t, db, exchanged(t, db, c))
	}},

	{"PurgeCodes/removes what had expired, a batch at a time", func(t *testing.T, db *store.DB) {
		l, client := addLogin(t, db, addUser(t, db, "alice")), addClient(t, db, "app")
		var expired []tokens.Code
		for i := range 5 {
			c := code(l, client.ID)
			c.ExpiresAt = at.Add(time.Duration(i+1) * time.Second)
			succeeds(t, db.CreateCode(t.Context(), c, l.ExpiresAt, at))
			expired = append(expired, c)
		}
		live, s := addCode(t, db, l, client.ID), exchanged(t, db, expired[0])
		leaves(t, db, func(ctx context.Context) {
			for _, want := range []int64{2, 2, 1, 0} {
				n, err := db.PurgeCodes(ctx, expired[4].ExpiresAt, 2)
				succeeds(t, err)
				same(t, "codes purged", n, want)
			}
		})
		isCode(t, db, live)
		for _, c := range expired {
			isNoCode(t, db, c)
		}
		lives(t, db, s)
	}},

	{"DeleteUser/takes logins, codes and what came of them along", func(t *testing.T, db *store.DB) {
		u, client := addUser(t, db, "alice"), addClient(t, db, "app")
		l := addLogin(t, db, u)
		pending, used := addCode(t, db, l, client.ID), addCode(t, db, l, client.ID, "offline_access")
		s := exchanged(t, db, used)
		succeeds(t, db.DeleteUser(t.Context(), u.ID, accounts.By{Operator: true}, at, event(audit.UserDeleted)))
		succeeds(t, db.CreateUser(t.Context(), u, event(audit.UserCreated))) // reuses the id, which the server never does, to find remains
		isOver(t, db, l)
		isNoCode(t, db, pending)
		isNoCode(t, db, used)
		sessionGone(t, db, s)
		succeeds(t, db.CreateSession(t.Context(), s, u.Epoch, event(audit.SessionCreated))) // reuses the session's id to find remains
	}},
	{"DeleteClient/takes its codes along, and no login", func(t *testing.T, db *store.DB) {
		l, gone, stay := addLogin(t, db, addUser(t, db, "alice")), addClient(t, db, "app"), addClient(t, db, "other")
		pending, used := addCode(t, db, l, gone.ID), addCode(t, db, l, gone.ID)
		s, other := exchanged(t, db, used), addCode(t, db, l, stay.ID)
		succeeds(t, db.DeleteClient(t.Context(), gone.ID, event(audit.ClientDeleted)))
		isNoCode(t, db, pending)
		isNoCode(t, db, used)
		sessionGone(t, db, s)
		lives(t, db, exchanged(t, db, other))
	}},
}
