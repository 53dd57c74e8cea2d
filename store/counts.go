package store

import (
	"context"
	"time"
)

// CountSessions returns how many sessions have not expired at now. It reads one index, so ten
// million sessions take a second or so, in which no other caller waits.
func (db *DB) CountSessions(ctx context.Context, now time.Time) (int64, error) {
	return one(ctx, db, scanInt, `SELECT COUNT(*) FROM sessions WHERE expires_at > ?`, now.UnixMilli())
}

// CountLetters returns how many letters that have not expired at now wait to be sent, and since
// when the oldest does, the zero time if none waits.
func (db *DB) CountLetters(ctx context.Context, now time.Time) (n int64, since time.Time, err error) {
	n, err = one(ctx, db, func(row scanner) (n int64, err error) {
		err = row.Scan(&n, (*timeColumn)(&since))
		return n, err
	}, `SELECT COUNT(*), MIN(created_at) FROM letters WHERE due_at IS NOT NULL AND expires_at > ?`, now.UnixMilli())
	return n, since, err
}
