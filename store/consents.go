package store

import (
	"context"
	"database/sql"
	"slices"

	"countersign/audit"
	"countersign/consents"
	"countersign/ids"
)

var consentTable = table{name: "consents", columns: columns("id blob, user_id blob, client_id text, scopes text, created_at int, updated_at int")}

var consentQuery = `SELECT ` + consentTable.list("o.") + `, c.name FROM consents o JOIN clients c ON c.id = o.client_id`

func scanConsent(row scanner) (consents.Consent, error) {
	var c consents.Consent
	err := row.Scan(&c.ID, &c.UserID, &c.ClientID, (*listColumn)(&c.Scopes), (*timeColumn)(&c.CreatedAt), (*timeColumn)(&c.UpdatedAt), &c.ClientName)
	return c, ifNoRows(err, consents.ErrUnknown)
}

// Consent implements [consents.Store].
func (db *DB) Consent(ctx context.Context, user ids.User, client ids.Client) (consents.Consent, error) {
	return one(ctx, db, scanConsent, consentQuery+` WHERE o.user_id = ? AND o.client_id = ?`, user[:], client)
}

// Consents implements [consents.Store].
func (db *DB) Consents(ctx context.Context, user ids.User) ([]consents.Consent, error) {
	return all(ctx, db, scanConsent, consentQuery+` WHERE o.user_id = ? ORDER BY o.client_id`, user[:])
}

// GiveConsent implements [consents.Store]. It updates the row first, which locks it, and
// then reads and writes the scopes, so that no concurrent call loses a scope.
func (db *DB) GiveConsent(ctx context.Context, c consents.Consent, ev audit.Event) error {
	return db.inTx(ctx, func(tx *sql.Tx) error {
		n, err := affected(tx.ExecContext(ctx, `
			UPDATE consents SET updated_at = ? WHERE user_id = ? AND client_id = ?
				AND EXISTS (SELECT 1 FROM users u WHERE u.id = consents.user_id AND u.epoch = ?)`,
			c.UpdatedAt.UnixMilli(), c.UserID[:], c.ClientID, c.Epoch))
		if err != nil {
			return err
		}
		added := true
		if n == 0 {
			err = db.insertConsent(ctx, tx, c)
		} else {
			added, err = addScopes(ctx, tx, c)
		}
		if err != nil || !added {
			return err
		}
		return record(ctx, tx, ev)
	})
}

func (db *DB) insertConsent(ctx context.Context, tx *sql.Tx, c consents.Consent) error {
	n, err := affected(tx.ExecContext(ctx, consentTable.into()+`
		SELECT ?, id, ?, ?, ?, ? FROM users WHERE id = ? AND epoch = ?`,
		c.ID[:], c.ClientID, list(c.Scopes), c.CreatedAt.UnixMilli(), c.UpdatedAt.UnixMilli(), c.UserID[:], c.Epoch))
	switch {
	case err == nil && n == 0:
		return consents.ErrGone
	case db.dialect.isDuplicate(err):
		return errRaced
	case db.dialect.isForeign(err):
		return consents.ErrGone
	}
	return err
}

// addScopes adds the scopes of c to those in the row and reports whether there were any.
func addScopes(ctx context.Context, tx *sql.Tx, c consents.Consent) (added bool, err error) {
	had, err := scanConsent(tx.QueryRowContext(ctx, consentQuery+` WHERE o.user_id = ? AND o.client_id = ?`, c.UserID[:], c.ClientID))
	if err != nil {
		return false, err
	}
	for _, scope := range c.Scopes {
		if !slices.Contains(had.Scopes, scope) {
			had.Scopes, added = append(had.Scopes, scope), true
		}
	}
	_, err = tx.ExecContext(ctx, `UPDATE consents SET scopes = ? WHERE id = ?`, list(had.Scopes), had.ID[:])
	return added, err
}

// DeleteConsent implements [consents.Store].
func (db *DB) DeleteConsent(ctx context.Context, user ids.User, client ids.Client, ev audit.Event) error {
	return db.inTx(ctx, func(tx *sql.Tx) error {
		n, err := affected(tx.ExecContext(ctx, `DELETE FROM consents WHERE user_id = ? AND client_id = ?`, user[:], client))
		if err != nil {
			return err
		}
		if n == 0 {
			return consents.ErrUnknown
		}
		for _, query := range []string{ // + keeps SQLite from reading all of the client's
			`DELETE FROM codes WHERE user_id = ? AND +client_id = ?`,
			`DELETE FROM sessions WHERE user_id = ? AND +client_id = ?`,
		} {
			if _, err := tx.ExecContext(ctx, query, user[:], client); err != nil {
				return err
			}
		}
		return record(ctx, tx, ev)
	})
}
