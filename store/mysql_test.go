package store_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"database/sql"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"countersign/store"
	"countersign/store/dsn"
	"countersign/store/storetest"
	"countersign/test/mariadb"
	"countersign/tokens"
)

// onMariaDB returns the URL of a fresh MariaDB database.
func onMariaDB(t testing.TB) string {
	t.Helper()
	return storetest.MariaDBURL(t, filepath.Join(t.TempDir(), "countersign.db"))
}

func open(t testing.TB, url string) *store.DB {
	t.Helper()
	db := storetest.OpenURL(t, url)
	t.Cleanup(func() { db.Close() })
	return db
}

func TestMySQLKeepsItsPromises(t *testing.T) {
	fresh := func(t testing.TB) *store.DB { return open(t, onMariaDB(t)) }
	storetest.Run(t, fresh)
}

func TestMySQLKeepsItsPromisesToRacers(t *testing.T) {
	two := func(t testing.TB) (a, b *store.DB) {
		url := onMariaDB(t)
		return open(t, url), open(t, url)
	}
	storetest.RunReplicas(t, two)
}

// The store doesn't depend on the server's settings, which are hostile in all these tests. It
// says once which of them it replaces.
func TestMySQLSessionsHaveOurRules(t *testing.T) {
	url := onMariaDB(t)
	var mu sync.Mutex
	said := map[string][2]string{}
	db, err := store.Open(t.Context(), url, store.Options{Changed: func(host string, settings []store.ChangedSetting) {
		mu.Lock()
		defer mu.Unlock()
		for _, s := range settings {
			if said[s.Name] != [2]string{} {
				t.Errorf("%s was said twice", s.Name)
			}
			said[s.Name] = [2]string{s.Server, s.Ours}
		}
	}})
	noError(t, err)
	defer db.Close()
	pool := db.Pools()["write"]
	first, err := pool.Conn(t.Context())
	noError(t, err)
	defer first.Close() // so that the next is a new connection
	for name, want := range map[string][2]string{
		"autocommit": {"OFF", "1"}, "completion_type": {"CHAIN", "NO_CHAIN"}, "tx_read_only": {"ON", "0"},
		"tx_isolation": {"SERIALIZABLE", "READ-COMMITTED"}, "foreign_key_checks": {"OFF", "1"}, "unique_checks": {"OFF", "1"},
		"check_constraint_checks": {"OFF", "1"}, "default_storage_engine": {"MyISAM", "InnoDB"},
		"sql_mode": {"*", "STRICT_ALL_TABLES,NO_ENGINE_SUBSTITUTION"}, "collation_connection": {"", "utf8mb4_bin"},
		"character_set_client": {"", "utf8mb4"}, "character_set_results": {"", "utf8mb4"}, // the driver has asked for these
		"time_zone": {"+09:00", "+00:00"}, "sql_auto_is_null": {"ON", "0"}, "sql_safe_updates": {"ON", "0"},
		"sql_select_limit": {"1", "18446744073709551615"}, "sql_big_selects": {"0", "1"}, "max_sort_length": {"64", "1024"},
		"innodb_lock_wait_timeout": {"0", "5"}, "lock_wait_timeout": {"0", "5"}, "max_statement_time": {"1.000000", "0"},
	} {
		for _, conn := range []interface {
			QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
		}{first, pool} {
			var got string
			noError(t, conn.QueryRowContext(t.Context(), "SELECT @@"+name).Scan(&got))
			if strings.TrimSuffix(got, ".000000") != want[1] {
				t.Errorf("%s is %s, want %s", name, got, want[1])
			}
		}
		if got := said[name][0]; got != want[0] && want[0] != "*" {
			t.Errorf("%s: the server's value was said to be %q, want %q", name, got, want[0])
		}
	}
}

