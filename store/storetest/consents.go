package storetest

import (
	"context"
	"strings"
	"testing"
	"time"

	"countersign/accounts"
	"countersign/audit"
	"countersign/clients"
	"countersign/consents"
	"countersign/ids"
	"countersign/store"
	"countersign/tokens"
)

// consent returns a user's consent to scopes for a client.
func consent(u accounts.User, c clients.Client, scopes ...string) consents.Consent {
	return consents.Consent{ID: ids.New[ids.Consent](), UserID: u.ID, ClientID: c.ID, Scopes: scopes, CreatedAt: at, UpdatedAt: at, ClientName: c.Name}
}

// addConsent stores a consent.
func addConsent(t testing.TB, db *store.DB, u accounts.User, c clients.Client, scopes ...string) consents.Consent {
	t.Helper()
	given := consent(u, c, scopes...)
	succeeds(t, db.GiveConsent(t.Context(), given, event(audit.ConsentGiven)))
	return given
}

// wantConsents fails the test unless the user has exactly these consents.
func wantConsents(t testing.TB, db *store.DB, user ids.User, want ...consents.Consent) {
	t.Helper()
	all, err := db.Consents(t.Context(), user)
	succeeds(t, err)
	same(t, "consents of the user", all, want)
	for _, c := range want {
		got, err := db.Consent(t.Context(), user, c.ClientID)
		succeeds(t, err)
		same(t, "consent", got, c)
	}
}

