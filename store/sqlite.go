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
	// It has one writer at a time, and no connection to lose.
	isConflict: func(error) bool { return false },
	isLost:     func(error) bool { return false },
	isAway:     isSQLiteAway,
	// It has no code for this alone.
	isUndefined: isSQLiteCode(sqlite3.SQLITE_ERROR),
	move:        sqliteMove,
}

// openSQLite opens a database file, creating it and its folder if need be.
//
// Writers go through one connection, because SQLite has one writer at a time
// and queueing in the pool is fair where SQLite's own lock polling is not.
// Transactions begin IMMEDIATE, so that none fails half-way for want of the
// write lock. WAL lets readers go on meanwhile; synchronous=FULL makes a
// commit survive a power cut.
func openSQLite(ctx context.Context, path string) (*DB, error) {
	// Absolute, for SQLite gives "//host" and ":memory:" a meaning of its own.
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, fmt.Errorf("find the database's folder: %w", err)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, fmt.Errorf("create the database's folder: %w", err)
	}
	if err := createPrivate(path); err != nil {
		return nil, err
	}
	dsn := func(query string) string {
		return (&url.URL{Scheme: "file", Opaque: (&url.URL{Path: path}).EscapedPath(), RawQuery: query}).String()
	}
	// The writer would stop for a checkpoint at every thousandth page. Here that is
	// done beside it, and the writer only does what is left when the log has grown.
	const pragmas = "_pragma=busy_timeout(10000)&_pragma=foreign_keys(1)&_pragma=synchronous(full)"
	write, err := sql.Open("sqlite", dsn(pragmas+"&_pragma=journal_mode(wal)&_pragma=wal_autocheckpoint(8000)&_txlock=immediate"))
	if err != nil {
		return nil, err
	}
	write.SetMaxOpenConns(1)
	if err := firstWrite(ctx, write); err != nil {
		write.Close()
		return nil, fmt.Errorf("open database %s: %w", path, err)
	}
	read, err := sql.Open("sqlite", dsn(pragmas+"&_pragma=query_only(1)"))
	if err != nil {
		write.Close()
		return nil, err
	}
	readers := max(4, runtime.NumCPU())
	read.SetMaxOpenConns(readers)
	read.SetMaxIdleConns(readers)
	keeper := &checkpointer{db: read, due: make(chan struct{}, 1)}
	alive, stop := context.WithCancel(context.Background())
	keeper.running.Go(func() { keeper.run(alive) })
	return &DB{
		dialect: sqliteDialect, write: write, read: read, wrote: keeper.wrote,
		beforeClose: func() { stop(); keeper.running.Wait() },
		forSchema:   func() (*sql.DB, func() error) { return write, func() error { return nil } },
	}, nil
}

// checkpointer moves what was committed from the write-ahead log into the
// database, beside those who read and write.
type checkpointer struct {
	db      *sql.DB
	writes  atomic.Uint64
	due     chan struct{}
	running sync.WaitGroup
}

const writesPerCheckpoint = 256

// wrote counts a commit. It waits for nothing.
func (c *checkpointer) wrote() {
	if c.writes.Add(1)%writesPerCheckpoint == 0 {
		select {
		case c.due <- struct{}{}:
		default: // one is due already
		}
	}
}

// run checkpoints when it is due, until ctx ends.
func (c *checkpointer) run(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-c.due:
			// An error is left to the writer, which meets it at its own checkpoint.
			c.db.ExecContext(ctx, `PRAGMA wal_checkpoint(PASSIVE)`)
		}
	}
}

// firstWrite begins a transaction, which creates the WAL before a reader looks
// for it and tells a file that can't be written. Where several processes turn a
// new file to WAL at once, SQLite refuses some of them without waiting.
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

// createPrivate makes a file that only its owner can read; SQLite gives its
// journals the same mode. One that exists it leaves alone: closing it would
// release the locks that another handle of this process has on it.
func createPrivate(path string) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_RDWR, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("create database: %w", err)
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

// isSQLiteAway looks at the primary code, which all kinds of a failure share. A
// trigger's refusal says that the database is being moved; there are no others.
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
