package server_test

import (
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"countersign/mail"
	"countersign/server"
	"countersign/theme"
)

// Every page has links to itself in the other language. The browser keeps the choice, which
// counts after what an application asks for, and holds for letters.
func TestLanguageSwitch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, box := simulated(t)
		p := a.person()
		const korean = `href="?language=ko"`
		p.open("/login").says(http.StatusOK, "Sign in", korean, `href="?language=en" lang="en" hreflang="en" rel="nofollow" aria-current="true"`)
		r := p.open("/login?language=ko").says(http.StatusOK, "로그인", `href="?language=en"`)
		if c := r.setCookie("__Host-countersign_language"); c.Value != "ko" || !c.HttpOnly || !c.Secure || c.MaxAge < 86400*300 {
			t.Errorf("cookie %v", c)
		}
		p.open("/login").says(http.StatusOK, "로그인")
		p.open("/login?language=fr").says(http.StatusOK, "로그인")
		p.submit("/signup", form("username", "alice", "email", "alice@example.net", "password", password)).goesTo("/me")
		if m := box.take(t); m.Subject != "이메일 주소를 확인해 주세요" {
			t.Errorf("the letter is %q", m.Subject)
		}
		p.open("/me").says(http.StatusOK, "로그인 정보")

		// What the application asks for wins over the cookie, and the user's click on its way over both.
		p = a.person()
		p.open("/login?language=ko").says(http.StatusOK, "로그인")
		f := p.authorize(authorization("spa", "ui_locales", "en"))
		f.says(http.StatusOK, "Sign in to continue")
		ticket := f.page("login-form").Get("ticket")
		f = p.open("/login?ticket="+url.QueryEscape(ticket)+"&language=ko").says(http.StatusOK, "SPA", "로그인해 주세요")
		in := f.page("login-form")
		in.Set("username", "alice")
		in.Set("password", "wrong")
		in = p.submit("/login", in).says(http.StatusBadRequest, "비밀번호가 올바르지 않습니다", "&language=en").page("login-form")
		p.open("/signup?ticket="+url.QueryEscape(in.Get("ticket"))).says(http.StatusOK, "회원가입")
		in.Set("username", "alice")
		in.Set("password", password)
		p.submit("/login", in).code(spaCallback)

		// An address can't make the switch lead elsewhere.
		for _, path := range []string{"//evil.example/x", "/nothing?language=en&next=//evil.example", "/login?language=en&language=ko"} {
			body := p.do(http.MethodGet, path, "", "Accept", "text/html").Body.String()
			for _, href := range regexp.MustCompile(`href="([^"]*)" lang`).FindAllStringSubmatch(body, -1) {
				if !strings.HasPrefix(href[1], "?") {
					t.Errorf("%s: the switch leads to %q", path, href[1])
				}
			}
		}
	})
}

