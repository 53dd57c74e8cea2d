package browser_test

import (
	"fmt"
	"strings"
	"testing"

	"countersign/browser"
	"countersign/seal"
)

func keys(t testing.TB, lines ...string) *seal.Keys {
	t.Helper()
	k, err := seal.Parse(strings.Join(lines, "\n"))
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func TestKnownRemembersItsLatestAccounts(t *testing.T) {
	k := keys(t, seal.Generate())
	var value string
	ids := map[string]bool{}
	for i := range 10 {
		known := browser.Recognize(k, value)
		value = known.Remember(fmt.Sprint("user", i))
		ids[browser.Recognize(k, value).ID(fmt.Sprint("user", i))] = true
	}
	value = browser.Recognize(k, value).Remember("user5") // once more takes no more room
	if len(ids) != 1 || ids[""] {
		t.Errorf("ids = %v, want one", ids)
	}
	for i := range 10 {
		if got := browser.Recognize(k, value).ID(fmt.Sprint("user", i)) != ""; got != (i >= 2) {
			t.Errorf("user%d known: %v", i, got)
		}
	}
	if browser.Recognize(k, value).ID("stranger") != "" || browser.Recognize(keys(t, seal.Generate()), value).ID("user5") != "" {
		t.Error("known where it never was")
	}
	if len(value) > 300 {
		t.Errorf("%d bytes", len(value))
	}
}

// While the master key is replaced, browsers stay known; those that are used are
// known to the new key.
func TestKnownSurvivesANewMasterKey(t *testing.T) {
	before, after := seal.Generate(), seal.Generate()
	value := browser.Recognize(keys(t, before), "").Remember("alice")
	both := keys(t, after, before)
	id := browser.Recognize(both, value).ID("alice")
	if id == "" {
		t.Fatal("forgotten")
	}
	value = browser.Recognize(both, value).Remember("alice")
	if got := browser.Recognize(keys(t, after), value).ID("alice"); got != id {
		t.Errorf("id = %q, want %q", got, id)
	}
}

func FuzzRecognize(f *testing.F) {
	k := keys(f, seal.Generate())
	f.Add(browser.Recognize(k, "").Remember("alice"))
	f.Add("")
	f.Add("AAAA")
	f.Add(strings.Repeat("A", 1000))
	f.Fuzz(func(t *testing.T, value string) {
		known := browser.Recognize(k, value)
		if known.ID("bob") != "" {
			t.Fatal("known to an account that nobody signed in to")
		}
		if again := browser.Recognize(k, known.Remember("bob")); again.ID("bob") == "" {
			t.Fatal("not remembered")
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
