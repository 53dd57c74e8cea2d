package store_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"countersign/audit"
	"countersign/clients"
	"countersign/store"
	"countersign/store/storetest"
)

func TestIsUnavailable(t *testing.T) {
	ctx := t.Context()
	path := filepath.Join(t.TempDir(), "countersign.db")
	db := storetest.OpenFile(t, path)
	other := storetest.OpenFile(t, path)
	defer other.Close()
	alice := person("alice")
	noError(t, db.CreateUser(ctx, alice, created))
	check := func(what string, err error, want bool) {
		t.Helper()
		if err == nil {
			t.Errorf("%s: got no error", what)
		} else if got := db.IsUnavailable(err); got != want {
			t.Errorf("%s: unavailable is %v, want %v: %v", what, got, want, err)
		}
	}
	if db.IsUnavailable(nil) {
		t.Error("no error is unavailable")
	}

	// An error that the database answers with doesn't count as unavailable.
	check("username taken", db.CreateUser(ctx, person("alice"), created), false)
	sameID := person("bob")
	sameID.ID = alice.ID
	check("primary key taken", db.CreateUser(ctx, sameID, created), false)
	check("no such client", func() error { _, err := db.Client(ctx, "x"); return err }(), false)
	check("null where none may be", db.CreateClient(ctx, clients.Client{ID: "app"}, created), false)
	_, err := db.Pools()["write"].Exec(`NONSENSE`)
	check("no SQL", err, false)
	check("no rows", sql.ErrNoRows, false)

	// Another connection holds a lock for longer than the caller waits.
	release := holdWriteLock(t, other)
	soon, cancel := context.WithTimeout(ctx, 50*time.Millisecond)
	defer cancel()
	begun := time.Now()
	check("out of time, waiting for SQLite", db.DisableUser(soon, alice.ID, now, created), true)
	check("out of time, from the beginning", db.ClearFailures(soon, [32]byte{}), true)
	check("out of time, reading", func() error { _, err := db.User(soon, alice.ID); return err }(), true)
	if took := time.Since(begun); took > 5*time.Second {
		t.Errorf("giving up took %v after a deadline of 50ms", took)
	}
	impatient(t, db)
	check("busy", db.DisableUser(ctx, alice.ID, now, created), true)
	check("busy, a single statement", db.ClearFailures(ctx, [32]byte{}), true)
	release()
	noError(t, db.DisableUser(ctx, alice.ID, now, created))

	hold, err := db.Pools()["write"].Conn(ctx)
	noError(t, err)
	soon, cancel = context.WithTimeout(ctx, 50*time.Millisecond)
	defer cancel()
	check("out of time, waiting for a connection", db.ClearFailures(soon, [32]byte{}), true)
	noError(t, hold.Close())

	noError(t, db.Close())
	check("closed, writing", db.CreateUser(ctx, person("carol"), created), true)
	check("closed, reading", func() error { _, err := db.User(ctx, alice.ID); return err }(), true)
	check("closed, asked whether it answers", db.Ping(ctx), true)
}

// A call that its caller cancels happens fully or not at all, and leaves the store intact.
func TestCallsGivenUpOnHappenOrDoNot(t *testing.T) {
	db := storetest.Open(t)
	acknowledged := 0
	for i := range 400 {
		ctx, cancel := context.WithTimeout(t.Context(), time.Duration(i)*2*time.Microsecond)
		if i%2 == 1 {
			ctx, cancel = context.WithCancel(t.Context())
			time.AfterFunc(time.Duration(i)*2*time.Microsecond, cancel)
		}
		u := person(fmt.Sprint("user", i))
		err := db.CreateUser(ctx, u, audit.Event{Time: now, Kind: audit.UserCreated, UserID: u.ID})
		cancel()
		switch {
		case err == nil:
			acknowledged++
			if _, err := db.User(t.Context(), u.ID); err != nil {
				t.Fatalf("user %d was acknowledged: %v", i, err)
			}
		case i%2 == 0 && !errors.Is(err, context.DeadlineExceeded):
			t.Errorf("user %d: got error %v, want the deadline's", i, err)
		case i%2 == 1 && !errors.Is(err, context.Canceled):
			t.Errorf("user %d: got error %v, want the cancellation's", i, err)
		}
	}
	t.Logf("%d of 400 were acknowledged", acknowledged)
	var torn int
	noError(t, db.Pools()["read"].QueryRow(`
		SELECT (SELECT COUNT(*) FROM users WHERE id NOT IN (SELECT user_id FROM audit_events))
			+ (SELECT COUNT(*) FROM audit_events WHERE user_id NOT IN (SELECT id FROM users))`).Scan(&torn))
	if torn != 0 {
		t.Errorf("%d users without their event, or the reverse", torn)
	}
	noError(t, db.CreateUser(t.Context(), person("afterwards"), created))
}

// holdWriteLock takes SQLite's write lock, and returns the function that releases it.
func holdWriteLock(t testing.TB, db *store.DB) (release func()) {
	t.Helper()
	tx, err := db.Pools()["write"].Begin()
	noError(t, err)
	return func() { tx.Rollback() }
}

// impatient makes the writer fail at once instead of waiting for a lock.
func impatient(t testing.TB, db *store.DB) {
	t.Helper()
	_, err := db.Pools()["write"].Exec(`PRAGMA busy_timeout = 1`)
	noError(t, err)
}
