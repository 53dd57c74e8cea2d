package store

import (
	"context"
	"database/sql"
	"slices"
	"strings"
	"time"

	"countersign/audit"
	"countersign/ids"
	"countersign/oauth"
	"countersign/tokens"
)

var loginTable = table{name: "logins", columns: columns("id blob, user_id blob, epoch int, auth_time int, created_at int, expires_at int, " +
	"absolute_expires_at int, device text null, methods text null")}

// CreateLogin implements [tokens.LoginStore].
func (db *DB) CreateLogin(ctx context.Context, l tokens.Login, ev audit.Event) error {
	return db.inTx(ctx, func(tx *sql.Tx) error {
		if err := db.insertLogin(ctx, tx, l, ev); err != nil {
			return err
		}
		return record(ctx, tx, ev)
	})
}

// insertLogin adds a login if its user is still in the login's epoch, or returns
// ErrUserGone. One statement checks the user and inserts. It ends logins that are too
// many. ev is the event of the new login.
func (db *DB) insertLogin(ctx context.Context, tx *sql.Tx, l tokens.Login, ev audit.Event) error {
	if err := db.lockUser(ctx, tx, l.UserID); err != nil {
		return err
	}
	into, place, value := db.intoMethods(loginTable, l.Methods)
	n, err := affected(tx.ExecContext(ctx, into+`
		SELECT ?, id, epoch, ?, ?, ?, ?, ?`+place+` FROM users WHERE id = ? AND epoch = ? AND disabled_at IS NULL`, slices.Concat(
		[]any{l.ID[:], l.AuthTime.UnixMilli(), l.CreatedAt.UnixMilli(), l.ExpiresAt.UnixMilli(), l.AbsoluteExpiresAt.UnixMilli(), optional(l.Device)},
		value, []any{l.UserID[:], l.Epoch})...))
	if err == nil && n == 0 || db.dialect.isForeign(err) { // foreign: the user was deleted meanwhile
		err = tokens.ErrUserGone
	}
	if err != nil {
		return err
	}
	return end(ctx, tx, surplus{
		table: "logins", of: `user_id = ? AND epoch = ?`, args: []any{l.UserID[:], l.Epoch}, newest: l.ID[:], least: "created_at", most: tokens.MaxLogins,
	}, func([]byte) audit.Event {
		return audit.Event{Time: ev.Time, Kind: audit.LoginEnded, UserID: l.UserID, Address: ev.Address, RequestID: ev.RequestID}
	}, ev.Time)
}

func scanLogin(row scanner) (tokens.Login, error) {
	var l tokens.Login
	err := row.Scan(&l.ID, &l.UserID, &l.Epoch, (*timeColumn)(&l.AuthTime), (*timeColumn)(&l.CreatedAt), (*timeColumn)(&l.ExpiresAt),
		(*timeColumn)(&l.AbsoluteExpiresAt), (*textColumn)(&l.Device), (*methodsColumn)(&l.Methods), (*textColumn)(&l.Username))
	return l, ifNoRows(err, tokens.ErrUnknown)
}

// selectLogins selects logins with their users' names. Like a session, a login dies when the
// user's epoch moves on.
func (db *DB) selectLogins(where string) string {
	columns := loginTable.list("l.")
	if db.older {
		columns = loginTable.listFormer("l.")
	}
	return `
		SELECT ` + columns + `, ` + userName + `
		FROM logins l JOIN users u ON u.id = l.user_id AND u.epoch = l.epoch AND u.disabled_at IS NULL
		WHERE ` + where
}

// Login implements [tokens.LoginStore].
func (db *DB) Login(ctx context.Context, id ids.Login, now time.Time) (tokens.Login, error) {
	return one(ctx, db, scanLogin, db.selectLogins(`l.id = ? AND l.expires_at > ?`), id[:], now.UnixMilli())
}

// UserLogins implements [tokens.LoginStore].
func (db *DB) UserLogins(ctx context.Context, user ids.User, now time.Time) ([]tokens.Login, error) {
	return all(ctx, db, scanLogin, db.selectLogins(`l.user_id = ? AND l.expires_at > ? ORDER BY l.id DESC`), user[:], now.UnixMilli())
}

// loginLives is the condition that the login with an id is live at a time.
const loginLives = `id = ? AND expires_at > ?
	AND EXISTS (SELECT 1 FROM users u WHERE u.id = logins.user_id AND u.epoch = logins.epoch AND u.disabled_at IS NULL)`

