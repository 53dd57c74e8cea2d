package browser_test

import (
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"

	"countersign/test/programs"
)

// rule is a rule of axe, with the elements that break it.
type rule struct {
	ID    string `json:"id"`
	Help  string `json:"help"`
	Nodes []struct {
		HTML           string `json:"html"`
		FailureSummary string `json:"failureSummary"`
	} `json:"nodes"`
}

// axe reports accessibility problems of the page in its present state.
func (b *tab) axe(source, name string) {
	b.t.Helper()
	if !evaluate[bool](b, "'axe' in window") {
		evaluate[any](b, source+"; null")
	}
	found := evaluate[struct {
		Violations []rule `json:"violations"`
		Passes     []rule `json:"passes"`
	}](b, `axe.run(document, {
		runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"],
		resultTypes: ["violations"],
	}).then(({ violations, passes }) => ({ violations, passes }))`)
	for _, r := range found.Violations {
		for _, n := range r.Nodes {
			b.t.Errorf("%s: %s (%s)\n%s\n%s", name, r.Help, r.ID, n.HTML, n.FailureSummary)
		}
	}
	if !slices.ContainsFunc(found.Passes, func(r rule) bool { return r.ID == "color-contrast" }) {
		b.t.Errorf("%s: axe didn't look at the contrast", name)
	}
}

// axeSource returns axe's script.
func axeSource(t *testing.T) string {
	t.Helper()
	dir, err := programs.NodePackage("node")
	if err != nil {
		t.Fatal(err)
	}
	source, err := os.ReadFile(filepath.Join(dir, "node_modules", "axe-core", "axe.min.js"))
	if err != nil {
		t.Fatal(err)
	}
	return string(source)
}

// look checks the page on different devices.
func (b *tab) look(axe, name string) {
	b.t.Helper()
	for _, scheme := range []string{"light", "dark"} {
		b.colours(scheme)
		for _, device := range []struct {
			name          string
			width, height int64
		}{{"desktop", 1280, 900}, {"phone", 390, 844}, {"enlarged", 320, 640}} { // WCAG 2.2, 1.4.10
			b.do(chromedp.EmulateViewport(device.width, device.height))
			full := strings.Join([]string{name, device.name, scheme}, "-")
			b.axe(axe, full)
			b.screenshot(full)
			if wide := evaluate[int](b, "document.documentElement.scrollWidth - innerWidth"); wide > 0 {
				b.t.Errorf("%s scrolls sideways by %d pixels", full, wide)
			}
		}
	}
	b.do(chromedp.EmulateViewport(1280, 900))
}

func TestDemoIsAccessible(t *testing.T) {
	t.Parallel()
	axe := axeSource(t)
	s := newSite(t)
	p := newProfile(t)
	b := p.newTab()
	look := func(name string) {
		t.Helper()
		b.look(axe, name)
	}

	b.open(s.url + "/demo")
	b.isAt("Sign in")
	look("signin")
	b.fill("Username", "nobody")
	b.fill("Password", "wrong")
	b.press("Sign in")
	b.shows("The username, the e-mail address or the password is wrong.")
	look("signin-wrong")

	b.press("Sign in on the server's page instead")
	b.shows("You sign in on the server's page")
	look("signin-there")
	b.press("Create an account")
	b.isAt("Create an account")
	look("signup-there")
	b.press("Sign in")
	b.press("Sign in with a form instead")
	b.isAt("Sign in")

	b.press("Create an account")
	b.isAt("Create an account")
	look("signup")
	b.fill("Username", "alice")
	b.fill("E-mail address", "not an address")
	b.fill("Password", "short")
	b.press("Create account")
	b.wait("a problem", "document.querySelector('.wrong') !== null")
	if focused := evaluate[string](b, "document.activeElement.name"); focused != "email" && focused != "password" {
		t.Errorf("the focus is on %q, and not where something is wrong", focused)
	}
	look("signup-wrong")

	b.open(s.url + "/demo#forgot")
	b.isAt("Forgotten password")
	look("forgot")
	b.open(s.url + "/demo#reset=token")
	b.isAt("New password")
	look("reset")
	b.open(s.url + "/demo#verify=token")
	b.isAt("E-mail address")
	look("verify")

	s.signUp(b, "alice")
	look("profile")
	s.signIn(p.newContext().newTab(), "alice")
	for _, view := range []string{"Sessions", "Security", "API"} {
		b.press(view)
		b.isAt(view)
		switch view {
		case "Sessions":
			b.shows("This browser")
		case "Security":
			look("security")
			b.fill("Current password", "wrong")
			b.fill("New password", "another "+password)
			b.press("Change password")
			b.shows("Current password is not the account's password.")
			look("security-wrong")
			b.fill("Current password", password)
			b.press("Change password")
			b.shows("Your password is changed")
			look("security-changed")
			b.press("Delete account…")
		case "API":
			b.press("Say hello")
			b.shows(`"subject"`)
		}
		if view == "Security" {
			look("delete")
			b.press("Keep it")
			continue
		}
		look(strings.ToLower(view))
	}

	away := func(w http.ResponseWriter, _ *httptest.ResponseRecorder) {
		w.WriteHeader(http.StatusInternalServerError)
	}
	s.refreshed.Store(&away)
	b.do(chromedp.Reload())
	b.isAt("Not reachable")
	look("away")
}
