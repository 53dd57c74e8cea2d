package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"
)

var sqliteDialect = dialect{
	migrations:  "sqlite",
	gooseName:   "sqlite3",
	hasTable:    `SELECT COUNT(*) FROM sqlite_master WHERE type = 'table' AND name = ?`,
	isDuplicate: isSQLiteCode(sqlite3.SQLITE_CONSTRAINT_UNIQUE, sqlite3.SQLITE_CONSTRAINT_PRIMARYKEY),
	isForeign:   isSQLiteCode(sqlite3.SQLITE_CONSTRAINT_FOREIGNKEY),
	// SQLite has one writer at a time, and no connection to lose.
	isConflict: func(error) bool { return false },
	isLost:     func(error) bool { return false },
	isAway:     isSQLiteAway,
	// SQLite has no code for this alone.
	isUndefined: isSQLiteCode(sqlite3.SQLITE_ERROR),
	move:        sqliteMove,
}

// openSQLite opens a database file, creating it and its folder if need be.
//
// Writers share one connection, because SQLite has one writer at a time, and the pool's
// queue is fair where SQLite's own lock polling is not. Transactions begin IMMEDIATE, so
// that none fails half-way for lack of the write lock. WAL lets readers go on meanwhile;
// synchronous=FULL makes a commit survive a power cut.
func openSQLite(ctx context.Context, path string, opts Options) (db *DB, failed error) {
	// Absolute, because SQLite gives "//host" and ":memory:" a special meaning.
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, fmt.Errorf("find the database's folder: %w", err)
	}
	if err := checkSQLitePath(path); err != nil {
		return nil, fmt.Errorf("open database: %w", err)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, fmt.Errorf("create the database's folder: %w", fileError(err))
	}
	files, err := look(path)
	defer func() {
		if failed != nil {
			leave(path)
		}
	}()
	if err != nil {
		return nil, fmt.Errorf("open database: %w", fileError(err))
	}
	if err := files.check(path); err != nil {
		return nil, fmt.Errorf("open database: %w", err)
	}
	if err := createPrivate(path); err != nil {
		return nil, fmt.Errorf("create database: %w", fileError(err))
	}
	dsn := func(query string) string {
		return (&url.URL{Scheme: "file", Opaque: (&url.URL{Path: path}).EscapedPath(), RawQuery: query}).String()
	}
	// By default the writer stops for a checkpoint at every thousandth page. Here the
	// checkpointer does it, and the writer only does the rest when the log has grown.
	const pragmas = "_pragma=busy_timeout(10000)&_pragma=foreign_keys(1)&_pragma=synchronous(full)"
	// A commit waits for the log's data and size, not for the file's times. It is as durable, and
	// what SQLite does by default in builds for Linux. Where a system has no fdatasync, this
	// returns an error, and commits wait for the times, too.
	sqlite.Fdatasync(true)
	write, err := openPool(dsn(pragmas+"&_pragma=journal_mode(wal)&_pragma=wal_autocheckpoint(8000)&_txlock=immediate"), true, opts)
	if err != nil {
		return nil, err
	}
	write.SetMaxOpenConns(1)
	if files.exists && files.changes < 2 && files.clean {
		adopt(ctx, write) // an error is that of another process's use, or firstWrite meets it
	}
	if err := firstWrite(ctx, write); err != nil {
		write.Close()
		return nil, fmt.Errorf("open database %s: %w", path, sqliteFault(path, err))
	}
	read, err := openPool(dsn(pragmas+"&_pragma=query_only(1)"), false, opts)
	if err != nil {
		write.Close()
		return nil, err
	}
	readers := max(4, runtime.NumCPU())
	read.SetMaxOpenConns(readers)
	read.SetMaxIdleConns(readers)
	keeper := &checkpointer{db: read, due: make(chan struct{}, 1)}
	keeper.mark = func(ctx context.Context) error { return markLog(ctx, write, path) }
	alive, stop := context.WithCancel(context.Background())
	keeper.running.Go(func() { keeper.run(alive) })
	group := &grouping{pool: write}
	return &DB{
		dialect: sqliteDialect, write: write, read: read, group: group, wrote: keeper.wrote,
		beforeClose: func() { stop(); keeper.running.Wait(); group.close() }, afterClose: func() { leave(path) }, markLog: keeper.mark,
		forSchema: func() (*sql.DB, func() error) { return write, func() error { return nil } },
	}, nil
}

// openPool returns a pool of connections that prepare statements once; see preparing.
func openPool(dsn string, steady bool, opts Options) (*sql.DB, error) {
	connector, err := sqlite.NewConnector(dsn)
	if err != nil {
		return nil, err
	}
	return sql.OpenDB(telltale(preparing{connector, steady}, opts.Statement)), nil
}

// checkpointer moves commits from the write-ahead log into the database, beside readers
// and the writer.
type checkpointer struct {
	db      *sql.DB
	mark    func(ctx context.Context) error // marks the database, unless its mark is good
	writes  atomic.Uint64
	due     chan struct{}
	running sync.WaitGroup
}

const (
	writesPerCheckpoint = 256
	writesUntilMark     = 32 // fewer leave the log too short for the writer's own checkpoint
)

// wrote counts a commit. It never blocks.
func (c *checkpointer) wrote() {
	if n := c.writes.Add(1); n == writesUntilMark || n%writesPerCheckpoint == 0 {
		select {
		case c.due <- struct{}{}:
		default: // a checkpoint is due already
		}
	}
}

// run makes a checkpoint whenever one is due, until ctx ends.
func (c *checkpointer) run(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-c.due:
			// The writer meets any error at its own checkpoint.
			c.mark(ctx) // the log may begin again after the checkpoint
			c.db.ExecContext(ctx, `PRAGMA wal_checkpoint(PASSIVE)`)
		}
	}
}

// firstWrite begins a transaction, which creates the WAL before a reader needs it, and
// fails if the file can't be written. It tries again, because SQLite refuses some of
// several processes that switch a new file to WAL at once, without waiting.
func firstWrite(ctx context.Context, write *sql.DB) error {
	for deadline := time.Now().Add(10 * time.Second); ; {
		tx, err := write.BeginTx(ctx, nil)
		if err == nil {
			return tx.Rollback()
		}
		if !isSQLiteCode(sqlite3.SQLITE_BUSY)(err) || time.Now().After(deadline) {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// createPrivate creates a file that only its owner can read; SQLite gives its journals the
// same mode. It does not open an existing file, because closing that would release the
// locks of this process's other handles.
func createPrivate(path string) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_RDWR, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return nil
	}
	if err != nil {
		return err
	}
	return f.Close()
}

func isSQLiteCode(codes ...int) func(error) bool {
	return func(err error) bool {
		e, ok := errors.AsType[*sqlite.Error](err)
		if !ok {
			return false
		}
		for _, code := range codes {
			if e.Code() == code {
				return true
			}
		}
		return false
	}
}

// isSQLiteAway reports whether the same request may succeed later. It checks the primary
// code, which all kinds of a failure share. A trigger's refusal means that the database is
// being moved; there are no other triggers.
func isSQLiteAway(err error) bool {
	if isSQLiteCode(sqlite3.SQLITE_CONSTRAINT_TRIGGER)(err) {
		return true
	}
	e, ok := errors.AsType[*sqlite.Error](err)
	if !ok {
		return false
	}
	switch e.Code() & 0xff {
	case sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PROTOCOL,
		sqlite3.SQLITE_FULL, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_INTERRUPT:
		return true
	}
	return false
}
