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

// Dial opens a database as it is.
var Dial = dial

// PlaceOf names a database without secrets.
var PlaceOf = placeOf

// MovedSpec describes a table that is moved. The first column is its primary key.
type MovedSpec struct {
	Name    string
	Columns []MovedColumn
}

// MovedColumn is a column of it. Its kind is int, text or blob.
type MovedColumn struct {
	Name, Kind string
	Null       bool
}

// MovedTables are the tables that are moved.
func MovedTables() (specs []MovedSpec) {
	for _, t := range movedTables {
		s := MovedSpec{Name: t.name}
		for _, c := range t.columns {
			s.Columns = append(s.Columns, MovedColumn{c.name, string(c.kind), c.null})
		}
		specs = append(specs, s)
	}
	return specs
}
