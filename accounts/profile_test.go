package accounts_test

import (
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"countersign/accounts"
	"countersign/caller"
	"countersign/ids"
	"countersign/input/inputtest"
	"countersign/store/storetest"
)

func TestProfileClaimsHaveTheirForms(t *testing.T) {
	for claim, forms := range map[string]struct{ good, bad []string }{
		"name": {
			[]string{"A", "Zoë 👩‍👩‍👧 O'Neil", "愛", "محمد", "José", `<script>`, "a\u00a0b", "\u200fאבי", strings.Repeat("愛", 256)},
			[]string{" ", "\u00a0\u200b", "a\x00b", "a\nb", "a\tb", "a\x7f", "a\u0085b", "a\u2028b", "\u202eecila", "a\u2066b", "a\xffb", "\xed\xa0\x80", strings.Repeat("愛", 257)},
		},
		"website": {
			[]string{"https://example.com", "http://example.com:8080/~a/?q=%20#part", "https://[2001:db8::1]/", "https://xn--bcher-kva.example/#!/a/b?c"},
			[]string{
				"javascript:alert(1)", "data:text/html,x", "ftp://example.com", "//example.com", "/a", "example.com", "https://", "https:///a", "https:a",
				"https://user@example.com/", "https://a:b@example.com/", "https://example.com/ a", "https://exa mple.com", `https://example.com\@evil.com`,
				"https://bücher.example", "https://example.com/\"", "https://example.com/<", "https://example.com/#a#b", "https://example.com/#%zz",
				"https://example.com/#<", "https://example.com/%zz", "https://example.com:99999/", "https://" + strings.Repeat("a.", 1100) + "de",
			},
		},
		"birthdate": {
			[]string{"1990-02-28", "2000-02-29", "0000-02-29", "0000-12-31", "1875"},
			[]string{"1990-02-30", "1990-13-01", "1990-1-1", "1990-00-10", "0000", "0000-00-00", "90", "19900228", "28.02.1990", "1990-02", "+990", "1990-02-28T", " 1990", "１９９０"},
		},
		"zoneinfo": {
			[]string{"Europe/Berlin", "Asia/Seoul", "America/Argentina/Buenos_Aires", "Etc/GMT+5", "UTC", "America/Port-au-Prince"},
			[]string{
				"Local", "Mars/Olympus", "Berlin", "europe/berlin", "posix/Europe/Berlin", "right/Europe/Berlin", "localtime", "posixrules", "Europe",
				"Europe/", "/Europe/Berlin", "../etc/passwd", "Europe/../Europe/Berlin", "Europe//Berlin", "tzdata.zi", "+01:00", "CET-1CEST,M3.5.0", "Europe/Berlin ",
			},
		},
		"locale": {
			[]string{"en", "en-US", "ko-KR", "zh-Hant-TW", "es-419", "sr-Latn-RS", "x-private"},
			[]string{"en_US", "english", "root", "ROOT", "c", "en-", "en--US", "*", "en-US, ko", "zz", "en;q=0.5", strings.Repeat("en-", 30)},
		},
		"phone_number": {
			[]string{"+14255551212", "+56226872400", "+16045551234;ext=5678", "+123456789012345"},
			[]string{"14255551212", "+1 (425) 555-1212", "+0123456", "+", "++1425", "+1234567890123456", "+1425x", "+1604;ext=", "+1604;ext=a", "+1604;isub=1", "tel:+1604", "+١٢٣", "+1604;ext=12345678901"},
		},
		"address.formatted": {
			[]string{"1 Main Street", "1 Main Street\nSeoul\nKR", "1 Main Street\r\nSeoul", strings.Repeat("愛", 1024)},
			[]string{"\n", " \r\n ", "a\rb", "a\tb", "a\x00b", "a\u2029b", "\u202ea\nb", "a\xff", strings.Repeat("愛", 1025)},
		},
		"address.street_address": {[]string{"1 Main Street\n2nd floor"}, []string{"a\rb"}},
		"address.locality":       {[]string{"서울"}, []string{"a\nb", strings.Repeat("a", 257)}},
		"address.postal_code":    {[]string{"04524", "SW1A 1AA"}, []string{"a\nb", strings.Repeat("1", 33)}},
		"gender":                 {[]string{"female", "non-binary"}, []string{"a\nb", strings.Repeat("a", 65)}},
	} {
		for _, value := range forms.good {
			var p accounts.Profile
			p.Set(claim, value)
			if got := inputtest.Problems(t, p.Check()); got != nil {
				t.Errorf("%s %q: %v, want nothing wrong", claim, value, got)
			}
		}
		for _, value := range forms.bad {
			var p accounts.Profile
			p.Set(claim, value)
			if got := inputtest.Problems(t, p.Check()); len(got) != 1 || !strings.HasPrefix(got[0], claim+" ") {
				t.Errorf("%s %q: %v, want it to be wrong", claim, value, got)
			}
		}
	}
}

func TestAllThatIsWrongWithAProfileIsSaidAtOnce(t *testing.T) {
	var p accounts.Profile
	var want []string
	for _, claim := range accounts.ProfileClaims() {
		p.Set(claim, "\x00")
		want = append(want, claim+" invalid_characters")
	}
	inputtest.Want(t, p.Check(), want...)
}