var consentPromises = []promise{
	{"GiveConsent/every field comes back", func(t *testing.T, db *store.DB) {
		u, c := addUser(t, db, "alice"), clients.Client{ID: "App x%+", CreatedAt: at, UpdatedAt: at, Settings: clients.Settings{Name: odd}}
		succeeds(t, db.CreateClient(t.Context(), c, event(audit.ClientCreated)))
		want := consent(u, c, "openid", "a:b/c", odd)
		want.CreatedAt, want.UpdatedAt, want.ClientName = at.Add(time.Millisecond), at.Add(2*time.Millisecond), "not written"
		given := event(audit.ConsentGiven)
		given.UserID, given.ClientID = u.ID, c.ID
		leaves(t, db, func(ctx context.Context) { succeeds(t, db.GiveConsent(ctx, want, given)) }, given)
		want.ClientName = c.Name // the client's present name
		wantConsents(t, db, u.ID, want)
		c.Name = "renamed"
		succeeds(t, PutClient(t.Context(), db, c, event(audit.ClientUpdated)))
		want.ClientName = c.Name
		wantConsents(t, db, u.ID, want)
	}},
	{"GiveConsent/of nothing is one", func(t *testing.T, db *store.DB) {
		u := addUser(t, db, "alice")
		wantConsents(t, db, u.ID, addConsent(t, db, u, addClient(t, db, "app")))
	}},
	{"GiveConsent/the longest fits", func(t *testing.T, db *store.DB) {
		u := addUser(t, db, "alice")
		wantConsents(t, db, u.ID, addConsent(t, db, u, addClient(t, db, "app"), numbered(strings.Repeat("s", 97), 200)...))
	}},
	{"GiveConsent/adds to what the client has", func(t *testing.T, db *store.DB) {
		u, other, c := addUser(t, db, "alice"), addUser(t, db, "bob"), addClient(t, db, "app")
		want := addConsent(t, db, u, c, "openid", "email")
		elsewhere, his := addConsent(t, db, u, addClient(t, db, "other"), "openid"), addConsent(t, db, other, c, "openid")
		s := addSession(t, db, u, c.ID)
		for i, scopes := range [][]string{{"profile"}, {"email", "phone", "openid"}, {}, {"openid"}, {"address", "profile"}} {
			more := consent(u, c, scopes...)
			more.CreatedAt, more.UpdatedAt = at.Add(time.Hour), at.Add(time.Duration(i)*time.Minute)
			events := []audit.Event{event(audit.ConsentGiven)}
			if i == 2 || i == 3 { // nothing new
				events = nil
			}
			leaves(t, db, func(ctx context.Context) {
				succeeds(t, db.GiveConsent(ctx, more, event(audit.ConsentGiven)))
			}, events...)
			want.UpdatedAt = more.UpdatedAt
		}
		want.Scopes = []string{"openid", "email", "profile", "phone", "address"}
		wantConsents(t, db, u.ID, want, elsewhere)
		wantConsents(t, db, other.ID, his)
		lives(t, db, s)
	}},
	{"GiveConsent/refused once the user or the client is gone", func(t *testing.T, db *store.DB) {
		u, c := addUser(t, db, "alice"), addClient(t, db, "app")
		leaves(t, db, func(ctx context.Context) {
			fails(t, "no user", db.GiveConsent(ctx, consent(user("unknown"), c, "openid"), event(audit.ConsentGiven)), consents.ErrGone)
			fails(t, "no client", db.GiveConsent(ctx, consent(u, client("none"), "openid"), event(audit.ConsentGiven)), consents.ErrGone)
		})
		wantConsents(t, db, u.ID)
	}},

	{"Consent/without one it is ErrNoConsent", func(t *testing.T, db *store.DB) {
		u, c := addUser(t, db, "alice"), addClient(t, db, "app")
		addConsent(t, db, u, c, "openid")
		for _, client := range []ids.Client{"APP", "app ", "", "unknown"} {
			_, err := db.Consent(t.Context(), u.ID, client)
			fails(t, "client "+string(client), err, consents.ErrUnknown)
		}
		_, err := db.Consent(t.Context(), addUser(t, db, "bob").ID, c.ID)
		fails(t, "another user", err, consents.ErrUnknown)
	}},
	{"Consents/those of a user, by client", func(t *testing.T, db *store.DB) {
		u, other := addUser(t, db, "alice"), addUser(t, db, "bob")
		wantConsents(t, db, u.ID)
		var want []consents.Consent
		for _, id := range []string{"b", "A", "a"} {
			c := addClient(t, db, id)
			want = append([]consents.Consent{addConsent(t, db, u, c, "openid")}, want...)
			addConsent(t, db, other, c, "openid", "email")
		}
		want[0], want[1] = want[1], want[0] // in byte order: A, a, b
		wantConsents(t, db, u.ID, want...)
	}},

	{"DeleteConsent/removes it, with the sessions and codes that the client has of the user", func(t *testing.T, db *store.DB) {
		u, other, c, elsewhere := addUser(t, db, "alice"), addUser(t, db, "bob"), addClient(t, db, "app"), addClient(t, db, "other")
		l, his := addLogin(t, db, u), addLogin(t, db, other)
		addConsent(t, db, u, c, "openid")
		kept, hers := addConsent(t, db, other, c, "openid"), addConsent(t, db, u, elsewhere, "openid")
		pending, used := addCode(t, db, l, c.ID), addCode(t, db, l, c.ID, "offline_access")
		byCode, byPassword := exchanged(t, db, used), addSession(t, db, u, c.ID)
		foreign, hisPending := exchanged(t, db, addCode(t, db, his, c.ID)), addCode(t, db, his, c.ID)
		others, othersPending := exchanged(t, db, addCode(t, db, l, elsewhere.ID)), addCode(t, db, l, elsewhere.ID)
		revoked := event(audit.ConsentRevoked)
		revoked.UserID, revoked.ClientID = u.ID, c.ID
		leaves(t, db, func(ctx context.Context) { succeeds(t, db.DeleteConsent(ctx, u.ID, c.ID, revoked)) }, revoked)
		wantConsents(t, db, u.ID, hers)
		wantConsents(t, db, other.ID, kept)
		isNoCode(t, db, pending)
		isNoCode(t, db, used)
		sessionGone(t, db, byCode)
		sessionGone(t, db, byPassword)
		lives(t, db, foreign)
		lives(t, db, others)
		lives(t, db, exchanged(t, db, hisPending))
		lives(t, db, exchanged(t, db, othersPending)) // the login is still live
	}},
	{"DeleteConsent/without one it is ErrNoConsent, and ends nothing", func(t *testing.T, db *store.DB) {
		u, s := signIn(t, db, "alice")
		c := addCode(t, db, addLogin(t, db, u), s.ClientID)
		leaves(t, db, func(ctx context.Context) {
			fails(t, "delete", db.DeleteConsent(ctx, u.ID, s.ClientID, event(audit.ConsentRevoked)), consents.ErrUnknown)
			fails(t, "unknown user", db.DeleteConsent(ctx, ids.New[ids.User](), s.ClientID, event(audit.ConsentRevoked)), consents.ErrUnknown)
			fails(t, "unknown client", db.DeleteConsent(ctx, u.ID, "unknown", event(audit.ConsentRevoked)), consents.ErrUnknown)
		})
		lives(t, db, s)
		lives(t, db, exchanged(t, db, c))
	}},

	{"DeleteUser/takes the consents along", func(t *testing.T, db *store.DB) {
		u, c := addUser(t, db, "alice"), addClient(t, db, "app")
		addConsent(t, db, u, c, "openid")
		succeeds(t, db.DeleteUser(t.Context(), u.ID, accounts.By{Operator: true}, at, event(audit.UserDeleted)))
		succeeds(t, db.CreateUser(t.Context(), u, event(audit.UserCreated))) // reuses the id, which the server never does, to find remains
		wantConsents(t, db, u.ID)
	}},
	{"DeleteClient/takes the consents along, however many", func(t *testing.T, db *store.DB) {
		u, c, other := addUser(t, db, "alice"), addClient(t, db, "app"), addClient(t, db, "other")
		kept := addConsent(t, db, u, other, "openid")
		for _, name := range numbered("user", 1100) {
			addConsent(t, db, addUser(t, db, name), c, "openid")
		}
		addConsent(t, db, u, c, "openid")
		succeeds(t, db.DeleteClient(t.Context(), c.ID, event(audit.ClientDeleted)))
		wantConsents(t, db, u.ID, kept)
		c2 := addClient(t, db, string(c.ID)) // reuses the id, to find remains
		_, err := db.Consent(t.Context(), u.ID, c2.ID)
		fails(t, "consent of a former client", err, consents.ErrUnknown)
	}},
	{"PutClient/its consents and codes live on", func(t *testing.T, db *store.DB) {
		u, c := addUser(t, db, "alice"), addClient(t, db, "app")
		given, pending := addConsent(t, db, u, c, "openid"), addCode(t, db, addLogin(t, db, u), c.ID)
		succeeds(t, PutClient(t.Context(), db, c, event(audit.ClientUpdated)))
		wantConsents(t, db, u.ID, given)
		lives(t, db, exchanged(t, db, pending))
	}},
	{"DisableUser/the consents live on", func(t *testing.T, db *store.DB) {
		u, c := addUser(t, db, "alice"), addClient(t, db, "app")
		given := addConsent(t, db, u, c, "openid")
		succeeds(t, db.DisableUser(t.Context(), u.ID, at, event(audit.UserDisabled)))
		wantConsents(t, db, u.ID, given)
	}},
	{"CreateSession/of a user without a login has no details", func(t *testing.T, db *store.DB) {
		u, s := signIn(t, db, "alice")
		lives(t, db, s)
		resources := session(u, s.ClientID)
		resources.Details = tokens.Details{Resources: []string{"https://api.example.com"}}
		succeeds(t, db.CreateSession(t.Context(), resources, u.Epoch, event(audit.SessionCreated)))
		lives(t, db, resources)
	}},
}
