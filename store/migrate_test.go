package store_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/google/uuid"

	"countersign/accounts"
	"countersign/audit"
	"countersign/store"
	"countersign/store/storetest"
)

// oneLine reports an error that is not the wanted one or longer than a line.
func oneLine(t *testing.T, err, want error, hint string) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Fatalf("got error %v, want %v", err, want)
	}
	if strings.Contains(err.Error(), "\n") || !strings.Contains(err.Error(), hint) {
		t.Errorf("error is not one line with %q: %v", hint, err)
	}
}

func TestNewerSchemaIsRefused(t *testing.T) {
	path := filepath.Join(t.TempDir(), "countersign.db")
	db := storetest.OpenFile(t, path)
	_, err := db.Pools()["write"].Exec(`INSERT INTO goose_db_version (version_id, is_applied) VALUES (99999, 1)`)
	noError(t, err)
	_, err = db.Pools()["write"].Exec(`INSERT INTO settings (name, value) VALUES ('oldest_schema', '99999')`)
	noError(t, err)
	noError(t, db.Close())
	for _, opts := range []store.Options{{}, {NoMigrate: true}} {
		db, err := store.Open(t.Context(), "sqlite:"+path, opts)
		if err == nil {
			db.Close()
		}
		oneLine(t, err, store.ErrSchemaNewer, "99999")
	}
}

func TestNoMigrateRefusesAnOlderSchema(t *testing.T) {
	empty := filepath.Join(t.TempDir(), "empty.db")
	noError(t, os.WriteFile(empty, nil, 0o600))
	old := filepath.Join(t.TempDir(), "old.db") // at version 0: only the table of versions
	raw, err := sql.Open("sqlite", "file:"+old)
	noError(t, err)
	_, err = raw.Exec(`
		CREATE TABLE goose_db_version (id INTEGER PRIMARY KEY AUTOINCREMENT, version_id INTEGER NOT NULL,
			is_applied INTEGER NOT NULL, tstamp TIMESTAMP DEFAULT (datetime('now')));
		INSERT INTO goose_db_version (version_id, is_applied) VALUES (0, 1)`)
	noError(t, err)
	noError(t, raw.Close())

	for _, path := range []string{empty, old, filepath.Join(t.TempDir(), "missing.db")} {
		for range 2 { // being refused changes nothing
			db, err := store.Open(t.Context(), "sqlite:"+path, store.Options{NoMigrate: true})
			if err == nil {
				db.Close()
			}
			oneLine(t, err, store.ErrSchemaOlder, "countersign migrate")
		}
		noError(t, storetest.OpenFile(t, path).Close()) // migrates
		db, err := store.Open(t.Context(), "sqlite:"+path, store.Options{NoMigrate: true})
		noError(t, err)
		noError(t, db.Close())
	}
}

func TestMustExistMakesNoDatabase(t *testing.T) {
	path := filepath.Join(t.TempDir(), "folder", "countersign.db")
	db, err := store.Open(t.Context(), "sqlite:"+path, store.Options{MustExist: true})
	if err == nil {
		db.Close()
	}
	oneLine(t, err, store.ErrNoDatabase, path)
	if _, err := os.Stat(filepath.Dir(path)); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a folder was made: %v", err)
	}
	noError(t, storetest.OpenFile(t, path).Close())
	db, err = store.Open(t.Context(), "sqlite:"+path, store.Options{MustExist: true})
	noError(t, err)
	noError(t, db.Close())
}

func TestMigratingKeepsWhatIsThere(t *testing.T) {
	path := filepath.Join(t.TempDir(), "countersign.db")
	db := storetest.OpenFile(t, path)
	s := signIn(t, db, shared)
	version, err := db.SchemaStatus(t.Context())
	noError(t, err)
	noError(t, db.Close())

	db = storetest.OpenFile(t, path)
	defer db.Close()
	if _, err := db.Session(t.Context(), s.ID, now); err != nil {
		t.Errorf("session, opened again: %v", err)
	}
	again, err := db.SchemaStatus(t.Context())
	noError(t, err)
	if again != version || version.Version != store.Schema || version.Target != store.Schema {
		t.Errorf("schema status is %v, opened again %v", version, again)
	}
}

func TestMigratingAtOnceSucceedsForAll(t *testing.T) {
	t.Run("in one process", func(t *testing.T) {
		for range 3 {
			path := filepath.Join(t.TempDir(), "countersign.db")
			errs := make([]error, 6)
			var wg sync.WaitGroup
			for i := range errs {
				wg.Go(func() {
					var db *store.DB
					if db, errs[i] = store.Open(t.Context(), "sqlite:"+path, store.Options{}); errs[i] == nil {
						defer db.Close()
						errs[i] = db.Ping(t.Context())
					}
				})
			}
			wg.Wait()
			noError(t, errors.Join(errs...))
		}
	})
	t.Run("in many", func(t *testing.T) {
		for range 3 {
			path := filepath.Join(t.TempDir(), "countersign.db")
			all := make([]*child, 5)
			for i := range all {
				all[i] = newChild(t, "open", path)
			}
			for _, c := range all {
				c.start()
			}
			for _, c := range all {
				c.wait()
			}
			db, err := store.Open(t.Context(), "sqlite:"+path, store.Options{NoMigrate: true})
			noError(t, err)
			noError(t, db.Close())
		}
	})
}

