package store_test

import (
	"context"
	"database/sql"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"countersign/store"
	"countersign/store/storetest"
)

// together makes changes in one group: while a test has the only connection, the first
// change becomes a group of its own, and those that come behind it the next. It returns the
// error of each, also for a panic.
func together(t *testing.T, db *store.DB, changes ...func(tx *sql.Tx) error) []error {
	t.Helper()
	for running, _ := db.Queue(); running; running, _ = db.Queue() { // the end of what came before
		runtime.Gosched()
	}
	release := holdWriteLock(t, db)
	errs := make([]error, len(changes))
	var callers sync.WaitGroup
	queue := func(waiting int, change func(tx *sql.Tx) error, err *error) {
		callers.Go(func() {
			defer func() {
				if p := recover(); p != nil {
					*err = fmt.Errorf("panic: %v", p)
				}
			}()
			*err = db.InTx(t.Context(), change)
		})
		for {
			if running, n := db.Queue(); running && n == waiting {
				return
			}
			runtime.Gosched()
		}
	}
	var led error
	queue(0, func(*sql.Tx) error { return nil }, &led)
	for i, change := range changes {
		queue(i+1, change, &errs[i])
	}
	release()
	callers.Wait()
	noError(t, led)
	return errs
}

// sets returns a change that adds a setting.
func sets(name string) func(tx *sql.Tx) error {
	return func(tx *sql.Tx) error {
		_, err := tx.Exec(`INSERT INTO settings (name, value) VALUES (?, 'x')`, name)
		return err
	}
}

// then returns a change that makes two.
func then(first, second func(tx *sql.Tx) error) func(tx *sql.Tx) error {
	return func(tx *sql.Tx) error { return errors.Join(first(tx), second(tx)) }
}

func wantSettings(t *testing.T, db *store.DB, want string) {
	t.Helper()
	var got string
	noError(t, db.Pools()["read"].QueryRow(`SELECT COALESCE(GROUP_CONCAT(name, ' '), '') FROM (
		SELECT name FROM settings WHERE value = 'x' ORDER BY name)`).Scan(&got))
	if got != want {
		t.Errorf("there are %q, want %q", got, want)
	}
}

func TestGroupedChangesFailAlone(t *testing.T) {
	db := storetest.Open(t)
	refused := errors.New("refused")
	refuses := func(*sql.Tx) error { return refused }
	errs := together(t, db, sets("a"), then(sets("b"), refuses), sets("a"), sets("c"), then(sets("d"), sets("c")))
	if errs[0] != nil || errs[3] != nil {
		t.Errorf("changes that nothing is wrong with: %v, %v", errs[0], errs[3])
	}
	if !errors.Is(errs[1], refused) || errs[2] == nil || errs[4] == nil {
		t.Errorf("got errors %v, want the caller's, and two of a constraint", errs)
	}
	wantSettings(t, db, "a c")
}

// A failure that takes the whole transaction with it, such as that of a full disk, is the
// others' only if they meet it, too.
func TestGroupedChangesSurviveALostTransaction(t *testing.T) {
	db := storetest.Open(t)
	loses := func(tx *sql.Tx) error {
		_, err := tx.Exec(`ROLLBACK`)
		return errors.Join(err, errors.New("the transaction is lost"))
	}
	errs := together(t, db, sets("a"), then(sets("b"), loses), sets("c"), sets("a"))
	if errs[0] != nil || errs[1] == nil || errs[2] != nil || errs[3] == nil {
		t.Errorf("got errors %v, want those of the second and the fourth", errs)
	}
	wantSettings(t, db, "a c")
}

func TestGroupedChangesPanicAlone(t *testing.T) {
	db := storetest.Open(t)
	errs := together(t, db, sets("a"), then(sets("b"), func(*sql.Tx) error { panic("a bug") }), sets("c"))
	if errs[0] != nil || errs[1] == nil || errs[1].Error() != "panic: a bug" || errs[2] != nil {
		t.Errorf("got errors %v, want the second's panic", errs)
	}
	wantSettings(t, db, "a c")
}

