// Package browser_test drives Chromium as users do, against a real server: the hosted
// pages, the module that pages use, and the demo app.
//
// COUNTERSIGN_SOAK=1 runs the long tests at full size. To keep the screenshots:
//
//	go test ./test/browser -artifacts -outputdir DIR
package browser_test

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/input"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"countersign/test/programs"
)

func TestMain(m *testing.M) { programs.Main(browserOf{m}) }

// browserOf is a testing.M whose tests share a browser.
type browserOf struct{ *testing.M }

func (m browserOf) Run() int {
	defer endShared()
	return m.M.Run()
}

// chromium is the browser program.
func chromium(t *testing.T) string {
	t.Helper()
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome-stable", "google-chrome"} {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	t.Fatal("these tests need Chromium: install chromium (test/prepare does, where that is simple)")
	return ""
}

// patience is how long a test waits for the browser.
const patience = 20 * time.Second

// profile is a fresh browser, with no data from earlier tests.
type profile struct {
	t   *testing.T
	ctx context.Context
}

// newProfile returns a browser that shares nothing with others. The test's end stops it.
func newProfile(t *testing.T) *profile {
	t.Helper()
	path := chromium(t)
	shared.start.Do(func() {
		if shared.folder, shared.err = os.MkdirTemp("", "countersign-browser-"); shared.err == nil {
			shared.ctx, shared.err = startBrowser(path, shared.folder)
		}
	})
	if shared.err != nil {
		t.Fatal(shared.err)
	}
	return (&profile{t, shared.ctx}).newContext()
}

// shared is the browser process of all tests without special flags. Starting a browser takes
// longer than most tests.
var shared struct {
	start  sync.Once
	folder string
	ctx    context.Context
	err    error
}

func endShared() {
	if shared.ctx != nil {
		chromedp.Cancel(shared.ctx)
	}
	os.RemoveAll(shared.folder)
}

// startProfile starts a browser of its own on a profile's folder.
func startProfile(t *testing.T, folder string, flags ...chromedp.ExecAllocatorOption) *profile {
	t.Helper()
	ctx, err := startBrowser(chromium(t), folder, flags...)
	t.Cleanup(func() { chromedp.Cancel(ctx) })
	if err != nil {
		t.Fatal(err)
	}
	return &profile{t, ctx}
}

func startBrowser(path, folder string, flags ...chromedp.ExecAllocatorOption) (context.Context, error) {
	allocator, _ := chromedp.NewExecAllocator(context.Background(), slices.Concat(chromedp.DefaultExecAllocatorOptions[:], flags, []chromedp.ExecAllocatorOption{
		chromedp.ExecPath(path), chromedp.UserDataDir(folder), chromedp.WindowSize(1280, 900),
		chromedp.Flag("lang", "en-US"),
		chromedp.Flag("no-sandbox", true), // the sandbox doesn't work in containers or for root; the tests load only our own pages
	})...)
	ctx, _ := chromedp.NewContext(allocator)
	if err := chromedp.Do(ctx); err != nil {
		return ctx, fmt.Errorf("start Chromium: %w", err)
	}
	return ctx, nil
}

// newContext returns a separate browser in the same process, which shares nothing with
// the first.
func (p *profile) newContext() *profile {
	ctx, cancel := chromedp.NewContext(p.ctx, chromedp.WithNewBrowserContext())
	p.t.Cleanup(cancel)
	if err := chromedp.Do(ctx); err != nil { // creates it
		p.t.Fatal(err)
	}
	return &profile{p.t, ctx}
}

// tab is a tab of a browser.
type tab struct {
	t   *testing.T
	ctx context.Context

	mu         sync.Mutex
	complaints []string // what the browser reports about the page
	blocked    bool     // the test expects the browser to block requests, and to report that
}

// newTab opens a tab. If a script fails in it, or the page violates its policy, the
// test fails.
func (p *profile) newTab() *tab {
	p.t.Helper()
	b := &tab{t: p.t}
	var cancel context.CancelFunc
	b.ctx, cancel = chromedp.NewContext(p.ctx, chromedp.WithListener(b.listen))
	p.t.Cleanup(cancel)
	b.do(chromedp.EmulateViewport(1280, 900))
	p.t.Cleanup(func() {
		b.mu.Lock()
		defer b.mu.Unlock()
		if b.blocked {
			return
		}
		for _, c := range b.complaints {
			p.t.Errorf("the browser complains: %s", c)
		}
	})
	return b
}

