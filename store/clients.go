package store

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"slices"
	"time"

	"countersign/audit"
	"countersign/clients"
	"countersign/ids"
)

var clientTable = table{name: "clients", columns: columns("id text, name text, secret_hash text null, declared int, origins text, details text, " +
	"created_at int, updated_at int")}

var clientQuery = `SELECT ` + clientTable.list("") + ` FROM clients`

// clientDetails are the details of a client: the settings but for those that queries
// look at, the name, for consents, and the origins, for [DB.Origins].
type clientDetails struct {
	clients.Settings
	SecretMAC []byte `json:"secret_mac,omitempty"`
}

// scanClient reads a client.
func scanClient(row scanner) (clients.Client, error) {
	var (
		c       clients.Client
		name    string
		origins []string
		d       clientDetails
	)
	err := row.Scan(&c.ID, &name, (*textColumn)(&c.SecretHash), &c.Declared, (*listColumn)(&origins), jsonColumn{&d},
		(*timeColumn)(&c.CreatedAt), (*timeColumn)(&c.UpdatedAt))
	c.Settings, c.SecretMAC = d.Settings, d.SecretMAC
	c.Name, c.Origins = name, origins
	c.Settings = c.Settings.Whole() // one that an older version did not know is absent
	return c, ifNoRows(err, clients.ErrUnknown)
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
		c.ID, c.Name, optional(c.SecretHash), c.Declared, list(c.Origins), details(c), millis(c.CreatedAt), millis(c.UpdatedAt),
	}
}

// details returns a client's details as stored.
func details(c clients.Client) any {
	d := clientDetails{c.Settings.Whole(), c.SecretMAC}
	d.Name, d.Origins = "", nil
	return object(d)
}

// holdClient touches a client's row, so that it stays as it is between a look and the write.
// It reports whether there is one.
func holdClient(ctx context.Context, tx *sql.Tx, id ids.Client) (bool, error) {
	n, err := affected(tx.ExecContext(ctx, `UPDATE clients SET updated_at = updated_at WHERE id = ?`, id))
	return n > 0, err
}

// PutClient implements [clients.Store]. It updates before it inserts,
// because replacing the row would take the client's sessions with it.
func (db *DB) PutClient(ctx context.Context, c clients.Client, seen string, ev audit.Event) (change clients.Change, err error) {
	set, args := clientTable.set(clientRow(c), "id", "created_at")
	err = db.inTx(ctx, func(tx *sql.Tx) error {
		there, err := holdClient(ctx, tx, c.ID)
		switch {
		case err != nil:
			return err
		case !there && seen != "":
			return clients.ErrStale
		case !there:
			change, ev.Kind = clients.Created, audit.ClientCreated
			if err := insertClient(ctx, tx, c); db.dialect.isDuplicate(err) {
				return errRaced
			} else if err != nil {
				return err
			}
			return record(ctx, tx, ev)
		}
		old, err := scanClient(tx.QueryRowContext(ctx, clientQuery+` WHERE id = ?`, c.ID))
		switch {
		case err != nil:
			return err
		case old.SecretHash != seen:
			return clients.ErrStale
		case old.Same(c):
			change = clients.Unchanged
			if bytes.Equal(old.SecretMAC, c.SecretMAC) {
				return nil
			}
			_, err := tx.ExecContext(ctx, `UPDATE clients SET details = ? WHERE id = ?`, details(c), c.ID)
			return err
		}
		change, ev.Kind = clients.Updated, audit.ClientUpdated
		if _, err := tx.ExecContext(ctx, `UPDATE clients SET `+set+` WHERE id = ?`, append(args, c.ID)...); err != nil {
			return err
		}
		return record(ctx, tx, ev)
	})
	if err != nil {
		return 0, err
	}
	return change, nil
}

