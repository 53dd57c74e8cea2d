package server_test

import (
	"context"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"countersign/accounts"
	"countersign/server"
	"countersign/test/smtpd"
)

const home = "https://home.example.com/start"

// goesTo fails the test unless r redirects to an address.
func (r *response) goesTo(want string) {
	r.t.Helper()
	if got := r.want(http.StatusSeeOther).Header().Get("Location"); got != want {
		r.t.Errorf("leads to %q, want %q", got, want)
	}
}

// token waits until mail has been sent and returns the token of the only letter with one.
func (o *outbox) token(t *testing.T) string {
	t.Helper()
	time.Sleep(2 * time.Second)
	sent, _ := o.empty()
	var found []string
	for _, m := range sent {
		if match := tokenIn.FindStringSubmatch(m.Text); match != nil {
			found = append(found, match[1])
		}
	}
	if len(found) != 1 {
		t.Fatalf("%d letters with a link, want 1: %v", len(found), sent)
	}
	return found[0]
}

// idle is simulated without the background work, which would make days long. Letters wait.
func idle(t *testing.T, change ...func(*server.Options)) *app {
	return newApp(t, withOptions(func(o *server.Options) {
		withMail(&smtpd.Server{})(o)
		o.Mail.Sender = &outbox{}
		for _, c := range change {
			c(o)
		}
	}))
}

// waiting returns the token of the letter that was posted last.
func (a *app) waiting() string {
	a.t.Helper()
	letters, err := a.db.Backlog(a.t.Context(), time.Now(), 100)
	letters = slices.DeleteFunc(letters, func(l accounts.Letter) bool { return !l.HasToken() })
	if err != nil || len(letters) == 0 {
		a.t.Fatalf("no letter waits: %v", err)
	}
	last := slices.MaxFunc(letters, func(x, y accounts.Letter) int { return x.CreatedAt.Compare(y.CreatedAt) })
	return accounts.MailToken(a.options.Seal, last.ID)
}

// Without an application's request users go on to home_url: by themselves from sign-in and
// sign-up, by a link from the pages that say that something is done.
func TestUsersGoOnHome(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, box := simulated(t, func(o *server.Options) { o.HomeURL = home })
		p := a.person()
		p.open("/").goesTo(home)
		p.open("/me").goesTo("/login?to=%2Fme")
		f := form("username", "alice", "email", "alice@example.net", "password", password)
		for range 2 {
			p.submit("/signup", f).goesTo(home)
		}
		p.open("/login").goesTo(home) // Back
		p.open("/signup").goesTo(home)
		p.open("/me").says(http.StatusOK, "alice", home, `href="/me/security"`, `href="/logout"`)
		const onward = `href="` + home + `">Continue to <bdi>Acme</bdi>`
		link := form("token", box.token(t))
		p.submit("/verify", link).says(http.StatusOK, "confirmed", onward)
		p.submit("/verify", link).says(http.StatusOK, "Already confirmed", onward)
		p.open("/logout").says(http.StatusOK, "Sign out?", "Stay signed in", home)
		p.follow(p.submit("/logout", form())).says(http.StatusOK, "Signed out", onward)
		p.open("/logout").says(http.StatusOK, "Signed out", onward) // Back
		p.submit("/forgot", form("email", "alice")).says(http.StatusOK, "Check your mail", onward)
		link = form("token", box.token(t), "password", "another good password")
		for range 2 {
			p.submit("/reset", link).says(http.StatusOK, onward)
		}
		f.Set("password", "another good password")
		for range 2 {
			p.submit("/login", f).goesTo(home)
		}
		p.open("/nothing").wantProblem(http.StatusNotFound, "not_found")

		a.options.HomeURL = ""
		a.restart()
		p.open("/").goesTo("/me")
		p.open("/login").goesTo("/me")
		p.open("/me").says(http.StatusOK, "alice", `href="/logout"`)
	})
}

