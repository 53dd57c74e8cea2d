package store

import (
	"context"
	"errors"
	"strings"
	"time"

	"countersign/ids"
	"countersign/tokens"
)

// What a refresh does to the database, and how a database server does it for many
// refreshes at once.

// advance moves a session's counter to the next number.
type advance struct {
	id        ids.Session
	client    ids.Client
	counter   int64 // the next
	rotations []byte
	used      int64
	expires   int64
	now       int64
}

// advanceQuery picks the winner: its affected-row count is the answer.
const advanceQuery = `
	UPDATE sessions SET counter = ?, rotations = ?, last_used_at = ?, expires_at = ?
	WHERE id = ? AND client_id = ? AND counter = ? AND expires_at > ? AND ` + ofEpoch

// ofEpoch is the condition that a session is of its user's epoch.
const ofEpoch = `EXISTS (SELECT 1 FROM users u WHERE u.id = sessions.user_id AND u.epoch = sessions.epoch)`

func (a *advance) args() []any {
	return []any{a.counter, a.rotations, a.used, a.expires, a.id[:], a.client, a.counter - 1, a.now}
}

// advance reports whether the caller moved the counter.
func (db *DB) advance(ctx context.Context, a advance) (won bool, err error) {
	if db.advances != nil {
		won, err = db.advances.ask(ctx, a)
		if !errors.Is(err, errApart) {
			return won, db.gate(err)
		}
	}
	n, err := db.exec(ctx, advanceQuery, a.args()...)
	return n > 0, err
}

// errApart says that a statement for many did nothing, so that each has to go by itself.
var errApart = errors.New("the statement for many callers did nothing")

// advanceAll moves the counters of several sessions in one statement that commits by
// itself. If the row of one isn't as its caller expects, it moves none; a row that is gone
// stops no other.
func (db *DB) advanceAll(all []advance) []gathered[bool] {
	answers := make([]gathered[bool], len(all))
	group, seen := make([]int, 0, len(all)), make(map[ids.Session]bool, len(all))
	for i, a := range all {
		if seen[a.id] { // of two for one session at most one wins
			answers[i].err = errApart
			continue
		}
		seen[a.id] = true
		group = append(group, i)
	}
	answer := func(won bool, err error) []gathered[bool] {
		for _, i := range group {
			answers[i] = gathered[bool]{won, err}
		}
		return answers
	}
	query, args := advanceQuery, all[0].args()
	if len(group) > 1 {
		query, args = advanceMany(all, group)
	}
	n, err := affected(db.write.Exec(query, args...)) // the driver limits the time
	switch {
	case err != nil && !db.dialect.isLost(err): // the database has undone the statement
		return answer(false, errApart)
	case err != nil:
		return answer(false, err)
	case len(group) == 1 || int(n) == len(group):
		return answer(n > 0, nil)
	}
	// Some sessions have ended: there is no row of theirs. All other rows have moved.
	there := make([]ids.Session, len(group))
	for k, i := range group {
		there[k] = all[i].id
	}
	for k, found := range db.findSessions(there) {
		won, err := found.err == nil, found.err
		if errors.Is(err, tokens.ErrUnknown) {
			err = nil
		}
		answers[group[k]] = gathered[bool]{won, err}
	}
	return answers
}

// advanceMany returns the statement for many. Where a session's row isn't as its caller
// expects, the new counter is NULL, which the column refuses, and the statement fails as a
// whole: a count of rows wouldn't say whose they are.
func advanceMany(all []advance, group []int) (query string, args []any) {
	of := func(value func(a *advance) any) string {
		for _, i := range group {
			args = append(args, all[i].id[:], value(&all[i]))
		}
		return `CASE id` + strings.Repeat(` WHEN ? THEN ?`, len(group)) + ` END`
	}
	query = `UPDATE sessions SET counter = CASE WHEN counter = ` + of(func(a *advance) any { return a.counter - 1 }) +
		` AND client_id = ` + of(func(a *advance) any { return a.client }) +
		` AND expires_at > ` + of(func(a *advance) any { return a.now }) +
		` AND ` + ofEpoch + ` THEN counter + 1 END` +
		`, rotations = ` + of(func(a *advance) any { return a.rotations }) +
		`, last_used_at = ` + of(func(a *advance) any { return a.used }) +
		`, expires_at = ` + of(func(a *advance) any { return a.expires }) +
		` WHERE id IN (?` + strings.Repeat(`, ?`, len(group)-1) + `)`
	for _, i := range group {
		args = append(args, all[i].id[:])
	}
	return query, args
}

// gatheredSession reads a session in a statement that callers share.
func (db *DB) gatheredSession(ctx context.Context, id ids.Session, now time.Time) (s tokens.Session, err error) {
	err = db.again(ctx, true, func() (err error) {
		s, err = db.sessions.ask(ctx, id)
		return err
	})
	if err == nil && !s.ExpiresAt.After(now) {
		err = tokens.ErrUnknown
	}
	if err != nil {
		return tokens.Session{}, err
	}
	return s, nil
}

// findSessions reads several sessions, expired ones too. Each answer is its caller's own, and
// the error of one that can't be decoded, too.
func (db *DB) findSessions(all []ids.Session) []gathered[tokens.Session] {
	answers, args := make([]gathered[tokens.Session], len(all)), make([]any, len(all))
	callers := make(map[ids.Session][]int, len(all))
	for i := range all {
		callers[all[i]] = append(callers[all[i]], i)
		answers[i].err, args[i] = tokens.ErrUnknown, all[i][:]
	}
	if err := db.eachSession(db.sessionsWhere(`s.id IN (?`+strings.Repeat(`, ?`, len(all)-1)+`)`), args, func(row scanner) {
		s, err := scanSession(row) // the id, at least
		for k, i := range callers[s.ID] {
			if k > 0 {
				s, err = scanSession(row)
			}
			answers[i] = gathered[tokens.Session]{s, err}
		}
	}); err != nil {
		for i := range answers {
			answers[i] = gathered[tokens.Session]{err: err}
		}
	}
	return answers
}

func (db *DB) eachSession(query string, args []any, scan func(row scanner)) error {
	rows, err := db.read.Query(query, args...) // the driver limits the time
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		scan(rows)
	}
	return rows.Err()
}
