package store

import (
	"context"
	"database/sql"
	"errors"
	"slices"
	"strings"
	"time"

	"countersign/accounts"
	"countersign/audit"
	"countersign/ids"
	"countersign/limits"
)

var guessTable = table{name: "guesses", columns: columns("id blob, failures int, last_failed_at int, user_id blob null")}

// formerGuessTable is what a guess has in the schema before this one, and all that a
// budget needs.
var formerGuessTable = table{name: guessTable.name, columns: guessTable.columns[:3]}

var guessQuery = `SELECT ` + formerGuessTable.list("") + ` FROM guesses WHERE id = ?`

// Failures implements [limits.Store].
func (db *DB) Failures(ctx context.Context, key [32]byte) (limits.Failures, error) {
	return one(ctx, db, scanFailures, guessQuery, key[:])
}

func scanFailures(row scanner) (limits.Failures, error) {
	var f limits.Failures
	err := row.Scan(new([]byte), &f.Count, (*timeColumn)(&f.LastAt))
	if errors.Is(err, sql.ErrNoRows) {
		return limits.Failures{}, nil
	}
	return f, err
}

// RecordFailure implements [limits.Store].
func (db *DB) RecordFailure(ctx context.Context, key [32]byte, of ids.User, now time.Time, window time.Duration) (f limits.Failures, err error) {
	set, args := `, user_id = ?`, []any{now.Add(-window).UnixMilli(), now.UnixMilli(), now.UnixMilli(), optionalID(of), key[:]}
	table, row := guessTable, []any{key[:], 1, now.UnixMilli(), optionalID(of)}
	if db.older {
		set, args = "", slices.Delete(args, 3, 4)
		table, row = formerGuessTable, row[:3]
	}
	err = db.inTx(ctx, func(tx *sql.Tx) error {
		n, err := affected(tx.ExecContext(ctx, `
			UPDATE guesses SET failures = CASE WHEN last_failed_at <= ? THEN 1 ELSE failures + 1 END,
				last_failed_at = CASE WHEN last_failed_at > ? THEN last_failed_at ELSE ? END`+set+`
			WHERE id = ?`, args...))
		if err == nil && n == 0 {
			_, err = tx.ExecContext(ctx, table.insert(), row...)
			if db.dialect.isDuplicate(err) {
				return errRaced
			}
		}
		if err != nil {
			return err
		}
		f, err = scanFailures(tx.QueryRowContext(ctx, guessQuery, key[:]))
		return err
	})
	return f, err
}

// RecordSpread implements [limits.Store].
func (db *DB) RecordSpread(ctx context.Context, key [32]byte, now time.Time, step time.Duration) error {
	return db.inTx(ctx, func(tx *sql.Tx) error {
		n, err := affected(tx.ExecContext(ctx, `
			UPDATE guesses SET failures = failures + 1,
				last_failed_at = CASE WHEN last_failed_at > ? THEN last_failed_at ELSE ? END + ?
			WHERE id = ?`, now.UnixMilli(), now.UnixMilli(), step.Milliseconds(), key[:]))
		if err == nil && n == 0 {
			_, err = tx.ExecContext(ctx, formerGuessTable.insert(), key[:], 1, now.Add(step).UnixMilli())
			if db.dialect.isDuplicate(err) {
				return errRaced
			}
		}
		return err
	})
}

// ClearFailures implements [limits.Store].
func (db *DB) ClearFailures(ctx context.Context, key [32]byte) error {
	_, err := db.exec(ctx, `DELETE FROM guesses WHERE id = ?`, key[:])
	return err
}

// UnlockUser implements [accounts.UserStore].
func (db *DB) UnlockUser(ctx context.Context, id ids.User, ev audit.Event) (unlocked bool, err error) {
	u, err := db.User(ctx, id)
	if err != nil {
		return false, err
	}
	var guesses []any
	address := optional(accounts.EmailKey(u.Email))
	for _, at := range []struct {
		condition string
		value     any
	}{
		{`user_id = ?`, id[:]},
		// Accounts with one address have one budget, whichever of them the guess was at.
		{`user_id IN (SELECT id FROM users WHERE email_key = ?)`, address},
		{`user_id IN (SELECT id FROM users WHERE unclaimed_key = ?)`, address},
	} {
		rows, err := all(ctx, db, func(row scanner) (guess any, err error) {
			err = row.Scan(&guess)
			return guess, err
		}, `SELECT id FROM guesses WHERE `+at.condition, at.value)
		if err != nil {
			return false, err
		}
		guesses = append(guesses, rows...)
	}
	err = db.inTx(ctx, func(tx *sql.Tx) error {
		unlocked = false
		for some := range slices.Chunk(guesses, deleteBatch) {
			n, err := affected(tx.ExecContext(ctx, `DELETE FROM guesses WHERE id IN (?`+strings.Repeat(`, ?`, len(some)-1)+`)`, some...))
			if err != nil {
				return err
			}
			unlocked = unlocked || n > 0
		}
		if !unlocked {
			return nil
		}
		return record(ctx, tx, ev)
	})
	return unlocked && err == nil, err
}

// PurgeFailures implements [limits.Store].
func (db *DB) PurgeFailures(ctx context.Context, before time.Time, limit int) (int64, error) {
	return purge(ctx, db, `SELECT id FROM guesses WHERE last_failed_at < ? ORDER BY last_failed_at LIMIT ?`,
		`DELETE FROM guesses WHERE last_failed_at < ? AND id IN `, before.UnixMilli(), limit)
}
