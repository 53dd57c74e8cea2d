package store

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"time"

	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/lock"

	"countersign/ids"
	"countersign/store/dsn"
	"countersign/tokens"
)

var mysqlDialect = dialect{
	migrations: "mysql",
	gooseName:  "mysql",
	hasTable:   `SELECT COUNT(*) FROM information_schema.tables WHERE table_schema = DATABASE() AND table_name = ?`,
	variables: `SHOW VARIABLES WHERE Variable_name IN
		('innodb_flush_log_at_trx_commit', 'innodb_doublewrite', 'innodb_flush_method', 'debug_no_sync', 'sync_binlog', 'log_bin', 'wsrep_on')`,
	isDuplicate: isMySQLCode(mysqlDuplicate),
	isForeign:   isMySQLCode(mysqlForeign),
	isConflict:  isMySQLCode(mysqlConflict),
	isLost:      isMySQLLost,
	isAway:      isMySQLAway,
	isUndefined: isMySQLCode([]uint16{1054, 1146}), // ER_BAD_FIELD_ERROR, ER_NO_SUCH_TABLE
	migrateLock: mysqlMigrateLock,
	move:        mysqlMove,
	lockRow:     ` FOR UPDATE`,
}

// openMySQL opens a database of MySQL, MariaDB or another server with their protocol.
func openMySQL(ctx context.Context, url string, opts Options) (*DB, error) {
	pool := opts.Pool
	if pool != (dsn.Pool{}) {
		if err := pool.Check(); err != nil {
			return nil, fmt.Errorf("connections to the database: %w", err)
		}
	}
	source, err := parseMySQL(url)
	if err != nil {
		return nil, err
	}
	source.Password = cmp.Or(source.Password, string(opts.Password))
	connector, err := newMySQLConnector(source, false)
	if err != nil {
		return nil, err
	}
	connector.changed = opts.Changed
	patient, err := newMySQLConnector(source, true)
	if err != nil {
		return nil, err
	}
	conns := sql.OpenDB(telltale(connector, opts.Statement))
	if pool != (dsn.Pool{}) {
		conns.SetMaxOpenConns(pool.MaxOpen)
		conns.SetMaxIdleConns(pool.MaxIdle)
		conns.SetConnMaxLifetime(pool.MaxLifetime)
		conns.SetConnMaxIdleTime(pool.MaxIdleTime)
	}
	if err := checkMySQL(ctx, conns); err != nil {
		conns.Close()
		return nil, fmt.Errorf("open database %s: %w%s", source, err, mysqlAdvice(err))
	}
	db := &DB{
		dialect: mysqlDialect, write: conns, read: conns,
		wrote: func() {}, beforeClose: func() {}, afterClose: func() {}, markLog: func(context.Context) error { return nil },
		forSchema: func() (*sql.DB, func() error) { db := sql.OpenDB(patient); return db, db.Close },
	}
	db.sessions = &gathering[ids.Session, tokens.Session]{do: db.findSessions}
	db.advances = &gathering[advance, bool]{do: db.advanceAll}
	return db, nil
}

// mysqlAdvice returns advice on an error that keeps a database from being opened, or the
// empty text if there is none.
func mysqlAdvice(err error) string {
	switch {
	case isMySQLCode([]uint16{1045})(err): // ER_ACCESS_DENIED_ERROR
		return " (check the user and the password, and from where the user may come)"
	case isMySQLCode([]uint16{1044, 1049})(err): // ER_DBACCESS_DENIED_ERROR, ER_BAD_DB_ERROR
		return " (make the database, and grant the user everything in it)"
	case isMySQLLost(err):
		return " (is it running, and reachable from here under that name and port?)"
	}
	return ""
}

// checkMySQL refuses a server that is too old to keep the store's promises: it has no
// atomic DDL, or compares texts by other rules.
func checkMySQL(ctx context.Context, conns *sql.DB) error {
	var version string
	if err := conns.QueryRowContext(ctx, `SELECT VERSION()`).Scan(&version); err != nil {
		return err
	}
	if !supportedMySQL(version) {
		return fmt.Errorf("the server's version %s is too old: it must be MySQL 8.0, MariaDB 10.6 or later", version)
	}
	return nil
}

// supportedMySQL reads versions such as "8.4.3", "8.0.11-TiDB-v8.5.0" and
// "10.11.6-MariaDB-log".
func supportedMySQL(version string) bool {
	oldest := [2]int{8, 0}
	if strings.Contains(version, "MariaDB") {
		version = strings.TrimPrefix(version, "5.5.5-") // which older replicas expect
		oldest = [2]int{10, 6}
	}
	parts := strings.SplitN(version, ".", 3)
	if len(parts) < 2 {
		return false
	}
	major, err1 := strconv.Atoi(parts[0])
	minor, err2 := strconv.Atoi(parts[1])
	return err1 == nil && err2 == nil && (major > oldest[0] || major == oldest[0] && minor >= oldest[1])
}

// mysqlMigrateLock lets one process at a time migrate, because DDL commits by itself. It
// is a lease in a table, so it also holds in a cluster, and the lease of a dead process
// expires soon enough for a restarted server's health checks.
func mysqlMigrateLock() (goose.ProviderOption, error) {
	l, err := lock.NewMySQLTableLocker(
		lock.WithTableLeaseDuration(10*time.Second),
		lock.WithTableHeartbeatInterval(2*time.Second),
		lock.WithTableLockTimeout(250*time.Millisecond, 480), // two minutes
		lock.WithTableLogger(slog.New(slog.DiscardHandler)))
	return goose.WithLocker(mendingLocker{l}), err
}

// mendingLocker is a locker whose holder first finishes what a dead holder may have left
// undone.
type mendingLocker struct{ lock.Locker }

// Lock takes the lock. The migration library creates its table of versions and inserts
// the first row in two steps, and can't work with the table alone.
func (l mendingLocker) Lock(ctx context.Context, db *sql.DB) error {
	if err := l.Locker.Lock(ctx, db); err != nil {
		return err
	}
	_, err := db.ExecContext(ctx, `INSERT INTO goose_db_version (version_id, is_applied)
		SELECT 0, TRUE FROM DUAL WHERE NOT EXISTS (SELECT 1 FROM goose_db_version)`)
	if err != nil && !isMySQLCode(mysqlMoved)(err) { // there is no table yet
		return errors.Join(err, l.Unlock(ctx, db))
	}
	return nil
}
