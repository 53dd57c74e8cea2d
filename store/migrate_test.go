package store_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"countersign/ids"
	"countersign/oauth"
	"countersign/store"
	"countersign/store/storetest"
	"countersign/tokens"
)

// oneLine fails the test unless the error is the wanted one and takes one line.
func oneLine(t *testing.T, err, want error, hint string) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Fatalf("got error %v, want %v", err, want)
	}
	if strings.Contains(err.Error(), "\n") || !strings.Contains(err.Error(), hint) {
		t.Errorf("error is not one line with %q: %v", hint, err)
	}
}

func TestNoMigrateRefusesAnOlderSchema(t *testing.T) {
	empty := filepath.Join(t.TempDir(), "empty.db")
	noError(t, os.WriteFile(empty, nil, 0o600))
	old := filepath.Join(t.TempDir(), "old.db") // at version 0: has only the table of versions
	raw, err := sql.Open("sqlite", "file:"+old)
	noError(t, err)
	_, err = raw.Exec(`
		CREATE TABLE goose_db_version (id INTEGER PRIMARY KEY AUTOINCREMENT, version_id INTEGER NOT NULL,
			is_applied INTEGER NOT NULL, tstamp TIMESTAMP DEFAULT (datetime('now')));
		INSERT INTO goose_db_version (version_id, is_applied) VALUES (0, 1)`)
	noError(t, err)
	noError(t, raw.Close())

	for _, path := range []string{empty, old, filepath.Join(t.TempDir(), "missing.db")} {
		for range 2 { // a refusal changes nothing
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

func TestMigratingStopsWhenTheCallerCancels(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	path := filepath.Join(t.TempDir(), "countersign.db")
	if _, err := store.Open(ctx, "sqlite:"+path, store.Options{}); !errors.Is(err, context.Canceled) {
		t.Errorf("got error %v, want the cancellation's", err)
	}
	noError(t, storetest.OpenFile(t, path).Close())
}

// The migrations of the next two builds: the first build's adds a column, the second
// build's forbids the builds before it.
const (
	adds    = "ALTER TABLE sessions ADD COLUMN later TEXT;\nCREATE TABLE later (id INTEGER NOT NULL PRIMARY KEY);"
	forbids = "INSERT INTO settings (name, value) VALUES ('oldest_schema', '%d');"
)

// These statements succeed only on a schema with the addition.
const newColumn, newTable = `UPDATE sessions SET later = 'x'`, `INSERT INTO later (id) SELECT COUNT(*) FROM later`

func change(t *testing.T, db *store.DB, query string) error {
	return db.InTx(t.Context(), func(tx *sql.Tx) error {
		_, err := tx.Exec(query)
		return err
	})
}

// Operators upgrade replicas one by one, and back. So builds of neighbouring schemas share
// a database, before and after the newer one has migrated it, until a build forbids it.
func TestNeighbouringSchemasShareADatabase(t *testing.T) {
	eachDialect(t, func(t *testing.T, url string) {
		next := func(opts store.Options) store.Options { return store.OfLaterBuild(opts, adds) }
		last := func(opts store.Options) store.Options {
			return store.OfLaterBuild(opts, adds, fmt.Sprintf(forbids, store.Schema+2))
		}
		opens := func(opts store.Options) *store.DB {
			t.Helper()
			db, err := store.Open(t.Context(), url, opts)
			noError(t, err)
			t.Cleanup(func() { db.Close() })
			return db
		}
		refuses := func(opts store.Options, want error, hint string) {
			t.Helper()
			db, err := store.Open(t.Context(), url, opts)
			if err == nil {
				db.Close()
			}
			oneLine(t, err, want, hint)
		}
		stands := func(opts store.Options, version int64, want store.SchemaState) {
			t.Helper()
			s, err := store.ReadSchemaStatus(t.Context(), url, opts)
			if err != nil || s.Version != version || s.State() != want {
				t.Errorf("the schema stands at %+v, %q (%v), want version %d, %q", s, s.State(), err, version, want)
			}
		}
		works := func(dbs ...*store.DB) { // each build reads what any other writes
			t.Helper()
			for _, db := range dbs {
				s := shared
				s.ID = ids.New[ids.Session]()
				s = signIn(t, db, s)
				for _, other := range dbs {
					if _, err := other.Session(t.Context(), s.ID, now); err != nil {
						t.Errorf("session: %v", err)
					}
				}
			}
		}

		this := opens(store.Options{})
		stands(next(store.Options{}), store.Schema, store.SchemaOlder)
		refuses(last(store.Options{NoMigrate: true}), store.ErrSchemaOlder, "countersign migrate")
		waiting := opens(next(store.Options{NoMigrate: true}))
		works(this, waiting)
		for _, query := range []string{newColumn, newTable} {
			err := change(t, waiting, query)
			if !waiting.IsUnavailable(err) || !strings.Contains(err.Error(), "countersign migrate") {
				t.Errorf("%s, before there is room: %v, want it to be unavailable until the schema is migrated", query, err)
			}
		}
		if err := change(t, this, newColumn); err == nil || this.IsUnavailable(err) {
			t.Errorf("a mistaken query on this build's own schema: %v, want it to be no matter of waiting", err)
		}
		stands(store.Options{}, store.Schema, store.SchemaCurrent)

		migrating := opens(next(store.Options{}))
		stands(next(store.Options{}), store.Schema+1, store.SchemaCurrent)
		stands(store.Options{}, store.Schema+1, store.SchemaNewer)
		for _, query := range []string{newColumn, newTable} {
			noError(t, change(t, migrating, query))
			noError(t, change(t, waiting, query)) // through a handle opened before the migration
		}
		works(this, waiting, migrating, opens(store.Options{}), opens(store.Options{NoMigrate: true}))
		stands(store.Options{}, store.Schema+1, store.SchemaNewer) // a build with the older schema migrates nothing

		opens(last(store.Options{}))
		for _, older := range []store.Options{{}, {NoMigrate: true}, next(store.Options{}), next(store.Options{NoMigrate: true})} {
			refuses(older, store.ErrSchemaNewer, fmt.Sprint(store.Schema+2))
			stands(older, store.Schema+2, store.SchemaTooNew)
		}
		works(opens(last(store.Options{NoMigrate: true})))
	})
}

// Where operators migrate by themselves, users still sign in before they have done it.
func TestSignInsWorkOnTheFormerSchema(t *testing.T) {
	eachDialect(t, func(t *testing.T, url string) {
		former, err := store.Open(t.Context(), url, store.OfFormerBuild(store.Options{}))
		noError(t, err)
		former.Close()
		db, err := store.Open(t.Context(), url, store.Options{NoMigrate: true})
		noError(t, err)
		defer db.Close()
		s := shared
		s.Methods = oauth.Methods{oauth.MethodPassword}
		s = signIn(t, db, s)
		got, err := db.Session(t.Context(), s.ID, now)
		if err != nil || !slices.Equal(got.Methods, s.Methods) {
			t.Errorf("session: methods %v, %v", got.Methods, err)
		}
		l := tokens.Login{
			ID: ids.New[ids.Login](), UserID: s.UserID, AuthTime: now, Methods: s.Methods, CreatedAt: now,
			ExpiresAt: now.Add(time.Hour), AbsoluteExpiresAt: now.Add(time.Hour),
		}
		noError(t, db.CreateLogin(t.Context(), l, created))
		if got, err := db.Login(t.Context(), l.ID, now); err != nil || !slices.Equal(got.Methods, l.Methods) {
			t.Errorf("login: methods %v, %v", got.Methods, err)
		}
		next := got
		next.Counter++
		noError(t, db.AdvanceSession(t.Context(), next, now))
	})
}

// A replica opens the database before a newer build migrates the schema, and works during
// the migration.
func TestMigratingUnderARunningReplica(t *testing.T) {
	storetest.RunReplicas(t, func(t testing.TB) (a, b *store.DB) {
		url := "sqlite:" + filepath.Join(t.TempDir(), "countersign.db")
		a, err := store.Open(t.Context(), url, store.Options{})
		noError(t, err)
		b, err = store.Open(t.Context(), url, store.OfLaterBuild(store.Options{}, adds))
		noError(t, err)
		t.Cleanup(func() { a.Close(); b.Close() })
		return a, b
	})
}
