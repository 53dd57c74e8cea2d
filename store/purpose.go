package store

import "context"

// Purpose is what a database is for. It is decided by the first server that
// runs on it: one that was tried out with has clients and people that everybody
// knows, which must not reach production, nor be put there.
type Purpose string

// The purposes.
const (
	Development Purpose = "development"
	Production  Purpose = "production"
)

// Claim says what the database is to be for, and returns what it is for: the
// purpose of the first claim there was.
func (db *DB) Claim(ctx context.Context, p Purpose) (Purpose, error) {
	_, err := db.write.ExecContext(ctx, `
		INSERT INTO settings (name, value) SELECT 'purpose', ?
		WHERE NOT EXISTS (SELECT 1 FROM settings WHERE name = 'purpose')`, string(p))
	if err != nil && !db.dialect.isDuplicate(err) { // duplicate: another server was faster
		return "", err
	}
	err = db.write.QueryRowContext(ctx, `SELECT value FROM settings WHERE name = 'purpose'`).Scan((*string)(&p))
	return p, err
}
