package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"countersign/accounts"
	"countersign/audit"
	"countersign/ids"
	"countersign/store"
	"countersign/store/storetest"
)

// moving is a "countersign move" of a data folder's database.
type moving struct {
	*exec.Cmd
	stdout, stderr bytes.Buffer
}

func newMoving(t *testing.T, from, to string, args ...string) *moving {
	t.Helper()
	path, err := program()
	if err != nil {
		t.Fatal(err)
	}
	m := &moving{Cmd: exec.CommandContext(t.Context(), path, append([]string{"move", "--json"}, args...)...)}
	m.Env = environment("COUNTERSIGN_DATABASE_URL="+from, "COUNTERSIGN_MOVE_TO="+to)
	m.Stdout, m.Stderr = &m.stdout, &m.stderr
	return m
}

// startUntil starts the move and waits for output with a prefix. It returns that and a
// function that waits for the rest.
func (m *moving) startUntil(t *testing.T, beginning string) (line string, rest func() string) {
	t.Helper()
	m.Stderr = nil
	stderr, err := m.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := m.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(stderr)
	for lines.Scan() {
		if strings.HasPrefix(lines.Text(), beginning) {
			break
		}
		line += lines.Text() + "\n"
	}
	if !strings.HasPrefix(lines.Text(), beginning) {
		t.Fatalf("it said %q, not %q", line, beginning)
	}
	return lines.Text(), func() (said string) {
		for lines.Scan() {
			said += lines.Text() + "\n"
		}
		return said
	}
}

// eachMove runs a test for the moves from each database to each, which it names
// by their URLs.
func eachMove(t *testing.T, test func(t *testing.T, from, to string)) {
	storetest.OnOwnDatabase(t)
	on := map[string]func(testing.TB) string{
		"SQLite":  func(t testing.TB) string { return "sqlite:" + filepath.Join(t.TempDir(), "countersign.db") },
		"MariaDB": func(t testing.TB) string { return storetest.MariaDBURL(t, t.TempDir()) },
	}
	for _, hop := range [][2]string{{"SQLite", "MariaDB"}, {"MariaDB", "SQLite"}} {
		t.Run(hop[0]+" to "+hop[1], func(t *testing.T) { test(t, on[hop[0]](t), on[hop[1]](t)) })
	}
}

// A session that was live before the move is live after it, and what was refused before is
// refused after.
func TestTokensSurviveAMove(t *testing.T) {
	eachMove(t, func(t *testing.T, from, to string) {
		data := t.TempDir()
		p := serve(t, data, "COUNTERSIGN_DATABASE_URL="+from, noWindow)
		want(t, 201)(p.signup("alice", processPassword))
		want(t, 201)(p.signup("bob", processPassword))
		in := want(t, 200)(p.login("alice", processPassword))
		first, access := in.member("refresh_token"), in.member("access_token")
		second := want(t, 200)(p.refresh(first)).member("refresh_token")
		stolen := want(t, 200)(p.login("bob", processPassword)).member("refresh_token")
		taken := want(t, 200)(p.refresh(stolen)).member("refresh_token")
		keysBefore := want(t, 200)(p.get("/.well-known/jwks.json", "")).body

		// The server still runs: it acknowledges nothing any more, and answers as if
		// its database were down.
		if m := newMoving(t, from, to); m.Run() != nil {
			t.Fatalf("move: %s", &m.stderr)
		}
		want(t, 503)(p.refresh(second))
		want(t, 503)(p.signup("carol", processPassword))
		eventually(t, 5*time.Second, "the server isn't ready", func() bool {
			a, err := p.get("/readyz", "")
			return err == nil && a.status == 503
		})
		p.kill()

		p = serve(t, data, "COUNTERSIGN_DATABASE_URL="+to, noWindow)
		if after := want(t, 200)(p.get("/.well-known/jwks.json", "")).body; !bytes.Equal(after, keysBefore) {
			t.Errorf("JWKS is %s, was %s", after, keysBefore)
		}
		if name := want(t, 200)(p.get("/userinfo", access)).member("sub"); name == "" {
			t.Error("userinfo has no subject")
		}
		third := want(t, 200)(p.refresh(second)).member("refresh_token")
		want(t, 400)(p.refresh(second)) // reuse, without a window
		want(t, 400)(p.refresh(third))
		want(t, 200)(p.login("alice", processPassword))
		want(t, 400)(p.refresh(stolen)) // superseded before the move, as its row still records
		want(t, 400)(p.refresh(taken))

		// No server starts on the old one.
		path, err := program()
		if err != nil {
			t.Fatal(err)
		}
		cmd := exec.CommandContext(t.Context(), path, "serve", "--dev", "--data", data)
		cmd.Env = environment("COUNTERSIGN_DATABASE_URL=" + from)
		if out, err := cmd.CombinedOutput(); err == nil || !strings.Contains(string(out), "moved away") {
			t.Errorf("serve on the old database: %v\n%s", err, out)
		}
	})
}

