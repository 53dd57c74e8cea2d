package store

import (
	"context"
	"database/sql"
	"errors"
	"strings"
	"time"

	"countersign/accounts"
	"countersign/audit"
	"countersign/ids"
)

// waysIn are the conditions, each about the row of users, under which a user can sign in
// without the password.
var waysIn = []string{
	`EXISTS (SELECT 1 FROM factors w WHERE w.user_id = users.id AND w.kind = 'passkey' AND w.confirmed_at IS NOT NULL)`,
}

// otherWayIn is the condition that one of waysIn holds. The schema before this one may lack
// their tables.
func (db *DB) otherWayIn() string {
	if db.older {
		return `1 = 0`
	}
	return `(` + strings.Join(waysIn, ` OR `) + `)`
}

// OtherWayIn implements [accounts.UserStore].
func (db *DB) OtherWayIn(ctx context.Context, id ids.User) (bool, error) {
	n, err := one(ctx, db, func(row scanner) (n int, err error) {
		err = row.Scan(&n)
		return n, err
	}, `SELECT COUNT(*) FROM users WHERE id = ? AND `+db.otherWayIn(), id[:])
	return n > 0, err
}

// keepsWayIn returns accounts.ErrLastWayIn if a user without a password has no way in left.
func (db *DB) keepsWayIn(ctx context.Context, tx *sql.Tx, user ids.User) error {
	var locked int
	err := tx.QueryRowContext(ctx, `SELECT COUNT(*) FROM users WHERE id = ? AND password_hash = '' AND NOT `+db.otherWayIn(), user[:]).Scan(&locked)
	if err == nil && locked > 0 {
		err = accounts.ErrLastWayIn
	}
	return err
}

// RemovePassword implements [accounts.UserStore].
func (db *DB) RemovePassword(ctx context.Context, id ids.User, by accounts.By, now time.Time, ev audit.Event, letters ...accounts.Letter) error {
	_, alive, asking := askedAt(by.Place, now)
	err := db.expelUser(ctx, id, by.Place, ev, letters, `UPDATE users SET password_hash = '', epoch = epoch + 1, updated_at = ?
		WHERE id = ? AND epoch = ? AND `+alive+` AND `+db.otherWayIn(), append([]any{now.UnixMilli(), id[:], by.Epoch}, asking...)...)
	if !errors.Is(err, errUnchanged) {
		return err
	}
	if err := db.whyUnchanged(ctx, by.Place, now); !errors.Is(err, accounts.ErrBadCredentials) {
		return err
	}
	if other, err := db.OtherWayIn(ctx, id); err != nil || other {
		return errors.Join(err, accounts.ErrBadCredentials)
	}
	return accounts.ErrLastWayIn
}
