package store

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"countersign/limits"
)

var guessTable = table{name: "guesses", columns: columns("id blob, failures int, last_failed_at int")}

var guessQuery = `SELECT ` + guessTable.list("") + ` FROM guesses WHERE id = ?`

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
func (db *DB) RecordFailure(ctx context.Context, key [32]byte, now time.Time, window time.Duration) (f limits.Failures, err error) {
	err = db.inTx(ctx, func(tx *sql.Tx) error {
		n, err := affected(tx.ExecContext(ctx, `
			UPDATE guesses SET failures = CASE WHEN last_failed_at <= ? THEN 1 ELSE failures + 1 END,
				last_failed_at = CASE WHEN last_failed_at > ? THEN last_failed_at ELSE ? END
			WHERE id = ?`,
			now.Add(-window).UnixMilli(), now.UnixMilli(), now.UnixMilli(), key[:]))
		if err == nil && n == 0 {
			_, err = tx.ExecContext(ctx, guessTable.insert(), key[:], 1, now.UnixMilli())
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
			_, err = tx.ExecContext(ctx, guessTable.insert(), key[:], 1, now.Add(step).UnixMilli())
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

// PurgeFailures implements [limits.Store].
func (db *DB) PurgeFailures(ctx context.Context, before time.Time, limit int) (int64, error) {
	return purge(ctx, db, `SELECT id FROM guesses WHERE last_failed_at < ? ORDER BY last_failed_at LIMIT ?`,
		`DELETE FROM guesses WHERE last_failed_at < ? AND id IN `, before.UnixMilli(), limit)
}
