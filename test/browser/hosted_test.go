package browser_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"countersign/test/programs"
	"countersign/test/smtpd"
)

// hosted is a server with its hosted pages, a proxy before it that records requests,
// and an application that sends users there.
type hosted struct {
	t      *testing.T
	origin string // the issuer
	data   string // the server's folder
	post   *smtpd.Server
	app    *application
	log    record
	asked  record // method, address, names of cookies and referrer of each request
}

// newHosted starts all three; env changes the server's configuration. The application is
// registered as notes, a third-party client.
func newHosted(t *testing.T, env ...string) *hosted {
	t.Helper()
	h := &hosted{t: t, post: smtpd.Start(t), app: newApplication(t)}
	var proxy httputil.ReverseProxy
	front := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var cookies []string
		for _, c := range r.Cookies() {
			cookies = append(cookies, c.Name)
		}
		fmt.Fprintf(&h.asked, "%s %s cookies %q referrer %q\n", r.Method, r.RequestURI, cookies, r.Referer())
		proxy.ServeHTTP(w, r)
	}))
	_, port, _ := strings.Cut(front.Listener.Addr().String(), ":")
	h.origin = "http://localhost:" + port
	server := programs.ServeLogged(t, &h.log, append([]string{
		"COUNTERSIGN_ISSUER=" + h.origin, "COUNTERSIGN_SERVICE_NAME=Example",
		"COUNTERSIGN_SMTP_HOST=127.0.0.1", "COUNTERSIGN_SMTP_PORT=" + strconv.Itoa(h.post.Port), "COUNTERSIGN_SMTP_FROM=no-reply@example.com",
		"COUNTERSIGN_LINKS_RESET_PASSWORD=" + h.origin + "/reset#token={token}", "COUNTERSIGN_LINKS_VERIFY_EMAIL=" + h.origin + "/verify#token={token}", // as without --dev
	}, append(cheapHashes, env...)...)...)
	h.data = server.Data
	proxy.Rewrite = func(r *httputil.ProxyRequest) {
		r.SetURL(&url.URL{Scheme: "http", Host: server.Listen})
		r.Out.Host = r.In.Host
	}
	front.Start()
	t.Cleanup(front.Close)
	h.register("notes", "Acme Notes", "--public", "--scope", "openid", "--scope", "profile", "--scope", "email", "--scope", "notes:read",
		"--redirect-uri", h.app.far+"/callback", "--redirect-uri", h.app.near+"/callback")
	return h
}

// register creates a client as operators do.
func (h *hosted) register(id, name string, more ...string) {
	h.t.Helper()
	args := append([]string{"clients", "create", "--data", h.data, "--id", id, "--name", name, "--grant", "authorization_code"}, more...)
	if out, err := programs.Command(h.t, programs.Path(h.t, "countersign"), args...).CombinedOutput(); err != nil {
		h.t.Fatalf("%q: %v\n%s", args, err, out)
	}
}

