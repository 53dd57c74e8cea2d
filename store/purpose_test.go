package store_test

import (
	"errors"
	"path/filepath"
	"testing"

	"countersign/store"
)

func TestFirstServerDecidesWhatADatabaseIsFor(t *testing.T) {
	for _, first := range []store.Purpose{store.Development, store.Production} {
		t.Run(string(first), func(t *testing.T) {
			url := "sqlite:" + filepath.Join(t.TempDir(), "countersign.db")
			use := func(p store.Purpose) error {
				db, err := store.Open(t.Context(), url, store.Options{Purpose: p})
				if err == nil {
					err = db.Close()
				}
				return err
			}
			noError(t, use("")) // the command line sets no purpose
			noError(t, use(first))
			noError(t, use(first))
			noError(t, use(""))
			other := store.Production
			if first == store.Production {
				other = store.Development
			}
			if err := use(other); !errors.Is(err, store.ErrOtherPurpose) {
				t.Errorf("opened for %s: %v, want ErrOtherPurpose", other, err)
			}
			noError(t, use(first))
		})
	}
}

// The refusal comes first: a newer version must not migrate a database that it refuses.
func TestOtherPurposeIsRefusedBeforeTheSchemaIsTouched(t *testing.T) {
	path := filepath.Join(t.TempDir(), "countersign.db")
	db, err := store.Open(t.Context(), "sqlite:"+path, store.Options{Purpose: store.Production})
	noError(t, err)
	_, err = db.Pools()["write"].Exec(`DELETE FROM goose_db_version WHERE version_id > 0`) // as if a migration were due
	noError(t, err)
	noError(t, db.Close())
	if _, err := store.Open(t.Context(), "sqlite:"+path, store.Options{Purpose: store.Development}); !errors.Is(err, store.ErrOtherPurpose) {
		t.Errorf("open: %v, want ErrOtherPurpose", err)
	}
}
