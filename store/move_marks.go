package store

import (
	"context"
	"errors"
	"fmt"
	"strings"
)

// A setting marks a database that takes part in a move, so that no server uses the copy
// before it is whole, or the original once there is a copy: a session must not live in two
// places.

// Reasons why a database that takes part in a move can't be used.
var (
	// ErrUnfinishedCopy says that a move is filling the database.
	ErrUnfinishedCopy = errors.New("this database is an unfinished copy")
	// ErrBeingMoved says that a move is copying the database to another.
	ErrBeingMoved = errors.New("this database is being moved")
	// ErrMovedAway says that another database has replaced this one.
	ErrMovedAway = errors.New("this database was moved away")
)

// markName is the name of the setting.
const markName = "move"

// mark is the value of the setting. The zero mark means that there is none.
type mark struct {
	state moveState
	id    string // of the move: both databases have it
	other string // the other database, without secrets
}

type moveState string

const (
	arriving moveState = "arriving" // a copy that isn't whole
	leaving  moveState = "leaving"  // an original that is being copied
	left     moveState = "left"     // an original that has been copied
)

// String returns the mark as stored.
func (m mark) String() string {
	const most = 1000 // what the column takes, and more than an operator reads
	s := fmt.Sprintf("%s %s %s", m.state, m.id, m.other)
	return strings.ToValidUTF8(s[:min(len(s), most)], "")
}

func parseMark(s string) (m mark) {
	state, rest, _ := strings.Cut(s, " ")
	m.state = moveState(state)
	m.id, m.other, _ = strings.Cut(rest, " ")
	return m
}

// refusal returns an error that says why a database with the mark can't be used, and what
// to do. It returns nil for the zero mark.
func (m mark) refusal() error {
	switch m.state {
	case "":
		return nil
	case arriving:
		return fmt.Errorf("%w of %s: run 'countersign move' there again until it says that it is done, or empty this one", ErrUnfinishedCopy, m.other)
	case left:
		return fmt.Errorf("%w to %s: set database.url to that (or go back to what was here then, with 'countersign move --go-back')", ErrMovedAway, m.other)
	default:
		return fmt.Errorf("%w to %s: run 'countersign move' again to finish, or stay here with 'countersign move --abandon'", ErrBeingMoved, m.other)
	}
}

// mark reads the database's mark, even if the database has no schema.
func (db *DB) mark(ctx context.Context) (mark, error) {
	if there, err := db.has(ctx, settingTable.name); err != nil || !there {
		return mark{}, err
	}
	s, err := db.setting(ctx, markName)
	if err != nil || s == "" {
		return mark{}, err
	}
	return parseMark(s), nil
}

// errMarkChanged says that another process has changed the mark.
var errMarkChanged = errors.New("another 'countersign move' is at work on this database")

// setMark replaces the mark was, which the caller has read, with is.
func (db *DB) setMark(ctx context.Context, was, is mark) error {
	var n int64
	var err error
	switch {
	case was == mark{}:
		n, err = db.exec(ctx, `INSERT INTO settings (name, value) VALUES (?, ?)`, markName, is.String())
		if db.dialect.isDuplicate(err) {
			return errMarkChanged
		}
	case is == mark{}:
		n, err = db.exec(ctx, `DELETE FROM settings WHERE name = ? AND value = ?`, markName, was.String())
	default:
		n, err = db.exec(ctx, `UPDATE settings SET value = ? WHERE name = ? AND value = ?`, is.String(), markName, was.String())
	}
	if err == nil && n == 0 {
		return errMarkChanged
	}
	return err
}

// usable returns an error if the database takes part in a move.
func (db *DB) usable(ctx context.Context) error {
	m, err := db.mark(ctx)
	if err != nil {
		return wrap("read whether the database is being moved", err)
	}
	return m.refusal()
}

// has reports whether the database has a table.
func (db *DB) has(ctx context.Context, table string) (bool, error) {
	n, err := one(ctx, db, scanInt, db.dialect.hasTable, table)
	return n > 0, err
}
