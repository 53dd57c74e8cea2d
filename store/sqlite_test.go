package store_test

import (
	"context"
	"crypto"
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"modernc.org/sqlite"

	"countersign/accounts"
	"countersign/audit"
	"countersign/clients"
	"countersign/consents"
	"countersign/ids"
	"countersign/keys"
	"countersign/store"
	"countersign/store/storetest"
	"countersign/tokens"
)

func TestSQLiteKeepsItsPromises(t *testing.T) {
	storetest.Run(t, storetest.Open)
}

func TestSQLiteKeepsItsPromisesToRacers(t *testing.T) {
	two := func(t testing.TB) (a, b *store.DB) {
		path := filepath.Join(t.TempDir(), "countersign.db")
		a, b = storetest.OpenFile(t, path), storetest.OpenFile(t, path)
		t.Cleanup(func() { a.Close(); b.Close() })
		return a, b
	}
	storetest.RunReplicas(t, two)
}

// SQLite silently ignores a misspelt setting, so the test reads each back.
func TestSQLiteSettingsAreInForce(t *testing.T) {
	db := storetest.Open(t)
	if sqlite.FdatasyncEnabled() != (runtime.GOOS == "linux") {
		t.Error("a commit waits for the file's times, too")
	}
	for name, pool := range db.Pools() {
		for range pool.Stats().MaxOpenConnections { // each connection has its own settings
			conn, err := pool.Conn(t.Context())
			noError(t, err)
			defer conn.Close()
			for pragma, want := range map[string]string{
				"journal_mode": "wal",
				"synchronous":  "2", // FULL: the log is flushed with every commit
				"foreign_keys": "1",
				"busy_timeout": "10000",
				"query_only":   map[string]string{"read": "1", "write": "0"}[name],
			} {
				var got string
				noError(t, conn.QueryRowContext(t.Context(), "PRAGMA "+pragma).Scan(&got))
				if got != want {
					t.Errorf("%s of the %s pool is %s, want %s", pragma, name, got, want)
				}
			}
		}
	}
}

func TestSQLiteTransactionsTakeTheWriteLockAtOnce(t *testing.T) {
	path := filepath.Join(t.TempDir(), "countersign.db")
	a, b := storetest.OpenFile(t, path), storetest.OpenFile(t, path)
	defer a.Close()
	defer b.Close()
	defer holdWriteLock(t, a)()
	impatient(t, b)
	if tx, err := b.Pools()["write"].Begin(); err == nil {
		tx.Rollback()
		t.Error("a second transaction began, want it to wait for the first")
	}
}

func TestSQLiteFilesAreTheOwnersAlone(t *testing.T) {
	path := filepath.Join(t.TempDir(), "new", "folder", "countersign.db")
	db := storetest.OpenURL(t, "sqlite:"+path)
	defer db.Close()
	for _, c := range []struct {
		path string
		want os.FileMode
	}{
		{path, 0o600}, {path + "-wal", 0o600}, {path + "-shm", 0o600},
		{filepath.Dir(path), 0o700 | os.ModeDir}, {filepath.Dir(filepath.Dir(path)), 0o700 | os.ModeDir},
	} {
		info, err := os.Stat(c.path)
		noError(t, err)
		if info.Mode() != c.want {
			t.Errorf("%s has mode %v, want %v", filepath.Base(c.path), info.Mode(), c.want)
		}
	}
}

func TestSQLitePathsMayHaveAnyCharacter(t *testing.T) {
	for _, name := range []string{
		"a b.db", "a#b.db", "a&b;c.db", "a+b=c.db", "한글 é.db", `a\b"c'd.db`, "a:b@c.db", "100%.db", "a$1~.db",
	} {
		t.Run(name, func(t *testing.T) {
			t.Chdir(t.TempDir())
			for _, path := range []string{name, filepath.Join("sub", name), filepath.Join(t.TempDir(), name)} {
				db := storetest.OpenURL(t, "sqlite:"+path)
				want := person("alice")
				noError(t, db.CreateUser(t.Context(), want, created))
				noError(t, db.Close())
				files, err := filepath.Glob(filepath.Join(filepath.Dir(path), "*"))
				noError(t, err)
				for _, f := range files {
					if info, err := os.Stat(f); err == nil && !info.IsDir() && filepath.Base(f) != name {
						t.Errorf("there is a file %q", f)
					}
				}
				db = storetest.OpenURL(t, "sqlite:"+path)
				if _, err := db.User(t.Context(), want.ID); err != nil {
					t.Errorf("%q, opened again: %v", path, err)
				}
				noError(t, db.Close())
			}
		})
	}
}