func TestThemeIsOnPagesAndInLetters(t *testing.T) {
	file := func(name, body string) string {
		name = filepath.Join(t.TempDir(), name)
		if err := os.WriteFile(name, []byte(body), 0o600); err != nil {
			t.Fatal(err)
		}
		return name
	}
	s := theme.Settings{
		Logo: file("logo.svg", `<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>`), Accent: "#d6006c", Radius: "1.25rem",
		Stylesheet: file("more.css", "h1 { color: red }"), Footer: "Garish Co <b>",
	}
	s.Links.Terms, s.Links.Support = "https://example.com/terms?a=b&c=d", "mailto:help@example.com"
	look, err := theme.Load(s)
	if err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		a, box := simulated(t, func(o *server.Options) { o.Theme = look })
		p := a.person()
		r := p.open("/login").says(http.StatusOK, `alt="Acme"`, ">Terms<", "https://example.com/terms?a=b&c=d", ">Help<", "Garish Co <b>")
		if strings.Contains(r.Body.String(), "<b>") || strings.Contains(r.Body.String(), "style=") {
			t.Errorf("not escaped, or a style in the page: %s", r.Body)
		}
		found := 0
		for _, asset := range regexp.MustCompile(`/assets/(?:logo|theme|style)-[0-9a-f]{24}\.(?:svg|css)`).FindAllString(r.Body.String(), -1) {
			found++
			got := a.do(http.MethodGet, asset, "").want(http.StatusOK)
			if cache := got.Header().Get("Cache-Control"); cache != "public, max-age=31536000, immutable" {
				t.Errorf("%s: Cache-Control = %q", asset, cache)
			}
			if csp := got.Header().Get("Content-Security-Policy"); !strings.HasPrefix(csp, "default-src 'none'; frame") {
				t.Errorf("%s: Content-Security-Policy = %q", asset, csp)
			}
		}
		if found != 3 {
			t.Errorf("%d assets in %s", found, r.Body)
		}
		a.signup("alice")
		m := box.take(t)
		for _, want := range []string{"#d6006c", "border-radius:20px", "border-radius:12px", "https://example.com/terms?a=b&amp;c=d", "Garish Co &lt;b&gt;"} {
			if !strings.Contains(m.HTML, want) {
				t.Errorf("the letter has no %q: %s", want, m.HTML)
			}
		}
		if !strings.HasSuffix(m.Text, "-- \nAcme\nGarish Co <b>\nTerms: https://example.com/terms?a=b&c=d\nHelp: mailto:help@example.com\n") {
			t.Errorf("the text ends otherwise: %q", m.Text)
		}
	})
}

// With --dev every page and letter can be looked at, by links below /preview/, and so can the
// letters that were sent. Without it there is nothing.
func TestPreview(t *testing.T) {
	for _, path := range []string{"/preview", "/preview/mail", "/preview/mail/1", "/preview/en/login"} {
		newApp(t).do(http.MethodGet, path, "").wantProblem(http.StatusNotFound, "not_found")
	}
	synctest.Test(t, func(t *testing.T) {
		kept := &mail.Recorder{Sender: &outbox{}}
		a, _ := simulated(t, func(o *server.Options) { o.Dev, o.Mail.Sender, o.Mail.Kept = true, kept, kept })
		p := a.person()
		p.open("/preview/mail").says(http.StatusOK, "none yet")
		a.signup("alice")
		time.Sleep(2 * time.Second)
		p.open("/preview/mail").says(http.StatusOK, "alice@example.net: Confirm your e-mail address", `href="/preview/mail/1"`)
		links := regexp.MustCompile(`href="(/preview/[^"]*)"`)
		seen, todo := map[string]bool{}, []string{"/preview", "/preview/mail"}
		for len(todo) > 0 {
			path := todo[0]
			todo = todo[1:]
			if path, _, _ = strings.Cut(path, "?"); seen[path] {
				continue
			}
			seen[path] = true
			r := p.open(path).want(http.StatusOK)
			for _, link := range links.FindAllStringSubmatch(r.Body.String(), -1) {
				todo = append(todo, link[1])
			}
			policy := r.Header().Get("Content-Security-Policy")
			if letter := strings.Contains(path, "/letters/") || strings.HasPrefix(path, "/preview/mail/"); strings.Contains(policy, "unsafe") != (letter && !strings.HasSuffix(path, ".txt")) {
				t.Errorf("%s: %s", path, policy)
			}
			if strings.Contains(path, "/form_post") && (strings.Contains(policy, "script") || !strings.Contains(policy, "form-action 'none'")) {
				t.Errorf("%s sends its form: %s", path, policy)
			}
		}
		if len(seen) < 150 || !seen["/preview/ko/letters/password_changed.txt"] || !seen["/preview/en/verify/again"] || !seen["/preview/mail/1.txt"] {
			t.Errorf("%d previews", len(seen))
		}
		p.open("/preview/en/login?language=ko").goesTo("/preview/ko/login")
		p.submit("/preview/en/verify/again", form("username", "x")).goesTo("/preview/en/verify/again")
		for _, path := range []string{"/preview/fr/login", "/preview/en/nothing", "/preview/en/", "/preview/en/letters/nothing", "/preview/mail/2", "/preview/mail/x"} {
			a.person().open(path).says(http.StatusNotFound, "Page not found")
		}
	})
}
