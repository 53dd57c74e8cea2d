package store

import (
	"cmp"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"countersign/accounts"
	"countersign/audit"
	"countersign/ids"
	"countersign/tokens"
)

var userTable = table{name: "users", columns: columns("id blob, username text, email text null, email_key text null, email_verified int, " +
	"roles text, password_hash text, epoch int, disabled_at int null, created_at int, updated_at int, unclaimed_key text null")}

// formerUserTable is what a user has in the schema before this one, and all that a read
// returns.
var formerUserTable = table{name: userTable.name, columns: userTable.columns[:11]}

var userQuery = `SELECT ` + formerUserTable.list("") + ` FROM users`

// nameColumn reads a username. An account without one has its id after a space there: the
// column is unique and not NULL, servers of older versions read it, and no username has a
// space.
type nameColumn string

const nameless = " "

// Scan implements [sql.Scanner].
func (n *nameColumn) Scan(src any) error {
	text, err := textOf(src)
	if strings.HasPrefix(text, nameless) {
		text = ""
	}
	*n = nameColumn(text)
	return err
}

// userName selects what the user u is called by: the username, or else the address.
const userName = `CASE WHEN u.username LIKE '` + nameless + `%' THEN u.email ELSE u.username END`

// storedName returns the username column of u.
func storedName(u accounts.User) string {
	if u.Username == "" && !u.ID.IsZero() {
		return nameless + u.ID.String()
	}
	return u.Username
}

// namedQuery selects the user with a value in an indexed column, or else a neighbour: the
// next user in the column's order, or the last. With no row to read and decode, the query
// would be faster, and an attacker could learn from response times which accounts exist. Of
// several users with the value it selects the newest.
func namedQuery(column string) string {
	return strings.ReplaceAll(`SELECT `+formerUserTable.list("")+`, COLUMN = ? AS found FROM users WHERE COLUMN = COALESCE(
		(SELECT COLUMN FROM users WHERE COLUMN >= ? ORDER BY COLUMN LIMIT 1),
		(SELECT COLUMN FROM users WHERE COLUMN IS NOT NULL ORDER BY COLUMN DESC LIMIT 1)) ORDER BY created_at DESC LIMIT 1`, "COLUMN", column)
}

var byUsername, byEmail = namedQuery("username"), namedQuery("email_key")

// named returns the user whom a namedQuery selects for a value, if it isn't a neighbour.
func (db *DB) named(ctx context.Context, query, value string) (accounts.User, error) {
	var found bool
	u, err := one(ctx, db, func(row scanner) (accounts.User, error) { return scanUserAnd(row, &found) }, query, value, value)
	if err == nil && (!found || query == byUsername && u.Username == "") {
		return accounts.User{}, accounts.ErrUnknownUser
	}
	return u, err
}

func scanUser(row scanner) (accounts.User, error) { return scanUserAnd(row) }

// scanUserAnd scans a user, and what a query selects after it.
func scanUserAnd(row scanner, more ...any) (accounts.User, error) {
	var u accounts.User
	var key textColumn
	err := row.Scan(append([]any{&u.ID, (*nameColumn)(&u.Username), (*textColumn)(&u.Email), &key, &u.EmailVerified, (*listColumn)(&u.Roles),
		&u.PasswordHash, &u.Epoch, (*timeColumn)(&u.DisabledAt), (*timeColumn)(&u.CreatedAt), (*timeColumn)(&u.UpdatedAt)}, more...)...)
	u.EmailUnclaimed = u.Email != "" && key == ""
	return u, ifNoRows(err, accounts.ErrUnknownUser)
}

// CreateUser implements [accounts.UserStore].
func (db *DB) CreateUser(ctx context.Context, u accounts.User, ev audit.Event, letters ...accounts.Letter) error {
	return db.createUser(ctx, u, func(tx *sql.Tx) error { return record(ctx, tx, ev) }, letters...)
}

// createUser adds a user, and does the rest in the same transaction.
func (db *DB) createUser(ctx context.Context, u accounts.User, rest func(*sql.Tx) error, letters ...accounts.Letter) error {
	table, key, unclaimed := userTable, accounts.EmailKey(u.Email), ""
	if u.EmailUnclaimed {
		key, unclaimed = "", key
	}
	values := []any{u.ID[:], storedName(u), optional(u.Email), optional(key), u.EmailVerified, list(u.Roles),
		u.PasswordHash, u.Epoch, millis(u.DisabledAt), millis(u.CreatedAt), millis(u.UpdatedAt), optional(unclaimed)}
	if db.older {
		table, values = formerUserTable, values[:len(formerUserTable.columns)]
	}
	return db.inTx(ctx, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, table.insert(), values...)
		if err == nil {
			if err := db.post(ctx, tx, letters...); err != nil {
				return err
			}
			return rest(tx)
		}
		if !db.dialect.isDuplicate(err) {
			return err
		}
		// A query tells which unique column refused the row, not the driver's message.
		var taken int
		err = tx.QueryRowContext(ctx, `SELECT COUNT(*) FROM users WHERE username = ?`, storedName(u)).Scan(&taken)
		if err != nil {
			return err
		}
		if taken > 0 {
			return accounts.ErrUsernameTaken
		}
		return accounts.ErrEmailTaken
	})
}