func TestOpenRefusesWhatIsNoDatabase(t *testing.T) {
	dir := t.TempDir()
	text := filepath.Join(dir, "text")
	noError(t, os.WriteFile(text, []byte(strings.Repeat("not a database\n", 1000)), 0o600))
	t.Chdir(dir)
	for _, url := range []string{
		"", "sqlite", "sqlite:", "postgres://u:hunter2@host/db", "./countersign.db", "sqlite:" + dir, "sqlite:" + text, "sqlite:" + text + "/x.db",
		"sqlite:/dev/null", "sqlite:x.db?mode=ro", "sqlite::memory:", "sqlite:~/x.db",
	} {
		db, err := store.Open(t.Context(), url, store.Options{})
		if err == nil {
			db.Close()
			t.Errorf("open %q: got no error", url)
			continue
		}
		if strings.Contains(err.Error(), "\n") || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("open %q: error is not one line without secrets: %v", url, err)
		}
	}
	if files, err := filepath.Glob("*"); err != nil || len(files) != 1 {
		t.Errorf("left behind %q, %v", files, err)
	}
}

// SQLite says only that it can't open a file.
func TestOpenSaysWhyItCannot(t *testing.T) {
	if os.Geteuid() == 0 {
		t.Skip("root may do everything")
	}
	for _, c := range []struct {
		file, folder os.FileMode
		want         string
	}{{0o000, 0o700, "x.db: permission denied"}, {0o400, 0o700, "x.db: permission denied"}, {0o600, 0o500, "permission denied"}} {
		dir := t.TempDir()
		path := filepath.Join(dir, "x.db")
		noError(t, storetest.OpenURL(t, "sqlite:"+path).Close())
		noError(t, errors.Join(os.Chmod(path, c.file), os.Chmod(dir, c.folder)))
		t.Cleanup(func() { os.Chmod(dir, 0o700) })
		db, err := store.Open(t.Context(), "sqlite:"+path, store.Options{})
		if err == nil {
			db.Close()
		}
		if err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), "chown") {
			t.Errorf("file %v in folder %v: got %v, want %q with advice", c.file, c.folder, err, c.want)
		}
	}
}