func TestMigratingStopsWhenNobodyWaits(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	path := filepath.Join(t.TempDir(), "countersign.db")
	if _, err := store.Open(ctx, "sqlite:"+path, store.Options{}); !errors.Is(err, context.Canceled) {
		t.Errorf("got error %v, want the cancellation's", err)
	}
	noError(t, storetest.OpenFile(t, path).Close())
}

// A binary works on the schema before its own, for replicas are upgraded before
// or after the schema is.
func TestTheSchemaBeforeKeepsThePromisesToo(t *testing.T) {
	before := func(t testing.TB, url string) *store.DB {
		db, err := store.OpenAtSchema(t.Context(), url, store.Schema-1)
		noError(t, err)
		t.Cleanup(func() { db.Close() })
		if status, err := db.SchemaStatus(t.Context()); status.Version != store.Schema-1 {
			t.Fatalf("the schema is %v, %v", status, err)
		}
		return db
	}
	storetest.Run(t, func(t testing.TB) *store.DB { return before(t, "sqlite:"+filepath.Join(t.TempDir(), "countersign.db")) })
	t.Run("MariaDB", func(t *testing.T) {
		storetest.Run(t, func(t testing.TB) *store.DB { return before(t, onMariaDB(t)) })
	})
	storetest.RunReplicas(t, func(t testing.TB) (a, b *store.DB) {
		path := filepath.Join(t.TempDir(), "countersign.db")
		a = before(t, "sqlite:"+path)
		b, err := store.Open(t.Context(), "sqlite:"+path, store.Options{NoMigrate: true})
		noError(t, err)
		t.Cleanup(func() { b.Close() })
		return a, b
	})
}

// On the schema before there are no profiles, and whoever has one to write hears that
// it may work later.
func TestTheSchemaBeforeHasNoProfiles(t *testing.T) {
	db, err := store.OpenAtSchema(t.Context(), "sqlite:"+filepath.Join(t.TempDir(), "countersign.db"), 3)
	noError(t, err)
	t.Cleanup(func() { db.Close() })
	alice := person("alice")
	noError(t, db.CreateUser(t.Context(), alice, created))
	if got, err := db.Profile(t.Context(), alice.ID); err != nil || got != (accounts.Profile{}) {
		t.Errorf("the profile is %+v, %v, want none", got, err)
	}
	err = db.PutProfile(t.Context(), alice.ID, uuid.Nil, accounts.Profile{Name: "Alice"}, now, audit.Event{})
	if !db.IsUnavailable(err) {
		t.Errorf("writing one: %v, want it to be unavailable", err)
	}
	if got, err := db.User(t.Context(), alice.ID); err != nil || !got.UpdatedAt.Equal(alice.UpdatedAt) {
		t.Errorf("the user has changed: %+v, %v", got, err)
	}
}

// One replica is opened before the schema is migrated and one after.
func TestMigratingUnderARunningReplica(t *testing.T) {
	storetest.RunReplicas(t, func(t testing.TB) (a, b *store.DB) {
		url := "sqlite:" + filepath.Join(t.TempDir(), "countersign.db")
		a, err := store.OpenAtSchema(t.Context(), url, store.Schema-1)
		noError(t, err)
		b, err = store.Open(t.Context(), url, store.Options{})
		noError(t, err)
		t.Cleanup(func() { a.Close(); b.Close() })
		return a, b
	})
}

func TestNewerSchemaThatOnlyAddsIsWorkedOn(t *testing.T) {
	path := filepath.Join(t.TempDir(), "countersign.db")
	db := storetest.OpenFile(t, path)
	_, err := db.Pools()["write"].Exec(`INSERT INTO goose_db_version (version_id, is_applied) VALUES (99999, 1)`)
	noError(t, err)
	_, err = db.Pools()["write"].Exec(`ALTER TABLE users ADD COLUMN to_come TEXT`)
	noError(t, err)
	noError(t, db.Close())
	for _, opts := range []store.Options{{}, {NoMigrate: true}} {
		db, err := store.Open(t.Context(), "sqlite:"+path, opts)
		noError(t, err)
		noError(t, db.CreateUser(t.Context(), person(fmt.Sprint("user ", opts.NoMigrate)), created))
		noError(t, db.Close())
	}
}
