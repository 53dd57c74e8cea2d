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
	"time"

	"github.com/google/uuid"

	"countersign/accounts"
	"countersign/consents"
	"countersign/store"
	"countersign/store/storetest"
	"countersign/tokens"
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

// On the schema before there are no profiles, consents, logins and codes. Whoever asks
// for one hears that there is none, whoever has one to write hears that it may work
// later, and people sign in by password as ever.
func TestTheSchemaBeforeHasNoRoomForWhatIsNew(t *testing.T) {
	for name, url := range map[string]func() string{
		"SQLite":  func() string { return "sqlite:" + filepath.Join(t.TempDir(), "countersign.db") },
		"MariaDB": func() string { return onMariaDB(t) },
	} {
		t.Run(name, func(t *testing.T) {
			ctx := t.Context()
			db, err := store.OpenAtSchema(ctx, url(), 3)
			noError(t, err)
			t.Cleanup(func() { db.Close() })
			s := signIn(t, db, shared)
			l := tokens.Login{ID: uuid.New(), UserID: s.UserID, ExpiresAt: now.Add(time.Hour)}
			c := tokens.Code{ClientID: s.ClientID, UserID: s.UserID, LoginID: l.ID, ExpiresAt: now.Add(time.Minute)}
			consent := consents.Consent{ID: uuid.New(), UserID: s.UserID, ClientID: s.ClientID, CreatedAt: now, UpdatedAt: now}
			ofCode := s
			ofCode.ID, ofCode.LoginID = uuid.New(), l.ID

			before := dump(t, db)
			for what, err := range map[string]error{
				"CreateLogin": db.CreateLogin(ctx, l, created), "CreateCode": db.CreateCode(ctx, c, l.ExpiresAt, now),
				"GiveConsent":   db.GiveConsent(ctx, consent, created),
				"PutProfile":    db.PutProfile(ctx, s.UserID, uuid.Nil, accounts.Profile{Name: "Alice"}, now, created),
				"CreateSession": db.CreateSession(ctx, ofCode, 0, created),
			} {
				if !db.IsUnavailable(err) || !strings.Contains(err.Error(), "countersign migrate") {
					t.Errorf("%s: %v, want it to be unavailable until the schema is migrated", what, err)
				}
			}
			_, noLogin := db.Login(ctx, l.ID, now)
			_, noCode := db.Code(ctx, c.ID)
			_, noConsent := db.Consent(ctx, s.UserID, s.ClientID)
			for what, got := range map[string]struct{ err, want error }{
				"Login": {noLogin, tokens.ErrUnknown}, "ReplaceLogin": {db.ReplaceLogin(ctx, l.ID, l, now, created), tokens.ErrUnknown},
				"ForgetLogin": {db.ForgetLogin(ctx, l.ID), nil}, "EndLogin": {db.EndLogin(ctx, l.ID, created), tokens.ErrUnknown},
				"Code": {noCode, tokens.ErrUnknown}, "RedeemCode": {db.RedeemCode(ctx, c, ofCode, now, created), tokens.ErrUnknown},
				"Consent": {noConsent, consents.ErrUnknown}, "DeleteConsent": {db.DeleteConsent(ctx, s.UserID, s.ClientID, created), consents.ErrUnknown},
			} {
				if !errors.Is(got.err, got.want) {
					t.Errorf("%s: %v, want %v", what, got.err, got.want)
				}
			}
			if all, err := db.Consents(ctx, s.UserID); err != nil || len(all) > 0 {
				t.Errorf("the consents are %v, %v, want none", all, err)
			}
			if got, err := db.Profile(ctx, s.UserID); err != nil || got != (accounts.Profile{}) {
				t.Errorf("the profile is %+v, %v, want none", got, err)
			}
			for what, purge := range map[string]func(context.Context, time.Time, int) (int64, error){"logins": db.PurgeLogins, "codes": db.PurgeCodes} {
				if n, err := purge(ctx, now, 10); n != 0 || err != nil {
					t.Errorf("purging %s: %d, %v", what, n, err)
				}
			}
			if after := dump(t, db); after != before {
				t.Errorf("the database was changed from\n%s\nto\n%s", before, after)
			}

			for what, end := range map[string]func(id uuid.UUID) error{
				"EndSignIn":       func(id uuid.UUID) error { return db.EndSignIn(ctx, id, created) },
				"EndUserSessions": func(uuid.UUID) error { _, err := db.EndUserSessions(ctx, s.UserID, uuid.Nil, created); return err },
			} {
				again := s
				again.ID = uuid.New()
				noError(t, db.CreateSession(ctx, again, 0, created))
				noError(t, end(again.ID))
				if _, err := db.Session(ctx, again.ID, now); !errors.Is(err, tokens.ErrUnknown) {
					t.Errorf("session after %s: %v", what, err)
				}
			}
		})
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
