// Package store keeps users and their profiles, clients and consents, logins, codes and
// sessions, letters, signing keys, guess budgets and security events in one SQL database.
//
// [DB] implements the Store interfaces that accounts, clients, consents, tokens, keys and
// limits declare, and keeps the events of audit. Its methods are atomic verbs, not rows:
// each is one statement or one transaction that fully happens or does not, and
// when it has returned without an error, its effect survives a power cut. Where
// concurrent callers race, one conditional statement picks the winner and the
// number of rows it touched is the answer, so that the rule holds on any number
// of replicas.
//
// There is one set of queries, in SQL that every dialect accepts; a dialect
// holds only what differs. retry.go repeats what is safe to repeat after a conflict or a
// lost connection. Start with [Open].
package store

import (
	"cmp"
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"sync/atomic"
	"time"

	"github.com/pressly/goose/v3"

	"countersign/audit"
	"countersign/ids"
	"countersign/secrecy"
	"countersign/store/dsn"
	"countersign/tokens"
)

// DB is an open database. It is safe for concurrent use.
type DB struct {
	dialect dialect
	write   *sql.DB   // changes, and reads that must see them
	read    *sql.DB   // everything else; may be the same pool
	group   *grouping // commits changes together; nil where the database server does
	// sessions and advances let callers share a statement; nil where one costs no round trip.
	sessions *gathering[ids.Session, tokens.Session]
	advances *gathering[advance, bool]
	build    build // what this binary knows about schemas
	older    bool  // at opening, the schema was older than this binary's
	closed   atomic.Bool

	// forSchema returns connections on which the schema can be changed, and a function
	// that releases them.
	forSchema func() (*sql.DB, func() error)
	// wrote is called after each commit, beforeClose before the pools are closed.
	wrote, beforeClose func()
	afterClose         func()                          // called after the pools are closed
	markLog            func(ctx context.Context) error // see sqlite_log.go
}

// dialect is what differs between databases.
type dialect struct {
	migrations  string                               // folder of the embedded schema
	gooseName   string                               // what the migration library calls it
	hasTable    string                               // query: 1 if there is a table of that name
	isDuplicate func(error) bool                     // a unique constraint refused the row
	isForeign   func(error) bool                     // a foreign key refused the row
	isConflict  func(error) bool                     // rolled back in favour of another transaction
	isLost      func(error) bool                     // the connection or the host behind it failed
	isAway      func(error) bool                     // the database did not answer, or not in time
	isUndefined func(error) bool                     // the statement may name a table or a column that isn't there
	variables   string                               // query: settings that durability rests on; empty where we set them
	migrateLock func() (goose.ProviderOption, error) // lets one process migrate; nil where a transaction does
	move        moveDialect                          // what a move needs
	lockRow     string                               // ending of a query that locks its rows; empty where a transaction locks all
}

// IsUnavailable reports whether err means that the database did not answer, so that the
// same request may succeed later. It is false for a statement that the database refused.
func (db *DB) IsUnavailable(err error) bool {
	// database/sql has no name for the error of a closed pool.
	return err != nil && (errors.Is(err, context.DeadlineExceeded) || errors.Is(err, driver.ErrBadConn) ||
		errors.Is(err, sql.ErrConnDone) || errors.Is(err, errRaced) || errors.Is(err, errOldSchema) ||
		db.dialect.isAway(err) || db.closed.Load())
}

// Options change how a database is opened.
type Options struct {
	// NoMigrate refuses a database whose schema is older than this binary's instead of
	// migrating it.
	NoMigrate bool
	// MustExist refuses to create a database.
	MustExist bool
	// Password is the password of a mysql:// URL without one.
	Password secrecy.Text
	// Pool bounds the connections to a database server. The zero Pool sets no bound.
	Pool dsn.Pool
	// Purpose claims the database for a purpose; Open returns ErrOtherPurpose if the
	// database has another. Empty neither claims nor refuses.
	Purpose Purpose
	// Changed, if set, is called once for each host of a database server whose settings
	// differ from those that the store gives its own connections. It may be called at any
	// time, by any goroutine.
	Changed func(host string, settings []ChangedSetting)

	// Statement is for tests. If set, it is told of each statement that is sent, also of those that begin and
	// end a transaction. Any goroutine may call it.
	Statement func(text string)

	build *build // set by tests in place of thisBuild
}

// ErrNoDatabase says that there is no database, and Options forbid creating one.
var ErrNoDatabase = errors.New("there is no database: run this in the server's folder, or give --data DIR or --config FILE")

