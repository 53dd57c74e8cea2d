package browser_test

import (
	"bytes"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"

	"countersign/test/programs"
)

// openCode opens the demo with the code flow.
func (s *site) openCode(b *tab) {
	b.t.Helper()
	b.open(s.url + "/demo/index.html?flow=code")
	b.shows("You sign in on the server's page")
}

// isAtPage waits for one of the server's pages.
func (b *tab) isAtPage(path string) {
	b.t.Helper()
	b.wait("the page "+path, "location.pathname === $1 && document.readyState === 'complete'", path)
}

// identify signs in on the server's page.
func (b *tab) identify(username string) {
	b.t.Helper()
	b.isAtPage("/login")
	b.fill("Username", username)
	b.fill("Password", password)
	b.press("Sign in")
}

// keepsNoCode fails the test if the browser still has a trace of the server's answer or of
// the attempt.
func (b *tab) keepsNoCode() {
	b.t.Helper()
	for _, url := range append(b.history(), evaluate[string](b, "location.href"), evaluate[string](b, "document.referrer")) {
		for _, trace := range []string{"code=", "cs_ac_", "state=", "iss=", "error="} {
			if strings.Contains(url, trace) {
				b.t.Errorf("%s is left of the answer in %s", trace, url)
			}
		}
	}
	if kept := evaluate[string](b, "JSON.stringify({ ...sessionStorage, ...localStorage, cookies: document.cookie, state: history.state })"); kept != `{"cookies":"","state":null}` {
		b.t.Errorf("the browser keeps %s", kept)
	}
}

func TestRedirectJourney(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	b := newProfile(t).newTab()

	s.openCode(b)
	b.press("Create an account")
	b.isAt("Create an account")
	if evaluate[bool](b, "document.querySelector('main input') !== null") {
		t.Error("the app has a field for something")
	}
	b.press("Create account")
	b.isAtPage("/signup")
	b.fill("Username", "alice")
	b.fill("Password", password)
	b.press("Sign up")
	b.isAt("Profile")
	b.shows("alice")
	b.keepsNoCode()

	b.do(chromedp.Reload())
	b.isAt("Profile")
	b.press("API")
	b.press("Say hello")
	b.shows(`"subject"`)
	b.keepsNoCode()

	// Signing out of the app signs the user out of the server's page, too.
	b.press("Sign out")
	b.isAt("Sign in")
	b.shows("You are signed out.")
	b.press("Sign in")
	b.identify("alice")
	b.isAt("Profile")
	b.shows("You are signed in.")
	b.keepsNoCode()

	// Back shows the page as it was, or in its present state.
	b.back()
	b.isAt("Profile")
	b.keepsNoCode()
	b.press("Sign out")
	b.isAt("Sign in")
	for range 3 {
		b.back()
		b.wait("a page for guests", `["Sign in", "Create an account"].includes(document.querySelector("h1")?.innerText)`)
		b.hasNot("alice")
		b.keepsNoCode()
	}

	codes := 0
	for line := range strings.Lines(s.asked.String()) {
		target, referrer, _ := strings.Cut(line, " referrer ")
		if strings.Contains(target, "cs_ac_") {
			codes++
			if !strings.HasPrefix(target, "/demo/index.html?flow=code&code=") {
				t.Errorf("a code went to %s", target)
			}
		}
		if strings.Contains(referrer, "code=") {
			t.Errorf("a code was in the referrer: %s", line)
		}
	}
	if codes < 2 {
		t.Errorf("%d codes were seen, so this test shows little", codes)
	}
}

func TestRedirectAsksNoSignedInUser(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	b := newProfile(t).newTab()
	s.signUp(b, "alice")
	b.press("Sign out")
	b.isAt("Sign in")

	silently := `import("/demo/auth.js").then(({ auth }) => auth.signInWithRedirect({
		prompt: $1, redirectURI: location.origin + location.pathname + location.search }))`
	s.openCode(b)
	evaluate[any](b, silently, "none")
	b.shows("No user is signed in")
	b.keepsNoCode()

	b.open(s.url + "/login")
	b.identify("alice")
	b.isAtPage("/me") // shows who is signed in
	s.openCode(b)
	b.press("Sign in")
	b.isAt("Profile")
	b.shows("alice")
	b.keepsNoCode()

	// The server may ask the user whether to sign out, and the user may refuse.
	evaluate[any](b, silently, "consent")
	b.isAtPage("/consent")
	b.press("Deny")
	b.shows("You chose not to sign in.")
	b.isAt("Profile")
	b.keepsNoCode()
}

// If the session was ended elsewhere, the server's page asks for the password, too, and
// leads back to where the user was.
func TestRedirectAfterTheSessionHasEndedElsewhere(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	p := newProfile(t)
	b, other := p.newTab(), p.newContext().newTab()
	s.signUp(other, "alice")
	s.openCode(b)
	b.press("Sign in")
	b.identify("alice")
	b.isAt("Profile")
	other.press("Sessions")
	other.press("End all others")
	other.shows("All other sessions are ended.")
	b.press("Sessions")
	b.isAt("Sign in")
	b.shows("Your session has ended. Please sign in again.")
	b.hasNot("alice")
	b.press("Sign in")
	b.identify("alice")
	b.isAt("Sessions")
	b.shows("This browser")
	b.keepsNoCode()
}

