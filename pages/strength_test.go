package pages_test

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"os"
	"strings"
	"testing"

	"countersign/pages"
)

// The worker is what its build makes of the source and of the pinned versions.
func TestStrengthWorkerIsTheOneThatWasBuilt(t *testing.T) {
	digest := func(b []byte) string {
		sum := sha256.Sum256(b)
		return hex.EncodeToString(sum[:])[:16]
	}
	read := func(name string) []byte {
		b, err := os.ReadFile("strength/" + name)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	first, rest, _ := strings.Cut(string(pages.StrengthWorker), "\n")
	if pages.StrengthVersion != digest([]byte(rest)) {
		t.Error("strength-worker.js was changed by hand")
	}
	var wanted struct{ Dependencies map[string]string }
	var locked struct {
		Packages map[string]struct{ Version string }
	}
	if err := json.Unmarshal(read("package.json"), &wanted); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(read("package-lock.json"), &locked); err != nil {
		t.Fatal(err)
	}
	parts := []string{"worker.js and korean.js " + digest(append(read("worker.js"), read("korean.js")...))}
	for name, version := range wanted.Dependencies {
		parts = append(parts, name+" "+version)
		if got := locked.Packages["node_modules/"+name].Version; got != version {
			t.Errorf("%s: package-lock.json has %s, package.json %s", name, got, version)
		}
	}
	for _, part := range parts {
		if !strings.Contains(first, part) {
			t.Errorf("strength-worker.js isn't of %s: in pages/strength, npm ci --ignore-scripts && npm run build. It begins\n%s", part, first)
		}
	}
}

// Pages that set a password say how strong it is, and only they load the script.
func TestStrengthIsSaidWherePasswordsAreSet(t *testing.T) {
	for _, e := range examples() {
		for _, language := range []string{"en", "ko"} {
			p := render(t, language, e.Page, e.Data)
			var script, worker string
			for _, s := range p.all("script") {
				if strings.HasSuffix(get(s, "src"), "/strength.js") {
					script, worker = get(s, "src"), get(s, "data-worker")
				}
			}
			fields, places := 0, 0
			for _, n := range p.all("*") {
				if get(n, "autocomplete") == "new-password" {
					fields++
				}
				if !has(n, "data-strength") {
					continue
				}
				places++
				var words struct {
					Levels []string
					Advice map[string]string
				}
				if err := json.Unmarshal([]byte(get(n, "data-strength")), &words); err != nil || len(words.Levels) != 5 || words.Advice["short"] == "" {
					t.Errorf("%s: %v, %q", e.Name, err, get(n, "data-strength"))
				}
			}
			want := ""
			if fields > 0 {
				want = "/auth/assets/strength.js"
			}
			if script != want || places != fields || (want != "") != (worker == "/auth/assets/strength-worker.js?v="+pages.StrengthVersion) {
				t.Errorf("%s: script %q with %q, %d places for %d fields", e.Name, script, worker, places, fields)
			}
		}
	}
}
