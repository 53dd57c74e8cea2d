package main

import (
	"context"
	"database/sql"
	"errors"
	"net/url"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-sql-driver/mysql"
	"modernc.org/sqlite"

	"countersign/test/mariadb"
)

// The limits of durable refreshes: a conditional UPDATE of one short row, and nothing else,
// by the drivers and settings of store.

const (
	swapTable  = `CREATE TABLE swaps (id INTEGER NOT NULL PRIMARY KEY, counter BIGINT NOT NULL, rotated_at BIGINT NOT NULL)`
	swapInsert = `INSERT INTO swaps (id, counter, rotated_at) VALUES (?, 0, 0)`
	swapUpdate = `UPDATE swaps SET counter = counter + 1, rotated_at = ? WHERE id = ? AND counter = ?`
)

var errSwap = errors.New("a swap changed no row")

// swapper swaps one row.
type swapper struct {
	update *sql.Stmt
	id     int
	n      int64
}

func (s *swapper) swap(tx *sql.Tx) error {
	update := s.update
	if tx != nil {
		update = tx.Stmt(update)
	}
	result, err := update.Exec(time.Now().UnixMilli(), s.id, s.n)
	if err != nil {
		return err
	}
	s.n++
	if n, err := result.RowsAffected(); err != nil || n != 1 {
		return errors.Join(errSwap, err)
	}
	return nil
}

// swappers makes the rows of n callers, and returns what swaps them.
func swappers(db *sql.DB, n int) ([]*swapper, error) {
	if _, err := db.Exec(swapTable); err != nil {
		return nil, err
	}
	list := make([]*swapper, n)
	for i := range list {
		if _, err := db.Exec(swapInsert, i); err != nil {
			return nil, err
		}
		update, err := db.Prepare(swapUpdate)
		if err != nil {
			return nil, err
		}
		list[i] = &swapper{update: update, id: i}
	}
	return list, nil
}

// grouped swaps all rows in one transaction after the other, and returns the rate of swaps.
func grouped(db *sql.DB, list []*swapper, d time.Duration) (float64, error) {
	rate, err := repeat(d, func() error {
		if len(list) == 1 {
			return list[0].swap(nil)
		}
		tx, err := db.Begin()
		if err != nil {
			return err
		}
		defer tx.Rollback() // after Commit it does nothing
		for _, s := range list {
			if err := s.swap(tx); err != nil {
				return err
			}
		}
		return tx.Commit()
	})
	return rate * float64(len(list)), err
}

// sqliteSwaps has one connection swap in a database of its own, with the settings of
// store/sqlite.go.
func sqliteSwaps(folder string, inCommit int, d time.Duration) (float64, error) {
	dir, err := os.MkdirTemp(folder, "swaps-")
	if err != nil {
		return 0, err
	}
	defer os.RemoveAll(dir)
	sqlite.Fdatasync(true)
	db, err := sql.Open("sqlite", sqliteDSN(filepath.Join(dir, "swaps.db"), url.Values{"_txlock": {"immediate"}, "_pragma": {
		"busy_timeout(10000)", "foreign_keys(1)", "synchronous(full)", "journal_mode(wal)", "wal_autocheckpoint(8000)",
	}}))
	if err != nil {
		return 0, err
	}
	defer db.Close()
	db.SetMaxOpenConns(1)
	list, err := swappers(db, inCommit)
	if err != nil {
		return 0, err
	}
	return grouped(db, list, d)
}

func sqliteDSN(path string, settings url.Values) string {
	return (&url.URL{Scheme: "file", Opaque: (&url.URL{Path: path}).EscapedPath(), RawQuery: settings.Encode()}).String()
}

const (
	mariaSingle  = "MariaDB swaps, one at a time"
	mariaCallers = "MariaDB swaps, by all callers"
	mariaGrouped = "MariaDB swaps, one of each caller a commit"
)

// mariaLimits are those of a MariaDB server.
func mariaLimits(s *mariadb.Server, callers int) []limit {
	return []limit{
		{mariaSingle, func(d time.Duration) (float64, error) { return mariaSwaps(s, 1, false, d) }},
		{mariaCallers, func(d time.Duration) (float64, error) { return mariaSwaps(s, callers, false, d) }},
		{mariaGrouped, func(d time.Duration) (float64, error) { return mariaSwaps(s, callers, true, d) }},
	}
}

// mariaSwaps has callers swap rows of their own, each on a connection of its own; or one
// connection swap all of them in one transaction after the other.
func mariaSwaps(s *mariadb.Server, n int, inOneCommit bool, d time.Duration) (float64, error) {
	const database = "swaps"
	if err := errors.Join(s.DropDatabase(database), s.CreateDatabase(database)); err != nil {
		return 0, err
	}
	defer s.DropDatabase(database)
	config := mysql.NewConfig()
	config.User, config.Net, config.Addr, config.DBName = "root", "tcp", s.Addr(), database
	config.Params = map[string]string{"tx_isolation": "'READ-COMMITTED'"}
	connector, err := mysql.NewConnector(config)
	if err != nil {
		return 0, err
	}
	db := sql.OpenDB(connector)
	defer db.Close()
	db.SetMaxIdleConns(n)
	if inOneCommit {
		db.SetMaxOpenConns(1)
		list, err := swappers(db, n)
		if err != nil {
			return 0, err
		}
		return grouped(db, list, d)
	}
	list, err := swappers(db, n)
	if err != nil {
		return 0, err
	}
	for _, s := range list {
		conn, err := db.Conn(context.Background())
		if err != nil {
			return 0, err
		}
		defer conn.Close()
		if s.update, err = conn.PrepareContext(context.Background(), swapUpdate); err != nil {
			return 0, err
		}
	}
	var swaps atomic.Int64
	var running sync.WaitGroup
	errs := make([]error, n)
	began := time.Now()
	for i, s := range list {
		running.Go(func() {
			_, errs[i] = repeat(d, func() error { swaps.Add(1); return s.swap(nil) })
		})
	}
	running.Wait()
	return float64(swaps.Load()) / time.Since(began).Seconds(), errors.Join(errs...)
}
