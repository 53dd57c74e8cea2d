package store_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/uuid"

	"countersign/accounts"
	"countersign/audit"
	"countersign/clients"
	"countersign/ids"
	"countersign/store"
	"countersign/store/storetest"
	"countersign/tokens"
)

// The test binary is also the second process of a test: if this variable names one of the
// children, the binary works on the database file that its argument names.
const childVariable = "COUNTERSIGN_STORE_TEST_CHILD"

var children = map[string]func(ctx context.Context, db *store.DB) error{
	"write":   childWrites,
	"advance": childAdvances,
	"look":    childLooks,
	"open":    func(context.Context, *store.DB) error { return nil },
}

func TestMain(m *testing.M) {
	if name := os.Getenv(childVariable); name != "" {
		if err := runChild(children[name], os.Args[1]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(storetest.Main{M: m}.Run())
}

// runChild reports that it is ready, waits for a line of input, opens the database and works
// on it.
func runChild(work func(ctx context.Context, db *store.DB) error, path string) error {
	fmt.Println("ready")
	if _, err := bufio.NewReader(os.Stdin).ReadString('\n'); err != nil {
		return err
	}
	db, err := store.Open(context.Background(), "sqlite:"+path, store.Options{})
	if err != nil {
		return err
	}
	return errors.Join(work(context.Background(), db), db.Close())
}

// child is another process at work on a database.
type child struct {
	t     *testing.T
	cmd   *exec.Cmd
	stdin io.Writer
	lines *bufio.Scanner
}

// newChild starts a process, which waits until the test tells it to go.
func newChild(t *testing.T, name, path string) *child {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0], path) // killed at the end of the test, if it still runs
	cmd.Env = append(os.Environ(), childVariable+"="+name)
	cmd.Stderr = t.Output()
	stdin, err := cmd.StdinPipe()
	noError(t, err)
	stdout, err := cmd.StdoutPipe()
	noError(t, err)
	noError(t, cmd.Start())
	c := &child{t, cmd, stdin, bufio.NewScanner(stdout)}
	if !c.lines.Scan() || c.lines.Text() != "ready" {
		t.Fatalf("child said %q, not that it is ready", c.lines.Text())
	}
	return c
}

func (c *child) start() {
	c.t.Helper()
	_, err := io.WriteString(c.stdin, "go\n")
	noError(c.t, err)
}

// wait waits for the end of the process and returns what it printed.
func (c *child) wait() []string {
	c.t.Helper()
	var lines []string
	for c.lines.Scan() {
		lines = append(lines, c.lines.Text())
	}
	if err := c.cmd.Wait(); err != nil {
		c.t.Fatalf("child failed: %v", err)
	}
	return lines
}

// What the tests with several processes have in common.
var (
	now     = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	created = audit.Event{Time: now, Kind: audit.SessionCreated}
	shared  = tokens.Session{ID: ids.Session{15: 1}, ClientID: "app", ExpiresAt: now.Add(time.Hour)} // processes race for this session
)

func person(name string) accounts.User {
	return accounts.User{ID: ids.New[ids.User](), Username: name, PasswordHash: "$", CreatedAt: now, UpdatedAt: now}
}

// signIn adds a session, and the client and the user that it needs.
func signIn(t testing.TB, db *store.DB, s tokens.Session) tokens.Session {
	t.Helper()
	u := person("user of " + s.ID.String())
	noError(t, db.CreateUser(t.Context(), u, created))
	noError(t, storetest.PutClient(t.Context(), db, clients.Client{ID: s.ClientID, CreatedAt: now, UpdatedAt: now}, created))
	s.UserID = u.ID
	noError(t, db.CreateSession(t.Context(), s, 0, created))
	return s
}

func noError(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatalf("unexpected error: %v", err)
	}
}

// advance tries n times to advance the shared session, and returns how often it won.
func advance(ctx context.Context, db *store.DB, n int) (won uint64, err error) {
	for range n {
		s, err := db.Session(ctx, shared.ID, now)
		if err != nil {
			return won, err
		}
		s.Counter++
		switch err := db.AdvanceSession(ctx, s, now); {
		case err == nil:
			won++
		case !errors.Is(err, tokens.ErrStale):
			return won, err
		}
	}
	return won, nil
}

func childAdvances(ctx context.Context, db *store.DB) error {
	won, err := advance(ctx, db, 200)
	fmt.Println(won)
	return err
}

func TestProcessesShareADatabase(t *testing.T) {
	path := filepath.Join(t.TempDir(), "countersign.db")
	db := storetest.OpenFile(t, path)
	defer db.Close()
	signIn(t, db, shared)

	others := []*child{newChild(t, "advance", path), newChild(t, "advance", path)}
	for _, c := range others {
		c.start()
	}
	total, err := advance(t.Context(), db, 200)
	noError(t, err)
	for _, c := range others {
		var won uint64
		if _, err := fmt.Sscan(strings.Join(c.wait(), " "), &won); err != nil {
			t.Fatalf("read child's wins: %v", err)
		}
		total += won
	}
	s, err := db.Session(t.Context(), shared.ID, now)
	noError(t, err)
	if s.Counter != total || total == 0 {
		t.Errorf("counter is %d after %d wins", s.Counter, total)
	}
}