// signUp creates an account, without the browser.
func (h *hosted) signUp(username string) {
	h.t.Helper()
	body, _ := json.Marshal(map[string]string{"username": username, "password": password, "email": username + "@example.net"})
	resp, err := http.Post(h.origin+"/signup", "application/json", strings.NewReader(string(body)))
	if err != nil {
		h.t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusCreated {
		h.t.Fatalf("sign up: %s", resp.Status)
	}
}

// challenge is the code_challenge of all requests.
const challenge = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"

// authorization returns the address of an authorization request of notes. Pairs change
// it.
func (h *hosted) authorization(pairs ...string) string {
	q := url.Values{
		"response_type": {"code"}, "client_id": {"notes"}, "redirect_uri": {h.app.far + "/callback"}, "scope": {"openid profile notes:read"},
		"state": {"the state"}, "nonce": {"the nonce"}, "code_challenge": {challenge}, "code_challenge_method": {"S256"},
	}
	for i := 0; i < len(pairs); i += 2 {
		q.Set(pairs[i], pairs[i+1])
	}
	return h.origin + "/oauth/authorize?" + q.Encode()
}

// link waits for n letters to an address and returns the link in the latest.
func (h *hosted) link(to string, n int) string {
	h.t.Helper()
	for all := 1; ; all++ {
		letters := slices.DeleteFunc(h.post.Wait(all), func(l smtpd.Letter) bool { return l.To != to })
		if len(letters) >= n {
			url, _ := link(h.t, letters[n-1])
			return url
		}
	}
}

// application is a server that sends users to the hosted pages, which send them back.
// It has two origins: near is on the same site as the server, because localhost with
// any port is one site; far is on another.
type application struct {
	near, far string

	mu        sync.Mutex
	asked     []string // the addresses, with referrers
	callbacks []callback
}

// callback is a request with which a browser came back to the application.
type callback struct {
	method  string
	answer  url.Values
	referer string
}

func newApplication(t *testing.T) *application {
	t.Helper()
	a := &application{}
	srv := httptest.NewServer(a)
	t.Cleanup(srv.Close)
	a.far = srv.URL
	a.near = strings.Replace(srv.URL, "127.0.0.1", "localhost", 1)
	return a
}

func (a *application) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	title := "Application"
	a.mu.Lock()
	a.asked = append(a.asked, r.RequestURI+" "+r.Referer())
	if r.URL.Path == "/callback" {
		title = "Back"
		back := callback{r.Method, r.URL.Query(), r.Referer()}
		if r.Method == http.MethodPost {
			body, _ := io.ReadAll(r.Body)
			back.answer, _ = url.ParseQuery(string(body))
		}
		a.callbacks = append(a.callbacks, back)
	}
	a.mu.Unlock()
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	fmt.Fprintf(w, `<!doctype html><html lang="en"><title>%s</title><link rel="icon" href="data:,"><h1>%[1]s</h1><script>document.title = "script"</script>`, title)
}

// backs returns how often a browser has come back.
func (a *application) backs() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return len(a.callbacks)
}

// back waits until the browser has come back to the application more than n times, and
// returns the answer.
func (h *hosted) back(b *tab, n int) callback {
	b.t.Helper()
	b.isAt("Back")
	h.app.mu.Lock()
	defer h.app.mu.Unlock()
	if len(h.app.callbacks) != n+1 {
		b.fail("%d came back, want %d", len(h.app.callbacks), n+1)
	}
	last := h.app.callbacks[n]
	if got := last.answer.Get("state"); got != "the state" {
		b.t.Errorf("state = %q", got)
	}
	if got := last.answer.Get("iss"); got != h.origin {
		b.t.Errorf("iss = %q", got)
	}
	return last
}

// code returns the code of an answer.
func (c callback) code(t *testing.T) string {
	t.Helper()
	code := c.answer.Get("code")
	if !strings.HasPrefix(code, "cs_ac_") || c.answer.Has("error") {
		t.Fatalf("the answer is %v, want a code", c.answer)
	}
	return code
}

// refuses fails the test unless the answer is an error.
func (c callback) refuses(t *testing.T, code string) {
	t.Helper()
	if c.answer.Get("error") != code || c.answer.Has("code") {
		t.Errorf("the answer is %v, want the error %s", c.answer, code)
	}
}

// of returns a separate browser in the same process, for a subtest.
func (p *profile) of(t *testing.T) *profile {
	t.Helper()
	return (&profile{t, p.ctx}).newContext()
}

// scripts turns the scripts of pages on or off. The test's own still run.
func (b *tab) scripts(run bool) {
	b.t.Helper()
	b.do(func(ctx context.Context, t *chromedp.Target) (chromedp.Void, error) {
		_, err := cdp.Call(ctx, t, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: !run})
		return chromedp.Void{}, err
	})
}

// signIn fills in the hosted page.
func (b *tab) signIn(username string) {
	b.t.Helper()
	b.isAt("Sign in")
	b.fill("Username", username)
	b.fill("Password", password)
	b.press("Sign in")
}

