package store

import (
	"cmp"
	"context"
	"database/sql"
	"time"

	"countersign/accounts"
	"countersign/audit"
	"countersign/ids"
)

var identityTable = table{name: "identities", columns: columns("id blob, user_id blob, provider text, subject_key blob, email text null, linked_at int")}

var identityQuery = `SELECT ` + identityTable.list("") + ` FROM identities`

func scanIdentity(row scanner) (i accounts.Identity, err error) {
	var key []byte
	err = row.Scan(&i.ID, &i.UserID, &i.Provider, &key, (*textColumn)(&i.Email), (*timeColumn)(&i.LinkedAt))
	copy(i.Key[:], key)
	return i, ifNoRows(err, accounts.ErrUnknownIdentity)
}

// Identities implements [accounts.IdentityStore].
func (db *DB) Identities(ctx context.Context, user ids.User) ([]accounts.Identity, error) {
	if db.older {
		return nil, nil
	}
	return all(ctx, db, scanIdentity, identityQuery+` WHERE user_id = ? ORDER BY id`, user[:])
}

// UserByIdentity implements [accounts.IdentityStore].
func (db *DB) UserByIdentity(ctx context.Context, key [32]byte) (accounts.User, error) {
	return one(ctx, db, scanUser, userQuery+` WHERE id = (SELECT user_id FROM identities WHERE subject_key = ?)`, key[:])
}

// CreateLinkedUser implements [accounts.IdentityStore].
func (db *DB) CreateLinkedUser(ctx context.Context, u accounts.User, p accounts.Profile, i accounts.Identity, created, linked audit.Event, letters ...accounts.Letter) error {
	return db.createUser(ctx, u, func(tx *sql.Tx) error {
		if p != (accounts.Profile{}) {
			if _, err := tx.ExecContext(ctx, profileTable.insert(), u.ID[:], object(p)); err != nil {
				return err
			}
		}
		if err := record(ctx, tx, created); err != nil {
			return err
		}
		return db.addIdentity(ctx, tx, i, linked)
	}, letters...)
}

func (db *DB) addIdentity(ctx context.Context, tx *sql.Tx, i accounts.Identity, ev audit.Event) error {
	_, err := tx.ExecContext(ctx, identityTable.insert(), i.ID[:], i.UserID[:], i.Provider, i.Key[:], optional(i.Email), i.LinkedAt.UnixMilli())
	if db.dialect.isDuplicate(err) {
		return accounts.ErrIdentityTaken
	}
	if err != nil {
		return err
	}
	return record(ctx, tx, ev)
}

// LinkIdentity implements [accounts.IdentityStore].
func (db *DB) LinkIdentity(ctx context.Context, i accounts.Identity, at ids.Place, ev audit.Event, letters ...accounts.Letter) error {
	return db.changeAt(ctx, i.UserID, i.LinkedAt, at, accounts.ErrSignedOut, func(tx *sql.Tx) error {
		var n int
		err := tx.QueryRowContext(ctx, `SELECT COUNT(*) FROM identities WHERE user_id = ?`, i.UserID[:]).Scan(&n)
		if err == nil && n >= accounts.MaxIdentities {
			err = accounts.ErrTooManyIdentities
		}
		if err != nil {
			return err
		}
		if err := db.addIdentity(ctx, tx, i, ev); err != nil {
			return err
		}
		return db.post(ctx, tx, letters...)
	})
}

// UnlinkIdentity implements [accounts.IdentityStore].
func (db *DB) UnlinkIdentity(ctx context.Context, user ids.User, id ids.Identity, providers []string, now time.Time, at ids.Place, ev audit.Event, letters ...accounts.Letter) error {
	err := db.changeAt(ctx, user, now, at, accounts.ErrSignedOut, func(tx *sql.Tx) error {
		n, err := affected(tx.ExecContext(ctx, `DELETE FROM identities WHERE id = ? AND user_id = ?`, id[:], user[:]))
		if err != nil || n == 0 {
			return cmp.Or(err, accounts.ErrUnknownIdentity)
		}
		if err := db.stillOpens(ctx, tx, user, providers); err != nil {
			return err
		}
		if err := db.leaveOnly(ctx, tx, user, at); err != nil {
			return err
		}
		if err := db.post(ctx, tx, letters...); err != nil {
			return err
		}
		return record(ctx, tx, ev)
	})
	if err == nil {
		db.sweep(ctx, user)
	}
	return err
}

// dropStrangers removes the identities and factors of a user whose address is not proven yet,
// and who is about to be its owner: an attacker may have made the account, with an identity or
// a passkey of its own, for another person's address. ev is the event of the change that this
// belongs to.
func (db *DB) dropStrangers(ctx context.Context, tx *sql.Tx, user ids.User, ev audit.Event) error {
	if db.older {
		return nil
	}
	for _, one := range []struct {
		table string
		kind  audit.Kind
	}{{"identities", audit.IdentityUnlinked}, {"factors", audit.FactorsReset}} {
		n, err := affected(tx.ExecContext(ctx, `DELETE FROM `+one.table+` WHERE user_id = ?
			AND EXISTS (SELECT 1 FROM users WHERE users.id = ? AND users.email_verified = 0)`, user[:], user[:]))
		if err != nil {
			return err
		}
		if n > 0 {
			ev.Kind = one.kind
			if err := record(ctx, tx, ev); err != nil {
				return err
			}
		}
	}
	return nil
}