// A move that is killed in the middle goes on when it runs again, and ends correctly.
func TestKilledMoveGoesOn(t *testing.T) {
	const people = 2000
	eachMove(t, func(t *testing.T, from, to string) {
		names := signUp(t, from, people)
		middle := 0
		for range 5 {
			m := newMoving(t, from, to, "--batch", "1")
			line, _ := m.startUntil(t, "copying users")
			if there := 0; strings.Contains(line, "there already") {
				fmt.Sscanf(line, "copying users: 2000 rows, %d of them", &there)
				if there > 0 && there < people {
					middle++
				}
			}
			time.Sleep(rand.N(20 * time.Millisecond)) // the kill may come anywhere
			m.Process.Kill()
			m.Wait()
		}
		if middle == 0 {
			t.Error("no kill met the copying: this test shows nothing")
		}
		m := newMoving(t, from, to)
		if err := m.Run(); err != nil {
			t.Fatalf("move, run again: %v\n%s", err, &m.stderr)
		}
		var tables []movedRecord
		if err := json.Unmarshal(m.stdout.Bytes(), &tables); err != nil {
			t.Fatal(err)
		}
		if len(tables) == 0 || tables[0].Table != "users" || tables[0].Rows != people {
			t.Errorf("moved %+v, want %d users first", tables, people)
		}
		db := storetest.OpenURL(t, to)
		defer db.Close()
		users, err := db.Users(t.Context(), accounts.User{}, people+1)
		if err != nil {
			t.Fatal(err)
		}
		if len(users) != people {
			t.Errorf("%d users are there, want %d", len(users), people)
		}
		for _, u := range users {
			if names[u.ID] != u.Username {
				t.Errorf("user %s is %q, was %q", u.ID, u.Username, names[u.ID])
			}
		}
		if _, err := store.Open(t.Context(), from, store.Options{}); !errors.Is(err, store.ErrMovedAway) {
			t.Errorf("old database: %v", err)
		}
	})
}

// signUp adds users to a database, and returns their names.
func signUp(t *testing.T, url string, n int) map[ids.User]string {
	t.Helper()
	db := storetest.OpenURL(t, url)
	defer db.Close()
	names := map[ids.User]string{}
	queue := make(chan accounts.User, n)
	for i := range n {
		u := accounts.User{ID: ids.New[ids.User](), Username: fmt.Sprint("person", i), PasswordHash: "$", CreatedAt: time.Now(), UpdatedAt: time.Now()}
		names[u.ID] = u.Username
		queue <- u
	}
	close(queue)
	var wg sync.WaitGroup
	for range 16 { // so that they share the disk's flushes
		wg.Go(func() {
			for u := range queue {
				if err := db.CreateUser(t.Context(), u, audit.Event{Time: u.CreatedAt, Kind: audit.UserCreated}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	return names
}

// A signal stops a move between two batches, and the move says how to go on.
func TestMoveStopsWhenToldTo(t *testing.T) {
	from, to := "sqlite:"+filepath.Join(t.TempDir(), "countersign.db"), "sqlite:"+filepath.Join(t.TempDir(), "countersign.db")
	signUp(t, from, 1000)
	m := newMoving(t, from, to, "--batch", "1")
	_, rest := m.startUntil(t, "copying users")
	m.Process.Signal(syscall.SIGINT)
	said := rest()
	if err := m.Wait(); m.ProcessState.ExitCode() != exitFailed {
		t.Errorf("it ended with %v, want exit code %d", err, exitFailed)
	}
	if !strings.Contains(said, "run the same command again") || strings.Count(said, "\n") != 1 {
		t.Errorf("it said %q, not in one line how to go on", said)
	}
	if m := newMoving(t, from, to); m.Run() != nil {
		t.Errorf("run again: %s", &m.stderr)
	}
}

// At a terminal progress is one line that changes, not for each batch, but the last report
// is shown.
func TestMoveProgressAtATerminal(t *testing.T) {
	var b strings.Builder
	l := &moveLines{w: &b, terminal: true}
	for n := int64(0); n <= 1000; n++ {
		l.show(store.MoveProgress{Table: "users", Done: n, Total: 1000})
	}
	l.show(store.MoveProgress{Verifying: true, Table: "users", Done: 0, Total: 0})
	l.end()
	shown := strings.Split(strings.TrimPrefix(b.String(), "\r\x1b[K"), "\r\x1b[K")
	if len(shown) < 4 || len(shown) > 100 || strings.Contains(b.String(), "\n") {
		t.Fatalf("1000 reports were shown as %d lines: %q", len(shown), shown)
	}
	for i, want := range map[int]string{
		0: "copying users: 0 of 1000 rows (0 %)", len(shown) - 3: "copying users: 1000 of 1000 rows (100 %)",
		len(shown) - 2: "verifying users: 0 of 0 rows", len(shown) - 1: "",
	} {
		if shown[i] != want {
			t.Errorf("line %d is %q, want %q", i, shown[i], want)
		}
	}
}
