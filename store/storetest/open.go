// Package storetest holds the suite that every dialect of the store passes, and
// a fresh database for the tests of other packages.
package storetest

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"countersign/audit"
	"countersign/store"
	"countersign/store/dsn"
	"countersign/test/mariadb"
	"countersign/test/soak"
)

// OnMariaDB reports whether the tests of other packages run on MariaDB instead of SQLite,
// as COUNTERSIGN_TEST_DATABASE=mariadb asks.
func OnMariaDB() bool { return os.Getenv("COUNTERSIGN_TEST_DATABASE") == "mariadb" }

// OnOwnDatabase skips a test that makes its own databases in a run whose other tests are on
// MariaDB: the run on SQLite already includes it, and here it would do the same again.
func OnOwnDatabase(t testing.TB) {
	t.Helper()
	if OnMariaDB() && !soak.On() {
		t.Skip("it makes its own database, and so has run on SQLite's turn")
	}
}

// Main wraps the testing.M of a package whose tests use a database. It starts the database
// server before the tests, because a test in a synctest bubble can't, and stops it after.
type Main struct{ M interface{ Run() int } }

// Run runs the tests and returns the exit code.
func (m Main) Run() int {
	if OnMariaDB() {
		if _, err := server(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
	}
	defer func() {
		if started != nil {
			started.Close()
		}
	}()
	return m.M.Run()
}

// server is the test binary's MariaDB, started on first use. Its settings are hostile, so that
// all tests on it show that the store relies on none.
// COUNTERSIGN_TEST_SERVER=HOST:PORT names another server with the same protocol, whose root
// has no password.
var (
	server = sync.OnceValues(func() (*mariadb.Server, error) {
		if addr := os.Getenv("COUNTERSIGN_TEST_SERVER"); addr != "" {
			return mariadb.At(addr), nil
		}
		var err error
		started, err = mariadb.StartHostile()
		return started, err
	})
	started *mariadb.Server
)

// MariaDB returns a private server that the test binary's tests share. Their TestMain
// must use [Main]. Without MariaDB the test is skipped, or fails in CI.
func MariaDB(t testing.TB) *mariadb.Server {
	t.Helper()
	Need(t, mariadb.Available())
	s, err := server()
	if err != nil {
		t.Fatalf("start MariaDB: %v", err)
	}
	return s
}

// Need skips a test that can't run here, and fails it in CI.
func Need(t testing.TB, err error) {
	t.Helper()
	if err == nil {
		return
	}
	if os.Getenv("CI") == "true" {
		t.Fatal(err)
	}
	t.Skip(err)
}

// Open returns a fresh, migrated database that is closed when the test ends.
// In a synctest bubble use OpenFile and close it before the bubble ends.
func Open(t testing.TB) *store.DB {
	t.Helper()
	db := OpenFile(t, filepath.Join(t.TempDir(), "countersign.db"))
	t.Cleanup(func() { db.Close() })
	return db
}

// OpenFile opens the database for a path: a file, or on MariaDB the database in its place.
// The caller closes it.
func OpenFile(t testing.TB, path string) *store.DB {
	t.Helper()
	if !OnMariaDB() {
		copyFresh(t, path)
	}
	return OpenURL(t, URL(t, path))
}

// fresh is the file of a database that has just been migrated. Migrating one takes twenty
// times as long as copying it, and most tests need one.
var fresh = sync.OnceValues(func() ([]byte, error) {
	dir, err := os.MkdirTemp("", "")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "fresh.db")
	db, err := store.Open(context.Background(), "sqlite:"+path, store.Options{Pool: pool})
	if err != nil {
		return nil, err
	}
	if err := db.Close(); err != nil {
		return nil, err
	}
	return os.ReadFile(path)
})

// copyFresh puts a fresh SQLite database where there is none yet.
func copyFresh(t testing.TB, path string) {
	t.Helper()
	if _, err := os.Stat(path); err == nil {
		return
	}
	file, err := fresh()
	if err == nil {
		err = errors.Join(os.MkdirAll(filepath.Dir(path), 0o700), os.WriteFile(path, file, 0o600))
	}
	if err != nil {
		t.Fatalf("copy a fresh database: %v", err)
	}
}

// pool is that of the databases on MariaDB.
var pool = dsn.Pool{MaxOpen: 32, MaxIdle: 32, MaxLifetime: 3 * time.Minute, MaxIdleTime: time.Minute}

// OpenURL opens a database. The caller closes it.
func OpenURL(t testing.TB, url string) *store.DB {
	t.Helper()
	db, err := store.Open(t.Context(), url, store.Options{Pool: pool})
	if err != nil {
		t.Fatalf("open store: %v", err)
	}
	return db
}

// URL returns the URL of the database for a path.
func URL(t testing.TB, path string) string {
	t.Helper()
	if OnMariaDB() {
		return MariaDBURL(t, path)
	}
	return "sqlite:" + path
}

// MariaDBURL returns the URL of the MariaDB database for a path, and creates it if need
// be.
func MariaDBURL(t testing.TB, path string) string {
	t.Helper()
	path, err := filepath.Abs(path)
	if err != nil {
		t.Fatal(err)
	}
	sum := fnv.New64a()
	sum.Write([]byte(path))
	name := fmt.Sprintf("t%016x", sum.Sum64())
	s := MariaDB(t)
	if err := s.CreateDatabase(name); err != nil {
		t.Fatal(err)
	}
	return s.SocketURL(name)
}

// Files returns the paths of all files that the database for a path may use.
func Files(t testing.TB, path string) []string {
	t.Helper()
	paths, err := filepath.Glob(path + "*")
	if OnMariaDB() {
		if os.Getenv("COUNTERSIGN_TEST_SERVER") != "" {
			t.Skip("the tests can't read the files of another server")
		}
		paths, err = MariaDB(t).Files()
	}
	if err != nil {
		t.Fatal(err)
	}
	return paths
}

// Database returns the name of the database in a URL.
func Database(url string) string {
	url, _, _ = strings.Cut(url, "?")
	return url[strings.LastIndexByte(url, '/')+1:]
}

// Events returns a description of each audit event so far, oldest first.
func Events(t testing.TB, db *store.DB) []string {
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
