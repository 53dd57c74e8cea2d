package store

import (
	"cmp"
	"context"
	"database/sql"
	"slices"
	"strings"
	"time"

	"countersign/accounts"
	"countersign/audit"
	"countersign/ids"
)

var letterTable = table{name: "letters", columns: columns("id blob, kind text, user_id blob null, address text, language text, epoch int, " +
	"created_at int, expires_at int, due_at int null, attempts int, session_id blob null, last_error text null, " +
	"device text null, caller_address text null, login_id blob null")}

// formerLetterTable is what a letter has in the schema before this one, and all that is
// needed to send it.
var formerLetterTable = table{name: letterTable.name, columns: letterTable.columns[:10]}

// letterRow returns the table of letters in the schema that the database has, and a row of
// it. The letter ends with the place, if that is not zero.
func (db *DB) letterRow(l accounts.Letter, with ids.Place) (table, []any) {
	values := []any{
		l.ID[:], string(l.Kind), optionalID(l.UserID), l.Address, l.Language, l.Epoch,
		l.CreatedAt.UnixMilli(), l.ExpiresAt.UnixMilli(), millis(l.DueAt), l.Attempts, optionalID(with.Session), optional(l.LastError),
		optional(cmp.Or(l.Device, l.Provider)), optional(l.CallerAddress), optionalID(with.Login),
	}
	if db.older {
		return formerLetterTable, values[:len(formerLetterTable.columns)]
	}
	return letterTable, values
}

var usedLetterTable = table{name: "used_letters", columns: columns("id blob, kind text, user_id blob, address text, expires_at int")}

// PostLetter implements [accounts.LetterStore].
func (db *DB) PostLetter(ctx context.Context, l accounts.Letter, at ids.Place, with ...accounts.Letter) error {
	letters := append([]accounts.Letter{l}, with...)
	return db.inTx(ctx, func(tx *sql.Tx) error {
		if at.IsZero() {
			return db.post(ctx, tx, letters...)
		}
		for _, l := range letters {
			var with ids.Place
			switch {
			case !l.HasToken(): // a notice must arrive even if its place ends at once
			case at.Login.IsZero():
				with.Session = at.Session
			default:
				with.Login = at.Login
			}
			table, values := db.letterRow(l, with)
			owner, alive, args := askedAt(at, l.CreatedAt)
			n, err := affected(tx.ExecContext(ctx, table.into()+`
				SELECT ?, ?, ?, ?, ?, users.epoch`+strings.Repeat(`, ?`, len(values)-6)+` FROM users
				WHERE id = (`+owner+`) AND `+alive, append(append(slices.Delete(values, 5, 6), args[0]), args...)...))
			if err == nil && n == 0 || db.dialect.isForeign(err) { // foreign: the place has just ended
				err = accounts.ErrSignedOut
			}
			if err != nil {
				return err
			}
		}
		return nil
	})
}

// post adds letters.
func (db *DB) post(ctx context.Context, tx execer, letters ...accounts.Letter) error {
	for _, l := range letters {
		table, values := db.letterRow(l, ids.Place{})
		_, err := tx.ExecContext(ctx, table.insert(), values...)
		if err != nil {
			return err
		}
	}
	return nil
}

// letterQuery selects letters with their users' names. A letter without a user has no
// name.
var letterQuery = selectLetters("")

// selectLetters is letterQuery with more columns of letters after its own.
func selectLetters(more string) string {
	return `SELECT ` + formerLetterTable.list("l.") + `, ` + userName + more + ` FROM letters l LEFT JOIN users u ON u.id = l.user_id`
}

func scanLetter(row scanner) (accounts.Letter, error) { return scanLetterAnd(row) }

