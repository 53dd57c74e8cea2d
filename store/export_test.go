package store

import (
	"context"
	"database/sql"
	"fmt"
	"io/fs"
	"path"
	"testing/fstest"
)

// Pools returns the connections for changes and those for everything else.
func (db *DB) Pools() map[string]*sql.DB {
	return map[string]*sql.DB{"write": db.write, "read": db.read}
}

// InTx runs fn in a transaction.
func (db *DB) InTx(ctx context.Context, fn func(tx *sql.Tx) error) error { return db.inTx(ctx, fn) }

// Queue reports whether a group of changes is on its way, and how many wait for the next.
func (db *DB) Queue() (running bool, waiting int) {
	db.group.mu.Lock()
	defer db.group.mu.Unlock()
	return db.group.running, len(db.group.waiting)
}

// Asker asks a gathering that answers numbers with numbers.
type Asker func(ctx context.Context, n int) (int, error)

// Gather returns a gathering that answers by do, and a function that tells how many
// statements are on their way.
func Gather(do func(all []int) []int) (ask Asker, running func() int) {
	g := &gathering[int, int]{do: func(all []int) (answers []gathered[int]) {
		for _, n := range do(all) {
			answers = append(answers, gathered[int]{is: n})
		}
		return answers
	}}
	return g.ask, func() int {
		g.mu.Lock()
		defer g.mu.Unlock()
		return g.running
	}
}

// Patience is how long callers wait for a statement before the next one begins.
const Patience = patience

// Hold makes callers of AdvanceSession wait for each other, as if a statement were on its
// way. Waiting tells how many do, and release lets them go, in one statement.
func (db *DB) Hold() (waiting func() int, release func()) {
	g := db.advances
	g.mu.Lock()
	defer g.mu.Unlock()
	g.running++
	waiting = func() int {
		g.mu.Lock()
		defer g.mu.Unlock()
		return len(g.waiting)
	}
	return waiting, func() {
		g.mu.Lock()
		defer g.mu.Unlock()
		g.running--
		g.start()
	}
}

// OfLaterBuild returns opts for a later build, which has these migrations in addition to
// this build's. Each is SQL that every dialect accepts.
func OfLaterBuild(opts Options, migrations ...string) Options {
	files := migrationsUpTo(Schema)
	for i, sql := range migrations {
		for _, d := range dialects {
			name := fmt.Sprintf("%s/%05d_later.sql", d.migrations, Schema+1+int64(i))
			files[name] = &fstest.MapFile{Data: []byte("-- +goose Up\n" + sql)}
		}
	}
	latest := Schema + int64(len(migrations))
	opts.build = &build{files, latest, latest - 1}
	return opts
}

// OfFormerBuild returns opts for the build before this one's schema.
func OfFormerBuild(opts Options) Options {
	opts.build = &build{migrationsUpTo(Schema - 1), Schema - 1, Schema - 1}
	return opts
}

var dialects = []dialect{sqliteDialect, mysqlDialect}

// migrationsUpTo returns this build's migrations up to a version.
func migrationsUpTo(version int64) fstest.MapFS {
	files := fstest.MapFS{}
	for _, d := range dialects {
		names, err := fs.Glob(schemas, d.migrations+"/*.sql")
		if err != nil {
			panic(err)
		}
		for _, name := range names {
			b, err := fs.ReadFile(schemas, name)
			if err != nil {
				panic(err)
			}
			if path.Base(name) < fmt.Sprintf("%05d", version+1) {
				files[name] = &fstest.MapFile{Data: b}
			}
		}
	}
	return files
}

// SupportedMySQL reports whether the store supports a server of that version.
var SupportedMySQL = supportedMySQL

// Dial opens a database without migrating it.
var Dial = dial

// PlaceOf returns a database's name without secrets.
var PlaceOf = placeOf

// MovedSpec describes a table that a move copies. The first column is its primary key.
type MovedSpec struct {
	Name    string
	Columns []MovedColumn
}

// MovedColumn is a column of a MovedSpec. Its kind is int, text or blob.
type MovedColumn struct {
	Name, Kind string
	Null       bool
}

// MovedTables returns the tables that a move copies.
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
