package storetest

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"countersign/accounts"
	"countersign/audit"
	"countersign/clients"
	"countersign/ids"
	"countersign/oauth"
	"countersign/store"
	"countersign/tokens"
)

// promise is one thing that a store promises, checked on a fresh database.
type promise struct {
	name  string // method, then the rule
	check func(t *testing.T, db *store.DB)
}

// Run checks every promise of the Store interfaces that accounts, tokens, keys, limits and
// audit declare. open returns a fresh, migrated database, which the test's end closes.
func Run(t *testing.T, open func(t testing.TB) *store.DB) {
	for _, group := range [][]promise{
		userPromises, profilePromises, clientPromises, consentPromises, loginPromises, codePromises, sessionPromises,
		letterPromises, keyPromises, guessPromises, eventPromises, operatingPromises, namePromises, changingPromises, searchPromises, unlockPromises, factorPromises, identityPromises,
	} {
		for _, p := range group {
			t.Run(p.name, func(t *testing.T) { p.check(t, open(t)) })
		}
	}
}

// at is the time of the tests: a fixed instant, because a store never reads a clock. A
// store of whole seconds would lose its milliseconds.
var at = time.Date(2026, 3, 1, 12, 30, 45, 678_000_000, time.UTC)

// odd is text that a store must return unchanged: four-byte, joined and combining
// characters, quotes, a percent sign, and letters that some collations confuse.
const odd = `Zoë 👩‍👩‍👧 한글 ŞİŞı ß "q" 'q' \ % _ e` + "\u0301"

// user returns a user with only the required fields.
func user(name string) accounts.User {
	return accounts.User{
		ID: ids.New[ids.User](), Username: name, PasswordHash: "$argon2id$v=19$of-" + name, CreatedAt: at, UpdatedAt: at,
	}
}

// client returns a client with only the required fields.
func client(id string) clients.Client {
	return clients.Client{ID: ids.Client(id), CreatedAt: at, UpdatedAt: at, Settings: clients.Settings{Name: id, Public: true}}
}

// session returns a session that lives for an hour.
func session(u accounts.User, clientID ids.Client) tokens.Session {
	return tokens.Session{
		ID: ids.New[ids.Session](), UserID: u.ID, ClientID: clientID, AuthTime: at, Methods: oauth.Methods{"pwd"}, CreatedAt: at, LastUsedAt: at,
		ExpiresAt: at.Add(time.Hour), AbsoluteExpiresAt: at.Add(24 * time.Hour),
	}
}

// lastID returns the id that sorts after all others.
func lastID[ID ~[16]byte]() (id ID) {
	for i := range id {
		id[i] = 0xff
	}
	return id
}

// event returns an event of a kind.
func event(kind audit.Kind) audit.Event { return audit.Event{Time: at, Kind: kind} }

// addUser creates a user.
func addUser(t testing.TB, db *store.DB, name string) accounts.User {
	t.Helper()
	u := user(name)
	succeeds(t, db.CreateUser(t.Context(), u, event(audit.UserCreated)))
	return u
}

// addClient creates a client.
func addClient(t testing.TB, db *store.DB, id string) clients.Client {
	t.Helper()
	c := client(id)
	succeeds(t, db.CreateClient(t.Context(), c, event(audit.ClientCreated)))
	return c
}

// addSession creates a session of a user who is in the first epoch.
func addSession(t testing.TB, db *store.DB, u accounts.User, clientID ids.Client) tokens.Session {
	t.Helper()
	s := session(u, clientID)
	succeeds(t, db.CreateSession(t.Context(), s, u.Epoch, event(audit.SessionCreated)))
	return s
}

// signIn creates a user, a client and a session.
func signIn(t testing.TB, db *store.DB, name string) (accounts.User, tokens.Session) {
	t.Helper()
	u := addUser(t, db, name)
	c := addClient(t, db, "client of "+name)
	return u, addSession(t, db, u, c.ID)
}

// advanced returns s as AdvanceSession should leave it at now.
func advanced(s tokens.Session, now time.Time) tokens.Session {
	s.Counter++
	s.Rotations = append(s.Rotations[max(0, len(s.Rotations)-7):len(s.Rotations):len(s.Rotations)], now)
	s.LastUsedAt, s.ExpiresAt = now, now.Add(time.Hour)
	return s
}

// succeeds stops the test if err is not nil.
func succeeds(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatalf("unexpected error: %v", err)
	}
}