func (b *tab) listen(event any) {
	var complaint string
	switch event := event.(type) {
	case *runtime.EventExceptionThrown:
		complaint = event.ExceptionDetails.Text
		if event.ExceptionDetails.Exception != nil {
			complaint += " " + event.ExceptionDetails.Exception.Description
		}
	case *log.EventEntryAdded:
		if event.Entry.Level == log.EntryLevelError && event.Entry.Source != log.EntrySourceNetwork { // responses such as 401 are network errors
			complaint = event.Entry.Text
		}
	case *runtime.EventConsoleAPICalled:
		if event.Type == runtime.ConsoleAPICalledTypeError {
			complaint = fmt.Sprint("console: ", event.Args)
		}
	}
	if complaint == "" {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.complaints = append(b.complaints, complaint)
}

func (b *tab) do(steps ...chromedp.Action[chromedp.Void]) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	if chromedp.FromContext(b.ctx).Target == nil { // the first call opens the tab, which lives as long as this context
		cancel()
		ctx, cancel = b.ctx, func() {}
	}
	defer cancel()
	if err := chromedp.Do(ctx, steps...); err != nil {
		b.fail("%v", err)
	}
}

// evaluate runs a script in the page and returns its result, or that of its promise.
func evaluate[T any](b *tab, script string, args ...any) T {
	b.t.Helper()
	result, err := try[T](b, script, args...)
	if err != nil {
		b.fail("%s: %v", script, err)
	}
	return result
}

func try[T any](b *tab, script string, args ...any) (T, error) {
	ctx, cancel := context.WithTimeout(b.ctx, 10*time.Minute)
	defer cancel()
	for i, arg := range args {
		script = strings.ReplaceAll(script, fmt.Sprintf("$%d", i+1), fmt.Sprintf("%q", arg))
	}
	return chromedp.Run(ctx, chromedp.Evaluate[T](script, chromedp.EvalAwaitPromise))
}

// fail ends the test, with a screenshot.
func (b *tab) fail(format string, args ...any) {
	b.t.Helper()
	b.screenshot("failed")
	text, _ := try[string](b, "location.href + '\\n' + document.body.innerText")
	b.t.Fatalf(format+"\n\nin the page:\n%s", append(args, text)...)
}

// open goes to an address.
func (b *tab) open(url string) {
	b.t.Helper()
	b.do(chromedp.Navigate(url))
}

// wait waits until a script returns true.
func (b *tab) wait(what, script string, args ...any) {
	b.t.Helper()
	for end := time.Now().Add(patience); ; time.Sleep(25 * time.Millisecond) {
		if ok, err := try[bool](b, script, args...); err == nil && ok {
			return
		} else if time.Now().After(end) {
			b.fail("not seen in %v: %s (%v)", patience, what, err)
		}
	}
}

// shows waits until a text is visible.
func (b *tab) shows(text string) {
	b.t.Helper()
	b.wait(text, "document.body.innerText.includes($1)", text)
}

// isAt waits for the view with a title.
func (b *tab) isAt(title string) {
	b.t.Helper()
	b.wait("the view "+title, "document.querySelector('h1')?.innerText === $1", title)
}

// hasNot fails the test if a text is visible.
func (b *tab) hasNot(text string) {
	b.t.Helper()
	if evaluate[bool](b, "document.body.innerText.includes($1) || document.title.includes($1)", text) {
		b.fail("the page shows %q", text)
	}
}

// fill types into the field with a label.
func (b *tab) fill(label, text string) {
	b.t.Helper()
	b.click("the field "+label, `[...document.querySelectorAll("label")].find((l) =>
		l.checkVisibility() && l.firstChild.textContent.trim().startsWith($1))?.control`, label)
	b.do(chromedp.KeyEvent("a", chromedp.KeyModifiers(chromedp.ModifierCtrl)), chromedp.KeyEvent(kb.Backspace))
	b.do(chromedp.KeyEvent(text))
}

// press clicks the button or link with a name.
func (b *tab) press(name string) {
	b.t.Helper()
	b.click(name, `[...document.querySelectorAll("button, a")].findLast((e) =>
		e.checkVisibility() && (e.getAttribute("aria-label") ?? e.textContent).trim() === $1)`, name)
}

// click clicks, with the mouse, on the element that a script finds.
func (b *tab) click(what, script string, args ...any) {
	b.t.Helper()
	b.wait(what, "!!("+script+")", args...)
	x, y := b.place(script, args...)
	if evaluate[bool](b, "document.documentElement.classList.contains('guarded')") {
		b.mouse(chromedp.MouseMoved, x, y)
		b.rests()
	} else if evaluate[bool](b, "document.querySelector('[data-deliberate]') !== null") { // scripts are off
		b.mouse(chromedp.MouseMoved, x, y)
		b.wait("the end of the wait", "getComputedStyle("+script+").pointerEvents !== 'none'", args...)
	}
	b.mouse(chromedp.MousePressed, x, y)
	b.mouse(chromedp.MouseReleased, x, y)
}

// rests waits until the buttons of a hosted page take a press.
func (b *tab) rests() {
	b.t.Helper()
	b.wait("the end of the wait", "!document.documentElement.classList.contains('waiting')")
}

// place scrolls an element into view and returns the position of its middle.
func (b *tab) place(script string, args ...any) (x, y float64) {
	b.t.Helper()
	at := evaluate[[]float64](b, `(() => {
		const element = `+script+`;
		element.scrollIntoView({ block: "center", behavior: "instant" });
		const box = element.getBoundingClientRect();
		return [box.x + box.width / 2, box.y + box.height / 2];
	})()`, args...)
	return at[0], at[1]
}