// Each change is one transaction with its event: if the event can't be written, the change
// does not happen.
func TestNoChangeWithoutItsEvent(t *testing.T) {
	db := storetest.Open(t)
	s := signIn(t, db, shared)
	k := keys.Key{KID: "kid", Alg: "ES256", Generation: 1, Public: publicKey(t), Sealed: []byte{1}}
	noError(t, db.InsertKey(t.Context(), k, created))
	disabled := person("disabled")
	disabled.DisabledAt = now
	noError(t, db.CreateUser(t.Context(), disabled, created))
	mailed := person("mailed")
	mailed.Email = "mailed@example.com"
	noError(t, db.CreateUser(t.Context(), mailed, created))
	login := tokens.Login{ID: ids.New[ids.Login](), UserID: mailed.ID, ExpiresAt: now.Add(time.Hour)}
	noError(t, db.CreateLogin(t.Context(), login, created))
	code := tokens.Code{ClientID: s.ClientID, UserID: mailed.ID, LoginID: login.ID, ExpiresAt: now.Add(time.Minute), WithoutConsent: true}
	noError(t, db.CreateCode(t.Context(), code, login.ExpiresAt, now))
	consent := consents.Consent{ID: ids.New[ids.Consent](), UserID: mailed.ID, ClientID: s.ClientID, Scopes: []string{"openid"}, CreatedAt: now, UpdatedAt: now}
	noError(t, db.GiveConsent(t.Context(), consent, created))
	verify, reset, notice := note(accounts.VerifyEmail, mailed), note(accounts.ResetPassword, mailed), note(accounts.PasswordChanged, mailed)
	noError(t, db.PostLetter(t.Context(), verify, ids.Place{}))
	noError(t, db.PostLetter(t.Context(), reset, ids.Place{}))
	_, err := db.Pools()["write"].Exec(`ALTER TABLE audit_events RENAME TO elsewhere`)
	noError(t, err)

	before := dump(t, db)
	for name, change := range map[string]func(ctx context.Context, ev audit.Event) error{
		"CreateUser":  func(ctx context.Context, ev audit.Event) error { return db.CreateUser(ctx, person("bob"), ev) },
		"DisableUser": func(ctx context.Context, ev audit.Event) error { return db.DisableUser(ctx, s.UserID, now, ev) },
		"EnableUser":  func(ctx context.Context, ev audit.Event) error { return db.EnableUser(ctx, disabled.ID, now, ev) },
		"ProveEmail": func(ctx context.Context, ev audit.Event) error {
			return db.ProveEmail(ctx, mailed.ID, mailed.Email, now, ev)
		},
		"SetPasswordHash": func(ctx context.Context, ev audit.Event) error {
			return db.SetPasswordHash(ctx, s.UserID, "new", accounts.By{Operator: true}, now, ev, notice)
		},
		"ConfirmEmail": func(ctx context.Context, ev audit.Event) error {
			return db.ConfirmEmail(ctx, verify.ID, now, ev, notice)
		},
		"ResetPassword": func(ctx context.Context, ev audit.Event) error {
			return db.ResetPassword(ctx, reset.ID, "new", now, ev, notice)
		},
		"DeleteUser": func(ctx context.Context, ev audit.Event) error {
			return db.DeleteUser(ctx, s.UserID, accounts.By{Operator: true}, now, ev)
		},
		"CreateClient": func(ctx context.Context, ev audit.Event) error {
			return db.CreateClient(ctx, clients.Client{ID: "new", CreatedAt: now, UpdatedAt: now}, ev)
		},
		"PutClient, new": func(ctx context.Context, ev audit.Event) error {
			return storetest.PutClient(ctx, db, clients.Client{ID: "new", CreatedAt: now, UpdatedAt: now}, ev)
		},
		"PutClient": func(ctx context.Context, ev audit.Event) error {
			return storetest.PutClient(ctx, db, clients.Client{ID: s.ClientID, UpdatedAt: now, Settings: clients.Settings{Name: "new"}}, ev)
		},
		"SetSecretHash": func(ctx context.Context, ev audit.Event) error {
			return db.SetSecretHash(ctx, s.ClientID, "new", now, ev)
		},
		"DeleteClient": func(ctx context.Context, ev audit.Event) error { return db.DeleteClient(ctx, s.ClientID, ev) },
		"CreateSession": func(ctx context.Context, ev audit.Event) error {
			another := s
			another.ID[0]++
			return db.CreateSession(ctx, another, 0, ev)
		},
		"EndSession": func(ctx context.Context, ev audit.Event) error { return db.EndSession(ctx, s.ID, ev) },
		"EndSignIn":  func(ctx context.Context, ev audit.Event) error { return db.EndSignIn(ctx, s.ID, ev) },
		"CreateLogin": func(ctx context.Context, ev audit.Event) error {
			another := login
			another.ID[0]++
			return db.CreateLogin(ctx, another, ev)
		},
		"EndLogin": func(ctx context.Context, ev audit.Event) error { return db.EndLogin(ctx, login.ID, ev) },
		"RedeemCode": func(ctx context.Context, ev audit.Event) error {
			another := s
			another.ID[0]++
			another.UserID, another.LoginID = mailed.ID, login.ID
			return db.RedeemCode(ctx, code, another, now, ev)
		},
		"GiveConsent": func(ctx context.Context, ev audit.Event) error {
			return db.GiveConsent(ctx, consents.Consent{ID: ids.New[ids.Consent](), UserID: s.UserID, ClientID: s.ClientID, CreatedAt: now, UpdatedAt: now}, ev)
		},
		"GiveConsent, more": func(ctx context.Context, ev audit.Event) error {
			more := consent
			more.Scopes, more.UpdatedAt = []string{"email"}, now.Add(time.Hour)
			return db.GiveConsent(ctx, more, ev)
		},
		"DeleteConsent": func(ctx context.Context, ev audit.Event) error {
			return db.DeleteConsent(ctx, mailed.ID, s.ClientID, ev)
		},
		"PutProfile": func(ctx context.Context, ev audit.Event) error {
			return db.PutProfile(ctx, s.UserID, accounts.By{Operator: true}, accounts.Profile{Name: "Alice"}, now, ev)
		},
		"EndUserSessions": func(ctx context.Context, ev audit.Event) error {
			_, err := db.EndUserSessions(ctx, s.UserID, ids.Place{}, ev)
			return err
		},
		"InsertKey": func(ctx context.Context, ev audit.Event) error {
			next := k
			next.KID, next.Generation = "next", 2
			return db.InsertKey(ctx, next, ev)
		},
		"RevokeKey": func(ctx context.Context, ev audit.Event) error { return db.RevokeKey(ctx, k.KID, now, ev) },
	} {
		if err := change(t.Context(), created); err == nil || errors.Is(err, accounts.ErrBadToken) {
			t.Errorf("%s: %v, want that the event can't be written", name, err)
		}
		if after := dump(t, db); after != before {
			t.Fatalf("%s: changed the database from\n%s\nto\n%s", name, before, after)
		}
	}
}

