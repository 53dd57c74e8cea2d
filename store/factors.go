package store

import (
	"cmp"
	"context"
	"database/sql"
	"slices"
	"strings"
	"time"

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
func (db *DB) InForce(ctx context.Context, user ids.User) (totps []factors.Secret, codes int, err error) {
	secrets, err := db.factorsOf(ctx, user)
	for _, s := range secrets {
		switch {
		case s.Kind == factors.RecoveryCodes:
			codes += s.Remaining
		case s.InForce:
			totps = append(totps, s)
		}
	}
	return totps, codes, err
}

// Pending implements [factors.Store].
func (db *DB) Pending(ctx context.Context, user ids.User, id ids.Factor) (factors.Secret, error) {
	return one(ctx, db, scanFactor, factorQuery+` WHERE f.user_id = ? AND f.id = ? AND f.confirmed_at IS NULL`, user[:], id[:])
}

// changeFactors runs a change of a user's factors for a place that is alive, one change of a
// user after the other.
func (db *DB) changeFactors(ctx context.Context, user ids.User, now time.Time, at ids.Place, change func(tx *sql.Tx) error) error {
	_, alive, args := askedAt(at, now)
	return db.inTx(ctx, func(tx *sql.Tx) error {
		if err := db.lockUser(ctx, tx, user); err != nil {
			return err
		}
		var there int
		err := tx.QueryRowContext(ctx, `SELECT COUNT(*) FROM users WHERE id = ? AND `+alive, append([]any{user[:]}, args...)...).Scan(&there)
		if err == nil && there == 0 {
			err = factors.ErrSignedOut
		}
		if err != nil {
			return err
		}
		return change(tx)
	})
}

// AddTOTP implements [factors.Store].
func (db *DB) AddTOTP(ctx context.Context, s factors.Secret, at ids.Place) error {
	return db.changeFactors(ctx, s.UserID, s.CreatedAt, at, func(tx *sql.Tx) error {
		if _, err := tx.ExecContext(ctx, `DELETE FROM factors WHERE user_id = ? AND confirmed_at IS NULL`, s.UserID[:]); err != nil {
			return err
		}
		var n int
		err := tx.QueryRowContext(ctx, `SELECT COUNT(*) FROM factors WHERE user_id = ?`, s.UserID[:]).Scan(&n)
		if err == nil && n >= factors.MaxFactors {
			err = factors.ErrTooMany
		}
		if err != nil {
			return err
		}
		_, err = tx.ExecContext(ctx, factorTable.insert(), factorRow(s, time.Time{}, 0)...)
		return err
	})
}

// ConfirmTOTP implements [factors.Store].
func (db *DB) ConfirmTOTP(ctx context.Context, user ids.User, id ids.Factor, step int64, codes factors.Codes, now time.Time, at ids.Place, ev audit.Event) (first bool, err error) {
	err = db.changeFactors(ctx, user, now, at, func(tx *sql.Tx) error {
		had, err := otherFactors(ctx, tx, user)
		if err != nil {
			return err
		}
		n, err := affected(tx.ExecContext(ctx, `UPDATE factors SET confirmed_at = ?, last_used_at = ?, last_step = ?
			WHERE id = ? AND user_id = ? AND confirmed_at IS NULL`, now.UnixMilli(), now.UnixMilli(), step, id[:], user[:]))
		if err != nil || n == 0 {
			return cmp.Or(err, factors.ErrUnknown)
		}
		if first = had == 0; first {
			if err := insertCodes(ctx, tx, user, codes, now); err != nil {
				return err
			}
			if err := db.leaveOnly(ctx, tx, user, at); err != nil {
				return err
			}
		}
		if err := provenAt(ctx, tx, at); err != nil {
			return err
		}
		return record(ctx, tx, ev)
	})
	if first && err == nil {
		db.sweep(ctx, user)
	}
	return first, err
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

// provenAt notes that the user has proven a second factor at a place.
func provenAt(ctx context.Context, tx *sql.Tx, at ids.Place) error {
	// What came first was a password, or another provider.
	const proven = ` SET methods = CASE WHEN methods LIKE ? THEN ? ELSE ? END WHERE id = ?`
	methods := []any{oauth.MethodFederated + "%", strings.Join(oauth.WithCode(oauth.MethodFederated), " "), strings.Join(oauth.SecondFactor, " ")}
	if !at.Session.IsZero() {
		if _, err := tx.ExecContext(ctx, `UPDATE sessions`+proven, append(slices.Clone(methods), at.Session[:])...); err != nil {
			return err
		}
	}
	if at.Login.IsZero() {
		return nil
	}
	_, err := tx.ExecContext(ctx, `UPDATE logins`+proven, append(methods, at.Login[:])...)
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
func (db *DB) SpendCode(ctx context.Context, user ids.User, digest [32]byte, now time.Time, ev audit.Event) error {
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
		return record(ctx, tx, ev)
	})
}

// ReplaceCodes implements [factors.Store].
func (db *DB) ReplaceCodes(ctx context.Context, user ids.User, codes factors.Codes, now time.Time, at ids.Place, ev audit.Event) error {
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
		return record(ctx, tx, ev)
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
func (db *DB) RemoveFactor(ctx context.Context, user ids.User, id ids.Factor, now time.Time, at ids.Place, ev audit.Event) error {
	return db.changeFactors(ctx, user, now, at, func(tx *sql.Tx) error {
		n, err := affected(tx.ExecContext(ctx, `DELETE FROM factors WHERE id = ? AND user_id = ?`, id[:], user[:]))
		if err != nil || n == 0 {
			return cmp.Or(err, factors.ErrUnknown)
		}
		left, err := otherFactors(ctx, tx, user)
		if err == nil && left == 0 {
			err = dropCodes(ctx, tx, user)
		}
		if err != nil {
			return err
		}
		return record(ctx, tx, ev)
	})
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
func (db *DB) ResetFactors(ctx context.Context, user ids.User, ev audit.Event) (n int, err error) {
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
		return record(ctx, tx, ev)
	})
	return n, err
}