// Each claim may be long, but not all of them: a row and an answer stay small.
func TestProfilesAreSmall(t *testing.T) {
	page := "https://example.com/" + strings.Repeat("a", 2000)
	p := accounts.Profile{Page: page, Picture: page, Website: page}
	inputtest.Want(t, p.Check())
	p.Address.Formatted = strings.Repeat("愛", 1024)
	inputtest.Want(t, p.Check(), "claims too_long")
}

func TestProfileClaimsAreSetAndRemovedByName(t *testing.T) {
	var p accounts.Profile
	want := map[string]string{}
	for _, claim := range accounts.ProfileClaims() {
		if !p.Set(claim, "of "+claim) {
			t.Errorf("%s can't be set", claim)
		}
		want[claim] = "of " + claim
	}
	if diff := cmp.Diff(want, maps.Collect(p.All())); diff != "" {
		t.Errorf("claims (-want +got):\n%s", diff)
	}
	for _, claim := range []string{"", "Name", "address", "address.", "address.planet", "phone_number_verified", "email", "sub", "updated_at", "roles"} {
		if p.Set(claim, "x") {
			t.Errorf("%q can be set", claim)
		}
	}
	for _, claim := range accounts.ProfileClaims() {
		p.Set(claim, "")
	}
	if p != (accounts.Profile{}) {
		t.Errorf("%+v is left", p)
	}
}

func TestProfileIsKept(t *testing.T) {
	db := open(t)
	users := newUsers(t, db)
	now := time.Now().UTC().Truncate(time.Millisecond)
	user := create(t, users, "alice", goodPassword)
	p := accounts.Profile{Name: "Alice", Address: accounts.Address{Country: "KR"}}
	from := caller.Operator()
	from.Address, from.RequestID = home, "r1"
	if _, err := users.SetProfile(t.Context(), now, user.ID, ids.Place{}, p, from); err != nil {
		t.Fatal(err)
	}
	bad := accounts.Profile{Birthdate: "soon"}
	if _, err := users.SetProfile(t.Context(), now, user.ID, ids.Place{}, bad, caller.Operator()); err == nil {
		t.Error("a bad profile was set")
	}
	if got, err := users.Profile(t.Context(), user.ID); err != nil || got != p {
		t.Errorf("profile is %+v, %v, want %+v", got, err, p)
	}
	if _, err := users.SetProfile(t.Context(), now, ids.New[ids.User](), ids.Place{}, p, caller.Operator()); !errors.Is(err, accounts.ErrUnknownUser) {
		t.Errorf("of an unknown user: %v", err)
	}
	if _, err := users.SetProfile(t.Context(), now, user.ID, ids.Place{Session: ids.New[ids.Session]()}, p, caller.Operator()); !errors.Is(err, accounts.ErrSignedOut) {
		t.Errorf("of no session: %v", err)
	}
	if got := storetest.Events(t, db); !slices.Contains(got, "user.profile_changed from 192.0.2.1 in r1") {
		t.Errorf("audit is %v", got)
	}
}

func TestClaimsOfAnUnknownUser(t *testing.T) {
	users := newUsers(t, open(t))
	barred := create(t, users, "barred", goodPassword)
	if err := users.Disable(t.Context(), time.Now(), barred.ID, caller.Operator()); err != nil {
		t.Fatal(err)
	}
	for _, id := range []ids.User{ids.New[ids.User](), barred.ID} {
		if got, err := users.Claims(t.Context(), id, []string{"sub"}); !errors.Is(err, accounts.ErrUnknownUser) {
			t.Errorf("claims are %v, %v", got, err)
		}
	}
}

// FuzzProfile looks for a claim that passes and would break a line, a table or a reader.
func FuzzProfile(f *testing.F) {
	claims := accounts.ProfileClaims()
	for i, value := range []string{
		"Alice", "\u202e", "https://example.com/#a", "1990-02-28", "Europe/Berlin", "en-US", "+14255551212;ext=1", "1 Main Street\r\nSeoul", "\xff", "../x", "Local",
	} {
		f.Add(uint8(i), value)
	}
	f.Fuzz(func(t *testing.T, which uint8, value string) {
		claim := claims[int(which)%len(claims)]
		var p accounts.Profile
		p.Set(claim, value)
		if got := inputtest.Problems(t, p.Check()); got != nil || value == "" {
			return
		}
		rest := value
		if claim == "address.formatted" || claim == "address.street_address" {
			rest = strings.ReplaceAll(strings.ReplaceAll(value, "\r\n", ""), "\n", "")
		}
		if !utf8.ValidString(value) || strings.ContainsFunc(rest, func(r rune) bool { return r < ' ' || r >= 0x7f && r < 0xa0 || r == '\u202e' }) {
			t.Errorf("%s %q passes", claim, value)
		}
		if (claim == "profile" || claim == "picture" || claim == "website") && !strings.HasPrefix(strings.ToLower(value), "http") {
			t.Errorf("%s %q passes", claim, value)
		}
		if claim == "zoneinfo" {
			if _, err := time.LoadLocation(value); err != nil {
				t.Errorf("%s %q passes: %v", claim, value, err)
			}
		}
	})
}