// UserByUsername implements [accounts.UserStore].
func (db *DB) UserByUsername(ctx context.Context, username string) (accounts.User, error) {
	return db.named(ctx, byUsername, username)
}

// UserByEmail implements [accounts.UserStore].
func (db *DB) UserByEmail(ctx context.Context, key string) (accounts.User, error) {
	return db.named(ctx, byEmail, key)
}

// User implements [accounts.UserStore].
func (db *DB) User(ctx context.Context, id ids.User) (accounts.User, error) {
	return one(ctx, db, scanUser, userQuery+` WHERE id = ?`, id[:])
}

// Users implements [accounts.UserStore].
func (db *DB) Users(ctx context.Context, after accounts.User, limit int) ([]accounts.User, error) {
	return all(ctx, db, scanUser,
		userQuery+` WHERE username > ? ORDER BY username LIMIT ?`, storedName(after), limit)
}

// DisableUser implements [accounts.UserStore].
func (db *DB) DisableUser(ctx context.Context, id ids.User, now time.Time, ev audit.Event) error {
	err := db.expelUser(ctx, id, ids.Place{}, ev, nil, `
		UPDATE users SET disabled_at = ?, epoch = epoch + 1, updated_at = ? WHERE id = ? AND disabled_at IS NULL`,
		now.UnixMilli(), now.UnixMilli(), id[:])
	if errors.Is(err, errUnchanged) {
		return nil
	}
	return err
}

// SetPasswordHash implements [accounts.UserStore].
func (db *DB) SetPasswordHash(ctx context.Context, id ids.User, hash string, by accounts.By, now time.Time, ev audit.Event, letters ...accounts.Letter) error {
	query := `UPDATE users SET password_hash = ?, epoch = epoch + 1, updated_at = ? WHERE id = ?`
	args := []any{hash, now.UnixMilli(), id[:]}
	if !by.Operator {
		_, alive, asking := askedAt(by.Place, now)
		query += ` AND epoch = ? AND ` + alive
		args = append(append(args, by.Epoch), asking...)
	}
	err := db.expelUser(ctx, id, by.Place, ev, letters, query, args...)
	if !errors.Is(err, errUnchanged) {
		return err
	}
	return db.whyUnchanged(ctx, by.Place, now)
}

// whyUnchanged returns why a change of the password that a place asked for did not apply:
// accounts.ErrSignedOut, or accounts.ErrBadCredentials if another call has just changed it.
func (db *DB) whyUnchanged(ctx context.Context, at ids.Place, now time.Time) (err error) {
	if at.Login.IsZero() {
		_, err = db.Session(ctx, at.Session, now)
	} else {
		_, err = db.Login(ctx, at.Login, now)
	}
	if !errors.Is(err, tokens.ErrUnknown) {
		return cmp.Or(err, accounts.ErrBadCredentials)
	}
	return accounts.ErrSignedOut
}

// askedAt returns a query for the user of a place, the condition that the place is a user's
// and live at a time, and the arguments of the latter; the query takes the first of them.
func askedAt(at ids.Place, now time.Time) (owner, alive string, args []any) {
	table, id := "sessions", at.Session[:]
	if !at.Login.IsZero() {
		table, id = "logins", at.Login[:]
	}
	return `SELECT user_id FROM ` + table + ` WHERE id = ?`, `EXISTS (SELECT 1 FROM ` + table + ` s WHERE s.id = ? AND s.user_id = users.id
		AND s.epoch = users.epoch AND s.expires_at > ?)`, []any{id, now.UnixMilli()}
}

// errUnchanged says that the user exists, but the change did not apply.
var errUnchanged = errors.New("nothing has changed")

// EnableUser implements [accounts.UserStore].
func (db *DB) EnableUser(ctx context.Context, id ids.User, now time.Time, ev audit.Event) error {
	return db.inTx(ctx, func(tx *sql.Tx) error {
		n, err := affected(tx.ExecContext(ctx, `
			UPDATE users SET disabled_at = NULL, updated_at = ? WHERE id = ? AND disabled_at IS NOT NULL`,
			now.UnixMilli(), id[:]))
		if err != nil {
			return err
		}
		if n == 0 {
			return requireUser(ctx, tx, id)
		}
		return record(ctx, tx, ev)
	})
}

