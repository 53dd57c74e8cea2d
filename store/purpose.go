package store

import (
	"context"
	"errors"
)

// Purpose is what a database is for. It is decided by the first server that
// runs on it: one that was tried out with has clients and people that everybody
// knows, which must not reach production, nor be put there.
type Purpose string

// The purposes.
const (
	Development Purpose = "development"
	Production  Purpose = "production"
)

// ErrOtherPurpose says that the database is for another purpose than Options ask.
var ErrOtherPurpose = errors.New("the database is for another purpose")

// Purpose is what the database is for, empty if that isn't decided.
func (db *DB) Purpose(ctx context.Context) (Purpose, error) {
	held, err := db.setting(ctx, "purpose")
	return Purpose(held), err
}

// claim makes the database be for a purpose if it is for none. The first of any
// number of servers decides.
func (db *DB) claim(ctx context.Context, want Purpose) error {
	held, err := db.Purpose(ctx)
	if err == nil && held == "" {
		_, err = db.exec(ctx, `INSERT INTO settings (name, value) VALUES ('purpose', ?)`, string(want))
		if err == nil || db.dialect.isDuplicate(err) { // duplicate: another server was faster
			held, err = db.Purpose(ctx)
		}
	}
	if err == nil && held != want {
		err = ErrOtherPurpose
	}
	return err
}