// ReplaceLogin implements [tokens.LoginStore].
func (db *DB) ReplaceLogin(ctx context.Context, old ids.Login, l tokens.Login, now time.Time, ev audit.Event) error {
	return db.inTx(ctx, func(tx *sql.Tx) error {
		n, err := affected(tx.ExecContext(ctx, `DELETE FROM logins WHERE user_id = ? AND `+loginLives, l.UserID[:], old[:], now.UnixMilli()))
		if err == nil && n == 0 {
			err = tokens.ErrUnknown
		}
		if err != nil {
			return err
		}
		if err := db.insertLogin(ctx, tx, l, ev); err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, `UPDATE authorizations SET login_id = ? WHERE login_id = ?`, l.ID[:], old[:]); err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, `UPDATE codes SET login_id = ? WHERE user_id = ? AND login_id = ?`, l.ID[:], l.UserID[:], old[:]); err != nil {
			return err
		}
		return record(ctx, tx, ev)
	})
}

// ForgetLogin implements [tokens.LoginStore].
func (db *DB) ForgetLogin(ctx context.Context, id ids.Login) error {
	_, err := db.exec(ctx, `DELETE FROM logins WHERE id = ?`, id[:])
	return err
}

// EndLogin implements [tokens.LoginStore].
func (db *DB) EndLogin(ctx context.Context, id ids.Login, ev audit.Event) error {
	return db.inTx(ctx, func(tx *sql.Tx) error {
		n, err := affected(tx.ExecContext(ctx, `DELETE FROM logins WHERE id = ?`, id[:]))
		if err != nil {
			return err
		}
		if n == 0 {
			return tokens.ErrUnknown
		}
		ending, err := endingWith(ctx, tx, id)
		if err != nil {
			return err
		}
		for some := range slices.Chunk(ending, deleteBatch) {
			_, err := tx.ExecContext(ctx, `DELETE FROM sessions WHERE id IN (?`+strings.Repeat(`, ?`, len(some)-1)+`)`, some...)
			if err != nil {
				return err
			}
		}
		return record(ctx, tx, ev)
	})
}

// endingWith returns the ids of the sessions that end with a login.
func endingWith(ctx context.Context, tx *sql.Tx, login ids.Login) (sessions []any, err error) {
	err = eachSessionOf(ctx, tx, login, func(id ids.Session, scopes oauth.Scopes) {
		if !scopes.Has(oauth.ScopeOfflineAccess) {
			sessions = append(sessions, id[:])
		}
	})
	return sessions, err
}

// sessionsOf returns the ids of the sessions that began from a login.
func sessionsOf(ctx context.Context, tx *sql.Tx, login ids.Login) (sessions []ids.Session, err error) {
	err = eachSessionOf(ctx, tx, login, func(id ids.Session, _ oauth.Scopes) { sessions = append(sessions, id) })
	return sessions, err
}

func eachSessionOf(ctx context.Context, tx *sql.Tx, login ids.Login, visit func(ids.Session, oauth.Scopes)) error {
	rows, err := tx.QueryContext(ctx, `
		SELECT s.id, s.scopes FROM sessions s JOIN authorizations a ON a.session_id = s.id WHERE a.login_id = ?`, login[:])
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var id ids.Session
		var scopes oauth.Scopes
		if err := rows.Scan(&id, (*scopesColumn)(&scopes)); err != nil {
			return err
		}
		visit(id, scopes)
	}
	return rows.Err()
}

// loginOf returns the id of a session's login, or the zero id if it has none.
func loginOf(ctx context.Context, tx *sql.Tx, session ids.Session) (login ids.Login, err error) {
	if session.IsZero() {
		return ids.Login{}, nil
	}
	err = tx.QueryRowContext(ctx, `SELECT login_id FROM authorizations WHERE session_id = ?`, session[:]).Scan(&login)
	return login, ifNoRows(err, nil)
}

// PurgeLogins implements [tokens.LoginStore].
func (db *DB) PurgeLogins(ctx context.Context, now time.Time, limit int) (int64, error) {
	return purge(ctx, db, `SELECT id FROM logins WHERE expires_at <= ? ORDER BY expires_at LIMIT ?`,
		`DELETE FROM logins WHERE expires_at <= ? AND id IN `, now.UnixMilli(), limit)
}
