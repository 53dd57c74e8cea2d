package store

import (
	"cmp"
	"context"
	"database/sql"
	"fmt"
	"strings"
	"time"

	"countersign/accounts"
	"countersign/audit"
	"countersign/factors"
	"countersign/ids"
	"countersign/oauth"
)

var (
	factorTable = table{name: "factors", columns: columns("id blob, user_id blob, kind text, name text, created_at int, " +
		"last_used_at int null, confirmed_at int null, sealed blob null, last_step int")}
	recoveryCodeTable = table{name: "recovery_codes", columns: columns("id blob, factor_id blob")}
)

var factorQuery = `SELECT ` + factorTable.list("f.") + `, (SELECT COUNT(*) FROM recovery_codes c WHERE c.factor_id = f.id) FROM factors f`

func scanFactor(row scanner) (s factors.Secret, err error) {
	var confirmed time.Time
	err = row.Scan(&s.ID, &s.UserID, (*string)(&s.Kind), &s.Name, (*timeColumn)(&s.CreatedAt), (*timeColumn)(&s.LastUsedAt),
		(*timeColumn)(&confirmed), &s.Sealed, new(int64), &s.Remaining)
	s.InForce = !confirmed.IsZero()
	return s, ifNoRows(err, factors.ErrUnknown)
}

func factorRow(s factors.Secret, confirmed time.Time, step int64) []any {
	return []any{s.ID[:], s.UserID[:], string(s.Kind), s.Name, s.CreatedAt.UnixMilli(), millis(s.LastUsedAt), millis(confirmed), s.Sealed, step}
}

// Factors implements [factors.Store].
func (db *DB) Factors(ctx context.Context, user ids.User) ([]factors.Factor, error) {
	secrets, err := db.factorsOf(ctx, user)
	list := make([]factors.Factor, len(secrets))
	for i := range secrets {
		list[i] = secrets[i].Factor
	}
	return list, err
}

func (db *DB) factorsOf(ctx context.Context, user ids.User) ([]factors.Secret, error) {
	if db.older {
		return nil, nil
	}
	return all(ctx, db, scanFactor, factorQuery+` WHERE f.user_id = ? ORDER BY f.id`, user[:])
}

// InForce implements [factors.Store].
func (db *DB) InForce(ctx context.Context, user ids.User) (in factors.InForce, err error) {
	secrets, err := db.factorsOf(ctx, user)
	keys := false
	for _, s := range secrets {
		switch {
		case s.Kind == factors.RecoveryCodes:
			in.Codes += s.Remaining
		case s.Kind == factors.KindPasskey:
			keys = true
		case s.InForce:
			in.TOTPs = append(in.TOTPs, s)
		}
	}
	if keys {
		in.Passkeys, err = all(ctx, db, scanPasskey, passkeyQuery+` WHERE f.user_id = ? ORDER BY f.id`, user[:])
	}
	return in, err
}

// Pending implements [factors.Store].
func (db *DB) Pending(ctx context.Context, user ids.User, id ids.Factor) (factors.Secret, error) {
	return one(ctx, db, scanFactor, factorQuery+` WHERE f.user_id = ? AND f.id = ? AND f.confirmed_at IS NULL`, user[:], id[:])
}

// changeFactors is changeAt for a user's factors.
func (db *DB) changeFactors(ctx context.Context, user ids.User, now time.Time, at ids.Place, change func(tx *sql.Tx) error) error {
	return db.changeAt(ctx, user, now, at, factors.ErrSignedOut, change)
}

// tell writes the event of a change of factors, and posts the letters about it.
func (db *DB) tell(ctx context.Context, tx *sql.Tx, ev audit.Event, letters []factors.Notice) error {
	for _, l := range letters {
		letter, ok := l.(accounts.Letter)
		if !ok {
			return fmt.Errorf("post a letter about %s: it is a %T", ev.Kind, l)
		}
		if err := db.post(ctx, tx, letter); err != nil {
			return err
		}
	}
	return record(ctx, tx, ev)
}

