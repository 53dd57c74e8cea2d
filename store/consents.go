package store

import (
	"context"
	"database/sql"
	"encoding/json"

	"github.com/google/uuid"

	"countersign/accounts"
	"countersign/audit"
)

const consentQuery = `
	SELECT o.id, o.user_id, o.client_id, o.scopes, o.created_at, o.updated_at, c.name
	FROM consents o JOIN clients c ON c.id = o.client_id`

func scanConsent(row scanner) (accounts.Consent, error) {
	var (
		c                accounts.Consent
		id, user         []byte
		scopes           string
		created, updated sql.NullInt64
	)
	err := row.Scan(&id, &user, &c.ClientID, &scopes, &created, &updated, &c.ClientName)
	if err != nil {
		return c, missing(err, accounts.ErrNoConsent)
	}
	copy(c.ID[:], id)
	copy(c.UserID[:], user)
	c.CreatedAt, c.UpdatedAt = instant(created), instant(updated)
	return c, json.Unmarshal([]byte(scopes), &c.Scopes)
}

// Consent implements [accounts.ConsentStore].
func (db *DB) Consent(ctx context.Context, user uuid.UUID, client string) (accounts.Consent, error) {
	if !db.hasAuthorization() {
		return accounts.Consent{}, accounts.ErrNoConsent
	}
	return one(ctx, db, scanConsent, consentQuery+` WHERE o.user_id = ? AND o.client_id = ?`, user[:], client)
}

// Consents implements [accounts.ConsentStore].
func (db *DB) Consents(ctx context.Context, user uuid.UUID) ([]accounts.Consent, error) {
	if !db.hasAuthorization() {
		return []accounts.Consent{}, nil
	}
	return all(ctx, db, scanConsent, consentQuery+` WHERE o.user_id = ? ORDER BY o.client_id`, user[:])
}

// PutConsent implements [accounts.ConsentStore].
func (db *DB) PutConsent(ctx context.Context, c accounts.Consent, ev audit.Event) error {
	if !db.hasAuthorization() {
		return errOldSchema
	}
	return db.inTx(ctx, func(tx *sql.Tx) error {
		n, err := affected(tx.ExecContext(ctx, `UPDATE consents SET scopes = ?, updated_at = ? WHERE user_id = ? AND client_id = ?`,
			list(c.Scopes), c.UpdatedAt.UnixMilli(), c.UserID[:], c.ClientID))
		if err == nil && n == 0 {
			_, err = tx.ExecContext(ctx, `
				INSERT INTO consents (id, user_id, client_id, scopes, created_at, updated_at) VALUES (?, ?, ?, ?, ?, ?)`,
				c.ID[:], c.UserID[:], c.ClientID, list(c.Scopes), c.CreatedAt.UnixMilli(), c.UpdatedAt.UnixMilli())
			switch {
			case db.dialect.isDuplicate(err):
				return errRaced
			case db.dialect.isForeign(err):
				return accounts.ErrUnknownUser
			}
		}
		if err != nil {
			return err
		}
		return record(ctx, tx, ev)
	})
}

// DeleteConsent implements [accounts.ConsentStore].
func (db *DB) DeleteConsent(ctx context.Context, user uuid.UUID, client string, ev audit.Event) error {
	if !db.hasAuthorization() {
		return accounts.ErrNoConsent
	}
	return db.inTx(ctx, func(tx *sql.Tx) error {
		n, err := affected(tx.ExecContext(ctx, `DELETE FROM consents WHERE user_id = ? AND client_id = ?`, user[:], client))
		if err != nil {
			return err
		}
		if n == 0 {
			return accounts.ErrNoConsent
		}
		for _, query := range []string{
			`DELETE FROM codes WHERE user_id = ? AND client_id = ?`,
			`DELETE FROM sessions WHERE user_id = ? AND client_id = ?`,
		} {
			if _, err := tx.ExecContext(ctx, query, user[:], client); err != nil {
				return err
			}
		}
		return record(ctx, tx, ev)
	})
}