// scanLetterAnd scans a letter, and what a query selects after it.
func scanLetterAnd(row scanner, more ...any) (accounts.Letter, error) {
	var l accounts.Letter
	err := row.Scan(append([]any{&l.ID, (*string)(&l.Kind), &l.UserID, &l.Address, &l.Language, &l.Epoch, (*timeColumn)(&l.CreatedAt),
		(*timeColumn)(&l.ExpiresAt), (*timeColumn)(&l.DueAt), &l.Attempts, (*textColumn)(&l.Username)}, more...)...)
	return l, ifNoRows(err, accounts.ErrBadToken)
}

// Letter implements [accounts.LetterStore].
func (db *DB) Letter(ctx context.Context, id ids.Letter, now time.Time) (accounts.Letter, error) {
	return one(ctx, db, scanLetter, letterQuery+` WHERE l.id = ? AND l.expires_at > ?`, id[:], now.UnixMilli())
}

// UsedLetter implements [accounts.LetterStore].
func (db *DB) UsedLetter(ctx context.Context, id ids.Letter, now time.Time) (accounts.Letter, error) {
	if db.older {
		return accounts.Letter{}, accounts.ErrBadToken
	}
	return one(ctx, db, func(row scanner) (l accounts.Letter, err error) {
		err = row.Scan(&l.ID, (*string)(&l.Kind), &l.UserID, &l.Address, (*timeColumn)(&l.ExpiresAt))
		return l, ifNoRows(err, accounts.ErrBadToken)
	}, `SELECT `+usedLetterTable.list("")+` FROM used_letters WHERE id = ? AND expires_at > ?`, id[:], now.UnixMilli())
}

// rememberUse notes that a letter's token has been used.
func (db *DB) rememberUse(ctx context.Context, tx execer, l accounts.Letter) error {
	if db.older { // as servers of the former version do
		return nil
	}
	_, err := tx.ExecContext(ctx, usedLetterTable.insert(), l.ID[:], string(l.Kind), l.UserID[:], l.Address, l.ExpiresAt.UnixMilli())
	return err
}

// consumeLetter returns a letter and deletes it. Of concurrent callers, only the one whose DELETE removes
// the row has it.
func consumeLetter(ctx context.Context, tx *sql.Tx, id ids.Letter, now time.Time) (accounts.Letter, error) {
	l, err := scanLetter(tx.QueryRowContext(ctx, letterQuery+` WHERE l.id = ? AND l.expires_at > ?`, id[:], now.UnixMilli()))
	if err != nil {
		return l, err
	}
	n, err := affected(tx.ExecContext(ctx, `DELETE FROM letters WHERE id = ?`, id[:]))
	if err == nil && n == 0 {
		err = accounts.ErrBadToken
	}
	return l, err
}

// lettersLike returns the letters of the kind, to the user and the address of one.
func lettersLike(ctx context.Context, tx *sql.Tx, l accounts.Letter, now time.Time) (same []accounts.Letter, err error) {
	rows, err := tx.QueryContext(ctx, letterQuery+` WHERE l.user_id = ? AND l.kind = ? AND l.address = ? AND l.expires_at > ?`,
		l.UserID[:], string(l.Kind), l.Address, now.UnixMilli())
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		one, err := scanLetter(rows)
		if err != nil {
			return nil, err
		}
		same = append(same, one)
	}
	return same, rows.Err()
}