func TestRedirectInTwoTabs(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	p := newProfile(t)
	s.signUp(p.newContext().newTab(), "alice")
	one, other := p.newTab(), p.newTab()
	for _, b := range []*tab{one, other} {
		s.openCode(b)
		b.press("Sign in")
		b.isAtPage("/login")
	}
	for _, b := range []*tab{one, other} {
		b.identify("alice")
		b.isAt("Profile")
		b.keepsNoCode()
	}
	for _, b := range []*tab{one, other} {
		b.press("Sessions")
		b.shows("This browser")
	}
	one.press("Sign out")
	other.isAt("Sign in")
}

// Wherever the answer with the session gets lost, users are signed in, or one click
// away from that.
func TestRedirectWithALostAnswer(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.signUp(newProfile(t).newTab(), "alice")
	p := newProfile(t)
	for i, way := range lose {
		b := p.newContext().newTab()
		answer := func(w http.ResponseWriter, said *httptest.ResponseRecorder) {
			s.opened.Store(nil)
			way(w, said)
		}
		s.openCode(b)
		b.press("Sign in")
		s.opened.Store(&answer)
		b.identify("alice")
		b.wait("an outcome", `location.pathname === "/demo/index.html" && document.querySelector("h1") !== null &&
			/You are signed in|can't be reached|too busy|sign-in has expired/.test(document.body.innerText)`)
		if s.opened.Load() != nil {
			t.Errorf("way %d: no answer was lost, so this test shows nothing", i)
		}
		if title := evaluate[string](b, "document.querySelector('h1').innerText"); title == "Sign in" {
			b.keepsNoCode()
			b.press("Sign in")
		}
		b.isAt("Profile")
		b.shows("alice")
		b.keepsNoCode()
	}
	// When an open connection breaks, browsers repeat the request by themselves.
	if n := strings.Count(s.log.String(), "used twice"); n > 1 {
		t.Errorf("codes were used twice %d times:\n%s", n, s.log.String())
	}
}

func TestRedirectFromAnotherOrigin(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	app := s.elsewhere(t)
	b := newProfile(t).newTab()
	s.signUp(newProfile(t).newTab(), "alice")
	b.open(app + "/index.html?flow=code")
	b.press("Sign in")
	b.identify("alice")
	b.isAt("Profile")
	if at := evaluate[string](b, "location.href"); at != app+"/?flow=code#profile" {
		t.Errorf("back at %s", at)
	}
	b.keepsNoCode()
	b.do(chromedp.Reload())
	b.isAt("Profile")
	b.press("Sign out")
	b.isAt("Sign in")
	b.press("Sign in")
	b.isAtPage("/login")
}

// Where browsers keep no cookie for an app on another site, it is signed out at each
// reload. On the way through the server's page the server's cookie is no third party's,
// so it signs the user in again without asking.
func TestAnotherSiteSignsInAgainByRedirect(t *testing.T) {
	t.Parallel()
	h := newHosts(t, "COUNTERSIGN_SESSION_COOKIE_CLIENT=web")
	there := h.origin(farHost) + "/page"
	add := programs.Command(t, programs.Path(t, "countersign"), "clients", "create", "--data", h.data, "--id", "web", "--public", "--first-party",
		"--grant", "authorization_code", "--grant", "refresh_token", "--scope", "openid", "--redirect-uri", there)
	var errs bytes.Buffer
	add.Stderr = &errs
	if err := add.Run(); err != nil {
		t.Fatalf("%v\n%s", err, errs.String())
	}
	h.signUp("alice")
	b := browse(t, false).newTab()
	load := `(async () => {
		const { countersign } = await import($1);
		window.auth = countersign({ clientID: "web" });
		const back = await window.auth.completeSignIn();
		return (back?.user ?? (await window.auth.user()))?.username ?? "nobody";
	})()`
	module := h.origin(authHost) + "/assets/countersign.js"
	who := func() string { t.Helper(); return evaluate[string](b, load, module) }

	b.open(there)
	if got := who(); got != "nobody" {
		t.Fatalf("signed in: %s", got)
	}
	evaluate[any](b, "window.auth.signInWithRedirect()")
	b.identify("alice")
	b.isAtPage("/page")
	if got := who(); got != "alice" {
		t.Fatalf("signed in: %s", got)
	}
	if got := evaluate[int](b, "window.auth.fetch($1).then((r) => r.status)", h.origin(authHost)+"/userinfo"); got != http.StatusOK {
		t.Errorf("userinfo: %d", got)
	}
	b.do(chromedp.Reload())
	if got := who(); got != "nobody" {
		t.Errorf("signed in after a reload: %s: then there is no need for this", got)
	}
	evaluate[any](b, "window.auth.signInWithRedirect({ prompt: 'none' })")
	b.wait("the answer", "location.pathname === '/page' && location.search !== ''")
	if got := who(); got != "alice" {
		t.Errorf("signed in: %s", got)
	}
	if slices.ContainsFunc(b.history(), func(url string) bool { return strings.Contains(url, "cs_ac_") }) {
		t.Errorf("the history has a code: %q", b.history())
	}
}
