package accounts_test

import (
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"countersign/accounts"
	"countersign/audit"
	"countersign/limits"
	"countersign/store"
	"countersign/store/storetest"
)

const (
	goodPassword = "a quiet harbour at dusk"
	home         = "192.0.2.1"
)

// cheap makes hashes that cost nothing worth waiting for.
var cheap = accounts.Argon2{MemoryKiB: 8, Iterations: 1, Parallelism: 1}

func newUsers(t testing.TB, db *store.DB, change ...func(*accounts.UsersOptions)) *accounts.Users {
	t.Helper()
	o := accounts.UsersOptions{
		Store:    db,
		Policy:   accounts.PasswordPolicy{ServiceNames: []string{"Countersign", "auth.example.com"}},
		Argon2:   cheap,
		Slots:    limits.NewSlots(2, 100),
		Throttle: limits.NewThrottle(limits.Options{Store: db}),
		Log:      slog.New(slog.NewTextHandler(t.Output(), nil)),
	}
	for _, c := range change {
		c(&o)
	}
	users, err := accounts.NewUsers(o)
	if err != nil {
		t.Fatal(err)
	}
	return users
}

func newClients(t testing.TB, db *store.DB, change ...func(*accounts.ClientsOptions)) *accounts.Clients {
	t.Helper()
	o := accounts.ClientsOptions{
		Store:    db,
		Argon2:   cheap,
		Slots:    limits.NewSlots(2, 100),
		Throttle: limits.NewThrottle(limits.Options{Store: db}),
		Log:      slog.New(slog.NewTextHandler(t.Output(), nil)),
	}
	for _, c := range change {
		c(&o)
	}
	clients, err := accounts.NewClients(o)
	if err != nil {
		t.Fatal(err)
	}
	return clients
}

// create adds a user and returns it as stored.
func create(t testing.TB, users *accounts.Users, username, password string) accounts.User {
	t.Helper()
	u, err := users.Create(t.Context(), time.Now(), accounts.NewUser{Username: username, Password: password}, audit.Origin{})
	if err != nil {
		t.Fatalf("create %q: %v", username, err)
	}
	return u
}

// problems are the "field code" pairs in an *InputError, sorted; nil for no error.
func problems(t testing.TB, err error) []string {
	t.Helper()
	if err == nil {
		return nil
	}
	bad, ok := errors.AsType[*accounts.InputError](err)
	if !ok {
		t.Fatalf("error is %v (%T), want an *InputError", err, err)
	}
	var found []string
	for _, p := range bad.Problems {
		if p.Detail == "" {
			t.Errorf("%s %s has no detail", p.Field, p.Code)
		}
		found = append(found, p.Field+" "+p.Code)
	}
	slices.Sort(found)
	return found
}

func wantProblems(t testing.TB, err error, want ...string) {
	t.Helper()
	slices.Sort(want)
	if diff := cmp.Diff(want, problems(t, err)); diff != "" {
		t.Errorf("problems (-want +got):\n%s%v", diff, err)
	}
}

// events are the kinds of the audit events so far, oldest first.
func events(t testing.TB, db *store.DB) []string {
	t.Helper()
	records, err := db.Events(t.Context(), audit.Filter{})
	if err != nil {
		t.Fatal(err)
	}
	var kinds []string
	for _, r := range records {
		kinds = append(kinds, fmt.Sprintf("%s from %s in %s", r.Kind, r.Address, r.RequestID))
	}
	return kinds
}

func open(t testing.TB) *store.DB { return storetest.Open(t) }