// A caller that gives up leaves no change behind and harms no other, at whatever point the
// change is.
func TestGroupedChangesAreGivenUpAlone(t *testing.T) {
	db := storetest.Open(t)
	release := holdWriteLock(t, db)
	ctx, cancel := context.WithCancel(t.Context())
	gone := make(chan error, 1)
	go func() { gone <- db.InTx(ctx, sets("a")) }()
	for running, _ := db.Queue(); !running; running, _ = db.Queue() {
		runtime.Gosched()
	}
	stays := make(chan error, 1)
	go func() { stays <- db.InTx(t.Context(), sets("b")) }()
	cancel()
	if err := <-gone; !errors.Is(err, context.Canceled) {
		t.Errorf("got error %v, want the cancellation's", err)
	}
	release()
	noError(t, <-stays)
	wantSettings(t, db, "b")

	// The caller of the second change gives up between its two statements.
	ctx, cancel = context.WithCancel(t.Context())
	errs := together(t, db, sets("c"), func(tx *sql.Tx) error {
		noError(t, sets("d")(tx))
		cancel()
		_, err := tx.ExecContext(ctx, `INSERT INTO settings (name, value) VALUES ('e', 'x')`)
		return err
	}, sets("f"))
	if errs[0] != nil || !errors.Is(errs[1], context.Canceled) || errs[2] != nil {
		t.Errorf("got errors %v, want the second's cancellation", errs)
	}
	wantSettings(t, db, "b c f")
}

// While another process keeps the write lock, the callers of a group wait for it together
// and not one after the other.
func TestGroupedChangesWaitForALockOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "countersign.db")
		db, other := storetest.OpenFile(t, path), storetest.OpenFile(t, path)
		t.Cleanup(func() { db.Close(); other.Close() })
		defer holdWriteLock(t, other)()
		begun := time.Now()
		var callers sync.WaitGroup
		for range 20 {
			callers.Go(func() {
				if err := db.InTx(t.Context(), sets("a")); !db.IsUnavailable(err) {
					t.Errorf("got error %v, want one that says to try again", err)
				}
			})
		}
		callers.Wait()
		if took := time.Since(begun); took > 30*time.Second { // the leader's ten seconds, and the group's
			t.Errorf("the callers waited %v", took)
		}
	})
}

// A database is closed when its last change has ended, though the change's caller gave up
// while another process kept the write lock.
func TestCloseWaitsForAChangeThatWasGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "countersign.db")
		db, other := storetest.OpenFile(t, path), storetest.OpenFile(t, path)
		defer other.Close()
		begun := time.Now()
		time.AfterFunc(time.Second, holdWriteLock(t, other))
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		if err := db.InTx(ctx, sets("a")); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got error %v, want the deadline's", err)
		}
		noError(t, db.Close())
		if took := time.Since(begun); took < time.Second {
			t.Errorf("the database was closed after %v, while its change waited for the lock", took)
		}
		if err := db.InTx(t.Context(), sets("b")); !db.IsUnavailable(err) {
			t.Errorf("got error %v, want that of a closed database", err)
		}
	})
}

// commits counts the commits in the log of a new database.
func commits(t *testing.T, path string) (n int) {
	t.Helper()
	log, err := os.ReadFile(path + "-wal")
	noError(t, err)
	if len(log) == 0 {
		return 0
	}
	page := int(binary.BigEndian.Uint32(log[8:]))
	for frame := log[32:]; len(frame) >= 24+page; frame = frame[24+page:] {
		if size := binary.BigEndian.Uint32(frame[4:]); size != 0 { // the last page of a commit
			n++
		}
	}
	return n
}

func TestGroupedChangesShareACommit(t *testing.T) {
	path := filepath.Join(t.TempDir(), "countersign.db")
	db := storetest.OpenFile(t, path)
	var changes []func(tx *sql.Tx) error
	for i := range 20 {
		changes = append(changes, sets(fmt.Sprint("n", i)))
	}
	before := commits(t, path)
	noError(t, errors.Join(together(t, db, changes...)...))
	if n := commits(t, path) - before; n != 1 {
		t.Errorf("%d changes made %d commits, want 1", len(changes), n)
	}
	for i := range 3 {
		noError(t, db.InTx(t.Context(), sets(fmt.Sprint("lone", i))))
		if n := commits(t, path) - before; n != i+2 {
			t.Errorf("after %d lone changes there are %d commits more, want one for each", i+1, n-1)
		}
	}
}
