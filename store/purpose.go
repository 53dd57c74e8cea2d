package store

import (
	"context"
	"errors"
)

// Purpose is what a database is for. The first server that runs on a database decides: a
// development database has clients and users with well-known secrets, which must never
// be in production.
type Purpose string

// The purposes.
const (
	Development Purpose = "development"
	Production  Purpose = "production"
)

// ErrOtherPurpose says that the database has another purpose than Options.
var ErrOtherPurpose = errors.New("the database is for another purpose")

// Purpose is what the database is for, empty if that isn't decided.
func (db *DB) Purpose(ctx context.Context) (Purpose, error) {
	held, err := db.setting(ctx, "purpose")
	return Purpose(held), err
}

// claim sets the purpose of a database that has none. The first of any number of servers
// decides.
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
