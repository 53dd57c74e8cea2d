package store

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/json"
	"fmt"
	"time"

	"countersign/audit"
	"countersign/ids"
	"countersign/oauth"
	"countersign/tokens"
)

var (
	codeTable = table{name: "codes", columns: columns("id blob, client_id text, user_id blob, epoch int, login_id blob null, auth_time int, " +
		"scopes text, details text, device text null, expires_at int, session_id blob null")}
	authorizationTable = table{name: "authorizations", columns: columns("session_id blob, login_id blob null, details text")}
)

// codeDetails are the parts of a code that no query reads.
type codeDetails struct {
	RedirectURI string        `json:"redirect_uri"`
	Nonce       string        `json:"nonce,omitempty"`
	Challenge   string        `json:"challenge,omitempty"`
	Methods     oauth.Methods `json:"methods,omitempty"`
	tokens.Details
}

// CreateCode implements [tokens.CodeStore].
func (db *DB) CreateCode(ctx context.Context, c tokens.Code, loginExpires, now time.Time) error {
	return db.inTx(ctx, func(tx *sql.Tx) error {
		if c.WithoutLogin {
			var live int // only read: the code is dead in any other epoch
			err := tx.QueryRowContext(ctx, `SELECT 1 FROM users WHERE id = ? AND epoch = ? AND disabled_at IS NULL`, c.UserID[:], c.Epoch).Scan(&live)
			if err != nil {
				return ifNoRows(err, tokens.ErrUnknown)
			}
		} else {
			n, err := affected(tx.ExecContext(ctx, `UPDATE logins SET expires_at = ? WHERE epoch = ? AND user_id = ? AND `+loginLives,
				loginExpires.UnixMilli(), c.Epoch, c.UserID[:], c.LoginID[:], now.UnixMilli()))
			if err != nil {
				return err
			}
			if n == 0 {
				return tokens.ErrUnknown
			}
		}
		if !c.WithoutConsent { // an UPDATE, so that a concurrent revocation comes before or after
			n, err := affected(tx.ExecContext(ctx, `UPDATE consents SET updated_at = updated_at + 1 WHERE user_id = ? AND client_id = ?`,
				c.UserID[:], c.ClientID))
			if err != nil {
				return err
			}
			if n == 0 {
				return tokens.ErrUnknown
			}
		}
		_, err := tx.ExecContext(ctx, codeTable.insert(),
			c.ID[:], c.ClientID, c.UserID[:], c.Epoch, optionalID(c.LoginID), c.AuthTime.UnixMilli(), c.Scopes.String(),
			object(codeDetails{c.RedirectURI, c.Nonce, c.Challenge, c.Methods, c.Details}), optional(c.Device), c.ExpiresAt.UnixMilli(), nil)
		if db.dialect.isForeign(err) { // the client or the user was deleted meanwhile
			return tokens.ErrUnknown
		}
		return err
	})
}

// Code implements [tokens.CodeStore].
func (db *DB) Code(ctx context.Context, id [sha256.Size]byte) (tokens.Code, error) {
	return one(ctx, db, scanCode, codeQuery+` WHERE c.id = ?`, id[:])
}

// codeQuery selects codes with their users' roles and consents.
var codeQuery = `SELECT ` + codeTable.list("c.") + `, u.roles, o.scopes FROM codes c JOIN users u ON u.id = c.user_id
	LEFT JOIN consents o ON o.user_id = c.user_id AND o.client_id = c.client_id`

func scanCode(row scanner) (tokens.Code, error) {
	var (
		c       tokens.Code
		id      []byte
		details codeDetails
	)
	err := row.Scan(&id, &c.ClientID, &c.UserID, &c.Epoch, &c.LoginID, (*timeColumn)(&c.AuthTime), (*scopesColumn)(&c.Scopes),
		jsonColumn{&details}, (*textColumn)(&c.Device), (*timeColumn)(&c.ExpiresAt), &c.SessionID, (*listColumn)(&c.Roles), (*listColumn)(&c.Consent))
	copy(c.ID[:], id)
	c.RedirectURI, c.Nonce, c.Challenge, c.Details = details.RedirectURI, details.Nonce, details.Challenge, details.Details
	if c.Methods = details.Methods; len(c.Methods) == 0 { // from a version that took nothing but passwords
		c.Methods = oauth.Methods{oauth.MethodPassword}
	}
	return c, ifNoRows(err, tokens.ErrUnknown)
}

