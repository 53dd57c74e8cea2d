package store

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"fmt"
	"io/fs"
	"testing/fstest"
)

// Pools are the connections for changes and those for everything else.
func (db *DB) Pools() map[string]*sql.DB {
	return map[string]*sql.DB{"write": db.write, "read": db.read}
}

// InTx runs fn in a transaction.
func (db *DB) InTx(ctx context.Context, fn func(tx *sql.Tx) error) error { return db.inTx(ctx, fn) }

// OfLaterBuild returns opts as a later build has them, which knows more migrations than
// this one: each is SQL that every dialect accepts.
func OfLaterBuild(opts Options, migrations ...string) Options {
	files := fstest.MapFS{}
	for _, d := range []dialect{sqliteDialect, mysqlDialect} {
		names, err := fs.Glob(schemas, d.migrations+"/*.sql")
		if err != nil {
			panic(err)
		}
		for _, name := range names {
			b, err := fs.ReadFile(schemas, name)
			if err != nil {
				panic(err)
			}
			files[name] = &fstest.MapFile{Data: b}
		}
		for i, sql := range migrations {
			name := fmt.Sprintf("%s/%05d_later.sql", d.migrations, Schema+1+int64(i))
			files[name] = &fstest.MapFile{Data: []byte("-- +goose Up\n" + sql)}
		}
	}
	latest := Schema + int64(len(migrations))
	opts.build = &build{files, latest, latest - 1}
	return opts
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

// Overhear makes a database that is a SQLite file be used by connections that tell
// every statement to a function.
func (db *DB) Overhear(path string, tell func(query string)) {
	over := func(options string) *sql.DB {
		pool := sql.OpenDB(overhearing{db.write.Driver(), "file:" + path + "?_pragma=foreign_keys(1)" + options, tell})
		pool.SetMaxOpenConns(1)
		return pool
	}
	db.write.Close()
	db.read.Close()
	db.write, db.read = over("&_txlock=immediate"), over("")
}

// overhearing is a driver.Connector of such connections.
type overhearing struct {
	driver driver.Driver
	name   string
	tell   func(query string)
}

func (o overhearing) Driver() driver.Driver { return o.driver }

func (o overhearing) Connect(context.Context) (driver.Conn, error) {
	conn, err := o.driver.Open(o.name)
	if err != nil {
		return nil, err
	}
	return &overheard{conn.(conversant), o.tell}, nil
}

// conversant is what the driver's connections can do that is used here.
type conversant interface {
	driver.Conn
	driver.ConnBeginTx
	driver.ExecerContext
	driver.QueryerContext
}

type overheard struct {
	conversant
	tell func(query string)
}

func (c *overheard) ExecContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Result, error) {
	c.tell(query)
	return c.conversant.ExecContext(ctx, query, args)
}

func (c *overheard) QueryContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Rows, error) {
	c.tell(query)
	return c.conversant.QueryContext(ctx, query, args)
}