// mouse presses or releases the left button of the mouse at a place.
func (b *tab) mouse(does input.DispatchMouseEventType, x, y float64) {
	b.t.Helper()
	b.do(mouseAct(does, x, y))
}

func mouseAct(does input.DispatchMouseEventType, x, y float64) chromedp.Action[chromedp.Void] {
	return func(ctx context.Context, t *chromedp.Target) (chromedp.Void, error) {
		_, err := cdp.Call(ctx, t, input.DispatchMouseEvent, input.DispatchMouseEventParams{
			Type: does, X: x, Y: y, Button: input.MouseButtonLeft, ClickCount: 1,
		})
		return chromedp.Void{}, err
	}
}

// tabTo presses Tab until the element with that name has the focus.
func (b *tab) tabTo(name string) {
	b.t.Helper()
	for range 25 {
		b.do(chromedp.KeyEvent(kb.Tab))
		if evaluate[bool](b, `((e) => [e.getAttribute("aria-label"), e.labels?.[0]?.firstChild.textContent, e.textContent]
			.some((one) => one?.trim() === $1))(document.activeElement)`, name) {
			b.showsFocus(name)
			b.rests()
			return
		}
	}
	b.fail("Tab doesn't lead to %s", name)
}

// showsFocus fails the test if the focus isn't visible.
func (b *tab) showsFocus(on string) {
	b.t.Helper()
	if evaluate[string](b, "getComputedStyle(document.activeElement).outlineStyle") == "none" {
		b.t.Errorf("one can't see that the focus is on %s", on)
	}
}

// screenshot keeps a picture of the whole page, if the test keeps artifacts.
func (b *tab) screenshot(name string) {
	if f := flag.Lookup("test.artifacts"); f == nil || f.Value.String() != "true" {
		return
	}
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	picture, err := chromedp.Run(ctx, chromedp.FullScreenshot(100))
	if err == nil {
		err = os.WriteFile(filepath.Join(b.t.ArtifactDir(), name+".png"), picture, 0o600)
	}
	if err != nil {
		b.t.Logf("screenshot %s: %v", name, err)
	}
}

// colours makes the page light or dark, with reduced motion.
func (b *tab) colours(scheme string) {
	b.t.Helper()
	b.do(func(ctx context.Context, t *chromedp.Target) (chromedp.Void, error) {
		_, err := cdp.Call(ctx, t, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{
			{Name: "prefers-color-scheme", Value: scheme}, {Name: "prefers-reduced-motion", Value: "reduce"},
		}})
		return chromedp.Void{}, err
	})
}

// history returns the addresses that Back and Forward lead to.
func (b *tab) history() []string {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	entries, err := chromedp.Run(ctx, chromedp.NavigationEntries())
	if err != nil {
		b.fail("%v", err)
	}
	var urls []string
	for _, e := range entries.Entries {
		urls = append(urls, e.URL)
	}
	return urls
}

// back presses Back. A page may come from the back-forward cache, which sends no load
// events.
func (b *tab) back() {
	b.t.Helper()
	b.do(func(ctx context.Context, t *chromedp.Target) (chromedp.Void, error) {
		h, err := cdp.Call(ctx, t, page.GetNavigationHistory, cdp.Empty{})
		if err != nil {
			return chromedp.Void{}, err
		}
		before := h.Entries[h.CurrentIndex-1]
		_, err = cdp.Call(ctx, t, page.NavigateToHistoryEntry, page.NavigateToHistoryEntryParams{EntryID: before.ID})
		return chromedp.Void{}, err
	})
}

// keepsNoSecrets fails the test if a secret is left where another script, person or
// program can find it.
func (b *tab) keepsNoSecrets(secrets ...string) {
	b.t.Helper()
	kept := evaluate[[]string](b, `(async () => {
		const kept = [location.href, document.referrer, document.cookie, window.name, JSON.stringify(history.state)];
		for (const storage of [localStorage, sessionStorage]) kept.push(...Object.entries(storage).flat());
		kept.push(...(await indexedDB.databases()).map((one) => "IndexedDB " + one.name));
		kept.push(...(await caches.keys()).map((one) => "Cache " + one));
		kept.push(...performance.getEntries().map((one) => one.name));
		return kept;
	})()`)
	if n := evaluate[int](b, "localStorage.length + sessionStorage.length"); n > 0 {
		b.t.Errorf("%d things are in storages", n)
	}
	for _, text := range slices.Concat(kept, b.history()) {
		for _, secret := range append(secrets, "eyJ", "cs_rt_", "IndexedDB ", "Cache ") {
			if strings.Contains(text, secret) {
				b.t.Errorf("the browser keeps %q where there is %q", secret, text)
			}
		}
	}
	if cookie := evaluate[string](b, "document.cookie"); cookie != "" {
		b.t.Errorf("scripts can read the cookies %q", cookie)
	}
}
