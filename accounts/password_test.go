package accounts_test

import (
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"golang.org/x/text/secure/precis"

	"countersign/accounts"
	"countersign/caller"
	"countersign/input/inputtest"
	"countersign/secrecy"
)

func TestPasswordPolicy(t *testing.T) {
	users := newUsers(t, open(t))
	user, err := users.Create(t.Context(), time.Now(), accounts.NewUser{Username: "bo", Email: "Zaphod@betelgeuse.org", Password: goodPassword}, caller.Operator())
	if err != nil {
		t.Fatal(err)
	}
	for password, want := range map[string][]string{
		"":                     {"password required"},
		"1234567":              {"password too_common", "password too_short"},
		"\U0001f419\U0001f419": {"password too_short"},
		"e\u0301e\u0301e\u0301e\u0301e\u0301e\u0301e\u0301": {"password too_short"}, // seven characters
		"12345678":                          {"password too_common"},
		"PassWord1":                         {"password too_common"},
		"qwertyuiop":                        {"password too_common"},
		"my countersign":                    {"password contains_personal"},
		"COUNTERSIGN!":                      {"password contains_personal"},
		"ｃｏｕｎｔｅｒｓｉｇｎ!":                      {"password contains_personal"},
		"on auth.example.com":               {"password contains_personal"},
		"xxzaphodxx":                        {"password contains_personal"},
		"zaphod@betelgeuse.org":             {"password contains_personal"},
		"a\x00quiet harbour":                {"password invalid_characters"},
		"a quiet\x7fharbour":                {"password invalid_characters"},
		"a quiet\u0085harbour":              {"password invalid_characters"},
		"a quiet \xff harbour":              {"password invalid_characters"},
		strings.Repeat("a", 1025):           {"password too_long"},
		strings.Repeat("\u1112\u1161", 343): {"password too_long"}, // 1,029 bytes once composed

		"bottomless":                        nil, // a two-letter username is no evidence
		"betelgeuse":                        nil, // nor is the host of the address
		"aaaaaaaaaaab":                      nil, // nor is repetition
		"ünïcödé!":                          nil,
		"        ":                          nil,
		"🐙🦑🐠🐟🐬🐳🦈🐚":                          nil,
		strings.Repeat("ab", 32):            nil,
		strings.Repeat("ab", 512):           nil,
		strings.Repeat("\u1112\u1161", 341): nil, // 1,023 bytes once composed
	} {
		err := users.SetPassword(t.Context(), time.Now(), user.ID, secrecy.Text(password), caller.Operator())
		slices.Sort(want)
		if got := inputtest.Problems(t, err); !slices.Equal(got, want) {
			t.Errorf("%.40q: %q, want %q", password, got, want)
		}
		if err != nil && len(password) > 1 && strings.Contains(err.Error(), password) {
			t.Errorf("the error quotes the password: %v", err)
		}
	}
}

func TestShortNameMustNotBeThePassword(t *testing.T) {
	users := newUsers(t, open(t))
	_, err := users.Create(t.Context(), time.Now(), accounts.NewUser{Username: "zyx", Password: "ZYX"}, caller.Operator())
	inputtest.Want(t, err, "password too_short", "password contains_personal")
	if _, err := users.Create(t.Context(), time.Now(), accounts.NewUser{Username: "zyx", Password: "zyxwzyxw"}, caller.Operator()); err != nil {
		t.Errorf("longer than the name: %v", err)
	}
}

func TestMinLengthIsConfigured(t *testing.T) {
	users := newUsers(t, open(t), func(o *accounts.Options) { o.Passwords.MinLength = 15 })
	_, err := users.Create(t.Context(), time.Now(), accounts.NewUser{Username: "alice", Password: "fourteen chars"}, caller.Operator())
	inputtest.Want(t, err, "password too_short")
}

func TestCommonPasswordsAreSortedAndAllFound(t *testing.T) {
	lines := strings.Split(strings.TrimSuffix(accounts.CommonPasswords(), "\n"), "\n")
	if len(lines) < 19_000 || !slices.IsSorted(lines) {
		t.Fatalf("%d lines, sorted: %v", len(lines), slices.IsSorted(lines))
	}
	for _, l := range lines {
		if !accounts.IsCommon(l) || !accounts.IsCommon(strings.ToUpper(l)) {
			t.Errorf("%q is not found", l)
		}
	}
	for _, p := range []string{"", "\n", "password\n", "passwor", "\x00", "zzzzzzzzzzzzzzzz", "\U0010ffff", lines[0] + lines[1]} {
		if accounts.IsCommon(p) {
			t.Errorf("%q is found", p)
		}
	}
}

// Where PRECIS OpaqueString (RFC 8265) accepts a password we agree with it. (The
// library maps invalid UTF-8 to U+FFFD, so that all such passwords are equal.)
func FuzzPassword(f *testing.F) {
	for _, s := range []string{goodPassword, "e\u0301", "a\u3000b", "\u1112\u1161\u11ab", "❤️", "👩‍👧", "\x00", "\xff", "\u0344"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got, err := accounts.PreparePassword(s)
		if err == nil {
			if again, err := accounts.PreparePassword(got); err != nil || again != got {
				t.Errorf("%q becomes %q, which becomes %q, %v", s, got, again, err)
			}
		}
		if want, precisErr := precis.OpaqueString.String(s); precisErr == nil && utf8.ValidString(s) && len(want) <= 1024 && (err != nil || got != want) {
			t.Errorf("%q becomes %q, %v; OpaqueString has %q", s, got, err, want)
		}
	})
}
