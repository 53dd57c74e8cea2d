package browser_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/input"
	targets "github.com/chromedp/cdproto/target"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

// popUp opens a window over the page and leads the page beneath it to an address, as an
// attacker's window does. It returns the window, which closes when it is clicked.
func (b *tab) popUp(beneath string) *tab {
	b.t.Helper()
	evaluate[any](b, "window.over = window.open(location.href, 'over', 'width=1280,height=900'), null")
	b.wait("the other window", "window.over.document.readyState === 'complete' && window.over.location.href === location.href")
	var opener, over targets.ID
	b.do(func(ctx context.Context, t *chromedp.Target) (chromedp.Void, error) {
		opener = t.TargetID
		all, err := cdp.Call(ctx, t, targets.GetTargets, targets.GetTargetsParams{})
		for _, one := range all.TargetInfos {
			if one.OpenerID == opener {
				over = one.TargetID
			}
		}
		return chromedp.Void{}, err
	})
	w := &tab{t: b.t}
	w.ctx, _ = chromedp.NewContext(b.ctx, chromedp.WithTargetID(over))
	evaluate[any](w, "onmousedown = onkeydown = () => window.close(), opener.location = $1, null", beneath)
	return w
}

// closesBy does something to a window that closes it, and waits until it is closed. The
// browser then answers the command no more.
func (b *tab) closesBy(act chromedp.Action[chromedp.Void]) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, 500*time.Millisecond)
	defer cancel()
	if err := chromedp.Do(ctx, act); err == nil {
		<-ctx.Done()
	}
}

// key presses a key, or holds one that was pressed before.
func (b *tab) key(does input.DispatchKeyEventType, key string, held bool) {
	b.t.Helper()
	b.do(keyAct(does, key, held))
}

func keyAct(does input.DispatchKeyEventType, key string, held bool) chromedp.Action[chromedp.Void] {
	text := map[string]string{"Enter": "\r", " ": " "}[key]
	code := map[string]int64{"Enter": 13, " ": 32}[key]
	if does == input.DispatchKeyEventTypeKeyUp {
		text = ""
	}
	return func(ctx context.Context, t *chromedp.Target) (chromedp.Void, error) {
		_, err := cdp.Call(ctx, t, input.DispatchKeyEvent, input.DispatchKeyEventParams{
			Type: does, Key: key, Text: text, WindowsVirtualKeyCode: code, AutoRepeat: &held,
		})
		return chromedp.Void{}, err
	}
}

