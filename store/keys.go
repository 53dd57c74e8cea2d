package store

import (
	"context"
	"crypto/x509"
	"database/sql"
	"fmt"
	"time"

	"countersign/audit"
	"countersign/keys"
)

var keyTable = table{name: "signing_keys", columns: columns("kid text, alg text, generation int, published_from int, signs_from int, " +
	"signs_until int, published_until int, lead int, revoked_at int null, public_key blob, sealed blob")}

func scanKey(row scanner) (keys.Key, error) {
	var (
		k      keys.Key
		lead   int64
		public []byte
	)
	err := row.Scan(&k.KID, &k.Alg, &k.Generation, (*timeColumn)(&k.PublishedFrom), (*timeColumn)(&k.SignsFrom), (*timeColumn)(&k.SignsUntil),
		(*timeColumn)(&k.PublishedUntil), &lead, (*timeColumn)(&k.RevokedAt), &public, &k.Sealed)
	if err != nil {
		return k, err
	}
	k.Lead = time.Duration(lead) * time.Millisecond
	k.Public, err = x509.ParsePKIXPublicKey(public)
	return k, err
}

// Keys implements [keys.Store].
func (db *DB) Keys(ctx context.Context) ([]keys.Key, error) {
	return all(ctx, db, scanKey, `SELECT `+keyTable.list("")+` FROM signing_keys ORDER BY alg, generation`)
}

// InsertKey implements [keys.Store].
func (db *DB) InsertKey(ctx context.Context, k keys.Key, ev audit.Event) error {
	public, err := x509.MarshalPKIXPublicKey(k.Public)
	if err != nil {
		return fmt.Errorf("encode public key: %w", err)
	}
	return db.inTx(ctx, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, keyTable.insert(),
			k.KID, k.Alg, k.Generation, k.PublishedFrom.UnixMilli(), k.SignsFrom.UnixMilli(), k.SignsUntil.UnixMilli(),
			k.PublishedUntil.UnixMilli(), k.Lead.Milliseconds(), millis(k.RevokedAt), public, k.Sealed)
		if db.dialect.isDuplicate(err) {
			return keys.ErrTaken
		}
		if err != nil {
			return err
		}
		return record(ctx, tx, ev)
	})
}

// RevokeKey implements [keys.Store].
func (db *DB) RevokeKey(ctx context.Context, kid string, now time.Time, ev audit.Event) error {
	return db.inTx(ctx, func(tx *sql.Tx) error {
		n, err := affected(tx.ExecContext(ctx,
			`UPDATE signing_keys SET revoked_at = ? WHERE kid = ? AND revoked_at IS NULL`, now.UnixMilli(), kid))
		if err != nil {
			return err
		}
		if n == 0 {
			var one int
			err := tx.QueryRowContext(ctx, `SELECT 1 FROM signing_keys WHERE kid = ?`, kid).Scan(&one)
			return ifNoRows(err, keys.ErrUnknownKey)
		}
		return record(ctx, tx, ev)
	})
}

// ResealKey implements [keys.Store].
func (db *DB) ResealKey(ctx context.Context, kid string, old, sealed []byte) error {
	_, err := db.exec(ctx, `UPDATE signing_keys SET sealed = ? WHERE kid = ? AND sealed = ?`, sealed, kid, old)
	return err
}

// DeleteKeys implements [keys.Store].
func (db *DB) DeleteKeys(ctx context.Context, publishedUntilBefore time.Time) error {
	all, err := db.Keys(ctx)
	if err != nil {
		return err
	}
	return db.inTx(ctx, func(tx *sql.Tx) error {
		for i, k := range all {
			newest := i+1 == len(all) || all[i+1].Alg != k.Alg
			if newest || !k.PublishedUntil.Before(publishedUntilBefore) {
				continue
			}
			if _, err := tx.ExecContext(ctx, `DELETE FROM signing_keys WHERE kid = ?`, k.KID); err != nil {
				return err
			}
		}
		return nil
	})
}
