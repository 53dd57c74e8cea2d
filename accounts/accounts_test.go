package accounts_test

import (
	"log/slog"
	"testing"
	"time"

	"countersign/accounts"
	"countersign/caller"
	"countersign/hashing"
	"countersign/limits"
	"countersign/secrecy"
	"countersign/store"
	"countersign/store/storetest"
)

const (
	goodPassword = "a quiet harbour at dusk"
	home         = "192.0.2.1"
)

// cheap makes hashes that cost nothing worth waiting for.
var cheap = hashing.Argon2{MemoryKiB: 8, Iterations: 1, Parallelism: 1}

func newUsers(t testing.TB, db *store.DB, change ...func(*accounts.Options)) *accounts.Users {
	t.Helper()
	o := accounts.Options{
		Store:    db,
		Settings: accounts.Settings{Passwords: accounts.PasswordPolicy{MinLength: 8, ServiceNames: []string{"Countersign", "auth.example.com"}}},
		Argon2:   cheap,
		Slots:    limits.NewSlots(2, 100),
		Throttle: storetest.Throttle(t, db),
		Log:      slog.New(slog.NewTextHandler(t.Output(), nil)),
	}
	for _, c := range change {
		c(&o)
	}
	users, err := accounts.New(o)
	if err != nil {
		t.Fatal(err)
	}
	return users
}

// create adds a user and returns it as stored.
func create(t testing.TB, users *accounts.Users, username string, password secrecy.Text) accounts.User {
	t.Helper()
	u, err := users.Create(t.Context(), time.Now(), accounts.NewUser{Username: username, Password: password}, caller.Operator())
	if err != nil {
		t.Fatalf("create %q: %v", username, err)
	}
	return u
}

func open(t testing.TB) *store.DB { return storetest.Open(t) }
