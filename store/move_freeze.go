package store

import (
	"context"
	"database/sql"
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

// A move freezes the original first: from then on no process of any version can change
// what is copied, even one that doesn't know about moves. The original stays frozen when
// the move ends, is interrupted or is killed, so that no server that still runs there can
// acknowledge what the copy doesn't have.
//
// On SQLite triggers freeze the tables, which can still be read. On a MySQL server with a
// binary log ordinary users may not create triggers, so the tables are renamed, which
// waits for all transactions under way.

// moveDialect is what differs between databases when one is moved.
type moveDialect struct {
	freeze, thaw func(ctx context.Context, db *DB) error
	frozenName   func(table string) string                        // of a table while it is frozen
	hurry        func(ctx context.Context, db *DB, on bool) error // makes commits cheap: the move copies again what a power cut takes
	nextEvent    func(ctx context.Context, db *DB, table string) (int64, error)
	setNextEvent func(ctx context.Context, db *DB, table string, next int64) error
}

var (
	sqliteMove = moveDialect{
		freeze: freezeSQLite, thaw: thawSQLite, frozenName: func(table string) string { return table },
		hurry: hurrySQLite, nextEvent: nextEventSQLite, setNextEvent: setNextEventSQLite,
	}
	mysqlMove = moveDialect{
		freeze: freezeMySQL, thaw: thawMySQL, frozenName: frozenMySQL,
		hurry: func(context.Context, *DB, bool) error { return nil }, nextEvent: nextEventMySQL, setNextEvent: setNextEventMySQL,
	}
)

// frozenPrefix begins the names of triggers and of frozen tables.
const frozenPrefix = "moved_"

// freezeSQLite makes every change of the tables fail.
func freezeSQLite(ctx context.Context, db *DB) error {
	return db.inTx(ctx, func(tx *sql.Tx) error {
		for _, t := range frozenTables() {
			for _, change := range []string{"INSERT", "UPDATE", "DELETE"} {
				_, err := tx.ExecContext(ctx, fmt.Sprintf(`CREATE TRIGGER IF NOT EXISTS %s%s_%s BEFORE %s ON %s
					BEGIN SELECT RAISE(ABORT, '%v'); END`, frozenPrefix, t, strings.ToLower(change), change, t, ErrBeingMoved))
				if err != nil {
					return err
				}
			}
		}
		return nil
	})
}

func thawSQLite(ctx context.Context, db *DB) error {
	return db.inTx(ctx, func(tx *sql.Tx) error {
		for _, t := range frozenTables() {
			for _, change := range []string{"insert", "update", "delete"} {
				if _, err := tx.ExecContext(ctx, "DROP TRIGGER IF EXISTS "+frozenPrefix+t+"_"+change); err != nil {
					return err
				}
			}
		}
		return nil
	})
}

// freezeMySQL renames the tables, all of them or none.
func freezeMySQL(ctx context.Context, db *DB) error {
	return renameMySQL(ctx, db, func(table string) (from, to string) { return table, frozenMySQL(table) })
}

func thawMySQL(ctx context.Context, db *DB) error {
	return renameMySQL(ctx, db, func(table string) (from, to string) { return frozenMySQL(table), table })
}

func frozenMySQL(table string) string {
	if table == settingTable.name {
		return table
	}
	return frozenPrefix + table
}

// renameMySQL renames each table that has its from name to its to name.
func renameMySQL(ctx context.Context, db *DB, names func(table string) (from, to string)) error {
	var pairs []string
	for _, t := range frozenTables() {
		from, to := names(t)
		there, err := db.has(ctx, from)
		if err != nil {
			return err
		}
		if there {
			pairs = append(pairs, from+" TO "+to)
		}
	}
	if len(pairs) == 0 {
		return nil
	}
	conn, err := db.write.Conn(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	// The rename waits for transactions that use the tables, and all later ones wait
	// for the rename: so the wait is short.
	if _, err := conn.ExecContext(ctx, `SET SESSION lock_wait_timeout = 3`); err != nil {
		return err
	}
	defer conn.ExecContext(ctx, `SET SESSION lock_wait_timeout = DEFAULT`)
	_, err = conn.ExecContext(ctx, "RENAME TABLE "+strings.Join(pairs, ", "))
	return err
}

// frozenTables returns all tables except settings, where a move keeps its mark.
func frozenTables() (names []string) {
	for _, t := range movedTables {
		if t.name != settingTable.name {
			names = append(names, t.name)
		}
	}
	return names
}

// hurrySQLite changes the connection that writes: it waits for the disk when the log is
// full instead of at each commit, and has a cache for the indexes, which rows enter in
// random order.
func hurrySQLite(ctx context.Context, db *DB, on bool) error {
	pragmas := "PRAGMA synchronous = full"
	if on {
		pragmas = "PRAGMA synchronous = normal; PRAGMA cache_size = -131072; PRAGMA wal_autocheckpoint = 20000"
	}
	_, err := db.write.ExecContext(ctx, pragmas)
	return err
}

// The number of an event is never used again, even after the event is deleted. So a move
// copies the next number, too.

func nextEventSQLite(ctx context.Context, db *DB, table string) (int64, error) {
	return one(ctx, db, scanInt, `SELECT COALESCE(MAX(seq), 0) + 1 FROM sqlite_sequence WHERE name = ?`, table)
}

func setNextEventSQLite(ctx context.Context, db *DB, table string, next int64) error {
	return db.inTx(ctx, func(tx *sql.Tx) error {
		n, err := affected(tx.ExecContext(ctx, `UPDATE sqlite_sequence SET seq = ? WHERE name = ?`, next-1, table))
		if err == nil && n == 0 {
			_, err = tx.ExecContext(ctx, `INSERT INTO sqlite_sequence (name, seq) VALUES (?, ?)`, table, next-1)
		}
		return err
	})
}

var autoIncrement = regexp.MustCompile(`\bAUTO_INCREMENT=(\d+)`)

// nextEventMySQL reads the table's definition, because the catalogue may be a day behind.
func nextEventMySQL(ctx context.Context, db *DB, table string) (int64, error) {
	definition, err := one(ctx, db, func(row scanner) (definition string, err error) {
		err = row.Scan(new(string), &definition)
		return definition, err
	}, "SHOW CREATE TABLE "+table)
	if err != nil {
		return 0, err
	}
	if found := autoIncrement.FindStringSubmatch(definition); found != nil {
		return strconv.ParseInt(found[1], 10, 64)
	}
	return 1, nil // none was used yet
}

func setNextEventMySQL(ctx context.Context, db *DB, table string, next int64) error {
	_, err := db.exec(ctx, fmt.Sprintf("ALTER TABLE %s AUTO_INCREMENT = %d", table, next))
	return err
}
