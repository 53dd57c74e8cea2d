package store

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/binary"
	"fmt"
	"hash"
	"strconv"
	"strings"
)

// movedTables lists all tables, each after those that it refers to. A test compares it
// with the schemas.
var movedTables = []table{
	userTable, clientTable, sessionTable, usedLetterTable, profileTable, consentTable, loginTable, letterTable, codeTable,
	authorizationTable, identityTable, factorTable, recoveryCodeTable, passkeyTable, keyTable, guessTable, eventTable, settingTable,
}

// condition returns a WHERE clause for the rows that are moved and that meet the
// conditions in also.
func (t table) condition(also ...string) string {
	if t.where != "" {
		also = append(also, t.where)
	}
	if len(also) == 0 {
		return ""
	}
	return " WHERE " + strings.Join(also, " AND ")
}

// row holds a row's values in the order of the table's columns: nil, int64, string or
// []byte.
type row []any

// normalize converts the values to their columns' kinds.
func (r row) normalize(t table) error {
	for i, c := range t.columns {
		var err error
		switch v := r[i].(type) {
		case nil:
		case int64:
			if c.kind != kindInt {
				err = fmt.Errorf("is a number")
			}
		case string:
			r[i], err = c.of(v)
		case []byte:
			r[i], err = c.of(string(v))
		default:
			err = fmt.Errorf("is a %T", v)
		}
		if err != nil {
			return fmt.Errorf("%s of %s in %s: %w", c.name, r.id(), t.name, err)
		}
	}
	return nil
}

// of converts the driver's text to a value of the column's kind.
func (c column) of(v string) (any, error) {
	switch c.kind {
	case kindInt:
		return strconv.ParseInt(v, 10, 64)
	case kindBlob:
		return []byte(v), nil
	default:
		return v, nil
	}
}

// size returns the approximate number of bytes of the values.
func (r row) size() (n int) {
	for _, v := range r {
		switch v := v.(type) {
		case string:
			n += len(v)
		case []byte:
			n += len(v)
		}
		n += 8
	}
	return n
}

// id returns the primary key in readable form.
func (r row) id() string {
	if b, ok := r[0].([]byte); ok {
		return fmt.Sprintf("%x", b)
	}
	return fmt.Sprint(r[0])
}

// hashTo adds the values to a digest, each with its kind and length, so that no two
// different rows hash the same bytes.
func (r row) hashTo(h hash.Hash, b []byte) []byte {
	b = b[:0]
	for _, v := range r {
		switch v := v.(type) {
		case nil:
			b = append(b, 0)
		case int64:
			b = binary.BigEndian.AppendUint64(append(b, 1), uint64(v))
		case string:
			b = append(binary.BigEndian.AppendUint64(append(b, 2), uint64(len(v))), v...)
		case []byte:
			b = append(binary.BigEndian.AppendUint64(append(b, 3), uint64(len(v))), v...)
		}
	}
	h.Write(b)
	return b
}

const (
	maxPage      = 8 << 20   // bytes that a page holds, and one row more
	maxStatement = 512 << 10 // bytes that a statement inserts, or one row: servers take at least a MiB, escapes included
	maxArgs      = 30_000    // values that a statement inserts: SQLite takes 32,766
)

// page reads at most limit rows in the order of their keys, beginning after the key after
// unless it is nil. name is the present name of the table.
func (db *DB) page(ctx context.Context, t table, name string, after any, limit int) (page []row, err error) {
	var also []string
	var args []any
	if after != nil {
		also, args = append(also, t.key()+" > ?"), append(args, after)
	}
	query := "SELECT " + t.list("") + " FROM " + name + t.condition(also...) + " ORDER BY " + t.key() + " LIMIT ?"
	err = db.again(ctx, true, func() error {
		rows, err := db.read.QueryContext(ctx, query, append(args, limit)...)
		if err != nil {
			return err
		}
		defer rows.Close()
		page = page[:0]
		into := make([]any, len(t.columns))
		for size := 0; size < maxPage && rows.Next(); {
			r := make(row, len(t.columns))
			for i := range r {
				into[i] = &r[i]
			}
			if err := rows.Scan(into...); err != nil {
				return err
			}
			if err := r.normalize(t); err != nil {
				return err
			}
			page = append(page, r)
			size += r.size()
		}
		return rows.Err()
	})
	return page, err
}