// A user who is on the way to an application and has forgotten the password, or has to
// confirm the address, ends in the application.
func TestLettersLeadOnToTheApplication(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := idle(t, func(o *server.Options) { o.Accounts.RequireVerifiedEmail, o.HomeURL = true, home })
		p := a.person()
		f := p.authorize(authorization("spa", "prompt", "create")).page("signup-form")
		f.Set("username", "alice")
		f.Set("email", "alice@example.net")
		f.Set("password", password)
		p.submit("/signup", f).says(http.StatusOK, "Check your mail")
		link := p.open("/verify").page("verify-form")
		link.Set("token", a.waiting())
		p.submit("/verify", link).says(http.StatusOK, "E-mail address confirmed", "Continue to <bdi>SPA</bdi>", "/login?ticket=")
		in := p.follow(p.open("/login?ticket=" + url.QueryEscape(link.Get("ticket")))).page("login-form")
		in.Set("username", "alice")
		in.Set("password", password)
		p.submit("/login", in).code(spaCallback)

		ask := func(p *person) url.Values {
			t.Helper()
			time.Sleep(time.Minute)
			f := p.authorize(authorization("rp", "prompt", "login")).page("login-form")
			f.Set("email", "alice")
			p.submit("/forgot", f).says(http.StatusOK, "Check your mail", "Continue to <bdi>Partner <b></bdi>")
			return form("token", a.waiting(), "password", "another good password")
		}
		p = a.person()
		link = ask(p)
		f = p.open("/reset").page("reset-form")
		f.Set("token", link.Get("token"))
		f.Set("password", "short")
		f = p.submit("/reset", f).page("reset-form")
		f.Set("password", "another good password")
		g := p.follow(p.submit("/reset", f)).page("consent-form")
		again := p.follow(p.submit("/reset", f)).page("consent-form") // twice
		again.Set("decision", "allow")
		p.submit("/consent", again).code(rpCallback)
		g.Set("decision", "deny")
		p.submit("/consent", g).refuses(rpCallback, "access_denied")
		p.open("/reset").page("reset-form")
		for _, c := range p.jar.Cookies(p.site()) {
			if strings.Contains(c.Name, "request") {
				t.Errorf("the browser still remembers %v", c)
			}
		}

		// A ticket that is no good takes nothing from the letter.
		p.open("/reset?ticket=bad").page("reset-form")
		p.open("/verify?ticket=bad").page("verify-form")
		link = ask(a.person())
		link.Set("ticket", "bad")
		a.person().submit("/reset", link).says(http.StatusOK, "Password changed", home)

		// Only the browser's cookie tells; another device, or an hour later, ends at home.
		p = a.person()
		link = ask(p)
		p.follow(p.submit("/reset", link)).page("consent-form")
		q := a.person()
		link = ask(q)
		a.person().submit("/reset", link).says(http.StatusOK, "Password changed", home)
		link = ask(q)
		q.open("/verify/again") // touches nothing
		time.Sleep(29 * time.Minute)
		q.follow(q.submit("/reset", link)).page("consent-form")
		ask(q)
		time.Sleep(61 * time.Minute)
		q.open("/reset").page("reset-form")
		q.submit("/forgot", form("email", "alice"))
		link = form("token", a.waiting(), "password", "another good password")
		q.submit("/reset", link).says(http.StatusOK, "Password changed", home)
	})
}

