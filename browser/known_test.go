package browser_test

import (
	"bytes"
	"encoding/base64"
	"strings"
	"testing"
	"time"

	"countersign/browser"
	"countersign/ids"
	"countersign/seal"
	"countersign/secrecy"
)

func keys(t testing.TB, lines ...secrecy.Text) *seal.Keys {
	t.Helper()
	var all secrecy.Text
	for _, text := range lines {
		all += text + "\n"
	}
	k, err := seal.Parse(all)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// account returns the id of a test's nth account.
func account(n byte) ids.User { return ids.User{15: n} }

// knows returns the browser's id and epoch at an account.
func knows(k *seal.Keys, account ids.User, cookies ...string) (string, int64) {
	return browser.Recognize(k, cookies).Knows(account)
}

func remember(k *seal.Keys, account ids.User, epoch int64, cookies ...string) string {
	return browser.Recognize(k, cookies).Remember(account, epoch, nil)
}

func TestKnownRemembersItsLatestAccounts(t *testing.T) {
	k := keys(t, seal.Generate())
	value := ""
	ids := map[string]bool{}
	for i := range byte(10) {
		value = remember(k, account(i), int64(i), value)
		id, epoch := knows(k, account(i), value)
		ids[id] = true
		if epoch != int64(i) {
			t.Errorf("epoch = %d, want %d", epoch, i)
		}
	}
	value = remember(k, account(5), 1<<40, value) // remembering an account again takes no more space
	if len(ids) != 1 || ids[""] {
		t.Errorf("ids = %v, want one", ids)
	}
	for i := range byte(10) {
		id, epoch := knows(k, account(i), value)
		if got := id != ""; got != (i >= 2) || i == 5 && epoch != 1<<40 {
			t.Errorf("account %d known: %v, in epoch %d", i, got, epoch)
		}
	}
	stranger, _ := knows(k, account(99), value)
	elsewhere, _ := knows(keys(t, seal.Generate()), account(5), value)
	if stranger+elsewhere != "" {
		t.Error("known where it never was")
	}
	if len(value) > 550 {
		t.Errorf("%d bytes", len(value))
	}
}

// A mark records a sign-in in one epoch, and can't be moved to another.
func TestKnownCantBeForged(t *testing.T) {
	k := keys(t, seal.Generate())
	for _, keep := range []*browser.Proof{nil, {At: time.UnixMilli(9), Factors: [16]byte{1}}} {
		value := browser.Recognize(k, nil).Remember(account(1), 1, keep)
		raw, err := base64.RawURLEncoding.DecodeString(value)
		if err != nil {
			t.Fatal(err)
		}
		for i := range raw {
			for bit := range 8 {
				forged := bytes.Clone(raw)
				forged[i] ^= 1 << bit
				text := base64.RawURLEncoding.EncodeToString(forged)
				if id, epoch := knows(k, account(1), text); id != "" {
					t.Fatalf("byte %d, bit %d: known as %q in epoch %d", i, bit, id, epoch)
				}
				if p, _, ok := browser.Recognize(k, []string{text}).Proof(account(1)); ok {
					t.Fatalf("byte %d, bit %d: %+v", i, bit, p)
				}
			}
		}
	}
}

// What a browser keeps of a second factor stays with its account and its epoch.
func TestKnownKeepsAProof(t *testing.T) {
	k := keys(t, seal.Generate())
	kept := browser.Proof{At: time.UnixMilli(1234567890123), Factors: [16]byte{7, 15: 9}}
	has := func(cookie string, n byte) (browser.Proof, int64) {
		p, epoch, _ := browser.Recognize(k, []string{cookie}).Proof(account(n))
		return p, epoch
	}
	value := browser.Recognize(k, nil).Remember(account(1), 3, &kept)
	if p, epoch := has(value, 1); p != kept || epoch != 3 {
		t.Errorf("kept %+v in epoch %d", p, epoch)
	}
	if _, epoch := knows(k, account(1), value); epoch != 3 {
		t.Errorf("known in epoch %d", epoch)
	}
	value = remember(k, account(1), 3, remember(k, account(2), 5, value)) // later sign-ins
	if p, _ := has(value, 1); p != kept {
		t.Errorf("after later sign-ins: %+v", p)
	}
	if p, _ := has(value, 2); p != (browser.Proof{}) {
		t.Errorf("another account has %+v", p)
	}
	if p, _ := has(remember(k, account(1), 4, value), 1); p != (browser.Proof{}) {
		t.Errorf("in the next epoch: %+v", p)
	}
}

// Browsers that a former version has remembered stay known.
func TestKnownReadsTheFormerVersion(t *testing.T) {
	k := keys(t, seal.Generate())
	raw, err := base64.RawURLEncoding.DecodeString(remember(k, account(2), 4, remember(k, account(1), 3)))
	if err != nil {
		t.Fatal(err)
	}
	former := append([]byte{2}, raw[1:21]...)
	for mark := raw[21:]; len(mark) > 0; mark = mark[48:] {
		former = append(append(former, mark[:8]...), mark[32:48]...)
	}
	value := base64.RawURLEncoding.EncodeToString(former)
	id, epoch := knows(k, account(1), value)
	if id == "" || epoch != 3 {
		t.Fatalf("known as %q in epoch %d", id, epoch)
	}
	if _, _, ok := browser.Recognize(k, []string{value}).Proof(account(1)); ok {
		t.Error("it keeps a proof")
	}
	value = remember(k, account(2), 5, value)
	if again, epoch := knows(k, account(1), value); again != id || epoch != 3 {
		t.Errorf("after a sign-in to another account: known as %q in epoch %d", again, epoch)
	}
}

// If another host of the domain has planted a cookie of the same name, the server uses
// its own.
func TestKnownAmongPlantedCookies(t *testing.T) {
	k := keys(t, seal.Generate())
	mine, planted := remember(k, account(1), 7), remember(k, account(2), 7)
	want, _ := knows(k, account(1), mine)
	if id, epoch := knows(k, account(1), "x", planted, mine); id != want || epoch != 7 {
		t.Errorf("known as %q in epoch %d, want %q", id, epoch, want)
	}
	if id, _ := knows(k, account(1), remember(k, account(1), 8, planted, mine)); id != want {
		t.Errorf("remembered as %q, want %q", id, want)
	}
}

// Browsers stay known while the master key is replaced; a sign-in moves its browser to
// the new key.
func TestKnownSurvivesANewMasterKey(t *testing.T) {
	before, after := seal.Generate(), seal.Generate()
	value := remember(keys(t, before), account(1), 3)
	both := keys(t, after, before)
	id, _ := knows(both, account(1), value)
	if id == "" {
		t.Fatal("forgotten")
	}
	value = remember(both, account(1), 3, value)
	if got, _ := knows(keys(t, after), account(1), value); got != id {
		t.Errorf("id = %q, want %q", got, id)
	}
}

func FuzzRecognize(f *testing.F) {
	k := keys(f, seal.Generate())
	f.Add(remember(k, account(1), 1))
	f.Add(browser.Recognize(k, nil).Remember(account(1), 1, &browser.Proof{At: time.UnixMilli(1)}))
	f.Add("")
	f.Add("AAAA")
	f.Add(strings.Repeat("A", 1000))
	f.Add(strings.Repeat("\n", 200))
	f.Fuzz(func(t *testing.T, value string) {
		if id, _ := knows(k, account(2), value); id != "" {
			t.Fatal("known to an account without a sign-in")
		}
		if p, _, ok := browser.Recognize(k, []string{value}).Proof(account(2)); ok {
			t.Fatalf("%+v without a proof", p)
		}
		kept := browser.Proof{At: time.UnixMilli(1), Factors: [16]byte{3}}
		value = browser.Recognize(k, []string{value}).Remember(account(2), 5, &kept)
		if id, _ := knows(k, account(2), value); id == "" {
			t.Fatal("not remembered")
		}
		if p, epoch, _ := browser.Recognize(k, []string{value}).Proof(account(2)); p != kept || epoch != 5 {
			t.Fatalf("keeps %+v in epoch %d", p, epoch)
		}
	})
}

func TestLabel(t *testing.T) {
	for header, want := range map[string]string{
		"Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.1 Safari/605.1.15":                      "Safari on macOS",
		"Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36 Edg/140.0.0.0":              "Edge on Windows",
		"Mozilla/5.0 (iPhone; CPU iPhone OS 18_1 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.1 Mobile/15E148 Safari/604.1":    "Safari on iPhone",
		"Mozilla/5.0 (Linux; Android 13; SM-S901N) AppleWebKit/537.36 (KHTML, like Gecko) SamsungBrowser/25.0 Chrome/121.0.0.0 Mobile Safari/537.36": "Samsung Browser on Android",
		"Mozilla/5.0 (X11; Ubuntu; Linux x86_64; rv:131.0) Gecko/20100101 Firefox/131.0":                                                             "Firefox on Linux",
		"curl/8.5.0": "curl",
		"":           "",
	} {
		if got := browser.Label(header); got != want {
			t.Errorf("label of %q = %q, want %q", header, got, want)
		}
	}
}

func FuzzLabel(f *testing.F) {
	f.Add("curl/8.5.0")
	f.Add("Mozilla/5.0 (\x00; \u202e) X/1")
	f.Fuzz(func(t *testing.T, header string) {
		label := browser.Label(header)
		if len(label) > 64 || strings.ContainsFunc(label, func(r rune) bool { return r < ' ' || r > '~' }) {
			t.Fatalf("label = %q", label)
		}
	})
}
