package main

import (
	"bytes"
	"context"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"countersign/accounts"
	"countersign/audit"
	"countersign/ids"
	"countersign/store/storetest"
)

// An operator sees which letters wait, and why, without addresses in full.
func TestMailStatus(t *testing.T) {
	storetest.OnOwnDatabase(t)
	data, now := t.TempDir(), time.Now()
	db := storetest.OpenFile(t, filepath.Join(data, "countersign.db"))
	said := ""
	status := func(more ...string) string {
		t.Helper()
		var out, errs bytes.Buffer
		if code := run(context.Background(), append([]string{"mail", "status", "--data", data}, more...), stdio{in: strings.NewReader(""), out: &out, err: &errs}); code != 0 {
			t.Fatalf("exit code %d: %s", code, &errs)
		}
		said = errs.String()
		return out.String()
	}
	if got := status("--json"); got != "[]\n" {
		t.Errorf("no letters: %s", got)
	}
	if got := status(); got != "" || !strings.Contains(said, "smtp.host is not set") {
		t.Errorf("no letters and no mail server: %q, %q", got, said)
	}
	t.Setenv("COUNTERSIGN_SMTP_HOST", "smtp.example.com")
	t.Setenv("COUNTERSIGN_SMTP_FROM", "no-reply@example.com")
	if got := status(); !strings.HasPrefix(got, "STATE") || said != "" {
		t.Errorf("no letters: %q, %q", got, said)
	}
	user := accounts.User{ID: ids.New[ids.User](), Username: "alice", Email: "alice@example.com", CreatedAt: now, UpdatedAt: now}
	if err := db.CreateUser(t.Context(), user, audit.Event{Kind: audit.UserCreated, UserID: user.ID, Time: now}); err != nil {
		t.Fatal(err)
	}
	for _, why := range []string{"no mail can be sent at present: 535 5.7.8 bad credentials", "the recipient was refused: RCPT: 550 5.1.1 unknown"} {
		l := accounts.Letter{ID: ids.New[ids.Letter](), Kind: accounts.VerifyEmail, UserID: user.ID, Address: user.Email, CreatedAt: now, ExpiresAt: now.Add(time.Hour), DueAt: now}
		if err := db.PostLetter(t.Context(), l, ids.Place{}); err != nil {
			t.Fatal(err)
		}
		until := now.Add(time.Minute)
		if mine, err := db.ClaimLetter(t.Context(), l, until); err != nil || !mine {
			t.Fatal(mine, err)
		}
		err := db.LetterFailed(t.Context(), l.ID, until, now.Add(2*time.Minute), why)
		if strings.Contains(why, "refused") {
			err = db.LetterDone(t.Context(), l.ID, why)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	got := status()
	for _, want := range []string{`(?m)^STATE +KIND +TO +SINCE +ATTEMPTS +NEXT_AT$`,
		`(?m)^waiting +verify_email +a\.\.\.@example\.com +\S+ +1 +\S+\n  no mail .*535 5\.7\.8 bad credentials$`,
		`(?m)^refused +verify_email +a\.\.\.@example\.com +\S+ +1\n  the recipient was refused: RCPT: 550 5\.1\.1 unknown$`} {
		if !regexp.MustCompile(want).MatchString(got) {
			t.Errorf("no %s in\n%s", want, got)
		}
	}
	if all := got + status("--json"); strings.Contains(all, "alice@") {
		t.Errorf("an address in full: %s", all)
	}
}
