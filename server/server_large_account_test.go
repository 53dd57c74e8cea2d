package server_test

import (
	"database/sql"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"

	"countersign/audit"
	"countersign/store/storetest"
	"countersign/test/soak"
	"countersign/tokens"
)

// With all the sessions that one account may have, at many clients, and all the events that
// it may cause in days, users don't wait for each other: not while it lists, exports or ends
// them.
func TestALargeAccountHoldsUpNoOther(t *testing.T) {
	if storetest.OnMariaDB() {
		t.Skip("it fills the file of a SQLite database, whose one writer it is about")
	}
	clients, events := 20, 5_000
	if soak.On() {
		clients, events = 1000, 200_000
	}
	a := newApp(t)
	a.signup("alice")
	a.signup("bob")
	p := a.page()
	in := p.signIn("alice", password).want(http.StatusOK)
	raw, err := sql.Open("sqlite", "file:"+a.path+"?_pragma=busy_timeout(10000)")
	if err != nil {
		t.Fatal(err)
	}
	exec := func(query string, args ...any) {
		t.Helper()
		if _, err := raw.Exec(query, args...); err != nil {
			t.Fatal(err)
		}
	}
	now := time.Now()
	exec(`WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?)
		INSERT INTO clients (id, name, declared, origins, details, created_at, updated_at) SELECT 'client' || i, '', 0, '[]', '{}', 0, 0 FROM n`, clients)
	exec(fmt.Sprintf(`WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < %d)
			INSERT INTO sessions (id, user_id, client_id, scopes, counter, rotations, auth_time, created_at, last_used_at, expires_at, absolute_expires_at, device, epoch)
			SELECT randomblob(16), users.id, 'client' || (1 + i %% %d), 'openid profile', 0, zeroblob(64), %[3]d, %[3]d, %[3]d, %[4]d, %[4]d, 'Firefox', users.epoch FROM n, users WHERE username = 'alice'`,
		tokens.MaxSessions*clients, clients, now.UnixMilli(), now.Add(24*time.Hour).UnixMilli()))
	exec(`WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?)
		INSERT INTO audit_events (at, kind, user_id, address) SELECT ? - i * 1000, ?, users.id, '192.0.2.1' FROM n, users WHERE username = 'alice'`,
		events, now.Add(-time.Hour).UnixMilli(), string(audit.SessionCreated))
	raw.Close()

	bob := a.login("bob").text("refresh_token")
	during := func(what string, do func()) {
		t.Helper()
		var times []time.Duration
		var wg sync.WaitGroup
		stop := make(chan struct{})
		begun := time.Now()
		wg.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				asked := time.Now()
				bob = a.refresh(bob).want(http.StatusOK).text("refresh_token")
				times = append(times, time.Since(asked))
			}
		})
		do()
		took := time.Since(begun)
		close(stop)
		wg.Wait()
		slices.Sort(times)
		t.Logf("%-10s takes %8v; another user's refresh meanwhile: median %v, 99%% within %v, at most %v (%d)", what, took.Round(time.Millisecond),
			times[len(times)/2].Round(10*time.Microsecond), times[len(times)*99/100].Round(10*time.Microsecond), times[len(times)-1].Round(10*time.Microsecond), len(times))
		if most := times[len(times)-1]; most > time.Second {
			t.Errorf("while the account %s another user waited %v", what, most)
		}
	}
	during("nothing", func() { time.Sleep(300 * time.Millisecond) })
	during("is listed", func() {
		n, next := 0, ""
		for {
			r := p.bearer("GET", "/account/sessions?limit=200"+next, "", in).want(http.StatusOK)
			var page struct {
				Sessions []json.RawMessage
				Next     string
			}
			if err := json.Unmarshal(r.Body.Bytes(), &page); err != nil {
				t.Fatal(err)
			}
			if n += len(page.Sessions); page.Next == "" {
				break
			}
			next = "&after=" + page.Next
		}
		if want := tokens.MaxSessions*clients + 1; n != want {
			t.Errorf("%d sessions, want %d", n, want)
		}
	})
	during("is exported", func() {
		var all struct{ Sessions, Events []json.RawMessage }
		if err := json.Unmarshal(p.bearer("GET", "/account/export", "", in).want(http.StatusOK).Body.Bytes(), &all); err != nil {
			t.Fatal(err)
		}
		if len(all.Sessions) != tokens.MaxSessions*clients+1 || len(all.Events) < events {
			t.Errorf("%d sessions and %d events", len(all.Sessions), len(all.Events))
		}
	})
	during("is ended", func() { p.bearer("DELETE", "/account/sessions", "", in).want(http.StatusNoContent) })
	if got := len(p.sessions(in)); got != 1 {
		t.Errorf("%d sessions are left, want the caller's", got)
	}
	var left int
	if raw, err = sql.Open("sqlite", "file:"+a.path+"?_pragma=busy_timeout(10000)"); err != nil {
		t.Fatal(err)
	}
	defer raw.Close()
	if err := raw.QueryRow(`SELECT COUNT(*) FROM sessions s JOIN users u ON u.id = s.user_id WHERE u.username = 'alice'`).Scan(&left); err != nil || left != 1 {
		t.Errorf("%d rows are left, %v", left, err)
	}
}
