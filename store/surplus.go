package store

import (
	"context"
	"database/sql"
	"fmt"
	"strings"
	"time"

	"countersign/audit"
	"countersign/ids"
)

// surplus are the rows of a table that a user has beyond most.
type surplus struct {
	table  string
	of     string // the condition for the rows that count
	args   []any  // of the condition
	newest []byte // the id of the row that has just been added, which stays
	least  string // the column by which rows go first
	most   int
}

const (
	// mostEnded is how many rows one call ends, so that it holds up no other writer where
	// a former version has left very many. Each sign-in ends that many more.
	mostEnded = 100
	// mostCompared is how many of the oldest rows a call compares: more than a user has,
	// unless a former version left them.
	mostCompared = 1000
)

// end removes surplus rows and records the event of each that was live.
func end(ctx context.Context, tx *sql.Tx, s surplus, event func(id []byte) audit.Event, now time.Time) error {
	var n int
	err := tx.QueryRowContext(ctx, fmt.Sprintf(`SELECT COUNT(*) FROM (SELECT 1 FROM %s WHERE %s LIMIT ?) AS some`, s.table, s.of),
		append(s.args[:len(s.args):len(s.args)], s.most+mostEnded)...).Scan(&n)
	if err != nil || n <= s.most {
		return err
	}
	rows, err := tx.QueryContext(ctx, fmt.Sprintf(`
		SELECT id, expires_at FROM (SELECT id, expires_at, %[3]s FROM %[1]s WHERE %[2]s AND id <> ? ORDER BY id LIMIT ?) AS some
		ORDER BY %[3]s, id LIMIT ?`, s.table, s.of, s.least),
		append(s.args[:len(s.args):len(s.args)], s.newest, mostCompared, n-s.most)...)
	if err != nil {
		return err
	}
	defer rows.Close()
	var all, live []any
	for rows.Next() {
		var id []byte
		var expires int64
		if err := rows.Scan(&id, &expires); err != nil {
			return err
		}
		if all = append(all, id); expires > now.UnixMilli() {
			live = append(live, id)
		}
	}
	if err := rows.Err(); err != nil {
		return err
	}
	if _, err := tx.ExecContext(ctx, `DELETE FROM `+s.table+` WHERE id IN (?`+strings.Repeat(`, ?`, len(all)-1)+`)`, all...); err != nil {
		return err
	}
	for _, id := range live {
		if err := record(ctx, tx, event(id.([]byte))); err != nil {
			return err
		}
	}
	return nil
}

// lockUser makes transactions that add to what a user has, or change the user by what is
// there, come one after the other, so that each sees what the others did.
func (db *DB) lockUser(ctx context.Context, tx *sql.Tx, id ids.User) error {
	if db.dialect.lockRow == "" { // all writers do
		return nil
	}
	var locked []byte
	err := tx.QueryRowContext(ctx, `SELECT id FROM users WHERE id = ?`+db.dialect.lockRow, id[:]).Scan(&locked)
	return ifNoRows(err, nil) // the insert will find no user either
}
