package accounts_test

import (
	"strings"
	"testing"
	"time"

	"countersign/accounts"
	"countersign/caller"
	"countersign/input/inputtest"
)

func TestUsernameForms(t *testing.T) {
	for given, want := range map[string]string{
		"alice":                         "alice",
		"ALICE":                         "alice",
		"Ａｌｉｃｅ":                         "alice",     // full width
		"Ren\u00e9":                     "ren\u00e9", // NFC
		"Rene\u0301":                    "ren\u00e9", // NFD
		"관리자":                           "관리자",
		"Ωμέγα":                         "ωμέγα",
		"o'neil+x@home.org":             "o'neil+x@home.org",
		"user_1.2-3":                    "user_1.2-3",
		" alice \r\n":                   "alice",
		"\u00a0\u3000alice\u2003\u200b": "alice", // no-break, ideographic, em and zero width spaces
		"\ufeff\u200ealice\u202c\u2060": "alice", // marks that copying leaves
	} {
		if got, err := accounts.NormalizeUsername(given); err != nil || got != want {
			t.Errorf("NormalizeUsername(%q) = %q, %v, want %q", given, got, err, want)
		}
	}
}

func TestUsernamesThatAreNone(t *testing.T) {
	for _, name := range []string{
		"a b", "a\tb", "a\x00b", "a\nb", "a\u00a0b",
		"a\u200bb",       // zero width
		"a\u202eb",       // right-to-left override
		"\ufb01nd",       // compatibility ligature
		"🐙",              // symbol
		"\u05d0a",        // both directions (RFC 5893)
		"a\xffb", "\xff", // not UTF-8
	} {
		if got, err := accounts.NormalizeUsername(name); err == nil {
			t.Errorf("NormalizeUsername(%q) = %q, want an error", name, got)
		}
	}
}

func FuzzUsername(f *testing.F) {
	for _, s := range []string{"Alice", "Ａ", "e\u0301", "\u03a3\u03c2", "\u0130", "l\u00b7l", "\u05d0\u05d1", "ß", "\u1e9e", "\u2126", "\xff"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		name, err := accounts.NormalizeUsername(s)
		if err != nil {
			return
		}
		if again, err := accounts.NormalizeUsername(name); err != nil || again != name {
			t.Errorf("%q becomes %q, which becomes %q, %v", s, name, again, err)
		}
		if strings.ContainsAny(name, " \t\r\n\x00ABCDEFGHIJKLMNOPQRSTUVWXYZ") {
			t.Errorf("%q becomes %q", s, name)
		}
	})
}

func TestEmailAddresses(t *testing.T) {
	users := newUsers(t, open(t))
	create := func(email string) error {
		n := accounts.NewUser{Username: "u" + strings.ReplaceAll(time.Now().Format("150405.000000000"), ".", ""), Email: email, Password: goodPassword}
		_, err := users.Create(t.Context(), time.Now(), n, caller.Operator())
		return err
	}
	for _, email := range []string{"a@b.de", "A.b+c@Sub.Example.com", "user@localhost", "이름@예시.한국", "o'neil@example.ie"} {
		if err := create(email); err != nil {
			t.Errorf("%q: %v", email, err)
		}
	}
	for _, email := range []string{
		"a", "a@", "@b.de", "a@b@c.de", "a b@c.de", "a @b.de", "a@b. de", "<a@b.de>", "Alice <a@b.de>", "a@b.de (Alice)",
		`"a b"@c.de`, "a@b.de, c@d.de", "a@[127.0.0.1]", "a@b.de\r\nBcc: c@d.de", "a\u200b@b.de", "a\u202e@b.de", "a@b.de\x00", "a\xff@b.de", "a@b..de",
	} {
		inputtest.Want(t, create(email), "email invalid")
	}
	inputtest.Want(t, create(strings.Repeat("\ufdfa", 20)+"@b.de"), "email too_long") // folds to eleven times the length
}

func TestEmailKeyFoldsWhatLooksAlike(t *testing.T) {
	want := accounts.EmailKey("alice@example.com")
	for _, email := range []string{"ALICE@EXAMPLE.COM", "Alice@Example.com", "ａｌｉｃｅ@example.com", "alice@ex\u24d0mple.com"} {
		if got := accounts.EmailKey(email); got != want {
			t.Errorf("EmailKey(%q) = %q, want %q", email, got, want)
		}
	}
	for one, other := range map[string]string{
		"a@bücher.example": "a@xn--bcher-kva.example", "a@bücher.한국": "a@xn--bcher-kva.XN--3E0B707E", "a@example。com": "a@example.com", "a@faß.de": "a@fass.de",
	} {
		if accounts.EmailKey(one) != accounts.EmailKey(other) {
			t.Errorf("EmailKey(%q) = %q, EmailKey(%q) = %q", one, accounts.EmailKey(one), other, accounts.EmailKey(other))
		}
	}
	if accounts.EmailKey("alice@example.com") == accounts.EmailKey("alicia@example.com") {
		t.Error("different addresses have one key")
	}
	if got := accounts.EmailKey(""); got != "" {
		t.Errorf("EmailKey of none is %q", got)
	}
}
