package store

import (
	"cmp"
	"context"
	"database/sql"
	"slices"
	"strings"

	"countersign/accounts"
	"countersign/audit"
	"countersign/ids"
	"countersign/tokens"
)

// All of a user's sessions and logins end in two steps. The first is one short transaction
// that moves the user's epoch: they are dead at once, since each is of the epoch in which it
// began. The second removes their rows in batches, so that it holds up no other writer,
// however many there are. If it is cut off, the rest is removed by the next such end, or
// when its time is over.

// expelUser runs a statement that moves the user's epoch, ends all sessions and logins
// except keep and posts letters. If the statement affects no row, nothing changes, and expelUser
// returns ErrUnknownUser or errUnchanged.
func (db *DB) expelUser(ctx context.Context, id ids.User, keep ids.Place, ev audit.Event, letters []accounts.Letter, query string, args ...any) error {
	err := db.inTx(ctx, func(tx *sql.Tx) error {
		n, err := affected(tx.ExecContext(ctx, query, args...))
		if err != nil {
			return err
		}
		if n == 0 {
			return cmp.Or(requireUser(ctx, tx, id), errUnchanged)
		}
		kept, err := db.expel(ctx, tx, id, keep, ids.Login{})
		if err != nil {
			return err
		}
		for _, session := range kept { // a proof of the former password is none of the new one
			if _, err := tx.ExecContext(ctx, `UPDATE sessions SET proven_at = NULL WHERE id = ?`, session[:]); err != nil {
				return err
			}
		}
		if err := db.post(ctx, tx, letters...); err != nil {
			return err
		}
		return record(ctx, tx, ev)
	})
	if err == nil {
		db.sweep(ctx, id)
	}
	return err
}

// expel ends what belongs to a user's past, after a statement has moved the epoch by one:
// logins except one, sessions except those at keep, codes that are not exchanged yet, and
// the mailed links that give access to the account. Everything that ends all of a user's
// sessions runs here, so that nothing that was begun before goes on. A code dies with its
// login; those of the login that stays are removed. Logins come first, as everywhere. If
// keep is no longer live, expel returns ErrUnknown: a session or a login that has been ended
// ends no others. login is that of keep's session, if it is to stay. The sessions that
// stay are returned.
func (db *DB) expel(ctx context.Context, tx *sql.Tx, user ids.User, keep ids.Place, login ids.Login) (kept []ids.Session, err error) {
	const renewed = ` SET epoch = epoch + 1 WHERE id = ? AND user_id = ? AND epoch = (SELECT epoch FROM users WHERE id = ?) - 1`
	var stay []ids.Session
	if !keep.Login.IsZero() {
		login = keep.Login
		if stay, err = sessionsOf(ctx, tx, login); err != nil {
			return nil, err
		}
	}
	if !keep.Session.IsZero() && !slices.Contains(stay, keep.Session) {
		stay = append(stay, keep.Session)
	}
	if !login.IsZero() {
		n, err := affected(tx.ExecContext(ctx, `UPDATE logins`+renewed, login[:], user[:], user[:]))
		if err == nil && n == 0 && !keep.Login.IsZero() {
			err = tokens.ErrUnknown
		}
		if err != nil {
			return nil, err
		}
		if _, err := tx.ExecContext(ctx, `DELETE FROM codes WHERE user_id = ? AND login_id = ? AND session_id IS NULL`, user[:], login[:]); err != nil {
			return nil, err
		}
	}
	for _, session := range stay {
		n, err := affected(tx.ExecContext(ctx, `UPDATE sessions`+renewed, session[:], user[:], user[:]))
		if err == nil && n == 0 && keep.Login.IsZero() {
			err = tokens.ErrUnknown
		}
		if err != nil {
			return nil, err
		}
		if n > 0 {
			kept = append(kept, session)
		}
	}
	return kept, db.discard(ctx, tx, user)
}

// sweepBatch is how many rows one statement of sweep removes.
const sweepBatch = 200

// sweep removes the logins and sessions of a user's former epochs. It is no matter if it
// fails: they are dead.
func (db *DB) sweep(ctx context.Context, user ids.User) {
	for _, table := range []string{"logins", "sessions"} {
		const former = `user_id = ? AND epoch < (SELECT epoch FROM users WHERE id = ?)`
		for {
			rows, err := all(ctx, db, func(row scanner) (id any, err error) {
				err = row.Scan(&id)
				return id, err
			}, `SELECT id FROM `+table+` WHERE `+former+` LIMIT ?`, user[:], user[:], sweepBatch)
			if err != nil {
				return
			}
			if len(rows) == 0 {
				break
			}
			// A row whose epoch is former stays so.
			if _, err := db.exec(ctx, `DELETE FROM `+table+` WHERE id IN (?`+strings.Repeat(`, ?`, len(rows)-1)+`)`, rows...); err != nil || len(rows) < sweepBatch {
				break
			}
		}
	}
}
