package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"time"

	"countersign/audit"
	"countersign/clients"
)

var clientTable = table{name: "clients", columns: columns("id text, name text, public int, secret_hash text null, first_party int, " +
	"grants text, redirect_uris text, post_logout_redirect_uris text, origins text, scopes text, audiences text, may_introspect int, " +
	"pkce_optional int, id_token_alg text null, declared int, created_at int, updated_at int")}

var clientQuery = `SELECT ` + clientTable.list("") + ` FROM clients`

func scanClient(row scanner) (clients.Client, error) {
	var (
		c                                                      clients.Client
		secret, alg                                            sql.NullString
		grants, redirects, logouts, origins, scopes, audiences string
		created, updated                                       sql.NullInt64
	)
	err := row.Scan(&c.ID, &c.Name, &c.Public, &secret, &c.FirstParty, &grants, &redirects, &logouts,
		&origins, &scopes, &audiences, &c.MayIntrospect, &c.PKCEOptional, &alg, &c.Declared, &created, &updated)
	if err != nil {
		return c, missing(err, clients.ErrUnknown)
	}
	c.SecretHash, c.IDTokenAlg = secret.String, alg.String
	c.CreatedAt, c.UpdatedAt = instant(created), instant(updated)
	return c, errors.Join(
		json.Unmarshal([]byte(grants), &c.Grants),
		json.Unmarshal([]byte(redirects), &c.RedirectURIs),
		json.Unmarshal([]byte(logouts), &c.PostLogoutRedirectURIs),
		json.Unmarshal([]byte(origins), &c.Origins),
		json.Unmarshal([]byte(scopes), &c.Scopes),
		json.Unmarshal([]byte(audiences), &c.Audiences))
}

// CreateClient implements [clients.Store].
func (db *DB) CreateClient(ctx context.Context, c clients.Client, ev audit.Event) error {
	return db.inTx(ctx, func(tx *sql.Tx) error {
		err := insertClient(ctx, tx, c)
		if db.dialect.isDuplicate(err) {
			return clients.ErrExists
		}
		if err != nil {
			return err
		}
		return record(ctx, tx, ev)
	})
}

func insertClient(ctx context.Context, tx *sql.Tx, c clients.Client) error {
	_, err := tx.ExecContext(ctx, clientTable.insert(), clientRow(c)...)
	return err
}

// clientRow is a client as stored.
func clientRow(c clients.Client) row {
	return row{
		c.ID, c.Name, c.Public, optional(c.SecretHash), c.FirstParty, list(c.Grants), list(c.RedirectURIs), list(c.PostLogoutRedirectURIs),
		list(c.Origins), list(c.Scopes), list(c.Audiences), c.MayIntrospect, c.PKCEOptional, optional(c.IDTokenAlg), c.Declared,
		millis(c.CreatedAt), millis(c.UpdatedAt),
	}
}

// PutClient implements [clients.Store]. It updates before it inserts,
// because replacing the row would take the client's sessions with it.
func (db *DB) PutClient(ctx context.Context, c clients.Client, ev audit.Event) error {
	set, args := clientTable.set(clientRow(c), "id", "created_at")
	return db.inTx(ctx, func(tx *sql.Tx) error {
		n, err := affected(tx.ExecContext(ctx, `UPDATE clients SET `+set+` WHERE id = ?`, append(args, c.ID)...))
		if err == nil && n == 0 {
			err = insertClient(ctx, tx, c)
			if db.dialect.isDuplicate(err) {
				return errRaced
			}
		}
		if err != nil {
			return err
		}
		return record(ctx, tx, ev)
	})
}

// Client implements [clients.Store].
func (db *DB) Client(ctx context.Context, id string) (clients.Client, error) {
	return one(ctx, db, scanClient, clientQuery+` WHERE id = ?`, id)
}

// Clients implements [clients.Store].
func (db *DB) Clients(ctx context.Context) ([]clients.Client, error) {
	return all(ctx, db, scanClient, clientQuery+` ORDER BY id`)
}

// SetSecretHash implements [clients.Store].
func (db *DB) SetSecretHash(ctx context.Context, id, hash string, now time.Time, ev audit.Event) error {
	return db.change(ctx, clients.ErrUnknown, ev,
		`UPDATE clients SET secret_hash = ?, updated_at = ? WHERE id = ?`, hash, now.UnixMilli(), id)
}

// DeleteClient implements [clients.Store]. There may be millions of sessions
// and consents, which would hold up all writers if they went by foreign key, so most
// go before, in batches; if that is cut short, the client is still there.
func (db *DB) DeleteClient(ctx context.Context, id string, ev audit.Event) error {
	for _, table := range []string{"sessions", "consents"} {
		if err := db.thin(ctx, table, id); err != nil {
			return err
		}
	}
	return db.change(ctx, clients.ErrUnknown, ev, `DELETE FROM clients WHERE id = ?`, id)
}

// thin removes a client's rows of a table until a batch of them is left at most.
func (db *DB) thin(ctx context.Context, table, client string) error {
	for {
		n, err := one(ctx, db, scanInt,
			`SELECT COUNT(*) FROM (SELECT 1 FROM `+table+` WHERE client_id = ? LIMIT ?) AS some`, client, deleteBatch+1)
		if err != nil || n <= deleteBatch {
			return err
		}
		if _, err := purge(ctx, db, `SELECT id FROM `+table+` WHERE client_id = ? LIMIT ?`,
			`DELETE FROM `+table+` WHERE client_id = ? AND id IN `, client, deleteBatch); err != nil {
			return err
		}
	}
}

const deleteBatch = 1000