// Users without JavaScript can do everything on the hosted pages.
func TestHostedPagesWithoutScript(t *testing.T) {
	h := newHosted(t)
	b := newProfile(t).newTab()
	b.scripts(false)
	b.open(h.app.far)
	if title := evaluate[string](b, "document.title"); title != "Application" {
		t.Fatalf("scripts run, so this test shows nothing: %q", title)
	}

	// A new user gives consent; the application gets its answer as a form.
	b.open(h.authorization("response_mode", "form_post"))
	b.isAt("Sign in")
	b.shows("Sign in to continue to Acme Notes.")
	b.press("Create an account")
	b.isAt("Create an account")
	b.fill("Username", "alice")
	b.fill("E-mail address", "alice@example.net")
	b.fill("Password", "alice alice alice")
	b.press("Sign up")
	b.shows("The password must not contain the username")
	b.fill("Password", password)
	b.press("Sign up")
	b.isAt("Allow access?")
	b.shows("Acme Notes asks for access to your account at Example.")
	b.shows("notes:read")
	b.press("Allow")
	b.isAt("One moment")
	if n := h.app.backs(); n != 0 {
		t.Error("the form went without its button")
	}
	b.press("Continue")
	if last := h.back(b, 0); last.method != http.MethodPost {
		t.Errorf("the answer came by %s", last.method)
	} else {
		last.code(t)
	}
	// The next request asks for neither a sign-in nor consent.
	b.open(h.authorization())
	h.back(b, 1).code(t)

	// The page can't see what is behind the # of a mailed link, and asks for the link.
	verify := h.link("alice@example.net", 1)
	b.open(verify)
	b.isAt("Confirm your address")
	b.fill("Link from the mail", "a link")
	b.press("Confirm")
	b.shows("This link has been used or is too old.")
	b.fill("Link from the mail", verify)
	b.press("Confirm")
	b.isAt("E-mail address confirmed")

	// The user signs out.
	b.open(h.origin + "/logout")
	b.isAt("Sign out?")
	b.shows("alice")
	b.press("Sign out")
	b.isAt("Signed out")
	b.open(h.authorization("prompt", "none"))
	h.back(b, 2).refuses(t, "login_required")

	// The user types a wrong password, sets a new one and signs in.
	b.open(h.authorization("login_hint", "alice"))
	b.isAt("Sign in")
	if hint := evaluate[string](b, "document.getElementById('username').value"); hint != "alice" {
		t.Errorf("login_hint filled in %q", hint)
	}
	b.fill("Password", "wrong")
	b.press("Sign in")
	b.shows("The username, the e-mail address or the password is wrong.")
	b.press("Forgotten password?")
	b.isAt("Forgotten password")
	b.fill("Username or e-mail address", "alice")
	b.press("Send the link")
	b.isAt("Check your mail")
	reset := h.link("alice@example.net", 2) // the first letter was to confirm the address
	b.open("about:blank")                   // so that the page has no referrer, as when a mail program opens the link
	b.open(reset)
	b.isAt("New password")
	b.fill("Link from the mail", "You can set a new password here: "+reset)
	b.fill("New password", "short")
	b.press("Set password")
	b.shows("The password must have at least")
	b.fill("New password", "new "+password)
	b.press("Set password")
	b.isAt("Allow access?") // it goes on to the application; the reset took back what was allowed before
	b.press("Allow")
	h.back(b, 3).code(t)
	b.open(h.authorization("prompt", "login"))
	b.signIn("alice")
	b.shows("The username, the e-mail address or the password is wrong.") // this is the old password
	b.fill("Password", "new "+password)
	b.press("Sign in")
	h.back(b, 4).code(t)

	// The user denies the request.
	b.open(h.authorization("prompt", "consent"))
	b.isAt("Allow access?")
	b.press("Deny")
	h.back(b, 5).refuses(t, "access_denied")

	// The user manages the account, comes back to it after signing out, and deletes it.
	b.open(h.origin + "/me")
	b.isAt("Profile")
	b.fill("Full name", "Alice Liddell")
	b.press("Save")
	b.shows("Your profile is saved.")
	b.press("Security")
	b.isAt("Security")
	b.fill("Current password", "new "+password)
	b.fill("New password", "newer "+password)
	b.press("Change password")
	b.shows("Your password is changed.")
	b.press("Apps")
	b.isAt("Connected applications")
	b.press("Withdraw access")
	b.shows("The application can no longer use your account.")
	b.open(h.origin + "/logout")
	b.press("Sign out")
	b.isAt("Signed out")
	b.open(h.origin + "/me/data")
	b.isAt("Sign in")
	b.fill("Username or e-mail address", "alice")
	b.fill("Password", "newer "+password)
	b.press("Sign in")
	b.isAt("Your data")
	b.click("the box", "document.getElementById('confirm')")
	b.press("Delete my account")
	b.isAt("Your account is deleted")
	b.open(h.origin + "/me")
	b.isAt("Sign in")
	log := h.log.String()
	if !strings.Contains(log, "/reset") {
		t.Error("the log doesn't say what was asked for, so this test shows nothing")
	}
	for _, not := range []string{password, "cs_mt_", "cs_ac_", "alice@"} {
		if strings.Contains(log, not) {
			t.Errorf("the log has %q", not)
		}
	}
}

