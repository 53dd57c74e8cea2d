package store

import (
	"context"
	"database/sql"
)

// Pools are the connections for changes and those for everything else.
func (db *DB) Pools() map[string]*sql.DB {
	return map[string]*sql.DB{"write": db.write, "read": db.read}
}

// InTx runs fn in a transaction.
func (db *DB) InTx(ctx context.Context, fn func(tx *sql.Tx) error) error { return db.inTx(ctx, fn) }

// OpenAtSchema opens a new database with a schema of an earlier version.
func OpenAtSchema(ctx context.Context, url string, version int64) (*DB, error) {
	db, err := dial(ctx, url, Options{})
	if err == nil {
		err = db.up(ctx, version)
	}
	if err == nil {
		err = db.migrate(ctx, false)
	}
	return db, err
}

// SupportedMySQL reports whether a server of that version will do.
var SupportedMySQL = supportedMySQL