// A link that is no good any more offers another, to the account that it was for.
func TestExpiredLinksOfferNewOnes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := idle(t, func(o *server.Options) { o.Accounts.RequireVerifiedEmail = true })
		p := a.person()
		p.submit("/signup", form("username", "alice", "email", "alice@example.net", "password", password)).says(http.StatusOK, "Check your mail")
		late := a.waiting()
		time.Sleep(7 * 24 * time.Hour)
		renew := a.person().submit("/verify", form("token", late)).says(http.StatusBadRequest, "too old").page("renew-form")
		p.submit("/verify/again", renew).says(http.StatusOK, "Check your mail")
		p.submit("/verify", form("token", a.waiting())).says(http.StatusOK, "E-mail address confirmed")
		p.submit("/verify/again", renew).says(http.StatusOK, "Check your mail") // and no letter

		p.submit("/forgot", form("email", "alice"))
		late = a.waiting()
		p.submit("/verify/again", form("token", late)).says(http.StatusBadRequest, "Confirmation by mail") // of another kind
		time.Sleep(31 * time.Minute)
		f := p.authorize(authorization("spa")).page("login-form") // a new request meanwhile
		p.submit("/forgot", form("ticket", f.Get("ticket"), "email", "nobody"))
		renew = p.submit("/reset", form("token", late, "password", "another good password")).says(http.StatusBadRequest, "too old").page("renew-form")
		p.submit("/forgot", renew).says(http.StatusOK, "Check your mail")
		fresh := a.waiting()
		p.submit("/reset", form("token", fresh, "password", "another good password")).code(spaCallback)
		for _, gone := range []string{"cs_mt_AAAA", "x", fresh + "x"} {
			p.submit("/forgot", form("token", gone)).says(http.StatusBadRequest, "Ask for another one").page("forgot-form")
		}
	})
}

func TestExpiredLinksAreForgottenAfterAWeek(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := idle(t)
		a.signup("alice")
		p := a.person()
		p.submit("/forgot", form("email", "alice"))
		late := a.waiting()
		time.Sleep(7 * 24 * time.Hour)
		a.run()
		time.Sleep(time.Second) // and the letter is not purged
		// The owner gets no more letters than by name.
		for range 20 {
			p.submit("/forgot", form("token", late)).says(http.StatusOK, "Check your mail")
		}
		if letters, err := a.db.Backlog(t.Context(), time.Now(), 100); err != nil || len(letters) > 5 {
			t.Errorf("%d letters, %v", len(letters), err)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		a := idle(t)
		a.signup("alice")
		p := a.person()
		p.submit("/forgot", form("email", "alice"))
		late := a.waiting()
		time.Sleep(7*24*time.Hour + 31*time.Minute)
		p.submit("/forgot", form("token", late)).says(http.StatusBadRequest, "Ask for another one").page("forgot-form")
	})
}

// The same sign-up from the same browser with the same password is a sign-in, at any time.
func TestSigningUpAgainSignsIn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := idle(t)
		p := a.person()
		f := form("username", "alice", "email", "alice@example.net", "password", password)
		p.submit("/signup", f).goesTo("/me")
		p.submit("/logout", form())
		time.Sleep(40 * 24 * time.Hour)
		p.submit("/signup", f).goesTo("/me")
		f.Del("email")
		p.submit("/signup", f).goesTo("/me")
		p.follow(p.submit("/logout", form()))
		f.Set("password", "a wrong but good one")
		p.submit("/signup", f).says(http.StatusBadRequest, "This username is taken.")
		f.Set("password", password)
		a.person().submit("/signup", f).says(http.StatusBadRequest, "This username is taken.")

		a.options.Accounts.RequireVerifiedEmail = true
		a.restart()
		f = form("username", "bob", "email", "bob@exmaple.net", "password", password)
		p.submit("/signup", f).says(http.StatusOK, "Check your mail", "bob@exmaple.net")
		time.Sleep(24 * time.Hour)
		p.submit("/signup", f).says(http.StatusOK, "Check your mail", "bob@exmaple.net")
		f.Set("email", "bob@example.net") // no letter went there
		p.submit("/signup", f).says(http.StatusBadRequest, "This username is taken.")
	})
}

