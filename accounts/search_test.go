package accounts_test

import (
	"strings"
	"testing"
	"time"

	"countersign/accounts"
	"countersign/caller"
)

// A search is typed as a name, an address or an id is: case and what comes around it don't
// count.
func TestSearch(t *testing.T) {
	users := newUsers(t, open(t))
	var all []accounts.User
	for name, email := range map[string]string{"alice": "Alice.Work@Example.com", "al-bob": "bob@example.org", "zoë": "zoe@bücher.example", "carol": ""} {
		u, err := users.Create(t.Context(), time.Now(), accounts.NewUser{Username: name, Email: email, NoPassword: true}, caller.Operator())
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, u)
	}
	hex := strings.ReplaceAll(all[0].ID.String(), "-", "")
	for text, want := range map[string]string{
		"ALICE": "alice", " al ": "al-bob alice", "Ａｌｉｃｅ": "alice", "alice.w": "alice", "ALICE.WORK@EXAMPLE.C": "alice", "alice.work@other": "", "work@": "", "example.com": "",
		"zoe@b": "zoë", "zoe@bücher.example": "zoë", "ZOE@BÜCHER.EXAMPLE": "zoë", "zoe@xn--bcher-kva.example": "zoë", "ZOË": "zoë", "\u200bbob@\u200b": "al-bob",
		all[0].ID.String(): all[0].Username, hex: all[0].Username, strings.ToUpper(all[0].ID.String()): all[0].Username, hex[:31]: all[0].Username,
		hex + "0": "", "two words": "", "%": "", "_": "", "\xff": "", "-": "", "nobody": "",
	} {
		found, more, err := users.Search(t.Context(), text, 10)
		if err != nil || more {
			t.Errorf("%q: more %v, %v", text, more, err)
		}
		var names []string
		for _, u := range found {
			names = append(names, u.Username)
		}
		if got := strings.Join(names, " "); got != want {
			t.Errorf("%q finds %q, want %q", text, got, want)
		}
	}
	if found, more, err := users.Search(t.Context(), hex[:2], 3); len(found) != 3 || !more || err != nil {
		t.Errorf("of four with one beginning: %d, more %v, %v", len(found), more, err)
	}
	for _, text := range []string{"", " ", strings.Repeat("a", 2000)} {
		if _, _, err := users.Search(t.Context(), text, 10); err == nil {
			t.Errorf("%.10q: no error", text)
		}
	}
}