// The rest of a double click, or of a held key, that began on another site's window doesn't
// act on our page beneath it. A user who looks first gets through.
func TestOtherWindowsDontBorrowClicks(t *testing.T) {
	h := newHosted(t)
	h.signUp("alice")
	b := newProfile(t).newTab()
	b.open(h.origin + "/login")
	b.signIn("alice")
	b.isAt("Profile")
	posts := func() int {
		asked := h.asked.String()
		return strings.Count(asked, "POST /") - strings.Count(asked, "POST /session/passkey/options") // which a script asks for
	}
	before := posts()
	verify := h.link("alice@example.net", 1)
	unmoved := func(by string) {
		t.Helper()
		if got := posts(); got != before {
			t.Fatalf("%s sent %d forms:\n%s", by, got-before, h.asked.String())
		}
	}
	const rest = 800 * time.Millisecond // longer than a press has to wait
	click := func(x, y float64) {
		t.Helper()
		b.mouse(chromedp.MousePressed, x, y)
		b.mouse(chromedp.MouseReleased, x, y)
	}
	for _, one := range []struct{ url, title, id, name, then string }{
		{h.authorization(), "Allow access?", "allow", "Allow", "Back"},
		{h.authorization("prompt", "select_account"), "Sign in", "continue-as", "Continue as alice", "Back"},
		{verify, "Confirm your address", "confirm", "Confirm", "E-mail address confirmed"},
		{h.origin + "/logout", "Sign out?", "sign-out", "Sign out", "Signed out"},
	} {
		button := "document.getElementById('" + one.id + "')"
		// The window closes at the first half of the double click.
		b.open(h.app.far)
		over := b.popUp(one.url)
		b.isAt(one.title)
		x, y := b.place(button)
		time.Sleep(rest)
		over.closesBy(mouseAct(chromedp.MousePressed, x, y))
		b.mouse(chromedp.MouseMoved, x, y)
		click(x, y)
		b.shows("One moment, then press again.")
		if one.id == "allow" {
			for range 8 { // the attacker has the user click on and on
				time.Sleep(150 * time.Millisecond)
				click(x, y)
			}
			unmoved("clicking on and on")

			// A key goes down in the other window; the address puts the focus on the button.
			for _, key := range []string{"Enter", " "} {
				b.open(h.app.far)
				over = b.popUp(one.url + "#" + one.id)
				b.isAt(one.title)
				evaluate[any](b, button+".focus(), null")
				time.Sleep(rest)
				over.closesBy(keyAct(input.DispatchKeyEventTypeKeyDown, key, false))
				for range 3 {
					b.key(input.DispatchKeyEventTypeKeyDown, key, true)
				}
				b.key(input.DispatchKeyEventTypeKeyUp, key, false)
				b.key(input.DispatchKeyEventTypeKeyDown, key, false) // pressed twice
				b.key(input.DispatchKeyEventTypeKeyUp, key, false)
				unmoved("the key " + key)
			}

			// A window comes before the page and goes away: the wait begins again.
			b.open(one.url)
			b.isAt(one.title)
			b.mouse(chromedp.MouseMoved, x, y)
			time.Sleep(rest)
			evaluate[any](b, "document.hasFocus = () => false, dispatchEvent(new Event('blur')), null")
			click(x, y)
			evaluate[any](b, "document.hasFocus = () => true, dispatchEvent(new Event('focus')), null")
			click(x, y)
			b.shows("One moment, then press again.")
		}
		unmoved("the click on " + one.id)
		b.press(one.name)
		b.isAt(one.then)
		if before++; posts() != before {
			t.Errorf("%s: the user's own click sent %d forms", one.id, posts()-before+1)
		}
	}

	// By keyboard, by touch, and with a helper that clicks without a press.
	acts := []func(){
		func() { b.tabTo("Allow"); b.do(chromedp.KeyEvent(kb.Enter)) },
		func() { b.tabTo("Allow"); b.do(chromedp.KeyEvent(" ")) },
		func() {
			time.Sleep(rest)
			x, y := b.place("document.getElementById('allow')")
			b.do(func(ctx context.Context, t *chromedp.Target) (chromedp.Void, error) {
				_, err := cdp.Call(ctx, t, input.DispatchTouchEvent, input.DispatchTouchEventParams{Type: input.DispatchTouchEventTypeTouchStart, TouchPoints: []*input.TouchPoint{{X: x, Y: y}}})
				if err == nil {
					_, err = cdp.Call(ctx, t, input.DispatchTouchEvent, input.DispatchTouchEventParams{Type: input.DispatchTouchEventTypeTouchEnd, TouchPoints: []*input.TouchPoint{}})
				}
				return chromedp.Void{}, err
			})
		},
		func() {
			time.Sleep(rest)
			evaluate[any](b, "document.getElementById('allow').click(), null")
		},
	}
	b.open(h.origin + "/login")
	b.signIn("alice")
	b.isAt("Profile")
	for _, act := range acts {
		before := h.app.backs()
		b.open(h.authorization("prompt", "consent"))
		b.isAt("Allow access?")
		act()
		h.back(b, before)
	}

	// Without scripts the pointer still has to rest on the page first.
	b.scripts(false)
	backs := h.app.backs()
	b.open(h.authorization("prompt", "consent"))
	b.isAt("Allow access?")
	x, y := b.place("document.getElementById('allow')")
	begun := time.Now()
	for clicks := 0; clicks < 5 && time.Since(begun) < rest/2; clicks++ {
		b.mouse(chromedp.MouseMoved, x, y)
		click(x, y)
	}
	if h.app.backs() != backs && time.Since(begun) < rest { // later than that it rested
		t.Error("a fast click got through without scripts")
	}
	time.Sleep(rest)
	click(x, y)
	h.back(b, backs)
}