// A page that was left open for a day does what it can, says so, and leads back to the
// application.
func TestDayOldPagesGoOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := idle(t)
		a.signup("alice")
		p := a.person()
		f := p.authorize(authorization("rp", "prompt", "consent")).page("login-form")
		f.Set("username", "alice")
		f.Set("password", password)
		c := p.follow(p.submit("/login", f)).page("consent-form")
		out := p.open("/logout").page("logout-form")
		time.Sleep(24 * time.Hour)
		const back = `href="https://rp.example.net/">Back to `
		ticket := "?ticket=" + url.QueryEscape(f.Get("ticket"))
		p.open("/login"+ticket).says(http.StatusBadRequest, "Too much time", back)
		p.open("/consent"+ticket).says(http.StatusBadRequest, "Too much time", back)
		p.open("/oauth/authorize/resume"+ticket).says(http.StatusBadRequest, "Too much time", back)
		c.Set("decision", "allow")
		p.submit("/consent", c).says(http.StatusBadRequest, "Too much time", back)
		p.submit("/login", f).says(http.StatusOK, "You are signed in", back)
		p.open("/signup" + ticket).goesTo("/me")
		p.open("/forgot" + ticket).page("forgot-form")
		p.open("/verify/again" + ticket).page("again-form")
		f.Set("email", "alice")
		p.submit("/forgot", f).says(http.StatusOK, "Check your mail")
		p.follow(p.submit("/logout", out)).says(http.StatusOK, "Signed out")
		stranger := a.person()
		stranger.open("/signup" + ticket).page("signup-form")
		f.Set("username", "bob")
		f.Del("email")
		stranger.submit("/signup", f).says(http.StatusOK, "You are signed in", back)
	})
}

// An error is a page for a caller whose Accept names text/html, and a problem for others.
func TestErrorsAreForWhoAsks(t *testing.T) {
	f := &faults{}
	a := newApp(t, withFaults(f))
	browser := "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"
	for _, c := range []struct {
		method, path string
		status       int
		kind, title  string
	}{
		{"GET", "/nothing", 404, "not_found", "Page not found"},
		{"GET", "/login/x", 404, "not_found", "Page not found"},
		{"POST", "/nothing", 404, "not_found", "Page not found"},
		{"GET", "/oauth/token", 405, "", "Not a page"},
		{"GET", "/session/refresh", 405, "method_not_allowed", "Not a page"},
		{"GET", "/account/sessions", 401, "login_required", "Please sign in first"},
		{"GET", "/session", 401, "login_required", "Please sign in first"},
		{"PATCH", "/login", 405, "method_not_allowed", "Not a page"},
		{"POST", "/account/password/forgot", 415, "unsupported_media_type", "Not possible"},
	} {
		for accept, page := range map[string]bool{
			browser: true, "TEXT/HTML": true, "text/html;level=1": true, "application/json, text/html;q=0.1": true,
			"": false, "*/*": false, "application/json": false, "text/*": false, "text/html;q=0": false, "text/html;q=0.0": false, "text/htmlx": false, "text/html;q=x": false,
		} {
			got := a.do(c.method, c.path, "", "Accept", accept)
			switch {
			case page:
				got.says(c.status, c.title, `href="/login"`)
			case c.kind == "":
				got.wantError(c.status, "invalid_request")
			default:
				got.wantProblem(c.status, c.kind)
			}
		}
	}
	// OAuth's own errors stay OAuth's.
	a.do("GET", "/userinfo", "", "Accept", browser, "Authorization", "Bearer x").wantError(http.StatusUnauthorized, "invalid_token")
	a.do("POST", "/oauth/token", "", "Accept", browser, "Content-Type", "application/x-www-form-urlencoded").wantError(http.StatusBadRequest, "invalid_request")
	a.signup("alice")
	p := a.page()
	p.signIn("alice", password).want(http.StatusOK)
	p.origin = issuer // the user opens the address
	f.set(func(context.Context, string) error { panic("boom") })
	p.do("GET", "/account/sessions", "", "Accept", browser).says(http.StatusInternalServerError, "Something went wrong")
}
