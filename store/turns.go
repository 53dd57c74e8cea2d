package store

import (
	"context"
	"fmt"
	"time"
)

// TakeTurn claims the work called name from now until a later time, and reports whether it
// was free. Of any number of replicas one gets it. The claim is not released but expires,
// so a replica that dies blocks the others no longer than that.
func (db *DB) TakeTurn(ctx context.Context, name string, now, until time.Time) (bool, error) {
	name = "turn." + name
	held, err := db.setting(ctx, name)
	if err != nil {
		return false, err
	}
	if held == "" {
		_, err := db.exec(ctx, `INSERT INTO settings (name, value) VALUES (?, ?)`, name, turnEnd(until))
		if db.dialect.isDuplicate(err) { // another replica was faster
			return false, nil
		}
		return err == nil, err
	}
	n, err := db.exec(ctx, `UPDATE settings SET value = ? WHERE name = ? AND value <= ?`, turnEnd(until), name, turnEnd(now))
	return n > 0, err
}

// turnEnd returns a time as text that sorts like the time.
func turnEnd(t time.Time) string { return fmt.Sprintf("%016d", t.UnixMilli()) }