// AddTOTP implements [factors.Store].
func (db *DB) AddTOTP(ctx context.Context, s factors.Secret, at ids.Place) error {
	return db.changeFactors(ctx, s.UserID, s.CreatedAt, at, func(tx *sql.Tx) error {
		if _, err := tx.ExecContext(ctx, `DELETE FROM factors WHERE user_id = ? AND confirmed_at IS NULL`, s.UserID[:]); err != nil {
			return err
		}
		if err := checkRoom(ctx, tx, s.UserID); err != nil {
			return err
		}
		_, err := tx.ExecContext(ctx, factorTable.insert(), factorRow(s, time.Time{}, 0)...)
		return err
	})
}

// ConfirmTOTP implements [factors.Store].
func (db *DB) ConfirmTOTP(ctx context.Context, user ids.User, id ids.Factor, step int64, codes factors.Codes, now time.Time, at ids.Place, ev audit.Event, letters ...factors.Notice) (first bool, err error) {
	return db.putInForce(ctx, user, codes, factors.CodeMethods, now, at, ev, letters, func(tx *sql.Tx) error {
		n, err := affected(tx.ExecContext(ctx, `UPDATE factors SET confirmed_at = ?, last_used_at = ?, last_step = ?
			WHERE id = ? AND user_id = ? AND confirmed_at IS NULL`, now.UnixMilli(), now.UnixMilli(), step, id[:], user[:]))
		if err == nil && n == 0 {
			err = factors.ErrUnknown
		}
		return err
	})
}

// EstablishTOTP implements [factors.Store].
func (db *DB) EstablishTOTP(ctx context.Context, s factors.Secret, step int64, codes factors.Codes, epoch int64, now time.Time, ev audit.Event, letters ...factors.Notice) error {
	return db.establish(ctx, s.UserID, codes, epoch, now, ev, letters, func(tx *sql.Tx) error {
		s.LastUsedAt = now
		_, err := tx.ExecContext(ctx, factorTable.insert(), factorRow(s, now, step)...)
		return err
	})
}

// establish runs add, which adds the first factor of a user who isn't signed in yet.
func (db *DB) establish(ctx context.Context, user ids.User, codes factors.Codes, epoch int64, now time.Time, ev audit.Event, letters []factors.Notice, add func(*sql.Tx) error) error {
	err := db.inTx(ctx, func(tx *sql.Tx) error {
		if err := db.lockUser(ctx, tx, user); err != nil {
			return err
		}
		// Of several sign-ins that set up a first factor side by side, the first moves the
		// epoch of all others.
		n, err := affected(tx.ExecContext(ctx, `UPDATE users SET epoch = epoch + 1 WHERE id = ? AND epoch = ? AND disabled_at IS NULL`, user[:], epoch))
		if err != nil || n == 0 {
			return cmp.Or(err, factors.ErrUnknown)
		}
		if had, err := otherFactors(ctx, tx, user); err != nil || had > 0 {
			return cmp.Or(err, factors.ErrUnknown)
		}
		if err := add(tx); err != nil {
			return err
		}
		if err := insertCodes(ctx, tx, user, codes, now); err != nil {
			return err
		}
		if _, err := db.expel(ctx, tx, user, ids.Place{}, ids.Login{}); err != nil {
			return err
		}
		return db.tell(ctx, tx, ev, letters)
	})
	if err == nil {
		db.sweep(ctx, user)
	}
	return err
}

// leaveOnly signs a user out everywhere but at a place.
func (db *DB) leaveOnly(ctx context.Context, tx *sql.Tx, user ids.User, at ids.Place) error {
	login, err := loginOf(ctx, tx, at.Session)
	if err != nil {
		return err
	}
	if _, err := tx.ExecContext(ctx, `UPDATE users SET epoch = epoch + 1 WHERE id = ?`, user[:]); err != nil {
		return err
	}
	_, err = db.expel(ctx, tx, user, at, login)
	return err
}

// provenAt notes that the user has proven more at a place.
func provenAt(ctx context.Context, tx *sql.Tx, at ids.Place, more oauth.Methods) error {
	if !at.Session.IsZero() {
		if err := addMethods(ctx, tx, "sessions", at.Session[:], more); err != nil {
			return err
		}
	}
	if at.Login.IsZero() {
		return nil
	}
	return addMethods(ctx, tx, "logins", at.Login[:], more)
}

