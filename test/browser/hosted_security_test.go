package browser_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/page"
	targets "github.com/chromedp/cdproto/target"
	"github.com/chromedp/chromedp"

	"countersign/test/programs"
)

// loginCookie returns the browser's cookie of the hosted pages.
func (b *tab) loginCookie(server, name string) *network.Cookie {
	b.t.Helper()
	var found *network.Cookie
	b.do(func(ctx context.Context, t *chromedp.Target) (chromedp.Void, error) {
		result, err := cdp.Call(ctx, t, network.GetCookies, network.GetCookiesParams{URLs: []string{server}})
		if err != nil {
			return chromedp.Void{}, err
		}
		for _, c := range result.Cookies {
			if c.Name == name {
				found = c
			}
		}
		return chromedp.Void{}, nil
	})
	if found == nil {
		b.fail("there is no cookie %s", name)
	}
	return found
}

// frames returns the addresses of the page's frames. A frame that the browser refuses to
// show has the address of an error page.
func (b *tab) frames() []string {
	b.t.Helper()
	var urls []string
	var others []targets.ID
	b.do(func(ctx context.Context, t *chromedp.Target) (chromedp.Void, error) {
		within, err := cdp.Call(ctx, t, page.GetFrameTree, cdp.Empty{})
		if err != nil {
			return chromedp.Void{}, err
		}
		for _, child := range within.FrameTree.ChildFrames {
			urls = append(urls, child.Frame.URL)
		}
		// Frames of other sites run in their own processes.
		beside, err := cdp.Call(ctx, t, targets.GetTargets, targets.GetTargetsParams{})
		if err != nil {
			return chromedp.Void{}, err
		}
		for _, one := range beside.TargetInfos {
			if one.Type == "iframe" {
				others = append(others, one.TargetID)
			}
		}
		return chromedp.Void{}, nil
	})
	for _, id := range others {
		ctx, _ := chromedp.NewContext(b.ctx, chromedp.WithTargetID(id))
		url, err := chromedp.Run(ctx, chromedp.Evaluate[string]("location.href"))
		if err != nil {
			b.fail("%v", err)
		}
		urls = append(urls, url)
	}
	return urls
}

