package main

import (
	"bytes"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"countersign/accounts"
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
