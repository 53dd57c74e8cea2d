package main

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"countersign/accounts"
	"countersign/audit"
	"countersign/clients"
	"countersign/ids"
	"countersign/keys"
	"countersign/store/storetest"
	"countersign/tokens"
)

// Tables have room on a terminal of 100 columns, whatever users and clients are called.
// Ids stay whole, so that they can be copied, and records show all that they have.
func TestTablesFit100Columns(t *testing.T) {
	storetest.OnOwnDatabase(t)
	data, now := t.TempDir(), time.Now()
	db := storetest.OpenFile(t, filepath.Join(data, "countersign.db"))
	need := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	event := audit.Event{Time: now, Kind: audit.UserPasswordChanged, Address: "2001:db8:1234:5678:9abc:def0:1234:5678", RequestID: strings.Repeat("r", 64)}
	long := strings.Repeat("long/", 40)
	person := accounts.User{
		ID: ids.New[ids.User](), Username: strings.Repeat("한", 64), Email: strings.Repeat("e", 64) + "@" + strings.Repeat("d", 185) + ".com", EmailVerified: true,
		Roles: strings.Fields(strings.Repeat("역할 ", 50)), CreatedAt: now, UpdatedAt: now,
	}
	event.UserID = person.ID
	need(db.CreateUser(t.Context(), person, event))
	short := accounts.User{ID: ids.New[ids.User](), Username: "al", CreatedAt: now, UpdatedAt: now}
	need(db.CreateUser(t.Context(), short, event))
	for _, id := range []ids.Client{"app", ids.Client(strings.Repeat("i", 64))} {
		need(db.CreateClient(t.Context(), clients.Client{ID: id, SecretHash: "x", CreatedAt: now, UpdatedAt: now, Settings: clients.Settings{
			Name: strings.Repeat("이", 128), Grants: []string{"authorization_code", "refresh_token", "client_credentials"}, Scopes: strings.Fields(strings.Repeat("scope ", 100)),
			RedirectURIs: []string{"https://app.example.com/" + long, "https://app.example.com/short"},
		}}, audit.Event{Time: now, Kind: audit.ClientSecretRotated, ClientID: id}))
		need(db.CreateSession(t.Context(), tokens.Session{
			ID: ids.New[ids.Session](), UserID: person.ID, ClientID: id, Device: strings.Repeat("👩‍💻", 100), CreatedAt: now, LastUsedAt: now, ExpiresAt: now.Add(time.Hour),
		}, 0, event))
	}
	kid := strings.Repeat("k", 43)
	need(db.InsertKey(t.Context(), keys.Key{KID: kid, Alg: "EdDSA", PublishedFrom: now, SignsFrom: now, SignsUntil: now.Add(time.Hour), PublishedUntil: now.Add(2 * time.Hour), Public: ed25519.PublicKey(make([]byte, 32)), Sealed: []byte("x")},
		audit.Event{Time: now, Kind: audit.KeyCreated, KeyID: kid}))
	letter := accounts.Letter{ID: ids.New[ids.Letter](), Kind: accounts.AlreadyRegistered, UserID: person.ID, Address: person.Email, CreatedAt: now, ExpiresAt: now.Add(time.Hour), DueAt: now}
	need(db.PostLetter(t.Context(), letter, ids.Place{}))
	need(db.LetterFailed(t.Context(), letter.ID, now, now.Add(time.Minute), strings.Repeat("550 5.7.1 not today, ", 20)))
	db.Close()

	for _, c := range []struct {
		args []string
		want []string // is in one line
	}{
		{[]string{"users", "list"}, []string{person.ID.String(), short.ID.String()}},
		{[]string{"users", "show", person.ID.String()}, []string{person.ID.String()}},
		{[]string{"clients", "list"}, []string{"app  "}},
		{[]string{"clients", "show", "app"}, []string{" https://app.example.com/short"}},
		{[]string{"clients", "presets"}, nil},
		{[]string{"sessions", "list", "--user", person.ID.String()}, []string{"app"}},
		{[]string{"keys", "list"}, []string{kid}},
		{[]string{"audit"}, []string{person.ID.String(), "client app", kid}},
		{[]string{"mail", "status"}, []string{"550 5.7.1"}},
		{[]string{"config", "show"}, []string{"passwords.max_concurrent_hashes"}},
	} {
		var out, errs bytes.Buffer
		if code := run(context.Background(), append(c.args, "--data", data), stdio{in: strings.NewReader(""), out: &out, err: &errs}); code != 0 {
			t.Errorf("%q: exit code %d: %s", c.args, code, &errs)
		}
		for line := range strings.Lines(out.String()) {
			if line = strings.TrimSuffix(line, "\n"); terminalWidth(line) > 100 || len([]rune(line)) > 100 {
				t.Errorf("%q: a line has %d columns:\n%s", c.args, terminalWidth(line), line)
			}
		}
		for _, want := range c.want {
			if !strings.Contains(out.String(), want) {
				t.Errorf("%q: %q is in no line of\n%s", c.args, want, &out)
			}
		}
		all := strings.NewReplacer(" ", "", "\n", "").Replace(out.String())
		if full := map[string]string{"users show": person.Email, "clients show": long}[strings.Join(c.args[:min(2, len(c.args))], " ")]; !strings.Contains(all, full) {
			t.Errorf("%q: %q is not whole in\n%s", c.args, full, &out)
		}
	}
}

func TestWrap(t *testing.T) {
	for _, c := range []struct {
		text string
		most int
		want string
	}{
		{"", 5, ""}, {"short", 5, "short"}, {"two words", 5, "two|words"}, {"a,b,c,d", 4, "a,b,|c,d"}, {"endless", 3, "end|les|s"},
		{"한글한글", 5, "한글|한글"}, {"word and", 4, "word|and"}, {"   ", 2, "|"}, {"a  b", 2, "a|b"},
	} {
		if got := strings.Join(wrap(c.text, c.most), "|"); got != c.want {
			t.Errorf("wrap(%q, %d) = %q, want %q", c.text, c.most, got, c.want)
		}
	}
}
