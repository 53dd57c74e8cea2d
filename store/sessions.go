package store

import (
	"context"
	"database/sql"
	"slices"
	"time"

	"countersign/audit"
	"countersign/ids"
	"countersign/oauth"
	"countersign/tokens"
)

var sessionTable = table{name: "sessions", columns: columns("id blob, user_id blob, client_id text, scopes text, counter int, rotations blob, " +
	"auth_time int, created_at int, last_used_at int, expires_at int, absolute_expires_at int, device text null, epoch int null, proven_at int null, " +
	"methods text null")}

// CreateSession implements [tokens.Store]. One statement checks the user and
// inserts.
func (db *DB) CreateSession(ctx context.Context, s tokens.Session, epoch int64, ev audit.Event) error {
	return db.inTx(ctx, func(tx *sql.Tx) error {
		if err := db.insertSession(ctx, tx, s, epoch, ev); err != nil {
			return err
		}
		return record(ctx, tx, ev)
	})
}

// insertSession adds a session if its user is still in epoch, or returns ErrUserGone. It
// ends those that are too many. ev is the event of the new session.
func (db *DB) insertSession(ctx context.Context, tx *sql.Tx, s tokens.Session, epoch int64, ev audit.Event) error {
	if err := db.lockUser(ctx, tx, s.UserID); err != nil {
		return err
	}
	into, place, value := db.intoMethods(sessionTable, s.Methods)
	n, err := affected(tx.ExecContext(ctx, into+`
		SELECT ?, id, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, epoch, ?`+place+` FROM users
		WHERE id = ? AND epoch = ? AND disabled_at IS NULL`, slices.Concat([]any{
		s.ID[:], s.ClientID, s.Scopes.String(), int64(s.Counter), packTimes(s.Rotations), s.AuthTime.UnixMilli(),
		s.CreatedAt.UnixMilli(), s.LastUsedAt.UnixMilli(), s.ExpiresAt.UnixMilli(), s.AbsoluteExpiresAt.UnixMilli(),
		optional(s.Device), millis(s.ProvenAt)}, value, []any{s.UserID[:], epoch})...))
	if n == 0 && err == nil || db.dialect.isForeign(err) { // foreign: the client was deleted meanwhile
		return tokens.ErrUserGone
	}
	if err != nil {
		return err
	}
	if err := db.insertAuthorization(ctx, tx, &s); err != nil {
		return err
	}
	return end(ctx, tx, surplus{
		table: "sessions", of: `user_id = ? AND +client_id = ? AND epoch = ?`, // + keeps SQLite from reading all of the client's
		args: []any{s.UserID[:], s.ClientID, epoch}, newest: s.ID[:], least: "last_used_at", most: tokens.MaxSessions,
	}, func(id []byte) audit.Event {
		ended := audit.Event{Time: ev.Time, Kind: audit.SessionRevoked, UserID: s.UserID, ClientID: s.ClientID, Address: ev.Address, RequestID: ev.RequestID}
		copy(ended.SessionID[:], id)
		return ended
	}, ev.Time)
}

// sessionQuery selects sessions with their users' roles and their authorizations. A session
// dies when the user's epoch moves on: in a cluster one node may add a session while
// another ends all of the account's sessions, and neither sees the other's change.
var sessionQuery, formerSessionQuery = selectSessions(sessionTable.list("s.")), selectSessions(sessionTable.listFormer("s."))

func selectSessions(columns string) string {
	return `
	SELECT ` + columns + `, u.roles, o.scopes, a.login_id, a.details
	FROM sessions s JOIN users u ON u.id = s.user_id AND s.epoch = u.epoch
		LEFT JOIN consents o ON o.user_id = s.user_id AND o.client_id = s.client_id
		LEFT JOIN authorizations a ON a.session_id = s.id
	WHERE `
}

// sessionsWhere returns the query for sessions that meet a condition.
func (db *DB) sessionsWhere(condition string) string {
	if db.older {
		return formerSessionQuery + condition
	}
	return sessionQuery + condition
}

func scanSession(row scanner) (tokens.Session, error) {
	var (
		s       tokens.Session
		counter int64
	)
	err := row.Scan(&s.ID, &s.UserID, &s.ClientID, (*scopesColumn)(&s.Scopes), &counter, (*timesColumn)(&s.Rotations),
		(*timeColumn)(&s.AuthTime), (*timeColumn)(&s.CreatedAt), (*timeColumn)(&s.LastUsedAt), (*timeColumn)(&s.ExpiresAt),
		(*timeColumn)(&s.AbsoluteExpiresAt), (*textColumn)(&s.Device), &s.Epoch, (*timeColumn)(&s.ProvenAt), (*methodsColumn)(&s.Methods),
		(*listColumn)(&s.Roles), (*listColumn)(&s.Consent), &s.LoginID, jsonColumn{&s.Details})
	s.Counter = uint64(counter)
	return s, ifNoRows(err, tokens.ErrUnknown)
}

