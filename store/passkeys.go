package store

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"strings"
	"time"

	"countersign/audit"
	"countersign/factors"
	"countersign/ids"
	"countersign/oauth"
)

var passkeyTable = table{name: "passkeys", columns: columns("id blob, factor_id blob, credential_id blob, public_key blob, " +
	"sign_count int, backup_eligible int, backed_up int, transports text")}

var passkeyQuery = `SELECT f.id, f.user_id, f.kind, f.name, f.created_at, f.last_used_at, p.credential_id, p.public_key, p.sign_count,
	p.backup_eligible, p.backed_up, p.transports FROM passkeys p JOIN factors f ON f.id = p.factor_id`

func scanPasskey(row scanner) (p factors.Passkey, err error) {
	var transports string
	err = row.Scan(&p.ID, &p.UserID, (*string)(&p.Kind), &p.Name, (*timeColumn)(&p.CreatedAt), (*timeColumn)(&p.LastUsedAt),
		&p.CredentialID, &p.PublicKey, &p.SignCount, &p.BackupEligible, &p.BackedUp, &transports)
	p.InForce, p.Transports = true, strings.Fields(transports)
	return p, ifNoRows(err, factors.ErrUnknown)
}

func credentialKey(credential []byte) []byte {
	key := sha256.Sum256(credential)
	return key[:]
}

// AddPasskey implements [factors.Store].
func (db *DB) AddPasskey(ctx context.Context, p factors.Passkey, codes factors.Codes, at ids.Place, ev audit.Event, letters ...factors.Notice) (first bool, err error) {
	return db.putInForce(ctx, p.UserID, codes, p.Methods(), p.CreatedAt, at, ev, letters, func(tx *sql.Tx) error {
		if err := checkRoom(ctx, tx, p.UserID); err != nil {
			return err
		}
		return db.insertPasskey(ctx, tx, p)
	})
}

// EstablishPasskey implements [factors.Store].
func (db *DB) EstablishPasskey(ctx context.Context, p factors.Passkey, codes factors.Codes, epoch int64, ev audit.Event, letters ...factors.Notice) error {
	return db.establish(ctx, p.UserID, codes, epoch, p.CreatedAt, ev, letters, func(tx *sql.Tx) error { return db.insertPasskey(ctx, tx, p) })
}

func (db *DB) insertPasskey(ctx context.Context, tx *sql.Tx, p factors.Passkey) error {
	if _, err := tx.ExecContext(ctx, factorTable.insert(), factorRow(factors.Secret{Factor: p.Factor}, p.CreatedAt, 0)...); err != nil {
		return err
	}
	_, err := tx.ExecContext(ctx, passkeyTable.insert(), credentialKey(p.CredentialID), p.ID[:], p.CredentialID, p.PublicKey,
		p.SignCount, flag(p.BackupEligible), flag(p.BackedUp), strings.Join(p.Transports, " "))
	if db.dialect.isDuplicate(err) {
		err = factors.ErrTaken
	}
	return err
}

// PasskeyOf implements [factors.Store].
func (db *DB) PasskeyOf(ctx context.Context, credential []byte) (factors.Passkey, error) {
	return one(ctx, db, scanPasskey, passkeyQuery+` WHERE p.id = ?`, credentialKey(credential))
}

// UsePasskey implements [factors.Store].
func (db *DB) UsePasskey(ctx context.Context, p factors.Passkey, now time.Time, ev audit.Event) (regressed bool, err error) {
	err = db.inTx(ctx, func(tx *sql.Tx) error {
		var had uint32
		err := tx.QueryRowContext(ctx, `SELECT sign_count FROM passkeys WHERE factor_id = ?`+db.dialect.lockRow, p.ID[:]).Scan(&had)
		if err != nil {
			return ifNoRows(err, factors.ErrUnknown)
		}
		if regressed = factors.Regressed(had, p.SignCount); regressed {
			if err := record(ctx, tx, ev); err != nil || !p.BackupEligible {
				return err
			}
		}
		_, err = tx.ExecContext(ctx, `UPDATE passkeys SET sign_count = ?, backed_up = ? WHERE factor_id = ?`,
			max(had, p.SignCount), flag(p.BackedUp), p.ID[:])
		if err != nil {
			return err
		}
		_, err = tx.ExecContext(ctx, `UPDATE factors SET last_used_at = ? WHERE id = ?`, now.UnixMilli(), p.ID[:])
		return err
	})
	return regressed, err
}

func flag(b bool) int {
	if b {
		return 1
	}
	return 0
}

// checkRoom returns factors.ErrTooMany if a user has as many factors as one may have.
func checkRoom(ctx context.Context, tx *sql.Tx, user ids.User) error {
	var n int
	err := tx.QueryRowContext(ctx, `SELECT COUNT(*) FROM factors WHERE user_id = ?`, user[:]).Scan(&n)
	if err == nil && n >= factors.MaxFactors {
		err = factors.ErrTooMany
	}
	return err
}

// putInForce runs add, which puts a factor in force that has just been proven by methods. If
// it is the user's first, it adds the recovery codes, signs the user out everywhere but at the
// place and reports so.
func (db *DB) putInForce(ctx context.Context, user ids.User, codes factors.Codes, methods oauth.Methods, now time.Time, at ids.Place, ev audit.Event, letters []factors.Notice, add func(*sql.Tx) error) (first bool, err error) {
	err = db.changeFactors(ctx, user, now, at, func(tx *sql.Tx) error {
		had, err := otherFactors(ctx, tx, user)
		if err != nil {
			return err
		}
		if err := add(tx); err != nil {
			return err
		}
		if first = had == 0; first {
			if err := insertCodes(ctx, tx, user, codes, now); err != nil {
				return err
			}
			if err := db.leaveOnly(ctx, tx, user, at); err != nil {
				return err
			}
		}
		if err := provenAt(ctx, tx, at, methods); err != nil {
			return err
		}
		return db.tell(ctx, tx, ev, letters)
	})
	if first && err == nil {
		db.sweep(ctx, user)
	}
	return first, err
}