// ConfirmEmail implements [accounts.LetterStore].
func (db *DB) ConfirmEmail(ctx context.Context, id ids.Letter, now time.Time, ev audit.Event, letters ...accounts.Letter) error {
	return db.inTx(ctx, func(tx *sql.Tx) error {
		l, err := consumeLetter(ctx, tx, id, now)
		if err != nil {
			return err
		}
		query := `
			UPDATE users SET email = ?, email_key = ?, email_verified = 1` + db.claimed() + `, updated_at = ?
			WHERE id = ? AND disabled_at IS NULL`
		args := []any{l.Address, accounts.EmailKey(l.Address), now.UnixMilli(), l.UserID[:]}
		switch l.Kind {
		case accounts.VerifyEmail:
			query, args = query+` AND email = ?`, append(args, l.Address)
		case accounts.ChangeEmail:
			query, args = query+` AND epoch = ?`, append(args, l.Epoch)
		default:
			return accounts.ErrBadToken
		}
		n, err := affected(tx.ExecContext(ctx, query, args...))
		if db.dialect.isDuplicate(err) {
			return accounts.ErrEmailTaken
		}
		if err == nil && n == 0 {
			err = accounts.ErrBadToken
		}
		if err != nil {
			return err
		}
		used := []accounts.Letter{l}
		if l.Kind == accounts.ChangeEmail { // letters to the old address prove nothing any more
			// Those that ask for the same have been answered, too: the user has asked twice.
			same, err := lettersLike(ctx, tx, l, now)
			if err != nil {
				return err
			}
			used = append(used, same...)
			if err := db.discard(ctx, tx, l.UserID); err != nil {
				return err
			}
		}
		for _, l := range used {
			if err := db.rememberUse(ctx, tx, l); err != nil {
				return err
			}
		}
		if err := db.post(ctx, tx, letters...); err != nil {
			return err
		}
		return record(ctx, tx, ev)
	})
}

// ResetPassword implements [accounts.LetterStore].
func (db *DB) ResetPassword(ctx context.Context, id ids.Letter, hash string, now time.Time, ev audit.Event, letters ...accounts.Letter) error {
	var user ids.User
	err := db.inTx(ctx, func(tx *sql.Tx) error {
		l, err := consumeLetter(ctx, tx, id, now)
		if err != nil {
			return err
		}
		n, err := affected(tx.ExecContext(ctx, `
			UPDATE users SET password_hash = ?, epoch = epoch + 1, updated_at = ?
			WHERE id = ? AND disabled_at IS NULL AND epoch = ? AND email = ?`,
			hash, now.UnixMilli(), l.UserID[:], l.Epoch, l.Address))
		if err == nil && (n == 0 || l.Kind != accounts.ResetPassword) {
			err = accounts.ErrBadToken
		}
		if err != nil {
			return err
		}
		if err := db.dropStrangers(ctx, tx, l.UserID, ev); err != nil {
			return err
		}
		_, err = tx.ExecContext(ctx, `UPDATE users SET email_key = ?, email_verified = 1`+db.claimed()+` WHERE id = ?`,
			accounts.EmailKey(l.Address), l.UserID[:])
		if err != nil && !db.dialect.isDuplicate(err) { // duplicate: another user has proven the address
			return err
		}
		if _, err := db.expel(ctx, tx, l.UserID, ids.Place{}, ids.Login{}); err != nil {
			return err
		}
		user = l.UserID
		// Another person may have given these.
		if _, err := tx.ExecContext(ctx, `DELETE FROM consents WHERE user_id = ?`, l.UserID[:]); err != nil {
			return err
		}
		if err := db.rememberUse(ctx, tx, l); err != nil {
			return err
		}
		if err := db.post(ctx, tx, letters...); err != nil {
			return err
		}
		return record(ctx, tx, ev)
	})
	if err == nil {
		db.sweep(ctx, user)
	}
	return err
}

// discard deletes the letters whose tokens give access to the account, and forgets those that did:
// what they did is no longer so. A letter that only proves an address stays, as long as the account has
// that address.
func (db *DB) discard(ctx context.Context, tx execer, user ids.User) error {
	for _, table := range []string{letterTable.name, usedLetterTable.name} {
		if table == usedLetterTable.name && db.older {
			continue
		}
		_, err := tx.ExecContext(ctx, `DELETE FROM `+table+` WHERE user_id = ? AND kind IN (?, ?)`, user[:],
			string(accounts.ResetPassword), string(accounts.ChangeEmail))
		if err != nil {
			return err
		}
	}
	return nil
}