func TestHostedPagesByKeyboard(t *testing.T) {
	h := newHosted(t)
	h.signUp("alice")
	b := newProfile(t).newTab()
	enter, space := chromedp.KeyEvent(kb.Enter), chromedp.KeyEvent(" ")

	b.open(h.authorization())
	b.isAt("Sign in")
	b.wait("the focus", "document.activeElement.id === 'username'")
	b.showsFocus("Username or e-mail address")
	b.do(chromedp.KeyEvent("alice"), chromedp.KeyEvent(kb.Tab), chromedp.KeyEvent("wrong"), enter)
	b.shows("The username, the e-mail address or the password is wrong.")
	b.wait("the focus", "document.activeElement.id === 'password'")
	b.do(chromedp.KeyEvent(password), enter)
	b.isAt("Allow access?")
	b.tabTo("Deny")
	b.do(space)
	h.back(b, 0).refuses(t, "access_denied")
	b.open(h.authorization())
	b.isAt("Allow access?")
	b.tabTo("Allow")
	b.do(enter)
	h.back(b, 1).code(t)

	// A signed-in user continues with one key press, or signs in as another user.
	b.open(h.authorization("prompt", "select_account"))
	b.isAt("Sign in")
	b.tabTo("Continue as alice")
	b.do(enter)
	h.back(b, 2).code(t)
	b.open(h.authorization("prompt", "select_account"))
	b.isAt("Sign in")
	b.tabTo("Username or e-mail address")
	b.do(chromedp.KeyEvent("nobody"), chromedp.KeyEvent(kb.Tab), chromedp.KeyEvent("wrong"), enter)
	b.shows("The username, the e-mail address or the password is wrong.")

	b.open(h.origin + "/me")
	b.isAt("Profile")
	b.tabTo("More about you")
	b.do(enter)
	b.tabTo("Date of birth")
	b.do(chromedp.KeyEvent("1852-05-04"), enter)
	b.shows("Your profile is saved.")
	b.tabTo("Devices")
	b.do(enter)
	b.isAt("Where you are signed in")
	b.tabTo("Sign out everywhere else")
	b.do(enter)
	b.shows("You are signed out everywhere else.")
	b.open(h.origin + "/logout")
	b.isAt("Sign out?")
	b.tabTo("Sign out")
	b.do(enter)
	b.isAt("Signed out")
}

// The pages use the browser's language, unless an application asks for another.
func TestHostedPagesInThePersonsLanguage(t *testing.T) {
	h := newHosted(t)
	h.signUp("alice")
	titles := map[string][]string{
		"en": {"Sign in", "Allow access?", "Sign out?", "Unknown application", "Signed out"},
		"ko": {"로그인", "접근을 허용하시겠습니까?", "로그아웃하시겠습니까?", "등록되지 않은 앱입니다", "로그아웃되었습니다"},
	}
	for _, browser := range []struct{ accepts, language, asked, other string }{
		{"ko-KR", "ko", "fr en", "en"},
		{"en-US", "en", "ko-KR", "ko"},
	} {
		b := startProfile(t, t.TempDir(), chromedp.Flag("accept-lang", browser.accepts)).newTab()
		isAt := func(language string, n int) {
			t.Helper()
			b.isAt(titles[language][n])
			if got := evaluate[string](b, "document.documentElement.lang"); got != language {
				t.Errorf("lang = %q, want %q", got, language)
			}
		}
		b.open(h.authorization("client_id", "nobody"))
		isAt(browser.language, 3)
		for _, asked := range []struct{ locales, language string }{{"", browser.language}, {browser.asked, browser.other}} {
			b.open(h.authorization("ui_locales", asked.locales))
			isAt(asked.language, 0)
			b.enter("sign-in", "username", "alice", "password", "wrong")
			isAt(asked.language, 0)
			b.enter("sign-in", "username", "alice", "password", password)
			isAt(asked.language, 1)
			b.open(h.origin + "/oauth/logout?" + url.Values{"client_id": {"notes"}, "ui_locales": {asked.locales}}.Encode())
			isAt(asked.language, 2)
			b.enter("sign-out")
			isAt(browser.language, 4)
		}
	}
}