// count returns the number of rows to move.
func (db *DB) count(ctx context.Context, t table, name string) (int64, error) {
	var n int64
	err := db.again(ctx, true, func() error { // not one, which SQLite runs to its end
		return db.read.QueryRowContext(ctx, "SELECT COUNT(*) FROM "+name+t.condition()).Scan(&n)
	})
	return n, err
}

// isEmpty reports whether there is no row to move.
func (db *DB) isEmpty(ctx context.Context, t table) (bool, error) {
	found, err := all(ctx, db, scanInt, "SELECT 1 FROM "+t.name+t.condition()+" LIMIT 1")
	return len(found) == 0, err
}

// last returns the highest key, or nil if there is none.
func (db *DB) last(ctx context.Context, t table) (any, error) {
	keys, err := all(ctx, db, func(s scanner) (any, error) {
		r := make(row, 1)
		if err := s.Scan(&r[0]); err != nil {
			return nil, err
		}
		err := r.normalize(table{name: t.name, columns: t.columns[:1]})
		return r[0], err
	}, "SELECT "+t.key()+" FROM "+t.name+t.condition()+" ORDER BY "+t.key()+" DESC LIMIT 1")
	if err != nil || len(keys) == 0 {
		return nil, err
	}
	return keys[0], nil
}

// insert adds all rows or none, if the database still has the mark is: a move that another
// has overtaken must not add to the other's copy or to a database in use.
func (db *DB) insert(ctx context.Context, t table, is mark, rows []row) error {
	return db.inTx(ctx, func(tx *sql.Tx) error {
		n, err := affected(tx.ExecContext(ctx, `UPDATE settings SET value = value WHERE name = ? AND value = ?`, markName, is.String()))
		if err != nil {
			return err
		}
		if n == 0 {
			return errMarkChanged
		}
		for left := rows; len(left) > 0; {
			n := 1
			for size := left[0].size(); n < len(left) && (n+1)*len(t.columns) <= maxArgs; n++ {
				if size += left[n].size(); size > maxStatement {
					break
				}
			}
			if err := insertRows(ctx, tx, t, left[:n]); err != nil {
				return db.whichRow(ctx, tx, t, left[:n], err)
			}
			left = left[n:]
		}
		return nil
	})
}

// whichRow returns an error that names the row that the database refused.
func (db *DB) whichRow(ctx context.Context, tx *sql.Tx, t table, rows []row, err error) error {
	if db.IsUnavailable(err) || ctx.Err() != nil {
		return err
	}
	for i, r := range rows {
		if err := insertRows(ctx, tx, t, rows[i:i+1]); err != nil {
			return fmt.Errorf("the row %s: %w", r.id(), err)
		}
	}
	return err
}

func insertRows(ctx context.Context, tx *sql.Tx, t table, rows []row) error {
	args := make([]any, 0, len(rows)*len(t.columns))
	for _, r := range rows {
		args = append(args, r...)
	}
	_, err := tx.ExecContext(ctx, t.insert()+strings.Repeat(", "+t.places(), len(rows)-1), args...)
	return err
}

// empty removes all rows that a move copies.
func (db *DB) empty(ctx context.Context, t table, batch int) error {
	for {
		// The key of the batch's last row, if the batch is full.
		ends, err := all(ctx, db, func(s scanner) (key any, err error) {
			err = s.Scan(&key)
			return key, err
		}, "SELECT "+t.key()+" FROM "+t.name+t.condition()+" ORDER BY "+t.key()+" LIMIT 1 OFFSET ?", batch)
		if err != nil {
			return err
		}
		if len(ends) == 0 {
			_, err := db.exec(ctx, "DELETE FROM "+t.name+t.condition())
			return err
		}
		if _, err := db.exec(ctx, "DELETE FROM "+t.name+t.condition(t.key()+" <= ?"), ends[0]); err != nil {
			return err
		}
	}
}

// digest returns the number of rows and the SHA-256 of all of them. If each is not nil,
// digest calls it with the number of rows so far.
func (db *DB) digest(ctx context.Context, t table, name string, batch int, each func(n int64)) (m MovedTable, err error) {
	m.Name = t.name
	h, buffer := sha256.New(), []byte(nil)
	for after := any(nil); ; {
		page, err := db.page(ctx, t, name, after, batch)
		if err != nil {
			return m, err
		}
		if len(page) == 0 {
			h.Sum(m.SHA256[:0])
			return m, nil
		}
		for _, r := range page {
			buffer = r.hashTo(h, buffer)
		}
		m.Rows += int64(len(page))
		after = page[len(page)-1][0]
		if each != nil {
			each(m.Rows)
		}
	}
}