// DueLetters implements [accounts.LetterStore].
func (db *DB) DueLetters(ctx context.Context, now time.Time, limit int, kinds ...accounts.LetterKind) ([]accounts.Letter, error) {
	where, args := ` WHERE l.due_at <= ? AND l.expires_at > ?`, []any{now.UnixMilli(), now.UnixMilli()}
	if len(kinds) > 0 {
		where += ` AND l.kind IN (?` + strings.Repeat(`, ?`, len(kinds)-1) + `)`
		for _, k := range kinds {
			args = append(args, string(k))
		}
	}
	more := ", l.device, l.caller_address"
	if db.older {
		more = ", NULL, NULL"
	}
	return all(ctx, db, func(row scanner) (accounts.Letter, error) {
		var device, address textColumn
		l, err := scanLetterAnd(row, &device, &address)
		l.CallerAddress = string(address)
		if l.Kind == accounts.NewBrowser {
			l.Device = string(device)
		} else {
			l.Provider = string(device)
		}
		return l, err
	}, selectLetters(more)+where+` ORDER BY l.due_at LIMIT ?`, append(args, limit)...)
}

// ClaimLetter implements [accounts.LetterStore].
func (db *DB) ClaimLetter(ctx context.Context, l accounts.Letter, until time.Time) (bool, error) {
	n, err := db.exec(ctx, `UPDATE letters SET due_at = ?, attempts = attempts + 1 WHERE id = ? AND due_at = ?`,
		until.UnixMilli(), l.ID[:], l.DueAt.UnixMilli())
	return n > 0, err
}

// LetterDone implements [accounts.LetterStore].
func (db *DB) LetterDone(ctx context.Context, id ids.Letter, why string) error {
	if db.older {
		_, err := db.exec(ctx, `UPDATE letters SET due_at = NULL WHERE id = ?`, id[:])
		return err
	}
	_, err := db.exec(ctx, `UPDATE letters SET due_at = NULL, last_error = ? WHERE id = ?`, optional(why), id[:])
	return err
}

// LetterFailed implements [accounts.LetterStore].
func (db *DB) LetterFailed(ctx context.Context, id ids.Letter, until, again time.Time, why string) error {
	query, args := `UPDATE letters SET due_at = ?, last_error = ? WHERE id = ? AND due_at = ?`, []any{again.UnixMilli(), optional(why), id[:], until.UnixMilli()}
	if db.older {
		query, args = `UPDATE letters SET due_at = ? WHERE id = ? AND due_at = ?`, slices.Delete(args, 1, 2)
	}
	_, err := db.exec(ctx, query, args...)
	return err
}

// Backlog lists at most limit letters that have not expired and wait, or were given up:
// those whose time is over first.
func (db *DB) Backlog(ctx context.Context, now time.Time, limit int) ([]accounts.Letter, error) {
	return all(ctx, db, func(row scanner) (accounts.Letter, error) {
		var why textColumn
		l, err := scanLetterAnd(row, &why)
		l.LastError = string(why)
		return l, err
	}, selectLetters(", l.last_error")+`
		WHERE l.expires_at > ? AND (l.due_at IS NOT NULL OR l.last_error IS NOT NULL) ORDER BY l.expires_at LIMIT ?`, now.UnixMilli(), limit)
}

// PurgeLetters implements [accounts.LetterStore].
func (db *DB) PurgeLetters(ctx context.Context, before time.Time, limit int) (int64, error) {
	n, err := purge(ctx, db, `SELECT id FROM letters WHERE expires_at <= ? ORDER BY expires_at LIMIT ?`,
		`DELETE FROM letters WHERE expires_at <= ? AND id IN `, before.UnixMilli(), limit)
	if err != nil || db.older || n >= int64(limit) {
		return n, err
	}
	used, err := purge(ctx, db, `SELECT id FROM used_letters WHERE expires_at <= ? ORDER BY expires_at LIMIT ?`,
		`DELETE FROM used_letters WHERE expires_at <= ? AND id IN `, before.UnixMilli(), limit-int(n))
	return n + used, err
}
