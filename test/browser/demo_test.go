package browser_test

import (
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

func TestDemoJourney(t *testing.T) {
	t.Parallel()
	s := newSite(t, "COUNTERSIGN_TOKENS_ACCESS_TTL=5s")
	b := newProfile(t).newTab()

	b.open(s.url + "/demo")
	b.isAt("Sign in")
	b.press("Create an account")
	b.isAt("Create an account")
	b.fill("Username", "alice")
	b.fill("Password", password)
	b.press("Create account")
	b.isAt("Profile")
	b.shows("alice")

	b.press("Sign out")
	b.isAt("Sign in")
	b.fill("Username", "alice")
	b.fill("Password", "wrong")
	b.press("Sign in")
	b.shows("The username, the e-mail address or the password is wrong.")
	b.fill("Password", password)
	b.press("Sign in")
	b.isAt("Profile")

	b.do(chromedp.Reload())
	b.isAt("Profile")
	b.shows("alice")
	b.keepsNoSecrets(password)

	// The access token expires, and the user doesn't notice.
	b.press("API")
	b.press("Say hello")
	b.shows(`"subject"`)
	evaluate[any](b, `{
		const seen = (window.seen = []);
		new MutationObserver(() => seen.push(document.querySelector("h1")?.innerText)).observe(document.body, { childList: true, subtree: true });
	}`)
	time.Sleep(6 * time.Second)
	b.press("Say hello")
	b.wait("the answer", "!document.querySelector('pre').hidden")
	if seen := evaluate[[]string](b, "window.seen"); slices.ContainsFunc(seen, func(title string) bool { return title != "API" }) {
		t.Errorf("the views %q were shown in between", seen)
	}
	b.keepsNoSecrets(password)
	asked := s.asked.String()
	if !strings.Contains(asked, "/session/refresh referrer") {
		t.Errorf("the proxy was asked for %s", asked)
	}
	for line := range strings.Lines(asked) {
		if strings.Contains(line, "?") || !strings.HasSuffix(line, "referrer \"\"\n") {
			t.Errorf("in an address, or as a referrer, went %s", line)
		}
	}
}

func TestDemoAccount(t *testing.T) {
	s := newSite(t)
	p := newProfile(t)
	b, other := p.newTab(), p.newContext().newTab()
	s.signUp(b, "alice")
	s.signIn(other, "alice")

	// After the session was ended elsewhere, the next call here shows the sign-in.
	other.press("Sessions")
	other.wait("two sessions", "document.querySelectorAll('li .name').length === 2")
	other.press("End all others")
	other.shows("All other sessions are ended.")
	other.wait("one session", "document.querySelectorAll('li .name').length === 1")
	b.shows("alice")
	b.press("Sessions")
	b.isAt("Sign in")
	b.shows("Your session has ended. Please sign in again.")
	b.hasNot("alice")

	// The user goes on where they were.
	b.fill("Username", "alice")
	b.fill("Password", password)
	b.press("Sign in")
	b.isAt("Sessions")
	b.wait("two sessions", "document.querySelectorAll('li .name').length === 2")
	b.click("the other session's button", "[...document.querySelectorAll('main li')].find((li) => !li.textContent.includes('This browser')).querySelector('button')")
	b.shows("The session is ended.")
	other.press("Sessions")
	other.isAt("Sign in")

	b.press("Security")
	b.isAt("Security")
	b.fill("Current password", "wrong")
	b.fill("New password", "another "+password)
	b.press("Change password")
	b.shows("Current password is not the account's password.")
	b.fill("Current password", password)
	b.press("Change password")
	b.shows("Your password is changed")
	b.do(chromedp.Reload())
	b.isAt("Security")

	b.press("Delete account…")
	b.press("Keep it")
	b.press("Delete account…")
	b.click("the password of the deletion", `document.getElementById("delete-password")`)
	b.do(chromedp.KeyEvent("another " + password))
	b.keepsNoSecrets(password)
	b.press("Delete account")
	b.isAt("Sign in")
	b.shows("Your account is deleted.")
	b.do(chromedp.Reload())
	b.isAt("Sign in")
}

// A list that comes late neither moves a button that the user is about to click, nor
// removes a button between press and release.
func TestDemoLosesNoPress(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	p := newProfile(t)
	b := p.newTab()
	s.signUp(b, "alice")
	for range 2 {
		s.signIn(p.newContext().newTab(), "alice")
	}
	list := make(chan struct{}, 1)
	letAll := sync.OnceFunc(func() { close(list) })
	t.Cleanup(letAll)
	late := func(w http.ResponseWriter, said *httptest.ResponseRecorder) {
		<-list
		pass(w, said, said.Body.Len())
	}
	s.listed.Store(&late)
	const (
		others  = `document.querySelector("[data-form=others] button")`
		another = `[...document.querySelectorAll("main li")].findLast((li) => !li.textContent.includes("This browser")).querySelector("button")`
		lists   = `performance.getEntriesByType("resource").filter((one) => one.name.endsWith("/account/sessions")).length`
	)

	b.press("Sessions")
	b.isAt("Sessions")
	if evaluate[bool](b, others+".checkVisibility()") {
		t.Error("there is a button where the list will be")
	}
	list <- struct{}{}
	b.wait("three sessions", "document.querySelectorAll('li .name').length === 3")
	b.wait("the button for all", others+".checkVisibility()")

	b.click("a session's button", another)
	b.wait("one that is ended", `performance.getEntriesByType("resource").some((one) => one.name.includes("/account/sessions/"))`)
	x, y := b.place(strings.Replace(another, "findLast", "find", 1))
	before := evaluate[int](b, lists)
	b.mouse(chromedp.MousePressed, x, y)
	list <- struct{}{}
	b.wait("the next list", lists+" > "+strconv.Itoa(before))
	time.Sleep(100 * time.Millisecond) // the page would show it now
	b.mouse(chromedp.MouseReleased, x, y)
	letAll()
	b.wait("one session", "document.querySelectorAll('li .name').length === 1")
}

func TestBackAfterSignOutShowsNothing(t *testing.T) {
	s := newSite(t)
	p := newProfile(t)
	b := p.newTab()
	s.signUp(b, "alice")
	b.press("Sessions")
	b.isAt("Sessions")
	b.press("Profile")
	b.isAt("Profile")
	b.press("Sign out")
	b.isAt("Sign in")
	for range 2 {
		b.back()
		b.isAt("Sign in")
		b.hasNot("alice")
		b.hasNot("This browser")
	}
	b.keepsNoSecrets(password)
}

// A page in the back-forward cache comes back as it was left.
func TestBackFromTheBackForwardCacheShowsNothing(t *testing.T) {
	s := newSite(t)
	p := newProfile(t)
	b, other := p.newTab(), p.newTab()
	s.signUp(b, "alice")
	evaluate[any](b, `{
		window.kept = true;
		window.seen = [];
		addEventListener("pageshow", () => window.seen.push(document.body.innerText));
		new MutationObserver(() => window.seen.push(document.body.innerText)).observe(document.body, { childList: true, subtree: true });
		addEventListener("pagehide", () => window.left = window.seen.length);
	}`)

	b.open(s.api) // another site
	b.back()
	b.isAt("Profile")
	if !evaluate[bool](b, "window.kept === true") {
		t.Fatal("the browser did not keep the page, so this test shows nothing")
	}

	b.open(s.api)
	other.open(s.url + "/demo")
	other.isAt("Profile")
	other.press("Sign out")
	other.isAt("Sign in")
	b.back()
	b.isAt("Sign in")
	if !evaluate[bool](b, "window.kept === true") {
		t.Fatal("the browser did not keep the page, so this test shows nothing")
	}
	for _, text := range evaluate[[]string](b, "window.seen.slice(window.left)") {
		if strings.Contains(text, "alice") || strings.Contains(text, "Profile") {
			t.Errorf("this was to be seen:\n%s", text)
		}
	}
}

func TestSignOutIsToldToOtherTabs(t *testing.T) {
	s := newSite(t)
	p := newProfile(t)
	one, other := p.newTab(), p.newTab()
	s.signUp(one, "alice")
	other.open(s.url + "/demo")
	other.isAt("Profile")
	one.press("Sign out")
	other.isAt("Sign in")
	other.fill("Username", "alice")
	other.fill("Password", password)
	other.press("Sign in")
	one.isAt("Profile")
}

// A user without a mouse reaches everything.
func TestDemoByKeyboard(t *testing.T) {
	s := newSite(t)
	b := newProfile(t).newTab()
	enter := chromedp.KeyEvent(kb.Enter)

	b.open(s.url + "/demo")
	b.isAt("Sign in")
	b.tabTo("Skip to content")
	b.do(enter)
	b.tabTo("Create an account")
	b.do(enter)
	b.isAt("Create an account")
	b.tabTo("Username")
	b.do(chromedp.KeyEvent("alice"))
	b.tabTo("Password")
	b.do(chromedp.KeyEvent(password), enter)
	b.isAt("Profile")
	b.wait("the focus on the title", "document.activeElement.tagName === 'H1'")
	b.tabTo("Security")
	b.do(enter)
	b.isAt("Security")
	b.tabTo("Delete account…")
	b.do(enter)
	b.wait("the dialog", "document.querySelector('dialog[open]') && document.activeElement.name === 'current_password'")
	b.do(chromedp.KeyEvent(kb.Escape))
	b.wait("the focus where it was", "document.activeElement.textContent === 'Delete account…'")
	b.tabTo("Sign out")
	b.do(enter)
	b.isAt("Sign in")
}

// Another server may serve the app: it then needs CORS and a cookie of the same site.
func TestDemoFromAnotherOrigin(t *testing.T) {
	s := newSite(t)
	app := s.elsewhere(t)
	b := newProfile(t).newTab()
	b.open(app + "/index.html#signup")
	b.fill("Username", "alice")
	b.fill("Password", password)
	b.press("Create account")
	b.isAt("Profile")
	b.do(chromedp.Reload())
	b.isAt("Profile")
	b.press("Sessions")
	b.shows("This browser")
	b.keepsNoSecrets(password)
	b.press("Sign out")
	b.isAt("Sign in")
}

func TestDemoWithAnAccessCookie(t *testing.T) {
	t.Parallel()
	s := newSite(t, "COUNTERSIGN_SESSION_COOKIE_ACCESS_COOKIE=true", "COUNTERSIGN_TOKENS_ACCESS_TTL=3s")
	b := newProfile(t).newTab()
	s.signUp(b, "alice")
	time.Sleep(4 * time.Second)
	b.press("Sessions")
	b.shows("This browser")
	b.press("API")
	b.press("Say hello")
	b.shows(`"subject"`)
	b.keepsNoSecrets(password)
	b.do(chromedp.Reload())
	b.isAt("API")
	b.press("Sign out")
	b.isAt("Sign in")
}

func TestDemoWithoutAServer(t *testing.T) {
	s := newSite(t)
	b := newProfile(t).newTab()
	s.signUp(b, "alice")
	away := func(w http.ResponseWriter, _ *httptest.ResponseRecorder) {
		w.WriteHeader(http.StatusInternalServerError)
	}
	s.refreshed.Store(&away)
	b.do(chromedp.Reload())
	b.isAt("Not reachable")
	b.hasNot("alice")
	s.refreshed.Store(nil)
	b.press("Try again")
	b.isAt("Profile")
}
