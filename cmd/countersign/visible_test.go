package main

import (
	"bytes"
	"context"
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode"

	"countersign/accounts"
	"countersign/audit"
	"countersign/ids"
	"countersign/store/storetest"
)

// What a database holds, and what an operator types, may have characters that a terminal obeys.
// No output has them.
func TestOutputHasNoCharacterThatHides(t *testing.T) {
	storetest.OnOwnDatabase(t)
	data := t.TempDir()
	hostile := "a\x1b[2Jb\u009bc\nroot\td\u202ee\u2066f\u200fg\u200b\u00ad\u2028\U000e0041\x00"
	db := storetest.OpenFile(t, filepath.Join(data, "countersign.db"))
	user := accounts.User{ID: ids.New[ids.User](), Username: hostile, Email: hostile, Roles: []string{hostile}, CreatedAt: time.Now(), UpdatedAt: time.Now()}
	if err := db.CreateUser(t.Context(), user, audit.Event{Kind: audit.UserCreated, UserID: user.ID, Time: time.Now(), Address: hostile}); err != nil {
		t.Fatal(err)
	}
	db.Close()
	for _, args := range [][]string{
		{"users", "list"}, {"users", "list", "--json"}, {"users", "show", user.ID.String()}, {"users", "show", user.ID.String(), "--json"},
		{"audit"}, {"audit", "--json"}, {"users", "show", "--", hostile + "x"}, {"users", "disable", hostile}, {"sessions", "list", "--user", hostile + "x"},
		{"clients", "show", hostile}, {"keys", "revoke", hostile}, {"cors", "explain", hostile, "/"}, {"audit", "--since", hostile}, {hostile},
		{"users", "list", "--" + hostile}, {"config", "check", "--config", hostile},
	} {
		var out, errs bytes.Buffer
		run(context.Background(), append(args, "--data", data), stdio{in: strings.NewReader(""), out: &out, err: &errs})
		printed := out.String() + errs.String()
		if printed == "" {
			t.Errorf("%q: printed nothing", args)
		}
		for _, r := range strings.ReplaceAll(printed, "\n", "") {
			if unicode.In(r, unicode.Cc, unicode.Cf, unicode.Zl, unicode.Zp) {
				t.Errorf("%q: printed %q in %q", args, r, printed)
				break
			}
		}
		if lines := strings.Count(out.String(), "\n"); args[len(args)-1] == "list" && lines != 2 {
			t.Errorf("%q: printed %d lines, want 2:\n%s", args, lines, out.String())
		}
		var users []struct{ Username string }
		if args[len(args)-1] == "--json" && args[1] == "list" {
			if err := json.Unmarshal(out.Bytes(), &users); err != nil || users[0].Username != hostile {
				t.Errorf("%q: JSON has %q, %v, want the name as it is", args, users, err)
			}
		}
	}
}

func TestVisibleWriterKeepsCharactersWhole(t *testing.T) {
	text := "한글\u202e😀\U000e0041é\n"
	want := "한글\\u202e😀\\udb40\\udc41é\n"
	for size := 1; size < 9; size++ {
		var out strings.Builder
		w := &visibleWriter{w: &out}
		for rest := []byte(text); len(rest) > 0; rest = rest[min(size, len(rest)):] {
			if _, err := w.Write(rest[:min(size, len(rest))]); err != nil {
				t.Fatal(err)
			}
		}
		if out.String() != want {
			t.Errorf("in writes of %d bytes: %q, want %q", size, out.String(), want)
		}
	}
}