func TestMySQLPoolIsBounded(t *testing.T) {
	url := onMariaDB(t)
	db, err := store.Open(t.Context(), url, store.Options{Pool: dsn.Pool{MaxOpen: 2, MaxIdle: 2, MaxLifetime: time.Minute, MaxIdleTime: time.Minute}})
	noError(t, err)
	defer db.Close()
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() {
			if _, err := db.Clients(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if n := db.Pools()["write"].Stats().OpenConnections; n > 2 {
		t.Errorf("%d connections are open, want at most 2", n)
	}
}

func TestMySQLRefusesWhatIsNoDatabase(t *testing.T) {
	url := onMariaDB(t)
	for _, bad := range []string{
		strings.Replace(url, "root@", "stranger:hunter2@", 1),                      // no such user
		strings.Replace(url, storetest.Database(url), "missing", 1),                // no such database
		"mysql://root:hunter2@127.0.0.1:1/countersign?timeout=1s",                  // no server listens
		"mysql://root:hunter2@127.0.0.1:1,127.0.0.1:2/countersign?timeout=1s",      // no server listens at either address
		"mysql://root:hunter2@localhost/countersign?socket=/no/such/socket",        // no such file
		"mysql://root:hunter2@no-such-host.invalid:3306/countersign?timeout=500ms", // no such host
	} {
		db, err := store.Open(t.Context(), bad, store.Options{})
		if err == nil {
			db.Close()
			t.Errorf("open %s: got no error", bad)
			continue
		}
		if strings.Contains(err.Error(), "\n") || strings.Contains(err.Error(), "hunter2") || !strings.HasSuffix(err.Error(), ")") {
			t.Errorf("open %s: error is not one line with advice and without secrets: %v", bad, err)
		}
	}
}

// A process that dies in a migration leaves some of the new tables behind.
func TestMySQLMigrationCutShortIsRunAgain(t *testing.T) {
	url := onMariaDB(t)
	db := open(t, url)
	s := signIn(t, db, shared)
	for _, undo := range []string{`DELETE FROM goose_db_version WHERE version_id > 0`, `DROP TABLE guesses`, `DROP TABLE audit_events`} {
		_, err := db.Pools()["write"].Exec(undo)
		noError(t, err)
	}
	again := open(t, url)
	if _, err := again.Session(t.Context(), s.ID, now); err != nil {
		t.Errorf("session from before: %v", err)
	}
	noError(t, again.EndSession(t.Context(), s.ID, created)) // records an event
}

// A process that dies in the first migration leaves only the table of versions behind.
func TestMySQLFirstMigrationCutShortIsRunAgain(t *testing.T) {
	url := onMariaDB(t)
	first := open(t, url)
	rows, err := first.Pools()["write"].Query(`SHOW TABLES`)
	noError(t, err)
	var tables []string
	for rows.Next() {
		var name string
		noError(t, rows.Scan(&name))
		tables = append(tables, name)
	}
	noError(t, rows.Err())
	write, err := first.Pools()["write"].Conn(t.Context())
	noError(t, err)
	defer write.Close()
	if _, err := write.ExecContext(t.Context(), `SET foreign_key_checks = 0`); err != nil {
		t.Fatal(err)
	}
	for _, name := range tables {
		undo := `DROP TABLE `
		if name == "goose_db_version" {
			undo = `DELETE FROM `
		}
		_, err := write.ExecContext(t.Context(), undo+name)
		noError(t, err)
	}
	again := open(t, url)
	signIn(t, again, shared)
}

func TestMySQLMigratingAtOnceSucceedsForAll(t *testing.T) {
	for range 3 {
		url := onMariaDB(t)
		errs := make([]error, 6)
		var wg sync.WaitGroup
		for i := range errs {
			wg.Go(func() {
				var db *store.DB
				if db, errs[i] = store.Open(t.Context(), url, store.Options{}); errs[i] == nil {
					defer db.Close()
					errs[i] = db.Ping(t.Context())
				}
			})
		}
		wg.Wait()
		noError(t, errors.Join(errs...))
	}
}

// wire relays connections to a database server, and cuts one when the client sends a
// certain word.
type wire struct {
	addr   string
	conns  atomic.Int64
	mu     sync.Mutex
	word   string // wire cuts the connection on which the client sends it, once
	before bool   // wire cuts before the server receives the word
}

// newWire returns a wire that relays connections to a server.
func newWire(t *testing.T, server string) *wire {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	noError(t, err)
	w := &wire{addr: ln.Addr().String()}
	var wg sync.WaitGroup
	t.Cleanup(func() { ln.Close(); wg.Wait() })
	go func() {
		for {
			client, err := ln.Accept()
			if err != nil {
				return
			}
			w.conns.Add(1)
			upstream, err := net.Dial("tcp", server)
			if err != nil {
				client.Close()
				continue
			}
			wg.Go(func() { io.Copy(client, upstream); client.Close() })
			wg.Go(func() { w.relay(upstream, client) })
		}
	}()
	return w
}

// relay forwards what the client sends, and closes both ends at the word.
func (w *wire) relay(upstream, client net.Conn) {
	defer upstream.Close()
	defer client.Close()
	for b := make([]byte, 64<<10); ; {
		n, err := client.Read(b)
		if err != nil {
			return
		}
		w.mu.Lock()
		heard, before := w.word != "" && bytes.Contains(b[:n], []byte(w.word)), w.before
		if heard {
			w.word = ""
		}
		w.mu.Unlock()
		if heard && before {
			return
		}
		if heard {
			client.Close() // so that the client doesn't receive the answer
		}
		if _, err := upstream.Write(b[:n]); err != nil {
			return
		}
		if heard {
			time.Sleep(20 * time.Millisecond) // the server runs the statement, and finds the client gone
			return
		}
	}
}

// breakAt makes the wire cut the next connection on which the client sends word.
func (w *wire) breakAt(word string, before bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.word, w.before = word, before
}

// broken reports whether the wire has cut the connection.
func (w *wire) broken() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.word == ""
}

// After a lost connection the store repeats a call that can't have taken effect. For a call
// that may have taken effect it returns an error.
func TestMySQLLostConnections(t *testing.T) {
	ctx := t.Context()
	url := onMariaDB(t)
	direct := open(t, url)
	s := signIn(t, direct, shared)
	w := newWire(t, storetest.MariaDB(t).Addr())
	db := open(t, "mysql://root@"+w.addr+"/"+storetest.Database(url))

	lose := func(what, word string, before bool, do func() error) error {
		t.Helper()
		w.breakAt(word, before)
		err := do()
		if !w.broken() {
			t.Fatalf("%s: the connection wasn't lost", what)
		}
		if err != nil && !db.IsUnavailable(err) {
			t.Errorf("%s: the error isn't one of a database that is away: %v", what, err)
		}
		return err
	}
	for _, before := range []bool{true, false} {
		name := fmt.Sprint("user ", before)
		noError(t, lose("a read", "SELECT", before, func() error { _, err := db.User(ctx, s.UserID); return err }))
		noError(t, lose("reading rows", "SELECT", before, func() error { _, err := db.Clients(ctx); return err }))
		noError(t, lose("the beginning of a transaction", "START TRANSACTION", before, func() error {
			return db.CreateUser(ctx, person(name+" begin"), created)
		}))
		noError(t, lose("a transaction under way", "INSERT INTO users", before, func() error {
			return db.CreateUser(ctx, person(name+" insert"), created)
		}))
		noError(t, lose("the end of a transaction under way", "INSERT INTO audit_events", before, func() error {
			return db.CreateUser(ctx, person(name+" event"), created)
		}))

		// The store can't know whether the server has run the next two statements.
		committed := person(name + " commit")
		if err := lose("a commit", "COMMIT", before, func() error { return db.CreateUser(ctx, committed, created) }); err == nil {
			t.Error("a lost commit was called a success")
		}
		next := s
		next.Counter++
		if err := lose("a statement that commits", "UPDATE sessions", before, func() error { return db.AdvanceSession(ctx, next, now) }); err == nil {
			t.Error("a lost rotation was called a success")
		}
		time.Sleep(100 * time.Millisecond) // the server may still run the statement
		if _, err := direct.User(ctx, committed.ID); (err == nil) == before {
			t.Errorf("commit that was heard %v: %v", !before, err)
		}
		got, err := direct.Session(ctx, s.ID, now)
		noError(t, err)
		if (got.Counter == next.Counter) == before {
			t.Errorf("rotation that was heard %v: the counter is %d", !before, got.Counter)
		}
		s = got
	}
}

// The store repeats a transaction that the database rolled back, so that it takes effect
// exactly once.
func TestMySQLConflictsAreRetried(t *testing.T) {
	db := open(t, onMariaDB(t))
	a, b := signIn(t, db, shared), shared
	b.ID[15]++
	b = signIn(t, db, b)
	// Two transactions that lock the same two rows in opposite orders deadlock, and the
	// database rolls back one.
	var met atomic.Int64
	var wg sync.WaitGroup
	both := func(first, second tokens.Session) {
		for range 20 {
			err := db.InTx(t.Context(), func(tx *sql.Tx) error {
				for _, id := range [][]byte{first.ID[:], second.ID[:]} {
					if _, err := tx.Exec(`UPDATE sessions SET counter = counter + 1 WHERE id = ?`, id); err != nil {
						met.Add(1)
						return err
					}
					time.Sleep(time.Millisecond)
				}
				return nil
			})
			if err != nil {
				t.Error(err)
			}
		}
	}
	wg.Go(func() { both(a, b) })
	wg.Go(func() { both(b, a) })
	wg.Wait()
	if met.Load() == 0 {
		t.Error("there was no deadlock: this test shows nothing")
	}
	for _, s := range []tokens.Session{a, b} {
		got, err := db.Session(t.Context(), s.ID, now)
		noError(t, err)
		if got.Counter != s.Counter+40 {
			t.Errorf("counter is %d, want %d", got.Counter, s.Counter+40)
		}
	}
}

// A request that waits for a lock that is never released fails after a while.
func TestMySQLGivesUpOnALock(t *testing.T) {
	db := open(t, onMariaDB(t))
	s := signIn(t, db, shared)
	tx, err := db.Pools()["write"].Begin()
	noError(t, err)
	defer tx.Rollback()
	_, err = tx.Exec(`UPDATE sessions SET counter = counter WHERE id = ?`, s.ID[:])
	noError(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	next := s
	next.Counter++
	if err := db.AdvanceSession(ctx, next, now); !db.IsUnavailable(err) {
		t.Errorf("got error %v, want one of a database that is away", err)
	}
	if _, err := db.Session(t.Context(), s.ID, now); err != nil {
		t.Errorf("reading waits for no lock: %v", err)
	}
}

func TestMySQLFailsOverToTheNextHost(t *testing.T) {
	url := onMariaDB(t)
	server := storetest.MariaDB(t).Addr()
	first, second := newWire(t, server), newWire(t, server)
	dead, err := net.Listen("tcp", "127.0.0.1:0")
	noError(t, err)
	noError(t, dead.Close()) // now no server listens there
	db := open(t, fmt.Sprintf("mysql://root@%s,%s,%s/%s", dead.Addr(), first.addr, second.addr, storetest.Database(url)))
	signIn(t, db, shared)
	if first.conns.Load() == 0 || second.conns.Load() != 0 {
		t.Errorf("%d connections to the first host and %d to the second, want all to the first that answers", first.conns.Load(), second.conns.Load())
	}
}

// A host that became a replica keeps its connections open, but refuses writes.
func TestMySQLLeavesAReadOnlyHost(t *testing.T) {
	storetest.Need(t, mariadb.Available())
	old, err := mariadb.Start()
	noError(t, err)
	defer old.Close()
	// The new primary is the shared server. The two hold different data, which shows where
	// the store wrote a user.
	url := onMariaDB(t)
	name := storetest.Database(url)
	noError(t, old.CreateDatabase(name))
	open(t, url)
	// root may write to a read-only server.
	for _, s := range []*mariadb.Server{old, storetest.MariaDB(t)} {
		noError(t, s.Exec("CREATE USER app@'%' IDENTIFIED BY 'secret'", "GRANT ALL ON "+name+".* TO app@'%'"))
		defer s.Exec("DROP USER app@'%'")
	}

	db := open(t, fmt.Sprintf("mysql://app:secret@%s,%s/%s", old.Addr(), storetest.MariaDB(t).Addr(), name))
	noError(t, db.CreateUser(t.Context(), person("before"), created))
	noError(t, old.Exec("SET GLOBAL read_only = 1"))
	noError(t, db.CreateUser(t.Context(), person("after"), created))
	noError(t, db.Ping(t.Context()))
	if _, err := open(t, url).UserByUsername(t.Context(), "after"); err != nil {
		t.Errorf("user on the new primary: %v", err)
	}
}

func TestMySQLOverTLS(t *testing.T) {
	storetest.Need(t, mariadb.Available())
	dir, err := os.MkdirTemp("", "tls") // the server's user can't read t.TempDir
	noError(t, err)
	defer os.RemoveAll(dir)
	noError(t, os.Chmod(dir, 0o755))
	writeCertificate(t, dir, "127.0.0.1")
	server, err := mariadb.Start("--ssl-cert="+dir+"/cert.pem", "--ssl-key="+dir+"/key.pem", "--require-secure-transport=ON")
	noError(t, err)
	defer server.Close()
	noError(t, server.CreateDatabase("countersign"))

	try := func(query string) error {
		db, err := store.Open(t.Context(), "mysql://root@"+server.Addr()+"/countersign"+query, store.Options{})
		if err == nil {
			err = errors.Join(db.Ping(t.Context()), db.Close())
		}
		return err
	}
	noError(t, try("?tls_ca="+dir+"/cert.pem"))
	noError(t, try("?tls=skip-verify"))
	for query, why := range map[string]string{
		"":                                   "not encrypted",
		"?tls=true":                          "signed by an authority that the system doesn't know",
		"?tls_ca=" + dir + "/other/cert.pem": "signed by another authority",
	} {
		if why == "signed by another authority" {
			noError(t, os.Mkdir(dir+"/other", 0o700))
			writeCertificate(t, dir+"/other", "127.0.0.1")
		}
		if err := try(query); err == nil {
			t.Errorf("a connection that is %s was made", why)
		}
	}
}

// writeCertificate writes a self-signed certificate for a host.
func writeCertificate(t *testing.T, dir, host string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	noError(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: host}, IPAddresses: []net.IP{net.ParseIP(host)},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true,
	}
	cert, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	noError(t, err)
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	noError(t, err)
	for name, block := range map[string]*pem.Block{"cert.pem": {Type: "CERTIFICATE", Bytes: cert}, "key.pem": {Type: "PRIVATE KEY", Bytes: secret}} {
		noError(t, os.WriteFile(filepath.Join(dir, name), pem.EncodeToMemory(block), 0o644))
	}
}

func TestMySQLIsUnavailableWhileItIsAway(t *testing.T) {
	storetest.Need(t, mariadb.Available())
	server, err := mariadb.Start()
	noError(t, err)
	defer server.Close()
	noError(t, server.CreateDatabase("countersign"))
	db := open(t, server.URL("countersign"))
	alice := person("alice")
	noError(t, db.CreateUser(t.Context(), alice, created))
	noError(t, server.Kill())
	for what, err := range map[string]error{
		"asked": db.Ping(t.Context()), "writing": db.CreateUser(t.Context(), person("bob"), created),
		"reading": func() error { _, err := db.User(t.Context(), alice.ID); return err }(),
	} {
		if !db.IsUnavailable(err) {
			t.Errorf("%s: got error %v, want one of a database that is away", what, err)
		}
	}
	noError(t, server.Restart())
	noError(t, db.Ping(t.Context()))
	if _, err := db.User(t.Context(), alice.ID); err != nil {
		t.Errorf("alice, an acknowledged user: %v", err)
	}
}

func TestWeaknesses(t *testing.T) {
	for _, db := range []*store.DB{storetest.Open(t), open(t, onMariaDB(t))} {
		if found, err := db.Weaknesses(t.Context()); len(found) > 0 || err != nil {
			t.Errorf("found %q, %v, want none", found, err)
		}
	}
	storetest.Need(t, mariadb.Available())
	server, err := mariadb.Start("--innodb-flush-log-at-trx-commit=2", "--innodb-doublewrite=0", "--log-bin=b", "--sync-binlog=0")
	noError(t, err)
	defer server.Close()
	noError(t, server.CreateDatabase("countersign"))
	found, err := open(t, server.URL("countersign")).Weaknesses(t.Context())
	noError(t, err)
	for _, word := range []string{"innodb_flush_log_at_trx_commit is 2", "innodb_doublewrite is OFF", "sync_binlog is 0"} {
		if !strings.Contains(strings.Join(found, "\n"), word) {
			t.Errorf("found %q, want %q", found, word)
		}
	}
}

func TestSupportedMySQL(t *testing.T) {
	for version, want := range map[string]bool{
		"8.4.3": true, "8.0.36-0ubuntu0.22.04.1": true, "9.1.0": true, "5.7.44-log": false, "8.0.11-TiDB-v8.5.0": true,
		"8.0.mysql_aurora.3.08.0": true, "10.11.6-MariaDB-0+deb12u1": true, "5.5.5-10.6.12-MariaDB": true, "10.5.9-MariaDB": false,
		"11.4.2-MariaDB-log": true, "": false, "x": false,
	} {
		if got := store.SupportedMySQL(version); got != want {
			t.Errorf("%q is supported: %v, want %v", version, got, want)
		}
	}
}
