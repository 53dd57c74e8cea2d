package store

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"countersign/limits"
)

// Failures implements [limits.Store].
func (db *DB) Failures(ctx context.Context, key [32]byte) (limits.Failures, error) {
	return one(ctx, db, scanFailures, `SELECT failures, last_failed_at FROM guesses WHERE id = ?`, key[:])
}

func scanFailures(row scanner) (limits.Failures, error) {
	var (
		f    limits.Failures
		last sql.NullInt64
	)
	err := row.Scan(&f.Count, &last)
	if errors.Is(err, sql.ErrNoRows) {
		return limits.Failures{}, nil
	}
	f.LastAt = instant(last)
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
			_, err = tx.ExecContext(ctx, `INSERT INTO guesses (id, failures, last_failed_at) VALUES (?, 1, ?)`, key[:], now.UnixMilli())
			if db.dialect.isDuplicate(err) {
				return errRaced
			}
		}
		if err != nil {
			return err
		}
		f, err = scanFailures(tx.QueryRowContext(ctx, `SELECT failures, last_failed_at FROM guesses WHERE id = ?`, key[:]))
		return err
	})
	return f, err
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