// ProveEmail implements [accounts.UserStore].
func (db *DB) ProveEmail(ctx context.Context, id ids.User, address string, now time.Time, ev audit.Event) error {
	return db.inTx(ctx, func(tx *sql.Tx) error {
		n, err := affected(tx.ExecContext(ctx, `
			UPDATE users SET email_key = ?, email_verified = 1`+db.claimed()+`, updated_at = ? WHERE id = ? AND email = ? AND email_verified = 0`,
			accounts.EmailKey(address), now.UnixMilli(), id[:], address))
		switch {
		case db.dialect.isDuplicate(err):
			return accounts.ErrEmailTaken
		case err != nil:
			return err
		case n > 0:
			return record(ctx, tx, ev)
		}
		u, err := scanUser(tx.QueryRowContext(ctx, userQuery+` WHERE id = ?`, id[:]))
		if err == nil && (u.Email != address || !u.EmailVerified) {
			return accounts.ErrNoEmail
		}
		return err
	})
}

// SetEmail implements [accounts.UserStore].
func (db *DB) SetEmail(ctx context.Context, id ids.User, address string, verified bool, now time.Time, ev audit.Event) error {
	return db.inTx(ctx, func(tx *sql.Tx) error {
		n, err := affected(tx.ExecContext(ctx, `UPDATE users SET email = ?, email_key = ?, email_verified = ?`+db.claimed()+`, updated_at = ? WHERE id = ?`,
			address, accounts.EmailKey(address), verified, now.UnixMilli(), id[:]))
		switch {
		case db.dialect.isDuplicate(err):
			return accounts.ErrEmailTaken
		case err != nil:
			return err
		case n == 0:
			return accounts.ErrUnknownUser
		}
		if err := db.discard(ctx, tx, id); err != nil {
			return err
		}
		return record(ctx, tx, ev)
	})
}

// ChangeRoles implements [accounts.UserStore].
func (db *DB) ChangeRoles(ctx context.Context, id ids.User, change func([]string) ([]string, error), now time.Time, ev audit.Event) error {
	return db.inTx(ctx, func(tx *sql.Tx) error {
		if err := db.lockUser(ctx, tx, id); err != nil {
			return err
		}
		u, err := scanUser(tx.QueryRowContext(ctx, userQuery+` WHERE id = ?`, id[:]))
		if err != nil {
			return err
		}
		roles, err := change(slices.Clone(u.Roles))
		if err != nil || slices.Equal(roles, u.Roles) {
			return err
		}
		if _, err := tx.ExecContext(ctx, `UPDATE users SET roles = ?, updated_at = ? WHERE id = ?`, list(roles), now.UnixMilli(), id[:]); err != nil {
			return err
		}
		return record(ctx, tx, ev)
	})
}

// UpgradePasswordHash implements [accounts.UserStore].
func (db *DB) UpgradePasswordHash(ctx context.Context, id ids.User, old, hash string) error {
	_, err := db.exec(ctx, `UPDATE users SET password_hash = ? WHERE id = ? AND password_hash = ?`, hash, id[:], old)
	return err
}

// DeleteUser implements [accounts.UserStore]. A foreign key deletes the sessions.
func (db *DB) DeleteUser(ctx context.Context, id ids.User, by accounts.By, now time.Time, ev audit.Event) error {
	if by.Operator {
		return db.change(ctx, accounts.ErrUnknownUser, ev, `DELETE FROM users WHERE id = ?`, id[:])
	}
	_, alive, args := askedAt(by.Place, now)
	return db.change(ctx, accounts.ErrSignedOut, ev, `DELETE FROM users WHERE id = ? AND `+alive, append([]any{id[:]}, args...)...)
}

// requireUser returns ErrUnknownUser if there is no such user.
func requireUser(ctx context.Context, tx *sql.Tx, id ids.User) error {
	var one int
	err := tx.QueryRowContext(ctx, `SELECT 1 FROM users WHERE id = ?`, id[:]).Scan(&one)
	return ifNoRows(err, accounts.ErrUnknownUser)
}

// ifNoRows returns instead for sql.ErrNoRows, and any other error as it is.
func ifNoRows(err, instead error) error {
	if errors.Is(err, sql.ErrNoRows) {
		return instead
	}
	return err
}

// list returns a list of texts as stored: a JSON array.
func list(texts []string) string {
	if texts == nil {
		texts = []string{}
	}
	b, err := json.Marshal(texts)
	if err != nil {
		panic(fmt.Sprintf("store: marshal strings: %v", err)) // strings always marshal
	}
	return string(b)
}
