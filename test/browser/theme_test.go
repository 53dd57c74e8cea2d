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

// placed is how far the logo is from the edge of its header, and the font of the heading: the
// theme's in every language.
const placed = `document.querySelector(".logo").getBoundingClientRect().left - document.querySelector(".brand").getBoundingClientRect().left +
	" " + getComputedStyle(document.querySelector("h1")).fontFamily`

// Pages with a garish theme are accessible, nothing on them moves while they load, and the
// switch to the other language keeps the token of a mailed link. COUNTERSIGN_SOAK=1 looks at
// all previews.
func TestThemedPagesAreAccessible(t *testing.T) {
	t.Parallel()
	axe := axeSource(t)
	dir := t.TempDir()
	for name, body := range map[string]string{
		"logo.svg":  `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 220 48"><circle cx="24" cy="24" r="22" fill="#d6006c"/></svg>`,
		"style.css": "h1 { text-transform: uppercase } body { border-top: 1rem solid #0f0; font-family: Garish, sans-serif }",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(body), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	h := newHosted(t, "COUNTERSIGN_THEME_LOGO="+filepath.Join(dir, "logo.svg"), "COUNTERSIGN_THEME_LOGO_DARK="+filepath.Join(dir, "logo.svg"), "COUNTERSIGN_THEME_STYLESHEET="+filepath.Join(dir, "style.css"),
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
			if left := evaluate[string](b, placed); left != "0 Garish, sans-serif" {
				t.Errorf("%s: the logo is this far from its edge, and the heading in this font: %s", name, left)
			}
			b.axe(axe, name)
			b.screenshot(name)
		}
	}
	b.open(h.origin + "/preview/en/reset")
	if kept := evaluate[string](b, `document.querySelector(".languages a").hash`); kept != "#token=cs_mt_x" {
		t.Errorf("the page in another language gets %q", kept)
	}
	saysStrength(h, b)
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
	followsLinks(h, b)
}

// followsLinks opens one mailed link after the other in the same tab: each counts, whatever
// the page was about.
func followsLinks(h *hosted, b *tab) {
	b.t.Helper()
	first := h.link("alice@example.net", 1)
	if !strings.Contains(first, "/verify") { // the other may have overtaken it
		first = h.link("alice@example.net", 2)
	}
	b.open(first)
	for _, next := range []string{"cs_mt_second", "cs_mt_third"} {
		b.enter("confirm")
		b.wait("the answer", "document.querySelector('#message, #renew') !== null")
		evaluate[any](b, "location.hash = 'token=' + $1, null", next)
		b.wait("the link", "document.querySelector('#verify-form input[name=token]')?.value === $1 && !document.getElementById('renew')", next)
	}
}

// saysStrength types new passwords: the page says how strong each is, on a line that is there
// before, and screen readers hear of it when the typing stops.
func saysStrength(h *hosted, b *tab) {
	b.t.Helper()
	b.do(chromedp.EmulateViewport(360, 800))
	for language, say := range map[string]struct{ password, weak, why, personal, strong string }{
		"en": {"Password", "Very weak", "Many people use this password.", "Leave out your name and address.", "Very strong"},
		"ko": {"비밀번호", "매우 약함", "많은 사람이 쓰는 비밀번호입니다.", "이름과 이메일 주소는 빼 주세요.", "매우 강함"},
	} {
		b.speaks(language)
		b.open(h.origin + "/signup")
		if evaluate[bool](b, `performance.getEntriesByType("resource").some((one) => one.name.includes("strength-worker"))`) {
			b.t.Error("the worker loads before the field has the focus")
		}
		top := evaluate[float64](b, `document.getElementById("sign-up").getBoundingClientRect().top + scrollY`)
		b.fill(say.password, "password1")
		b.shows(say.weak)
		b.shows(say.why)
		pastes := func(id, text string) {
			evaluate[any](b, `{
				const field = document.getElementById($1);
				field.value = $2;
				field.dispatchEvent(new Event("input", { bubbles: true }));
				null;
			}`, id, text)
		}
		pastes("password", "quiet harbourmaster at dusk 7")
		b.shows(say.strong)
		pastes("username", "harbourmaster")
		b.shows(say.personal)
		pastes("password", strings.Repeat("quiet dusk 7 ", 1000))
		b.wait("the end of the advice", `document.querySelector("[data-strength]").dataset.level === "4" && document.querySelector(".advice").textContent === ""`)
		b.wait("what screen readers hear", `document.querySelector(".told").textContent.startsWith($1)`, say.strong)
		if now := evaluate[float64](b, `document.getElementById("sign-up").getBoundingClientRect().top + scrollY`); now != top {
			b.t.Errorf("%s: the button moves from %v to %v", language, top, now)
		}
		// No sentence takes more room than there is.
		high := evaluate[[]string](b, `{
			const place = document.querySelector("[data-strength]"), advice = place.querySelector(".advice"), room = place.offsetHeight;
			Object.values(JSON.parse(place.dataset.strength).advice).filter((text) => { advice.textContent = text; return place.offsetHeight > room; });
		}`)
		if len(high) > 0 {
			b.t.Errorf("%s: no room for %q", language, high)
		}
	}
	b.speaks("en")
}