// ChangeClient implements [clients.Store].
func (db *DB) ChangeClient(ctx context.Context, id ids.Client, change func(clients.Client) (clients.Client, error), now time.Time, ev audit.Event) (c clients.Client, done clients.Change, err error) {
	err = db.inTx(ctx, func(tx *sql.Tx) error {
		there, err := holdClient(ctx, tx, id)
		if err == nil && !there {
			err = clients.ErrUnknown
		}
		if err != nil {
			return err
		}
		old, err := scanClient(tx.QueryRowContext(ctx, clientQuery+` WHERE id = ?`, id))
		if err != nil {
			return err
		}
		if c, err = change(old); err != nil {
			return err
		}
		var kinds []audit.Kind
		if settings := (clients.Client{ID: id, SecretHash: old.SecretHash, Declared: old.Declared, Settings: c.Settings}); !old.Same(settings) {
			kinds = append(kinds, audit.ClientUpdated)
		}
		if old.SecretHash != c.SecretHash && old.Public == c.Public {
			kinds = append(kinds, audit.ClientSecretRotated)
		}
		if len(kinds) == 0 {
			c, done = old, clients.Unchanged
			return nil
		}
		done, c.UpdatedAt = clients.Updated, now
		set, args := clientTable.set(clientRow(c), "id", "declared", "created_at")
		if _, err := tx.ExecContext(ctx, `UPDATE clients SET `+set+` WHERE id = ?`, append(args, id)...); err != nil {
			return err
		}
		for _, ev.Kind = range kinds {
			if err := record(ctx, tx, ev); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return clients.Client{}, 0, err
	}
	return c, done, nil
}

// Client implements [clients.Store].
func (db *DB) Client(ctx context.Context, id ids.Client) (clients.Client, error) {
	return one(ctx, db, scanClient, clientQuery+` WHERE id = ?`, id)
}

// Clients implements [clients.Store].
func (db *DB) Clients(ctx context.Context) ([]clients.Client, error) {
	return all(ctx, db, scanClient, clientQuery+` ORDER BY id`)
}

// Origins implements [clients.Store].
func (db *DB) Origins(ctx context.Context) ([]clients.Origin, error) {
	rows, err := all(ctx, db, scanOrigins, `SELECT id, origins, details FROM clients WHERE origins <> '[]' ORDER BY id`)
	return slices.Concat(rows...), err
}

// scanOrigins reads the origins of one client.
func scanOrigins(row scanner) (list []clients.Origin, err error) {
	var id ids.Client
	var text, details string
	if err := row.Scan(&id, &text, &details); err != nil {
		return nil, err
	}
	var patterns []string
	var settings clients.Settings
	err = errors.Join(json.Unmarshal([]byte(text), &patterns), json.Unmarshal([]byte(details), &settings))
	for _, p := range patterns {
		list = append(list, clients.Origin{Pattern: p, ClientID: id, FirstParty: settings.FirstParty})
	}
	return list, err
}

// SetSecretHash implements [clients.Store].
func (db *DB) SetSecretHash(ctx context.Context, id ids.Client, hash string, now time.Time, ev audit.Event) error {
	return db.change(ctx, clients.ErrUnknown, ev,
		`UPDATE clients SET secret_hash = ?, updated_at = ? WHERE id = ?`, hash, now.UnixMilli(), id)
}

// DeleteClient implements [clients.Store]. There may be millions of sessions
// and consents, which would hold up all writers if they went by foreign key, so most
// go before, in batches; if that is cut short, the client is still there.
func (db *DB) DeleteClient(ctx context.Context, id ids.Client, ev audit.Event) error {
	for _, table := range []string{"sessions", "consents"} {
		if err := db.thin(ctx, table, id); err != nil {
			return err
		}
	}
	return db.change(ctx, clients.ErrUnknown, ev, `DELETE FROM clients WHERE id = ?`, id)
}

// thin removes a client's rows of a table until a batch of them is left at most.
func (db *DB) thin(ctx context.Context, table string, client ids.Client) error {
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
