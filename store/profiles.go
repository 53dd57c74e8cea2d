package store

import (
	"cmp"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"time"

	"countersign/accounts"
	"countersign/audit"
	"countersign/ids"
)

var profileTable = table{name: "profiles", columns: columns("user_id blob, claims text")}

var profileQuery = `SELECT ` + profileTable.list("") + ` FROM profiles WHERE user_id = ?`

// Profile implements [accounts.ProfileStore].
func (db *DB) Profile(ctx context.Context, user ids.User) (accounts.Profile, error) {
	p, err := one(ctx, db, scanProfile, profileQuery, user[:])
	if errors.Is(err, sql.ErrNoRows) {
		return accounts.Profile{}, nil
	}
	return p, err
}

func scanProfile(row scanner) (p accounts.Profile, err error) {
	var claims string
	if err := row.Scan(new([]byte), &claims); err != nil {
		return p, err
	}
	return p, json.Unmarshal([]byte(claims), &p)
}

// PutProfile implements [accounts.ProfileStore]. It updates the user's row first, which
// locks it, so that concurrent calls write one after the other.
func (db *DB) PutProfile(ctx context.Context, user ids.User, by accounts.By, p accounts.Profile, now time.Time, ev audit.Event) error {
	query, args := `UPDATE users SET updated_at = ? WHERE id = ?`, []any{now.UnixMilli(), user[:]}
	refused := accounts.ErrUnknownUser
	if !by.Operator {
		_, alive, asking := askedAt(by.Place, now)
		query, args = query+` AND `+alive, append(args, asking...)
		refused = accounts.ErrSignedOut
	}
	err := db.inTx(ctx, func(tx *sql.Tx) error {
		n, err := affected(tx.ExecContext(ctx, query, args...))
		if err != nil || n == 0 {
			return cmp.Or(err, refused)
		}
		if had, err := scanProfile(tx.QueryRowContext(ctx, profileQuery, user[:])); err == nil && had == p || errors.Is(err, sql.ErrNoRows) && p == (accounts.Profile{}) {
			return errUnchanged // updated_at goes back, too
		} else if err != nil && !errors.Is(err, sql.ErrNoRows) {
			return err
		}
		if _, err := tx.ExecContext(ctx, `DELETE FROM profiles WHERE user_id = ?`, user[:]); err != nil {
			return err
		}
		if p != (accounts.Profile{}) {
			if _, err := tx.ExecContext(ctx, profileTable.insert(), user[:], object(p)); err != nil {
				return err
			}
		}
		return record(ctx, tx, ev)
	})
	if errors.Is(err, errUnchanged) {
		return nil
	}
	return err
}
