package browser_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
)

// layoutShift is how far what the page has shown moved, as browsers measure it (CLS).
const layoutShift = `new Promise((done) => {
	let sum = 0;
	new PerformanceObserver((list) => list.getEntries().forEach((one) => { sum += one.value; })).observe({ type: "layout-shift", buffered: true });
	setTimeout(() => done(sum), 100);
})`

// Pages with a garish theme are accessible, nothing on them moves while they load, and the
// switch to the other language keeps the token of a mailed link. COUNTERSIGN_SOAK=1 looks at
// all previews.
func TestThemedPagesAreAccessible(t *testing.T) {
	t.Parallel()
	axe := axeSource(t)
	dir := t.TempDir()
	for name, body := range map[string]string{
		"logo.svg":  `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 220 48"><circle cx="24" cy="24" r="22" fill="#d6006c"/></svg>`,
		"style.css": "h1 { text-transform: uppercase } body { border-top: 1rem solid #0f0 }",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(body), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	h := newHosted(t, "COUNTERSIGN_THEME_LOGO="+filepath.Join(dir, "logo.svg"), "COUNTERSIGN_THEME_STYLESHEET="+filepath.Join(dir, "style.css"),
		"COUNTERSIGN_THEME_ACCENT=#d6006c", "COUNTERSIGN_THEME_ACCENT_DARK=#ffd23f", "COUNTERSIGN_THEME_RADIUS=0",
		"COUNTERSIGN_THEME_FOOTER=© 2026 Garish Co", "COUNTERSIGN_THEME_LINKS_TERMS=https://example.com/terms", "COUNTERSIGN_THEME_LINKS_SUPPORT=mailto:help@example.com")
	b := newProfile(t).newTab()
	paths := []string{"/preview/en/login-for-a-client", "/preview/ko/signup-refused", "/preview/en/reset-expired"}
	if os.Getenv("COUNTERSIGN_SOAK") != "" {
		b.open(h.origin + "/preview")
		all := evaluate[[]string](b, `[...document.querySelectorAll("main a")].map((a) => a.pathname)`)
		paths = slices.Concat(paths[2:], slices.DeleteFunc(all, func(path string) bool {
			return strings.HasSuffix(path, ".txt") || strings.Contains(path, "/form_post") || strings.Contains(path, "/letters/")
		}), []string{"/preview"})
	}
	for _, path := range paths {
		for scheme, width := range map[string]int64{"light": 360, "dark": 1280} {
			b.colours(scheme)
			b.do(chromedp.EmulateViewport(width, 800))
			b.open(h.origin + path)
			name := strings.ReplaceAll(path[1:], "/", "-") + "-" + scheme
			if moved := evaluate[float64](b, layoutShift); moved > 0 {
				t.Errorf("%s: what it shows moves by %v", name, moved)
			}
			b.axe(axe, name)
			b.screenshot(name)
		}
	}
	b.open(h.origin + "/preview/en/reset")
	if kept := evaluate[string](b, `document.querySelector(".languages a").hash`); kept != "#token=cs_mt_x" {
		t.Errorf("the page in another language gets %q", kept)
	}
	goesBack(h, b)
}

// goesBack presses Back after forms: it never leads to the browser's question whether to send
// one again.
func goesBack(h *hosted, b *tab) {
	b.t.Helper()
	h.signUp("alice")
	b.open(h.origin + "/forgot")
	b.enter("send-link", "email", "alice")
	b.press("Go to sign-in")
	b.wait("the sign-in page", "document.getElementById('sign-in') !== null")
	b.back()
	b.wait("the page before, or its form", "location.pathname === '/forgot' && document.querySelector('h1') !== null")
	b.open(h.authorization())
	b.enter("sign-in", "username", "alice", "password", "wrong")
	b.enter("sign-in", "username", "alice", "password", password)
	b.wait("the question", "document.getElementById('allow') !== null")
	b.back()
	b.wait("the page before, or the question", "location.search.includes('ticket=') && document.querySelector('h1') !== null")
}
