package store_test

import (
	"path/filepath"
	"testing"

	"countersign/store"
	"countersign/store/storetest"
)

func TestSQLiteKeepsItsPromises(t *testing.T) { storetest.Run(t, storetest.Open) }

func TestSQLiteKeepsItsPromisesToRacers(t *testing.T) {
	storetest.RunReplicas(t, func(t testing.TB) (a, b *store.DB) {
		path := filepath.Join(t.TempDir(), "countersign.db")
		a, b = storetest.OpenFile(t, path), storetest.OpenFile(t, path)
		t.Cleanup(func() { a.Close(); b.Close() })
		return a, b
	})
}
