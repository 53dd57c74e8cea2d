package presets_test

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"countersign/presets"
)

var quoted = regexp.MustCompile("`([^`]+)`")

// Every preset has a row in docs/works-with.md with its settings, and the page names no
// other preset.
func TestPageAndPresetsAreInStep(t *testing.T) {
	page, err := os.ReadFile("../docs/works-with.md")
	if err != nil {
		t.Fatal(err)
	}
	rows := map[string][]string{} // by preset: what the rows say of our settings
	var head []string
	for line := range strings.Lines(string(page)) {
		if !strings.HasPrefix(line, "| ") || strings.HasPrefix(line, "| ---") {
			continue
		}
		cells := strings.Split(line, "|")
		for i := range cells {
			cells[i] = strings.TrimSpace(cells[i])
		}
		switch {
		case cells[1] == "Library":
			head = cells
			continue
		case len(cells) != len(head):
			t.Fatalf("%d cells, want %d as in the head: %s", len(cells), len(head), line)
		}
		for _, name := range quoted.FindAllStringSubmatch(cells[slices.Index(head, "Preset")], -1) {
			rows[name[1]] = append(rows[name[1]], cells[slices.Index(head, "On ours")])
		}
	}
	for _, p := range presets.All() {
		said := strings.Join(rows[p.Name], " ")
		if said == "" {
			t.Errorf("docs/works-with.md has no row for the preset %s", p.Name)
			continue
		}
		delete(rows, p.Name)
		for setting, is := range map[string]bool{
			"`claims_in_id_token`":      p.Settings.ClaimsInIDToken,
			"`id_token_alg: RS256`":     p.Settings.IDTokenAlg == "RS256",
			"`access_token_typ: JWT`":   p.Settings.AccessTokenType == "JWT",
			"`access_token_alg: RS256`": p.Settings.AccessTokenAlg == "RS256",
			"scope `groups`":            slices.Contains(p.Settings.Scopes, "groups"),
		} {
			if says := strings.Contains(said, setting); says != is {
				t.Errorf("%s: docs/works-with.md says %s: %v, the preset: %v", p.Name, setting, says, is)
			}
		}
	}
	for name := range rows {
		t.Errorf("docs/works-with.md names the preset %q, which there isn't", name)
	}
}

func TestAnUnknownNameGetsThoseLikeIt(t *testing.T) {
	for name, want := range map[string]string{
		"Spring": "spring or spring-resource-server", "spring-boot": "spring", "auth.js": "authjs", "next-auth": "nextauth", "grafanna": "grafana", "garfana": "grafana",
		"django": "django-allauth or mozilla-django-oidc or simplejwt", "Oauth2Proxy": "oauth2-proxy", "passportjs": "passport", "jose": "python-jose",
		"nothing": "", "": "", "x": "", "go": "", "\u202e": "",
	} {
		_, err := presets.Named(name)
		if err == nil {
			t.Errorf("%q is a preset", name)
			continue
		}
		_, meant, _ := strings.Cut(err.Error(), "did you mean ")
		meant, _, _ = strings.Cut(meant, "?")
		if meant != want {
			t.Errorf("%q: did you mean %s? want %q", name, meant, want)
		}
	}
}