func addMethods(ctx context.Context, tx *sql.Tx, table string, id []byte, more oauth.Methods) error {
	var had methodsColumn
	if err := tx.QueryRowContext(ctx, `SELECT methods FROM `+table+` WHERE id = ?`, id).Scan(&had); err != nil {
		return ifNoRows(err, nil) // a session of the login that has just ended
	}
	_, err := tx.ExecContext(ctx, `UPDATE `+table+` SET methods = ? WHERE id = ?`, strings.Join(oauth.Methods(had).And(more), " "), id)
	return err
}

func insertCodes(ctx context.Context, tx *sql.Tx, user ids.User, codes factors.Codes, now time.Time) error {
	of := factors.Secret{Factor: factors.Factor{ID: codes.ID, UserID: user, Kind: factors.RecoveryCodes, CreatedAt: now}}
	if _, err := tx.ExecContext(ctx, factorTable.insert(), factorRow(of, now, 0)...); err != nil {
		return err
	}
	for _, digest := range codes.Digests {
		if _, err := tx.ExecContext(ctx, recoveryCodeTable.insert(), digest[:], codes.ID[:]); err != nil {
			return err
		}
	}
	return nil
}

// SpendStep implements [factors.Store].
func (db *DB) SpendStep(ctx context.Context, user ids.User, id ids.Factor, step int64, now time.Time) error {
	n, err := db.exec(ctx, `UPDATE factors SET last_step = ?, last_used_at = ?
		WHERE id = ? AND user_id = ? AND last_step < ? AND confirmed_at IS NOT NULL`, step, now.UnixMilli(), id[:], user[:], step)
	if err == nil && n == 0 {
		err = factors.ErrBadCode
	}
	return err
}

// SpendCode implements [factors.Store].
func (db *DB) SpendCode(ctx context.Context, user ids.User, digest [32]byte, now time.Time, ev audit.Event, letters ...factors.Notice) error {
	return db.inTx(ctx, func(tx *sql.Tx) error {
		n, err := affected(tx.ExecContext(ctx, `DELETE FROM recovery_codes
			WHERE id = ? AND factor_id IN (SELECT id FROM factors WHERE user_id = ?)`, digest[:], user[:]))
		if err != nil || n == 0 {
			return cmp.Or(err, factors.ErrBadCode)
		}
		_, err = tx.ExecContext(ctx, `UPDATE factors SET last_used_at = ? WHERE user_id = ? AND kind = ?`,
			now.UnixMilli(), user[:], string(factors.RecoveryCodes))
		if err != nil {
			return err
		}
		return db.tell(ctx, tx, ev, letters)
	})
}

// ReplaceCodes implements [factors.Store].
func (db *DB) ReplaceCodes(ctx context.Context, user ids.User, codes factors.Codes, now time.Time, at ids.Place, ev audit.Event, letters ...factors.Notice) error {
	return db.changeFactors(ctx, user, now, at, func(tx *sql.Tx) error {
		if n, err := otherFactors(ctx, tx, user); err != nil || n == 0 {
			return cmp.Or(err, factors.ErrUnknown)
		}
		if err := dropCodes(ctx, tx, user); err != nil {
			return err
		}
		if err := insertCodes(ctx, tx, user, codes, now); err != nil {
			return err
		}
		return db.tell(ctx, tx, ev, letters)
	})
}

// otherFactors returns how many factors of a user are in force besides recovery codes.
func otherFactors(ctx context.Context, tx *sql.Tx, user ids.User) (n int, err error) {
	err = tx.QueryRowContext(ctx, `SELECT COUNT(*) FROM factors WHERE user_id = ? AND kind <> ? AND confirmed_at IS NOT NULL`,
		user[:], string(factors.RecoveryCodes)).Scan(&n)
	return n, err
}

func dropCodes(ctx context.Context, tx *sql.Tx, user ids.User) error {
	_, err := tx.ExecContext(ctx, `DELETE FROM factors WHERE user_id = ? AND kind = ?`, user[:], string(factors.RecoveryCodes))
	return err
}

