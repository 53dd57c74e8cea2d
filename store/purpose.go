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

// checkPurpose refuses a database that is for something else, before anything
// is done to it. One without a schema is for nothing yet.
func (db *DB) checkPurpose(ctx context.Context, want Purpose) error {
	var held Purpose
	err := db.read.QueryRowContext(ctx, `SELECT value FROM settings WHERE name = 'purpose'`).Scan((*string)(&held))
	if err == nil && held != want {
		return ErrOtherPurpose
	}
	return ctx.Err()
}

// claim makes the database be for a purpose if it is for none. The first of any
// number of servers decides.
func (db *DB) claim(ctx context.Context, want Purpose) error {
	_, err := db.write.ExecContext(ctx, `
		INSERT INTO settings (name, value) SELECT 'purpose', ?
		WHERE NOT EXISTS (SELECT 1 FROM settings WHERE name = 'purpose')`, string(want))
	if err != nil && !db.dialect.isDuplicate(err) { // duplicate: another server was faster
		return err
	}
	return db.checkPurpose(ctx, want)
}
