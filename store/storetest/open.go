// Package storetest holds the suite that every dialect of the store passes, and
// a fresh database for the tests of other packages.
package storetest

import (
	"path/filepath"
	"testing"

	"countersign/store"
)

// Open returns a fresh, migrated database that is closed when the test ends.
// In a synctest bubble use OpenFile and close it before the bubble ends.
func Open(t testing.TB) *store.DB {
	t.Helper()
	db := OpenFile(t, filepath.Join(t.TempDir(), "countersign.db"))
	t.Cleanup(func() { db.Close() })
	return db
}

// OpenFile opens a SQLite database file; the caller closes it.
func OpenFile(t testing.TB, path string) *store.DB {
	t.Helper()
	db, err := store.Open(t.Context(), "sqlite:"+path, store.Options{})
	if err != nil {
		t.Fatalf("open store: %v", err)
	}
	return db
}