// note returns a letter to a user.
func note(kind accounts.LetterKind, to accounts.User) accounts.Letter {
	return accounts.Letter{
		ID: ids.New[ids.Letter](), Kind: kind, UserID: to.ID, Address: to.Email, CreatedAt: now, ExpiresAt: now.Add(time.Hour), DueAt: now,
	}
}

func publicKey(t testing.TB) crypto.PublicKey {
	t.Helper()
	public, _, err := ed25519.GenerateKey(rand.Reader)
	noError(t, err)
	return public
}

// dump returns all records of the domain in the database.
func dump(t testing.TB, db *store.DB) string {
	t.Helper()
	var all []string
	for _, table := range []string{
		"users", "profiles", "clients", "consents", "logins", "codes", "sessions", "authorizations", "letters", "used_letters", "signing_keys",
	} {
		rows, err := db.Pools()["write"].QueryContext(t.Context(), "SELECT * FROM "+table)
		noError(t, err)
		columns, err := rows.Columns()
		noError(t, err)
		for rows.Next() {
			row := make([]any, len(columns))
			into := make([]any, len(columns))
			for i := range row {
				into[i] = &row[i]
			}
			noError(t, rows.Scan(into...))
			all = append(all, fmt.Sprint(table, row))
		}
		noError(t, rows.Err())
	}
	slices.Sort(all)
	return strings.Join(all, "\n")
}

// A command that writes much begins the log again before a server has marked the database
// by it. If it is killed, its log still belongs to the database.
func TestTheLogOfALargeCommandIsItsDatabases(t *testing.T) {
	dir := t.TempDir()
	path, killed := filepath.Join(dir, "x.db"), filepath.Join(dir, "killed.db")
	served, err := store.Open(t.Context(), "sqlite:"+path, store.Options{Purpose: store.Production})
	noError(t, err)
	noError(t, served.Close())
	command := storetest.OpenURL(t, "sqlite:"+path)
	defer command.Close()
	for i := range 600 {
		noError(t, command.CreateUser(t.Context(), person(fmt.Sprint("user ", i)), created))
	}
	for _, end := range []string{"", "-wal"} { // as a kill leaves them
		b, err := os.ReadFile(path + end)
		noError(t, err)
		noError(t, os.WriteFile(killed+end, b, 0o600))
	}
	again := storetest.OpenURL(t, "sqlite:"+killed)
	defer again.Close()
	if _, err := again.UserByUsername(t.Context(), "user 599"); err != nil {
		t.Error(err)
	}
}
