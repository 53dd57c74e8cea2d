package store_test

import (
	"context"
	"database/sql"
	"errors"
	"sync"
	"testing"
	"time"

	"countersign/accounts"
	"countersign/store"
	"countersign/store/dsn"
	"countersign/store/storetest"
	"countersign/test/mariadb"
)

// A machine that loses its power or its network doesn't close its connections. After the
// first connection without an answer the store drops all others to that host: otherwise
// each would delay a request.
func TestMySQLLeavesAHostThatHangs(t *testing.T) {
	storetest.Need(t, mariadb.Available())
	hung, err := mariadb.Start()
	noError(t, err)
	defer hung.Close()
	url := onMariaDB(t)
	open(t, url) // creates the schema on the host that takes over
	name := storetest.Database(url)
	noError(t, hung.CreateDatabase(name))
	admin, err := sql.Open("mysql", "root@tcp("+hung.Addr()+")/"+name)
	noError(t, err)
	defer admin.Close()
	admin.SetMaxOpenConns(1)

	const conns, patience = 10, time.Second
	db, err := store.Open(t.Context(), "mysql://root@"+hung.Addr()+","+storetest.MariaDB(t).Addr()+"/"+name+
		"?readTimeout="+patience.String(), store.Options{Pool: dsn.Pool{MaxOpen: conns, MaxIdle: conns, MaxLifetime: time.Minute, MaxIdleTime: time.Minute}})
	noError(t, err)
	defer db.Close()
	read := func() error {
		_, err := db.UserByUsername(t.Context(), "unknown")
		if errors.Is(err, accounts.ErrUnknownUser) {
			return nil
		}
		return err
	}
	// Concurrent readers that wait fill the pool: each needs its own connection.
	_, err = admin.Exec("LOCK TABLES users WRITE")
	noError(t, err)
	var readers sync.WaitGroup
	for range conns {
		readers.Go(func() {
			if err := read(); err != nil {
				t.Error(err)
			}
		})
	}
	for pool := db.Pools()["read"]; pool.Stats().InUse < conns; {
		time.Sleep(time.Millisecond)
	}
	_, err = admin.Exec("UNLOCK TABLES")
	noError(t, err)
	readers.Wait()
	var idle int
	noError(t, admin.QueryRow("SELECT COUNT(*) FROM information_schema.processlist WHERE db = DATABASE() AND id <> CONNECTION_ID()").Scan(&idle))
	if idle != conns {
		t.Fatalf("%d idle connections to the host, want %d", idle, conns)
	}

	noError(t, hung.Pause())
	defer hung.Resume()
	for answers := true; answers; { // until the signal has stopped the server
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		answers = admin.PingContext(ctx) == nil
		cancel()
	}
	began := time.Now()
	if err := read(); err != nil {
		t.Errorf("after %v: %v", time.Since(began), err)
	}
	// The read waits once for an old connection and once for a new one.
	if took := time.Since(began); took > 3*patience {
		t.Errorf("the other host was found after %v, want about %v", took, 2*patience)
	}
}