// fails fails the test if got is not the wanted error.
func fails(t testing.TB, what string, got, want error) {
	t.Helper()
	if !errors.Is(got, want) {
		t.Errorf("%s: got error %v, want %v", what, got, want)
	}
}

// same fails the test if got and want differ. A nil list equals an empty one.
func same[T any](t testing.TB, what string, got, want T) {
	t.Helper()
	if diff := gocmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

// PutClient replaces the client's settings by those of c, whatever secret it has now.
func PutClient(ctx context.Context, db *store.DB, c clients.Client, ev audit.Event) error {
	old, err := db.Client(ctx, c.ID)
	if err == nil || errors.Is(err, clients.ErrUnknown) {
		_, err = db.PutClient(ctx, c, old.SecretHash, ev)
	}
	return err
}

// lives fails the test unless the store has exactly this session.
func lives(t testing.TB, db *store.DB, want tokens.Session) {
	t.Helper()
	got, err := db.Session(t.Context(), want.ID, at)
	if err != nil {
		t.Errorf("session must be live: %v", err)
		return
	}
	u, err := db.User(t.Context(), want.UserID)
	succeeds(t, err)
	want.Epoch = u.Epoch // or it would be dead
	got.Consent = want.Consent
	same(t, "session", got, want)
}

// sessionGone fails the test if the session exists.
func sessionGone(t testing.TB, db *store.DB, s tokens.Session) {
	t.Helper()
	_, err := db.Session(t.Context(), s.ID, at)
	fails(t, "session that ended", err, tokens.ErrUnknown)
}

// parting is a call that ends all of a user's sign-ins.
type parting struct {
	name string
	do   func(ctx context.Context, db *store.DB, u *accounts.User) error
}

var partings = []parting{
	{"disabled", func(ctx context.Context, db *store.DB, u *accounts.User) error {
		return db.DisableUser(ctx, u.ID, at, event(audit.UserDisabled))
	}},
	{"disabled and enabled again", func(ctx context.Context, db *store.DB, u *accounts.User) error {
		return errors.Join(
			db.DisableUser(ctx, u.ID, at, event(audit.UserDisabled)), db.EnableUser(ctx, u.ID, at, event(audit.UserEnabled)))
	}},
	{"password changed", func(ctx context.Context, db *store.DB, u *accounts.User) error {
		return db.SetPasswordHash(ctx, u.ID, "new", accounts.By{Operator: true}, at, event(audit.UserPasswordChanged))
	}},
	{"password reset", func(ctx context.Context, db *store.DB, u *accounts.User) error {
		l := letter(accounts.ResetPassword, *u)
		return errors.Join(db.PostLetter(ctx, l, ids.Place{}), db.ResetPassword(ctx, l.ID, "new", at, event(audit.UserPasswordChanged)))
	}},
	{"deleted", func(ctx context.Context, db *store.DB, u *accounts.User) error {
		return db.DeleteUser(ctx, u.ID, accounts.By{Operator: true}, at, event(audit.UserDeleted))
	}},
}

// leaves runs fn, and fails the test unless fn records exactly the wanted events.
func leaves(t testing.TB, db *store.DB, fn func(ctx context.Context), want ...audit.Event) {
	t.Helper()
	before := number(t, db)
	fn(t.Context())
	records := recordedAfter(t, db, before)
	got := make([]audit.Event, len(records))
	for i, r := range records {
		got[i] = r.Event
	}
	same(t, "events recorded", got, want)
}

// recordedAfter returns the events with higher numbers, in their order.
func recordedAfter(t testing.TB, db *store.DB, number int64) []audit.Record {
	t.Helper()
	records, err := db.Events(t.Context(), audit.Filter{})
	succeeds(t, err)
	records = slices.DeleteFunc(records, func(r audit.Record) bool { return r.Number <= number })
	slices.SortFunc(records, func(a, b audit.Record) int { return cmp.Compare(a.Number, b.Number) })
	return records
}

// number returns the highest number of an event, or 0.
func number(t testing.TB, db *store.DB) int64 {
	t.Helper()
	records := recordedAfter(t, db, 0)
	if len(records) == 0 {
		return 0
	}
	return records[len(records)-1].Number
}

// numbered returns n names.
func numbered(prefix string, n int) []string {
	names := make([]string, n)
	for i := range names {
		names[i] = fmt.Sprintf("%s%03d", prefix, i)
	}
	return names
}
