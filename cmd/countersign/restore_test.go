package main

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"modernc.org/sqlite"

	"countersign/store/storetest"
)

// copied lists ways to copy the database of a running server.
var copied = map[string]string{
	"backup": "", // by SQLite's backup, as sqlite3's .backup does
	"vacuum": `VACUUM INTO ?`,
}

// A server that was killed leaves its log. Beside a copy that an operator has put in the
// database's place SQLite would mix the two: no command opens that, and after the documented
// order the copy is what it was.
func TestACopyBesideAnOlderLogIsRefused(t *testing.T) {
	storetest.OnOwnDatabase(t)
	t.Parallel()
	data := t.TempDir()
	path := filepath.Join(data, "countersign.db")
	keep := func(name string) string {
		b, err := os.ReadFile(path)
		if err == nil {
			err = os.WriteFile(filepath.Join(data, name), b, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
		return filepath.Join(data, name)
	}
	p := serve(t, data)
	want(t, 201)(p.signup("alice", "correct horse battery"))
	p.stop()
	copies := []string{keep("stopped")}
	p = serve(t, data)
	for name, query := range copied {
		to := filepath.Join(data, name)
		if err := copyDatabase(path, to, query); err != nil {
			t.Fatal(err)
		}
		copies = append(copies, to)
	}
	want(t, 201)(p.signup("bob", "correct horse battery"))
	p.kill()
	log, err := os.ReadFile(path + "-wal")
	if err != nil || len(log) < 100 {
		t.Fatalf("there is no log: %v", err)
	}
	current := keep("current")

	for _, from := range copies {
		putBack(t, from, path, log)
		err := refusal(t, nil, "users", "list", "--data", data)
		if err == nil || !strings.Contains(err.Error(), "remove "+path+"-wal and "+path+"-shm") {
			t.Errorf("%s beside the log: got error %v, want advice", filepath.Base(from), err)
		}
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if err := refusal(t, nil, "users", "list", "--data", data); err == nil || !strings.Contains(err.Error(), "missing or empty") {
		t.Errorf("a log alone: got error %v, want advice", err)
	}
	putBack(t, current, path, log)
	if names := usernames(t, data); !slices.Equal(names, []string{"alice", "bob"}) {
		t.Errorf("the former database beside its own log has %q", names)
	}

	// The documented order. And once more, with copies of what is itself a copy.
	for _, from := range copies {
		putBack(t, from, path, nil)
		if names := usernames(t, data); !slices.Equal(names, []string{"alice"}) {
			t.Errorf("%s, put back: it has %q", filepath.Base(from), names)
		}
	}
	p = serve(t, data) // on the last of them
	for name, query := range copied {
		if err := copyDatabase(path, filepath.Join(data, "second-"+name), query); err != nil {
			t.Fatal(err)
		}
	}
	want(t, 201)(p.signup("carol", "correct horse battery"))
	p.kill()
	if log, err = os.ReadFile(path + "-wal"); err != nil {
		t.Fatal(err)
	}
	for name := range copied {
		putBack(t, filepath.Join(data, "second-"+name), path, log)
		if err := refusal(t, nil, "users", "list", "--data", data); err == nil {
			t.Errorf("%s of a copy, beside the log: got no error", name)
		}
	}
}

// copyDatabase copies a database that is in use, by a query or by SQLite's backup.
func copyDatabase(from, to, query string) error {
	db, err := sql.Open("sqlite", from)
	if err != nil {
		return err
	}
	defer db.Close()
	if query != "" {
		_, err = db.Exec(query, to)
		return err
	}
	conn, err := db.Conn(context.Background())
	if err != nil {
		return err
	}
	defer conn.Close()
	return conn.Raw(func(driver any) error {
		b, err := driver.(interface {
			NewBackup(to string) (*sqlite.Backup, error)
		}).NewBackup(to)
		if err != nil {
			return err
		}
		_, err = b.Step(-1)
		return errors.Join(err, b.Finish())
	})
}

// putBack puts a copy in the database's place, with a log beside it if there is one.
func putBack(t *testing.T, from, path string, log []byte) {
	t.Helper()
	for _, end := range []string{"", "-wal", "-shm"} {
		if err := os.RemoveAll(path + end); err != nil {
			t.Fatal(err)
		}
	}
	b, err := os.ReadFile(from)
	if err == nil {
		err = os.WriteFile(path, b, 0o600)
	}
	if err == nil && log != nil {
		err = os.WriteFile(path+"-wal", log, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func usernames(t *testing.T, data string) (names []string) {
	t.Helper()
	var all []struct{ Username string }
	if err := json.Unmarshal([]byte(command(t, data, "", "users", "list", "--json")), &all); err != nil {
		t.Fatal(err)
	}
	for _, u := range all {
		names = append(names, u.Username)
	}
	slices.Sort(names)
	return names
}

// stop ends a server as an operator does.
func (p *process) stop() {
	p.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-p.ended:
	case <-time.After(time.Minute):
		p.t.Fatal("the server doesn't stop")
	}
}