// RedeemCode implements [tokens.CodeStore]. One conditional UPDATE picks the winner; its
// affected-row count is the answer.
func (db *DB) RedeemCode(ctx context.Context, c tokens.Code, s tokens.Session, now time.Time, ev audit.Event) error {
	return db.inTx(ctx, func(tx *sql.Tx) error {
		// Another login may have replaced the one that the caller knows.
		login, err := loginOfCode(ctx, tx, c.ID)
		if err != nil {
			return err
		}
		// The login is updated, not only read, so that a concurrent call that ends it,
		// on any replica, comes before or after. All transactions change the login
		// first, so that they do not deadlock.
		lives := int64(1)
		if login.IsZero() { // it dies with its user's epoch: see insertSession
			err = db.lockUser(ctx, tx, c.UserID)
		} else {
			lives, err = affected(tx.ExecContext(ctx, `UPDATE logins SET expires_at = expires_at + 1 WHERE `+loginLives, login[:], now.UnixMilli()))
		}
		if err != nil {
			return err
		}
		n, err := affected(tx.ExecContext(ctx, `
			UPDATE codes SET session_id = ?
			WHERE id = ? AND client_id = ? AND session_id IS NULL AND expires_at > ?`,
			s.ID[:], c.ID[:], s.ClientID, now.UnixMilli()))
		if err != nil {
			return err
		}
		if n == 0 {
			return notRedeemed(ctx, tx, c.ID, s.ClientID)
		}
		if lives == 0 {
			switch latest, err := loginOfCode(ctx, tx, c.ID); {
			case err != nil:
				return err
			case latest != login:
				return errRaced
			}
			return tokens.ErrUserGone
		}
		s.LoginID = login
		if err := db.insertSession(ctx, tx, s, c.Epoch, ev); err != nil {
			return err
		}
		return record(ctx, tx, ev)
	})
}

// loginOfCode returns the id of a code's login, the zero id if it has none, or ErrUnknown if
// there is no such code.
func loginOfCode(ctx context.Context, tx *sql.Tx, code [sha256.Size]byte) (login ids.Login, err error) {
	err = tx.QueryRowContext(ctx, `SELECT login_id FROM codes WHERE id = ?`, code[:]).Scan(&login)
	return login, ifNoRows(err, tokens.ErrUnknown)
}

// notRedeemed says why a client's code could not be redeemed.
func notRedeemed(ctx context.Context, tx *sql.Tx, id [sha256.Size]byte, client ids.Client) error {
	var one int
	err := tx.QueryRowContext(ctx, `SELECT 1 FROM codes WHERE id = ? AND client_id = ? AND session_id IS NOT NULL`, id[:], client).Scan(&one)
	if err == nil {
		return tokens.ErrCodeUsed
	}
	return ifNoRows(err, tokens.ErrUnknown)
}

// PurgeCodes implements [tokens.CodeStore].
func (db *DB) PurgeCodes(ctx context.Context, before time.Time, limit int) (int64, error) {
	return purge(ctx, db, `SELECT id FROM codes WHERE expires_at <= ? ORDER BY expires_at LIMIT ?`,
		`DELETE FROM codes WHERE expires_at <= ? AND id IN `, before.UnixMilli(), limit)
}

// insertAuthorization adds the login and the details of a session that began with an
// authorization request. It does nothing for any other session.
func (db *DB) insertAuthorization(ctx context.Context, tx *sql.Tx, s *tokens.Session) error {
	details := object(s.Details)
	if s.LoginID.IsZero() && details == "{}" {
		return nil
	}
	_, err := tx.ExecContext(ctx, authorizationTable.insert(), s.ID[:], optionalID(s.LoginID), details)
	return err
}

// object returns a struct of texts as stored: a JSON object.
func object(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		panic(fmt.Sprintf("store: marshal %T: %v", v, err)) // texts always marshal
	}
	return string(b)
}