// A page of another origin sees nothing of the hosted pages, and sends them nothing
// that has an effect: neither from another site nor from a host beside the server's,
// whose requests bring the cookie along.
func TestHostedPagesAreClosedToOtherOrigins(t *testing.T) {
	t.Parallel()
	h := newHosts(t)
	server := h.origin(authHost)
	back := h.origin(appHost) + "/page"
	if out, err := programs.Command(t, programs.Path(t, "countersign"), "clients", "create", "--data", h.data, "--id", "notes", "--name", "Notes",
		"--public", "--grant", "authorization_code", "--scope", "openid", "--redirect-uri", back).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	h.signUp("alice")
	h.signUp("mallory")
	request := url.Values{
		"response_type": {"code"}, "client_id": {"notes"}, "redirect_uri": {back}, "scope": {"openid"}, "state": {"s"},
		"code_challenge": {challenge}, "code_challenge_method": {"S256"},
	}
	authorization := server + "/oauth/authorize?" + request.Encode()
	// ticket is a ticket of an authorization request that mallory made.
	asks, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://127.0.0.1"+h.port+"/oauth/authorize?"+request.Encode(), nil)
	if err != nil {
		t.Fatal(err)
	}
	asks.Host = authHost + h.port
	h.client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	resp, err := h.client.Do(asks)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	_, ticket, _ := strings.Cut(resp.Header.Get("Location"), "ticket=")
	if ticket == "" {
		t.Fatalf("no ticket: %s", resp.Status)
	}

	b := browse(t, true).newTab()
	b.blocked = true
	b.open(server + "/login")
	b.signIn("alice")
	b.isAt("Profile")
	cookie := b.loginCookie(server, "__Host-countersign_login")
	if !cookie.HTTPOnly || !cookie.Secure || cookie.SameSite != "Lax" || cookie.Path != "/" || cookie.Domain != authHost {
		t.Errorf("the cookie is %+v", cookie)
	}
	if got := evaluate[string](b, "document.cookie"); got != "" {
		t.Errorf("scripts see the cookies %q", got)
	}

	forms := marshal(t, []target{
		{"POST", "/login", map[string]string{"username": "mallory", "password": password}},
		{"POST", "/login", map[string]string{"ticket": ticket, "username": "mallory", "password": password}},
		{"POST", "/consent", map[string]string{"ticket": ticket, "decision": "allow"}},
		{"POST", "/logout", map[string]string{}},
		{"POST", "/signup", map[string]string{"username": "forged", "password": password}},
		{"POST", "/forgot", map[string]string{"email": "alice"}},
	})
	mails := func() int { return strings.Count(h.log.String(), "--- mail to ") }
	for end := time.Now().Add(patience); mails() < 2 && time.Now().Before(end); { // the two letters to the new users alice and mallory
		time.Sleep(50 * time.Millisecond)
	}
	pages := []string{"/login", "/login?ticket=" + ticket, "/signup", "/consent?ticket=" + ticket, "/logout", "/forgot", "/reset?token=x", "/verify?token=x", "/oauth/authorize"}
	unchanged := func(host string) {
		t.Helper()
		if got := b.loginCookie(server, cookie.Name); got.Value != cookie.Value {
			t.Errorf("from %s the cookie became another", host)
		}
		b.open(server + "/logout")
		b.isAt("Sign out?")
		b.shows("alice")
		b.open(authorization + "&prompt=none")
		b.wait("the answer", "location.href.startsWith($1)", back)
		if got := evaluate[string](b, "new URLSearchParams(location.search).get('error')"); got != "consent_required" {
			t.Errorf("from %s the consent became one: %s", host, evaluate[string](b, "location.href"))
		}
		if got := h.usernames(); !slices.Equal(got, []string{"alice", "mallory"}) {
			t.Errorf("from %s the accounts became %q", host, got)
		}
		if n := mails(); n != 2 {
			t.Errorf("from %s %d mails were asked for", host, n-2)
		}
	}
	for _, host := range []string{evilHost, evilFar, appHost} { // the scripts of appHost may call the server
		b.open(h.origin(host) + "/page")
		shown := evaluate[[]string](b, `(async (pages) => {
			const shown = [];
			for (const url of pages) {
				const frame = document.createElement("iframe");
				const loaded = new Promise((resolve) => frame.onload = resolve);
				document.body.append(Object.assign(frame, { src: url }));
				await loaded;
				if (frame.contentDocument) shown.push("the frame of " + url);
				for (const credentials of ["include", "omit"]) {
					await fetch(url, { credentials }).then(() => shown.push("what is at " + url), () => {});
				}
			}
			return shown;
		})(JSON.parse($1).map((path) => $2 + path))`, marshal(t, pages), server)
		if len(shown) > 0 {
			t.Errorf("%s sees %q", host, shown)
		}
		frames := b.frames()
		if len(frames) != len(pages) {
			t.Errorf("%d frames, want %d: %q", len(frames), len(pages), frames)
		}
		for _, url := range frames {
			if strings.HasPrefix(url, "https://") {
				t.Errorf("a frame of %s shows %s", host, url)
			}
		}
		if host == appHost {
			break // this origin may also sign users up
		}
		t.Logf("%d forged requests from %s", evaluate[int](b, forge, server, forms), host)
		unchanged(host)
		// A form can also navigate the tab to the server.
		for _, one := range []string{"/consent", "/logout", "/login"} {
			b.open(h.origin(host) + "/page")
			b.sendForm(server+one, url.Values{"ticket": {ticket}, "decision": {"allow"}, "username": {"mallory"}, "password": {password}})
			b.isAt("Request from another site")
		}
		unchanged(host)
	}

	// The requests refused above work from the page itself.
	b.open(authorization)
	b.isAt("Allow access?")
	b.press("Allow")
	b.wait("the code", "location.href.startsWith($1) && new URLSearchParams(location.search).get('code') !== null", back)
	b.open(h.origin(evilFar) + "/page")
	evaluate[any](b, `document.body.append(Object.assign(document.createElement("iframe"), { src: $1 })), null`, h.origin(appHost)+"/page")
	b.wait("a frame that may be there", "frames.length === 1")
	for end := time.Now().Add(patience); !slices.Contains(b.frames(), h.origin(appHost)+"/page"); time.Sleep(25 * time.Millisecond) {
		if time.Now().After(end) {
			b.fail("a page that may be framed isn't seen in %q, so this test shows nothing", b.frames())
		}
	}
}

