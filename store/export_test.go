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

// SupportedMySQL reports whether a server of that version will do.
var SupportedMySQL = supportedMySQL