// childLooks reports whether another process holds SQLite's shared lock on the database
// file. SHARED_FIRST and SHARED_SIZE in SQLite's "os.h" fix the lock's place.
func childLooks(context.Context, *store.DB) error {
	f, err := os.OpenFile(os.Args[1], os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	lock := syscall.Flock_t{Type: syscall.F_WRLCK, Start: 0x40000000 + 2, Len: 510}
	err = syscall.FcntlFlock(f.Fd(), syscall.F_GETLK, &lock)
	fmt.Println(lock.Type != syscall.F_UNLCK)
	return err
}

// A process that closes a file loses all its locks on it, through any handle (fcntl in
// POSIX). So opening a database must not open and close a file that another handle uses:
// another process that closes the database could then think that it is the last user and
// remove the log, which the handle still needs.
func TestOpeningTwiceKeepsTheLocks(t *testing.T) {
	path := filepath.Join(t.TempDir(), "countersign.db")
	db := storetest.OpenFile(t, path)
	defer db.Close()
	second := storetest.OpenFile(t, path)
	defer second.Close()
	c := newChild(t, "look", path)
	c.start()
	if got := c.wait(); len(got) != 1 || got[0] != "true" {
		t.Errorf("another process sees a lock on the database: %v, want true", got)
	}
}

// childWrites signs users in and advances their sessions, and reports each call that has
// returned, until the test kills it.
func childWrites(ctx context.Context, db *store.DB) error {
	u := person("writer " + uuid.NewString())
	if err := db.CreateUser(ctx, u, created); err != nil {
		return err
	}
	errs := make([]error, 16) // so that a kill hits groups of changes
	var wg sync.WaitGroup
	for i := range errs {
		wg.Go(func() {
			for {
				s := tokens.Session{ID: ids.New[ids.Session](), UserID: u.ID, ClientID: "app", ExpiresAt: now.Add(time.Hour)}
				ev := created
				ev.SessionID = s.ID
				if errs[i] = db.CreateSession(ctx, s, 0, ev); errs[i] != nil {
					return
				}
				fmt.Println(s.ID, s.Counter)
				for s.Counter < 8 {
					s.Counter++
					if errs[i] = db.AdvanceSession(ctx, s, now); errs[i] != nil {
						return
					}
					fmt.Println(s.ID, s.Counter)
				}
			}
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}

func TestAcknowledgedChangesSurviveKill(t *testing.T) {
	path := filepath.Join(t.TempDir(), "countersign.db")
	db := storetest.OpenFile(t, path)
	signIn(t, db, shared)
	noError(t, db.Close())

	acknowledged := map[ids.Session]uint64{}
	for round := range 12 {
		c := newChild(t, "write", path)
		c.start()
		// The child writes while the test counts, so that the kill hits it at any point.
		for left := rand.IntN(300); c.lines.Scan(); left-- {
			if left == 0 {
				noError(t, c.cmd.Process.Kill())
			}
			var (
				id      string
				counter uint64
			)
			if _, err := fmt.Sscan(c.lines.Text(), &id, &counter); err != nil {
				t.Fatalf("child said %q: %v", c.lines.Text(), err)
			}
			sid := ids.Session(uuid.MustParse(id))
			acknowledged[sid] = max(acknowledged[sid], counter)
		}
		if err := c.cmd.Wait(); c.cmd.ProcessState.ExitCode() != -1 {
			t.Fatalf("child was to be killed, but ended: %v", err)
		}

		db := storetest.OpenFile(t, path)
		var verdict string
		noError(t, db.Pools()["read"].QueryRow(`PRAGMA integrity_check`).Scan(&verdict))
		if verdict != "ok" {
			t.Fatalf("round %d: integrity check: %s", round, verdict)
		}
		for id, counter := range acknowledged {
			s, err := db.Session(t.Context(), id, now)
			if err != nil {
				t.Errorf("round %d: session %s was acknowledged: %v", round, id, err)
			} else if s.Counter < counter {
				t.Errorf("round %d: session %s is at %d, but %d was acknowledged", round, id, s.Counter, counter)
			} else if s.Counter > counter+1 { // its caller begins one after the other
				t.Errorf("round %d: session %s is at %d, %d was acknowledged: a change was made twice", round, id, s.Counter, counter)
			}
		}
		var torn int
		noError(t, db.Pools()["read"].QueryRow(`
			SELECT (SELECT COUNT(*) FROM sessions WHERE id NOT IN (SELECT session_id FROM audit_events WHERE session_id IS NOT NULL))
				+ (SELECT COUNT(*) FROM audit_events WHERE session_id NOT IN (SELECT id FROM sessions))`).Scan(&torn))
		if torn != 1 { // the shared session's event names no session
			t.Errorf("round %d: %d sessions without their event, or the reverse", round, torn-1)
		}
		noError(t, db.Close())
	}
	t.Logf("%d sessions were acknowledged", len(acknowledged))
}