// marshal returns a value as JSON.
func marshal(t *testing.T, v any) string {
	t.Helper()
	text, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// sendForm makes the page post a form, which leads the tab to the answer.
func (b *tab) sendForm(url string, fields url.Values) {
	b.t.Helper()
	flat := map[string]string{}
	for name := range fields {
		flat[name] = fields.Get(name)
	}
	evaluate[any](b, `{
		const form = Object.assign(document.createElement("form"), { method: "POST", action: $1 });
		for (const [name, value] of Object.entries(JSON.parse($2))) {
			form.append(Object.assign(document.createElement("input"), { type: "hidden", name, value }));
		}
		document.body.append(form);
		window.left = true;
		HTMLFormElement.prototype.submit.call(form);
	}`, url, marshal(b.t, flat))
	b.wait("the answer", "!window.left && document.readyState === 'complete'")
}

// An application may send its request by a form, from another site. The browser leaves
// out the cookie then, and brings it with the redirect that follows.
func TestPostedAuthorizationRequestKeepsTheSignIn(t *testing.T) {
	h := newHosted(t)
	h.signUp("alice")
	b := newProfile(t).newTab()
	b.open(h.origin + "/login")
	b.signIn("alice")
	b.isAt("Profile")
	_, port, _ := strings.Cut(strings.TrimPrefix(h.origin, "http://"), ":")
	cookie := b.loginCookie(h.origin, "countersign_login_"+port) // the name as over http on localhost
	if !cookie.HTTPOnly || cookie.Secure || cookie.SameSite != "Lax" || cookie.Path != "/" || cookie.Domain != "localhost" {
		t.Errorf("the cookie is %+v", cookie)
	}
	_, query, _ := strings.Cut(h.authorization(), "?")
	fields, err := url.ParseQuery(query)
	if err != nil {
		t.Fatal(err)
	}
	b.open(h.app.far)
	b.sendForm(h.origin+"/oauth/authorize", fields)
	b.isAt("Allow access?") // without a sign-in before
	b.shows("alice")
	b.press("Allow")
	h.back(b, 0).code(t)
	b.open(h.app.far)
	b.sendForm(h.origin+"/oauth/authorize", fields)
	h.back(b, 1).code(t)
	if asked := h.asked.String(); !strings.Contains(asked, "POST /oauth/authorize cookies [] ") {
		t.Errorf("the cookie came with the POST, so this test shows nothing:\n%s", asked)
	}
}

// Neither the password nor the code is left on a page, in the history or in the log, or
// sent to another server.
func TestHostedPagesLeaveNoTrace(t *testing.T) {
	h := newHosted(t)
	b := newProfile(t).newTab()
	b.open(h.app.near)
	b.open(h.authorization("prompt", "create"))
	b.enter("sign-up", "username", "alice", "email", "alice@example.net", "password", password)
	b.isAt("Allow access?")
	b.keepsNoSecrets(password)
	b.press("Allow")
	codes := []string{h.back(b, 0).code(t)}
	b.open(h.authorization("prompt", "login", "response_mode", "form_post", "redirect_uri", h.app.near+"/callback"))
	b.signIn("alice")
	byForm := h.back(b, 1)
	if byForm.method != http.MethodPost {
		t.Errorf("the answer came by %s", byForm.method)
	}
	codes = append(codes, byForm.code(t))
	b.open(h.origin + "/logout")
	b.isAt("Sign out?")
	b.keepsNoSecrets(password, codes[1])
	// Back must not lead to the page with the form, which would send the code again.
	for _, url := range b.history() {
		if strings.HasPrefix(url, h.origin) && (strings.Contains(url, codes[0]) || strings.Contains(url, "/consent") && !strings.Contains(url, "ticket=")) {
			t.Errorf("Back leads to %s", url)
		}
	}
	b.back()
	b.isAt("Back")
	if n := h.app.backs(); n != 2 {
		t.Errorf("Back sent the answer again: %d came back", n)
	}

	asked := h.asked.String()
	for line := range strings.Lines(asked) {
		if _, referrer, _ := strings.Cut(line, "referrer "); referrer != "\"\"\n" && !strings.HasPrefix(referrer, `"`+h.origin) {
			t.Errorf("the server was told of %s", referrer)
		}
	}
	for _, said := range []string{asked, h.log.String()} {
		for _, secret := range append(codes, password, url.QueryEscape(password), url.PathEscape(password), "cs_ac_", "alice@") {
			if strings.Contains(said, secret) {
				t.Errorf("%q is in\n%s", secret, said)
			}
		}
	}
	if !strings.Contains(h.log.String(), "/consent") || !strings.Contains(asked, "POST /login") {
		t.Error("the records are empty, so this test shows nothing")
	}
	if log := h.log.String(); strings.Contains(log, "ticket") {
		t.Errorf("tickets are in the log:\n%s", log)
	}
	h.app.mu.Lock()
	defer h.app.mu.Unlock()
	for _, line := range h.app.asked {
		if _, referrer, _ := strings.Cut(line, " "); strings.Contains(fmt.Sprint(referrer), "ticket") {
			t.Errorf("the application was told of %s", referrer)
		}
	}
}
