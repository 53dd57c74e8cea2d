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
)

// otherWayIn is the condition, about a row of users, that its user can sign in without the
// password: by a passkey, or by an identity at one of the providers. The schema before this one
// may lack their tables.
func (db *DB) otherWayIn(providers []string) (condition string, args []any) {
	if db.older {
		return `1 = 0`, nil
	}
	ways := []string{`EXISTS (SELECT 1 FROM factors w WHERE w.user_id = users.id AND w.kind = 'passkey' AND w.confirmed_at IS NOT NULL)`}
	if len(providers) > 0 {
		ways = append(ways, `EXISTS (SELECT 1 FROM identities w WHERE w.user_id = users.id AND w.provider IN (?`+strings.Repeat(`, ?`, len(providers)-1)+`))`)
		for _, p := range providers {
			args = append(args, p)
		}
	}
	return `(` + strings.Join(ways, ` OR `) + `)`, args
}

// changeAt runs a change of what opens a user's account for a place that is alive, one change
// of a user after the other. It returns signedOut if the place has ended.
func (db *DB) changeAt(ctx context.Context, user ids.User, now time.Time, at ids.Place, signedOut error, change func(tx *sql.Tx) error) error {
	_, alive, args := askedAt(at, now)
	return db.inTx(ctx, func(tx *sql.Tx) error {
		if err := db.lockUser(ctx, tx, user); err != nil {
			return err
		}
		var there int
		err := tx.QueryRowContext(ctx, `SELECT COUNT(*) FROM users WHERE id = ? AND `+alive, append([]any{user[:]}, args...)...).Scan(&there)
		if err == nil && there == 0 {
			err = signedOut
		}
		if err != nil {
			return err
		}
		return change(tx)
	})
}

// OtherWayIn implements [accounts.UserStore].
func (db *DB) OtherWayIn(ctx context.Context, id ids.User, providers []string) (bool, error) {
	other, args := db.otherWayIn(providers)
	n, err := one(ctx, db, func(row scanner) (n int, err error) {
		err = row.Scan(&n)
		return n, err
	}, `SELECT COUNT(*) FROM users WHERE id = ? AND `+other, append([]any{id[:]}, args...)...)
	return n > 0, err
}

// stillOpens returns accounts.ErrLastWayIn if nothing opens a user's account any more. Each
// change that takes a way in besides the password calls it, in its transaction and after the
// change, which then does not happen; the caller has locked the user.
func (db *DB) stillOpens(ctx context.Context, tx *sql.Tx, user ids.User, providers []string) error {
	other, args := db.otherWayIn(providers)
	var opens int
	err := tx.QueryRowContext(ctx, `SELECT COUNT(*) FROM users WHERE id = ? AND (password_hash <> '' OR `+other+`)`, append([]any{user[:]}, args...)...).Scan(&opens)
	if err == nil && opens == 0 {
		err = accounts.ErrLastWayIn
	}
	return err
}

// RemovePassword implements [accounts.UserStore].
func (db *DB) RemovePassword(ctx context.Context, id ids.User, providers []string, by accounts.By, now time.Time, ev audit.Event, letters ...accounts.Letter) error {
	_, alive, asking := askedAt(by.Place, now)
	other, ways := db.otherWayIn(providers)
	err := db.expelUser(ctx, id, by.Place, ev, letters, `UPDATE users SET password_hash = '', epoch = epoch + 1, updated_at = ?
		WHERE id = ? AND epoch = ? AND `+alive+` AND `+other, slices.Concat([]any{now.UnixMilli(), id[:], by.Epoch}, asking, ways)...)
	if !errors.Is(err, errUnchanged) {
		return err
	}
	if err := db.whyUnchanged(ctx, by.Place, now); !errors.Is(err, accounts.ErrBadCredentials) {
		return err
	}
	if other, err := db.OtherWayIn(ctx, id, providers); err != nil || other {
		return errors.Join(err, accounts.ErrBadCredentials)
	}
	return accounts.ErrLastWayIn
}