// Session implements [tokens.Store].
func (db *DB) Session(ctx context.Context, id ids.Session, now time.Time) (tokens.Session, error) {
	if db.sessions == nil {
		return one(ctx, db, scanSession, db.sessionsWhere(`s.id = ? AND s.expires_at > ?`), id[:], now.UnixMilli())
	}
	return db.gatheredSession(ctx, id, now)
}

// AdvanceSession implements [tokens.Store].
func (db *DB) AdvanceSession(ctx context.Context, next tokens.Session, now time.Time) error {
	a := advance{
		id: next.ID, client: next.ClientID, counter: int64(next.Counter), rotations: packTimes(next.Rotations),
		used: next.LastUsedAt.UnixMilli(), expires: next.ExpiresAt.UnixMilli(), now: now.UnixMilli(),
	}
	won, err := db.advance(ctx, a)
	if err == nil && !won {
		return tokens.ErrStale
	}
	return err
}

// ProveSession implements [tokens.Store].
func (db *DB) ProveSession(ctx context.Context, id ids.Session, epoch int64, methods oauth.Methods, now time.Time) error {
	return db.inTx(ctx, func(tx *sql.Tx) error {
		n, err := affected(tx.ExecContext(ctx, `
			UPDATE sessions SET proven_at = ? WHERE id = ? AND epoch = ? AND expires_at > ?
				AND EXISTS (SELECT 1 FROM users u WHERE u.id = sessions.user_id AND u.epoch = sessions.epoch)`,
			now.UnixMilli(), id[:], epoch, now.UnixMilli()))
		if err != nil {
			return err
		}
		if n == 0 {
			return tokens.ErrUnknown
		}
		return addMethods(ctx, tx, "sessions", id[:], methods)
	})
}

// EndSession implements [tokens.Store].
func (db *DB) EndSession(ctx context.Context, id ids.Session, ev audit.Event) error {
	return db.change(ctx, tokens.ErrUnknown, ev, `DELETE FROM sessions WHERE id = ?`, id[:])
}

// EndSignIn implements [tokens.Store].
func (db *DB) EndSignIn(ctx context.Context, id ids.Session, ev audit.Event) error {
	return db.inTx(ctx, func(tx *sql.Tx) error {
		// A query of its own, because MariaDB reads all rows for a DELETE with a
		// subquery.
		login, err := loginOf(ctx, tx, id)
		if err != nil {
			return err
		}
		if !login.IsZero() {
			n, err := affected(tx.ExecContext(ctx, `DELETE FROM logins WHERE id = ?`, login[:]))
			if err != nil {
				return err
			}
			if n == 0 { // the login has ended, or another has just replaced it
				switch latest, err := loginOf(ctx, tx, id); {
				case err != nil:
					return err
				case latest != login:
					return errRaced
				}
			}
		}
		n, err := affected(tx.ExecContext(ctx, `DELETE FROM sessions WHERE id = ?`, id[:]))
		if err != nil {
			return err
		}
		if n == 0 {
			return tokens.ErrUnknown
		}
		return record(ctx, tx, ev)
	})
}

// EndUserSessions implements [tokens.Store].
func (db *DB) EndUserSessions(ctx context.Context, user ids.User, keep ids.Place, ev audit.Event) (n int64, err error) {
	err = db.inTx(ctx, func(tx *sql.Tx) error {
		login, err := loginOf(ctx, tx, keep.Session)
		if err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, `UPDATE users SET epoch = epoch + 1 WHERE id = ?`, user[:]); err != nil {
			return err
		}
		err = tx.QueryRowContext(ctx, `
			SELECT COUNT(*) FROM sessions s JOIN users u ON u.id = s.user_id AND s.epoch = u.epoch - 1
			WHERE s.user_id = ?`, user[:]).Scan(&n)
		if err != nil {
			return err
		}
		kept, err := db.expel(ctx, tx, user, keep, login)
		if n -= int64(len(kept)); err != nil || n == 0 {
			return err
		}
		return record(ctx, tx, ev)
	})
	if err != nil {
		return 0, err
	}
	db.sweep(ctx, user)
	return n, nil
}

// UserSessions implements [tokens.Store]. The ids of sessions begin with the time (UUIDs of
// version 7), so the index by user has them in order, and a page costs what it holds,
// however many sessions there are.
func (db *DB) UserSessions(ctx context.Context, user ids.User, now time.Time, after ids.Session, limit int) ([]tokens.Session, error) {
	query, args := db.sessionsWhere(`s.user_id = ? AND s.expires_at > ?`), []any{user[:], now.UnixMilli()}
	if !after.IsZero() {
		query, args = query+` AND s.id < ?`, append(args, after[:])
	}
	return all(ctx, db, scanSession, query+` ORDER BY s.id DESC LIMIT ?`, append(args, limit)...)
}

// PurgeSessions implements [tokens.Store].
func (db *DB) PurgeSessions(ctx context.Context, now time.Time, limit int) (int64, error) {
	return purge(ctx, db, `SELECT id FROM sessions WHERE expires_at <= ? ORDER BY expires_at LIMIT ?`,
		`DELETE FROM sessions WHERE expires_at <= ? AND id IN `, now.UnixMilli(), limit)
}
