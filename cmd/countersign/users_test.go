package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"countersign/accounts"
	"countersign/api"
	"countersign/audit"
	"countersign/ids"
	"countersign/store/storetest"
)

// Where users must prove their address, several may hold one until then. The operator finds
// them by it, and names one by it if it is the only one.
func TestUsersAreNamedByAnUnprovenAddress(t *testing.T) {
	storetest.OnOwnDatabase(t)
	data, now := t.TempDir(), time.Now()
	db := storetest.OpenFile(t, filepath.Join(data, "countersign.db"))
	for name, email := range map[string]string{"alice": "one@example.com", "bob": "two@example.com", "carol": "Two@example.com", "dave": "one@example.com.au"} {
		u := accounts.User{ID: ids.New[ids.User](), Username: name, Email: email, EmailUnclaimed: true, CreatedAt: now, UpdatedAt: now}
		if err := db.CreateUser(t.Context(), u, audit.Event{Kind: audit.UserCreated, UserID: u.ID, Time: now}); err != nil {
			t.Fatal(err)
		}
	}
	db.Close()
	for _, c := range []struct {
		args string
		code int
		want string
	}{
		{"users show ONE@example.com", 0, "alice"},
		{"users show two@example.com", 1, "2 accounts hold the address two@example.com, unproven: name one by its id"},
		{"users search two@", 0, "carol"},
		{"sessions list --json --user one@example.com", 0, "[]"},
		{"users verify-email one@example.com", 0, "yes"},
		{"users show one@example.com", 0, "alice"},
		{"users show one@example", 1, "no user is called"},
		{"users show @", 1, "no user is called"},
	} {
		var out bytes.Buffer
		code := run(t.Context(), append(strings.Fields(c.args), "--data", data), stdio{in: strings.NewReader(""), out: &out, err: &out})
		if code != c.code || !strings.Contains(out.String(), c.want) {
			t.Errorf("%s: exit code %d, want %d with %q:\n%s", c.args, code, c.code, c.want, &out)
		}
	}
}

// A list has a hundred accounts and says if there are more, unless the operator says how many.
func TestUsersListsAreShort(t *testing.T) {
	storetest.OnOwnDatabase(t)
	data, now := t.TempDir(), time.Now()
	db := storetest.OpenFile(t, filepath.Join(data, "countersign.db"))
	for i := range 102 {
		u := accounts.User{ID: ids.New[ids.User](), Username: fmt.Sprintf("user%03d", i), CreatedAt: now, UpdatedAt: now}
		if err := db.CreateUser(t.Context(), u, audit.Event{Kind: audit.UserCreated, UserID: u.ID, Time: now}); err != nil {
			t.Fatal(err)
		}
	}
	db.Close()
	for _, c := range []struct {
		args  string
		lines int
		last  string
		note  string
	}{
		{"users list", 101, "user099", "There are more than these 100: '--after user099' goes on, '--limit 0' prints all"},
		{"users list --after user001", 101, "user101", ""},
		{"users list --after user000", 101, "user100", "'--after user100' goes on"},
		{"users list --limit 0", 103, "user101", ""},
		{"users list --limit 2 --after user099", 3, "user101", ""},
		{"users list --limit 1", 2, "user000", ""},
	} {
		var out, note bytes.Buffer
		code := run(t.Context(), append(strings.Fields(c.args), "--data", data), stdio{in: strings.NewReader(""), out: &out, err: &note})
		lines := strings.Split(strings.TrimSpace(out.String()), "\n")
		if code != 0 || len(lines) != c.lines || !strings.Contains(lines[len(lines)-1], c.last) {
			t.Errorf("%s: exit code %d, %d lines, the last %q; want %d and %s", c.args, code, len(lines), lines[len(lines)-1], c.lines, c.last)
		}
		if !strings.Contains(note.String(), c.note) || c.note == "" && note.Len() > 0 {
			t.Errorf("%s: %q, want %q", c.args, &note, c.note)
		}
	}
	var out bytes.Buffer
	var all []api.User
	if run(t.Context(), []string{"users", "list", "--json", "--data", data}, stdio{in: strings.NewReader(""), out: &out, err: io.Discard}); json.Unmarshal(out.Bytes(), &all) != nil || len(all) != 100 {
		t.Errorf("as JSON: %d accounts", len(all))
	}
}