// Open opens the database that url names and brings its schema up to date. The
// form is sqlite:PATH, or mysql://USER:PASSWORD@HOST:PORT/DATABASE with any number
// of HOST:PORT, separated by commas, and the driver's options after a question
// mark; see docs/scaling.md. A database server's database must exist.
func Open(ctx context.Context, url string, opts Options) (*DB, error) {
	db, err := dial(ctx, url, opts)
	if err != nil {
		return nil, err
	}
	if err := db.prepare(ctx, opts); err != nil {
		db.Close()
		return nil, err
	}
	return db, nil
}

// dial opens a database as it is.
func dial(ctx context.Context, url string, opts Options) (*DB, error) {
	db, err := connect(ctx, url, opts)
	if err != nil {
		return nil, err
	}
	db.build = *cmp.Or(opts.build, &thisBuild)
	return db, nil
}

func connect(ctx context.Context, url string, opts Options) (*DB, error) {
	scheme, path, _ := strings.Cut(url, ":")
	switch {
	case scheme == "mysql":
		return openMySQL(ctx, url, opts)
	case scheme != "sqlite" || path == "":
		return nil, fmt.Errorf("database url must be sqlite:PATH or mysql://USER@HOST/DATABASE, not %q", scheme+":...")
	}
	if err := dsn.Check(url); err != nil {
		return nil, fmt.Errorf("database url %w", err)
	}
	if _, err := os.Stat(path); opts.MustExist && errors.Is(err, fs.ErrNotExist) && !hasLog(path) {
		return nil, fmt.Errorf("%s: %w", path, ErrNoDatabase)
	}
	return openSQLite(ctx, path, opts)
}

// CheckURL returns what [dsn.Check] or the driver finds wrong with a database URL. The error
// has no secrets. CheckURL doesn't connect to the database.
func CheckURL(url string) error {
	if !strings.HasPrefix(url, "mysql:") {
		return wrap("database url", dsn.Check(url))
	}
	source, err := parseMySQL(url)
	if err == nil {
		_, err = source.configs()
	}
	return err
}

// prepare migrates the schema, if the database has the right purpose.
func (db *DB) prepare(ctx context.Context, opts Options) error {
	if err := db.usable(ctx); err != nil {
		return err
	}
	if opts.Purpose == "" {
		return db.migrate(ctx, !opts.NoMigrate)
	}
	// Asked before the schema is touched. An error is that of a database without
	// one, or one that the claim, which decides, will meet again.
	if held, err := db.Purpose(ctx); err == nil && held != "" && held != opts.Purpose {
		return ErrOtherPurpose
	}
	if err := db.migrate(ctx, !opts.NoMigrate); err != nil {
		return err
	}
	if err := db.claim(ctx, opts.Purpose); err != nil {
		return err
	}
	return wrap("mark the database", db.markLog(ctx))
}

// Close closes the database. Calls under way fail.
func (db *DB) Close() error {
	db.closed.Store(true)
	db.beforeClose()
	err := db.write.Close()
	if db.read != db.write {
		err = errors.Join(db.read.Close(), err)
	}
	db.afterClose()
	return err
}

// Ping returns an error unless the database answers, takes writes and is not being moved.
func (db *DB) Ping(ctx context.Context) error {
	marks, err := one(ctx, db, scanInt, `SELECT COUNT(*) FROM settings WHERE name = '`+markName+`'`)
	if err != nil {
		return err
	}
	if marks > 0 {
		return ErrBeingMoved
	}
	// It matches nothing, so nothing is written; a read-only database refuses it.
	_, err = db.exec(ctx, `UPDATE settings SET value = value WHERE name = ''`)
	return err
}

// execer is a pool or a transaction.
type execer interface {
	ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
}

// change runs one statement and, if it affected a row, records ev, in one transaction. It
// returns missing if the statement affected no row.
func (db *DB) change(ctx context.Context, missing error, ev audit.Event, query string, args ...any) error {
	return db.inTx(ctx, func(tx *sql.Tx) error {
		n, err := affected(tx.ExecContext(ctx, query, args...))
		if err != nil {
			return err
		}
		if n == 0 {
			return missing
		}
		return record(ctx, tx, ev)
	})
}

func scanInt(row scanner) (n int64, err error) {
	err = row.Scan(&n)
	return n, err
}

// millis returns a time as stored. The zero time is NULL.
func millis(t time.Time) any {
	if t.IsZero() {
		return nil
	}
	return t.UnixMilli()
}

// optional returns a text as stored. The empty text is NULL.
func optional[text ~string](s text) any {
	if s == "" {
		return nil
	}
	return string(s)
}
