package store

import (
	"cmp"
	"context"
	"strings"
	"time"

	"countersign/audit"
)

var eventTable = table{name: "audit_events", columns: columns("id int, at int, kind text, user_id blob null, client_id text null, " +
	"session_id blob null, key_id text null, address text null, request_id text null")}

// A user can cause some events at will, with a script as many as the disk holds. So of one
// kind and user each minute has eventsPerMinute; more of them tell an operator nothing new.
// There are fewer kinds than keep eventsPerMinute of one out of the eventsCompared.
const (
	eventsPerMinute = 10
	eventsCompared  = 256
)

// record adds ev to the events, unless its user has caused too many of its kind. The
// database numbers it. What the operator does, who has no address, is always recorded.
func record(ctx context.Context, tx execer, ev audit.Event) error {
	if !ev.UserID.IsZero() && ev.Address != "" {
		many, err := tooMany(ctx, tx, ev)
		if err != nil || many {
			return err
		}
	}
	_, err := tx.ExecContext(ctx, eventTable.insert(),
		nil, ev.Time.UnixMilli(), string(ev.Kind), optionalID(ev.UserID), optional(ev.ClientID),
		optionalID(ev.SessionID), optional(ev.KeyID), optional(ev.Address), optional(ev.RequestID))
	return err
}

// tooMany reports whether the user has caused eventsPerMinute events of ev's kind in the
// minute before ev.
func tooMany(ctx context.Context, tx execer, ev audit.Event) (bool, error) {
	rows, err := tx.QueryContext(ctx, `SELECT kind, at FROM audit_events WHERE user_id = ? ORDER BY id DESC LIMIT ?`, ev.UserID[:], eventsCompared)
	if err != nil {
		return false, err
	}
	defer rows.Close()
	n, minute := 0, ev.Time.Add(-time.Minute).UnixMilli()
	for rows.Next() && n < eventsPerMinute {
		var kind string
		var at int64
		if err := rows.Scan(&kind, &at); err != nil {
			return false, err
		}
		if at > minute && kind == string(ev.Kind) {
			n++
		}
	}
	return n >= eventsPerMinute, rows.Err()
}

// Events returns the recorded events that f selects, in its order.
func (db *DB) Events(ctx context.Context, f audit.Filter) ([]audit.Record, error) {
	if f.ByNumber {
		return all(ctx, db, scanEvent, `SELECT `+eventTable.list("")+` FROM audit_events
			WHERE user_id = ? AND at >= ? AND id > ? ORDER BY id LIMIT ?`, f.UserID[:], f.Since.UnixMilli(), f.After.Number, cmp.Or(f.Limit, 1000))
	}
	if f.Latest {
		args := []any{f.UserID[:], f.Since.UnixMilli()}
		for _, k := range f.Kinds {
			args = append(args, string(k))
		}
		return all(ctx, db, scanEvent, `SELECT `+eventTable.list("")+` FROM audit_events
			WHERE user_id = ? AND at >= ? AND kind IN (?`+strings.Repeat(`, ?`, len(f.Kinds)-1)+`) ORDER BY id DESC LIMIT ?`, append(args, cmp.Or(f.Limit, 1000))...)
	}
	since := f.Since
	if f.After.Time.After(since) {
		since = f.After.Time
	}
	var where []string
	var args []any
	if !since.IsZero() {
		where, args = append(where, `at >= ?`), append(args, since.UnixMilli())
	}
	if f.After != (audit.Place{}) {
		after := f.After.Time.UnixMilli()
		where, args = append(where, `(at > ? OR at = ? AND id > ?)`), append(args, after, after, f.After.Number)
	}
	if !f.UserID.IsZero() {
		where, args = append(where, `user_id = ?`), append(args, f.UserID[:])
	}
	query := `SELECT ` + eventTable.list("") + ` FROM audit_events`
	if len(where) > 0 {
		query += ` WHERE ` + strings.Join(where, ` AND `)
	}
	return all(ctx, db, scanEvent, query+` ORDER BY at, id LIMIT ?`, append(args, cmp.Or(f.Limit, 1000))...)
}

func scanEvent(row scanner) (audit.Record, error) {
	var r audit.Record
	err := row.Scan(&r.Number, (*timeColumn)(&r.Time), (*string)(&r.Kind), &r.UserID, (*textColumn)(&r.ClientID), &r.SessionID,
		(*textColumn)(&r.KeyID), (*textColumn)(&r.Address), (*textColumn)(&r.RequestID))
	return r, err
}

// PurgeEvents removes at most limit events older than before and returns how many.
func (db *DB) PurgeEvents(ctx context.Context, before time.Time, limit int) (int64, error) {
	return purge(ctx, db, `SELECT id FROM audit_events WHERE at < ? ORDER BY at LIMIT ?`,
		`DELETE FROM audit_events WHERE at < ? AND id IN `, before.UnixMilli(), limit)
}

// purge deletes the rows that query finds within bound in one short statement. It reads
// first, so that it holds up no writer when there is nothing to do. The delete checks the
// bound again, because a row may have been renewed in between.
func purge(ctx context.Context, db *DB, query, del string, bound any, limit int) (int64, error) {
	ids, err := all(ctx, db, func(row scanner) (id any, err error) {
		err = row.Scan(&id)
		return id, err
	}, query, bound, limit)
	if err != nil || len(ids) == 0 {
		return 0, err
	}
	return db.exec(ctx, del+`(?`+strings.Repeat(`, ?`, len(ids)-1)+`)`, append([]any{bound}, ids...)...)
}

// optionalID returns an id as stored. The zero id is NULL.
func optionalID[ID ~[16]byte](id ID) any {
	if id == (ID{}) {
		return nil
	}
	return id[:]
}