// RenameFactor implements [factors.Store].
func (db *DB) RenameFactor(ctx context.Context, user ids.User, id ids.Factor, name string, now time.Time, at ids.Place) error {
	return db.changeFactors(ctx, user, now, at, func(tx *sql.Tx) error {
		// MySQL counts no row whose name is the same already.
		var there int
		err := tx.QueryRowContext(ctx, `SELECT COUNT(*) FROM factors WHERE id = ? AND user_id = ?`, id[:], user[:]).Scan(&there)
		if err != nil || there == 0 {
			return cmp.Or(err, factors.ErrUnknown)
		}
		_, err = tx.ExecContext(ctx, `UPDATE factors SET name = ? WHERE id = ?`, name, id[:])
		return err
	})
}

// RemoveFactor implements [factors.Store].
func (db *DB) RemoveFactor(ctx context.Context, user ids.User, id ids.Factor, must func([]string) bool, providers []string, now time.Time, at ids.Place, ev audit.Event, letters ...factors.Notice) error {
	var kind factors.Kind
	err := db.changeFactors(ctx, user, now, at, func(tx *sql.Tx) error {
		had, err := otherFactors(ctx, tx, user)
		if err != nil {
			return err
		}
		if err := tx.QueryRowContext(ctx, `SELECT kind FROM factors WHERE id = ? AND user_id = ?`, id[:], user[:]).Scan((*string)(&kind)); err != nil {
			return ifNoRows(err, factors.ErrUnknown)
		}
		if _, err := tx.ExecContext(ctx, `DELETE FROM factors WHERE id = ?`, id[:]); err != nil {
			return err
		}
		left, err := otherFactors(ctx, tx, user)
		if err != nil {
			return err
		}
		if kind == factors.KindPasskey {
			if err := db.stillOpens(ctx, tx, user, providers); err != nil {
				return err
			}
			if err := db.leaveOnly(ctx, tx, user, at); err != nil {
				return err
			}
		}
		if left == 0 {
			if err := stays(ctx, tx, user, had, must); err != nil {
				return err
			}
			if err := dropCodes(ctx, tx, user); err != nil {
				return err
			}
		}
		return db.tell(ctx, tx, ev, letters)
	})
	if err == nil && kind == factors.KindPasskey {
		db.sweep(ctx, user)
	}
	return err
}

// stays returns factors.ErrRequired if a user who had factors must not be left without any.
func stays(ctx context.Context, tx *sql.Tx, user ids.User, had int, must func([]string) bool) error {
	if had == 0 {
		return nil
	}
	var roles []string
	err := tx.QueryRowContext(ctx, `SELECT roles FROM users WHERE id = ?`, user[:]).Scan((*listColumn)(&roles))
	if err == nil && must(roles) {
		err = factors.ErrRequired
	}
	return err
}

// FormerlySealed implements [factors.Store].
func (db *DB) FormerlySealed(ctx context.Context, prefix []byte, limit int) ([]factors.Secret, error) {
	if db.older {
		return nil, nil
	}
	return all(ctx, db, scanFactor, factorQuery+` WHERE f.sealed IS NOT NULL AND SUBSTR(f.sealed, 1, ?) <> ? LIMIT ?`, len(prefix), prefix, limit)
}

// Reseal implements [factors.Store].
func (db *DB) Reseal(ctx context.Context, id ids.Factor, was, is []byte) error {
	_, err := db.exec(ctx, `UPDATE factors SET sealed = ? WHERE id = ? AND sealed = ?`, is, id[:], was)
	return err
}

// ResetFactors implements [factors.Store].
func (db *DB) ResetFactors(ctx context.Context, user ids.User, ev audit.Event, letters ...factors.Notice) (n int, err error) {
	err = db.inTx(ctx, func(tx *sql.Tx) error {
		if err := db.lockUser(ctx, tx, user); err != nil {
			return err
		}
		if n, err = otherFactors(ctx, tx, user); err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, `DELETE FROM factors WHERE user_id = ?`, user[:]); err != nil || n == 0 {
			return err
		}
		return db.tell(ctx, tx, ev, letters)
	})
	return n, err
}
