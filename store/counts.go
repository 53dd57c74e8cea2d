package store

import (
	"context"
	"time"
)

// CountSessions returns how many sessions have not expired at now. It reads one index, so ten
// million sessions take a second or so, in which no other caller waits.
func (db *DB) CountSessions(ctx context.Context, now time.Time) (n int64, err error) {
	err = db.tally(ctx, `SELECT COUNT(*) FROM sessions WHERE expires_at > ?`, now, &n)
	return n, err
}

// CountLetters returns how many letters that have not expired at now wait to be sent, and since
// when the oldest does, the zero time if none waits.
func (db *DB) CountLetters(ctx context.Context, now time.Time) (n int64, since time.Time, err error) {
	err = db.tally(ctx, `SELECT COUNT(*), MIN(created_at) FROM letters WHERE due_at IS NOT NULL AND expires_at > ?`, now, &n, (*timeColumn)(&since))
	return n, since, err
}

// tally runs a query that may take long, and ends with its caller.
func (db *DB) tally(ctx context.Context, query string, now time.Time, into ...any) error {
	return db.again(ctx, true, func() error { return db.read.QueryRowContext(ctx, query, now.UnixMilli()).Scan(into...) })
}
