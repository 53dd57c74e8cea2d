package store

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"
)

// Only what is safe to repeat is repeated here:
//
//   - a change that the database rolled back in favour of another one (a deadlock, a
//     conflict between the nodes of a cluster): it did not happen;
//   - a read, or a transaction before its commit, whose connection was lost or whose host
//     can't serve any more: it changed nothing, and the next connection may be to another
//     host.
//
// After a connection is lost during a commit, or during a statement that commits by
// itself, we don't know whether the change happened. The caller gets the error.

// errRaced says that another transaction has just changed what this one rests on. inTx runs
// the function again, which then finds the change.
var errRaced = errors.New("another transaction came first")

const (
	maxConflicts = 12 // until we give up, after up to half a minute if the caller waits that long
	maxLosses    = 3  // one more than the hosts that usually fail at once
)

// again calls try until it succeeds or fails permanently. lossIsSafe says that try has changed
// nothing if its connection is lost.
func (db *DB) again(ctx context.Context, lossIsSafe bool, try func() error) error {
	for conflicts, losses := 0, 0; ; {
		err := db.gate(try())
		switch {
		case err == nil:
			return nil
		case errors.Is(err, errOpen):
			return err
		case errors.Is(err, errRaced), db.dialect.isConflict(err):
			conflicts++
		case lossIsSafe && (errors.Is(err, driver.ErrBadConn) || db.dialect.isLost(err)):
			losses++
		default:
			return err
		}
		if conflicts > maxConflicts || losses > maxLosses || !pause(ctx, conflicts+losses) {
			return err
		}
	}
}

// pause waits before the n-th repetition, longer each time, with jitter. It reports
// whether ctx is still live.
func pause(ctx context.Context, n int) bool {
	longest := min(5*time.Millisecond<<n, 500*time.Millisecond)
	timer := time.NewTimer(rand.N(longest))
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}

// exec runs one statement that commits by itself, and returns the number of affected rows.
func (db *DB) exec(ctx context.Context, query string, args ...any) (n int64, err error) {
	err = db.again(ctx, false, func() error {
		if db.group != nil {
			return db.group.run(ctx, true, func(tx *sql.Tx) error {
				n, err = affected(tx.ExecContext(ctx, query, args...))
				return err
			})
		}
		n, err = affected(db.write.ExecContext(ctx, query, args...))
		return err
	})
	if n > 0 {
		db.wrote()
	}
	return n, err
}

// errOpen says that we don't know whether a transaction was committed.
var errOpen = errors.New("the database was lost during a commit, which may or may not have happened")

// inTx runs fn in a transaction that commits if fn returns nil. It may run fn several
// times, so fn must set its results and not add to them.
func (db *DB) inTx(ctx context.Context, fn func(tx *sql.Tx) error) error {
	return db.again(ctx, true, func() error {
		if db.group != nil {
			err := db.group.run(ctx, false, fn)
			if err == nil {
				db.wrote()
			}
			return err
		}
		tx, err := db.write.BeginTx(ctx, nil)
		if err != nil {
			return err
		}
		defer tx.Rollback() // after Commit it does nothing
		if err = fn(tx); err == nil {
			err = db.commit(tx)
		}
		if errors.Is(err, sql.ErrTxDone) && ctx.Err() != nil {
			return ctx.Err() // which is why database/sql had rolled it back
		}
		return err
	})
}

// commit commits. ErrBadConn means that the driver never sent the COMMIT.
func (db *DB) commit(tx *sql.Tx) error {
	err := tx.Commit()
	if err == nil {
		db.wrote()
	}
	if err != nil && !errors.Is(err, driver.ErrBadConn) && db.dialect.isLost(err) {
		return fmt.Errorf("%w: %w", errOpen, err)
	}
	return err
}

// one reads one row with scan. SQLite runs it to its end, so it is for what takes no time: see
// tally for the rest.
func one[T any](ctx context.Context, db *DB, scan func(scanner) (T, error), query string, args ...any) (found T, err error) {
	err = db.again(ctx, true, func() error {
		if db.group == nil {
			found, err = scan(db.read.QueryRowContext(ctx, query, args...))
			return err
		}
		// To interrupt SQLite when the caller gives up, two goroutines would watch each
		// query: more work than the query itself is.
		conn, err := db.read.Conn(ctx)
		if err != nil {
			return err
		}
		defer conn.Close()
		found, err = scan(conn.QueryRowContext(context.WithoutCancel(ctx), query, args...))
		return err
	})
	return found, err
}

// all reads all rows with scan.
func all[T any](ctx context.Context, db *DB, scan func(scanner) (T, error), query string, args ...any) (found []T, err error) {
	err = db.again(ctx, true, func() error {
		rows, err := db.read.QueryContext(ctx, query, args...)
		if err != nil {
			return err
		}
		defer rows.Close()
		found = []T{}
		for rows.Next() {
			row, err := scan(rows)
			if err != nil {
				return err
			}
			found = append(found, row)
		}
		return rows.Err()
	})
	if err != nil {
		return nil, err
	}
	return found, nil
}

// scanner is a row or the rows of a result.
type scanner interface{ Scan(dest ...any) error }

// affected returns the number of rows that a statement affected.
func affected(res sql.Result, err error) (int64, error) {
	if err != nil {
		return 0, err
	}
	return res.RowsAffected()
}
