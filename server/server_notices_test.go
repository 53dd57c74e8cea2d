package server_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"countersign/accounts"
	"countersign/audit"
	"countersign/caller"
	"countersign/ids"
	"countersign/mail"
	"countersign/server"
	"countersign/test/smtpd"
	"countersign/tokens"
)

// telling makes an app that mails users about new browsers, with alice, whose address is
// proven. It is for synctest bubbles.
func telling(t *testing.T, change ...func(*server.Options)) (*app, *outbox) {
	a, box := simulated(t, append([]func(*server.Options){aboutBrowsers}, change...)...)
	a.provenUser("alice")
	return a, box
}

func aboutBrowsers(o *server.Options) {
	o.Accounts.Notices.NewBrowser = true
	o.TrustedProxies = []string{"192.0.2.0/24"}
}

// provenUser makes an account with a proven address, which the operator knows.
func (a *app) provenUser(name string) {
	a.t.Helper()
	n := accounts.NewUser{Username: name, Password: password, Email: name + "@example.net", EmailVerified: true}
	if _, err := a.Users.Create(a.t.Context(), time.Now(), n, caller.Operator()); err != nil {
		a.t.Fatal(err)
	}
}

// want waits for the letters that are due, and fails the test unless they have these
// subjects.
func (o *outbox) want(t *testing.T, when string, subjects ...string) {
	t.Helper()
	time.Sleep(2 * time.Second)
	sent, _ := o.empty()
	var got []string
	for _, m := range sent {
		got = append(got, m.Subject)
	}
	if fmt.Sprint(got) != fmt.Sprint(subjects) {
		t.Errorf("%s: letters %q, want %q", when, got, subjects)
	}
}

const newSignIn = "New sign-in to your account"

// A user hears of each sign-in from a new browser, by whichever door, and of no other.
func TestLetterAboutANewBrowser(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, box := telling(t)
		for i, door := range []func(browser *page) *response{
			func(browser *page) *response {
				f := form("username", "ALICE@example.net", "password", password)
				return browser.do("POST", "/login", f.Encode(), "Content-Type", "application/x-www-form-urlencoded", "Sec-Fetch-Site", "same-origin").want(http.StatusSeeOther)
			},
			func(browser *page) *response { return browser.signIn("alice", password).want(http.StatusOK) },
		} {
			browser := a.page()
			browser.address = fmt.Sprintf("203.0.113.%d", i)
			if i == 0 {
				browser.origin = issuer
			}
			signedInAt := time.Now().UTC().Format("2 January 2006, 15:04 UTC")
			door(browser)
			l := box.take(t)
			if l.To != "alice@example.net" || l.Subject != newSignIn {
				t.Errorf("door %d: letter = %+v", i, l)
			}
			for _, part := range []string{"alice", "Acme", signedInAt, "Firefox on Linux", browser.address, issuer + "/forgot"} {
				if !strings.Contains(l.Text, part) || !strings.Contains(l.HTML, part) {
					t.Errorf("door %d: the letter doesn't say %q:\n%s", i, part, l.Text)
				}
			}
			if strings.Contains(l.Text+l.HTML, "cs_") {
				t.Errorf("door %d: a token is in the letter: %s", i, l.Text)
			}
			browser.address = "198.51.100.1"
			door(browser)
			browser.signIn("alice", "wrong").wantProblem(http.StatusUnauthorized, "invalid_credentials")
			box.want(t, "the same browser elsewhere")
		}

		here, other := a.page(), a.page()
		in := here.signIn("alice", password).want(http.StatusOK)
		other.signIn("alice", password).want(http.StatusOK) // in the same second: one form, sent twice
		time.Sleep(time.Minute)
		a.page().signIn("alice", password).want(http.StatusOK)
		box.want(t, "two browsers alike", newSignIn, newSignIn)
		const next = "another good password"
		here.bearer("POST", "/account/password", `{"current_password":"`+password+`","new_password":"`+next+`"}`, in).want(http.StatusNoContent)
		box.want(t, "a new password", "Your password was changed")
		here.signIn("alice", next).want(http.StatusOK)
		box.want(t, "the browser in which the password was changed")
		other.signIn("alice", next).want(http.StatusOK)
		box.want(t, "a browser of before", newSignIn)

		here = a.page()
		here.forgot("alice@example.net").want(http.StatusAccepted)
		here.reset(token(t, box.take(t)), password).want(http.StatusNoContent)
		box.want(t, "a password set by mail", "Your password was changed")
		here.signIn("alice", password).want(http.StatusOK)
		box.want(t, "the browser that set it")

		// The letter is in the owner's language, whatever the caller's.
		in = a.withScopes("alice", everyScope+" account")
		box.want(t, "a program", newSignIn)
		a.putProfile(in, `{"locale":"ko-KR"}`).want(http.StatusOK)
		korean := a.page()
		korean.agent = "https://evil.example/1"
		korean.do("POST", "/session", `{"username":"alice","password":"`+password+`"}`, "Accept-Language", "en").want(http.StatusOK)
		if l := box.take(t); l.Subject != "새 브라우저에서 로그인되었습니다" || strings.Contains(l.Text, "evil.example") {
			t.Errorf("letter = %+v", l)
		}
	})
}

// The first sign-in after a sign-up is no news, and so is what a user can't hear of.
func TestNoLetterAboutTheFirstSignIn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, box := telling(t)
		a.signup("bob")
		p := a.page()
		p.verify(token(t, box.take(t))).want(http.StatusNoContent)
		p.signIn("bob", password).want(http.StatusOK)
		box.want(t, "bob's first sign-in")
		a.page().signIn("bob", password).want(http.StatusOK)
		box.want(t, "bob's second browser", newSignIn)

		carol := a.person()
		f := form("username", "carol", "email", "carol@example.net", "password", password)
		carol.submit("/signup", f).want(http.StatusSeeOther)
		a.page().verify(token(t, box.take(t))).want(http.StatusNoContent)
		a.page().signIn("carol", password).want(http.StatusOK)
		box.want(t, "carol's second browser", newSignIn)

		// What an account whose address isn't proven has, and one without an address.
		a.signup("dave")
		box.take(t)
		a.page().signIn("dave", password).want(http.StatusOK)
		a.page().signIn("dave", password).want(http.StatusOK)
		a.post("/signup", `{"username":"erin","password":"`+password+`"}`).want(http.StatusCreated)
		a.page().signIn("erin", password).want(http.StatusOK)
		box.want(t, "no proven address")

		a.options.Accounts.Notices.NewBrowser = false
		a.restart()
		a.page().signIn("alice", password).want(http.StatusOK)
		box.want(t, "letters are off")
	})
	synctest.Test(t, func(t *testing.T) { // who proves the address on a phone signs in there first
		a, box := telling(t, proving)
		desktop, phone := a.person(), a.person()
		f := form("username", "bob", "email", "bob@example.net", "password", password)
		desktop.submit("/signup", f).says(http.StatusOK, "Check your mail")
		a.page().verify(token(t, box.take(t))).want(http.StatusNoContent)
		in := form("username", "bob", "password", password)
		phone.submit("/login", in).want(http.StatusSeeOther)
		desktop.submit("/login", in).want(http.StatusSeeOther)
		box.want(t, "the first sign-in, and the browser of the sign-up")
		a.person().submit("/login", in).want(http.StatusSeeOther)
		box.want(t, "a third browser", newSignIn)
	})
}

// wantNotices fails the test unless so many letters about sign-ins wait, and takes them away.
func (a *app) wantNotices(when string, want int) {
	a.t.Helper()
	letters, err := a.db.DueLetters(a.t.Context(), time.Now(), 100)
	got := 0
	for _, l := range letters {
		if l.Kind == accounts.NewBrowser {
			got++
		}
		err = errors.Join(err, a.db.LetterDone(a.t.Context(), l.ID, ""))
	}
	if err != nil || got != want {
		a.t.Errorf("%s: %d letters, %v, want %d", when, got, err, want)
	}
}

// A program without a device token is known by its network and its name, for longer than the
// throttle remembers. More letters than a user can read are none.
func TestLettersAboutPrograms(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := idle(t, aboutBrowsers)
		a.provenUser("alice")
		run := func(address, agent string, more ...string) *response {
			t.Helper()
			return a.token(with(passwordForm("alice"), more...), "X-Forwarded-For", address, "User-Agent", agent).want(http.StatusOK)
		}
		days := func(n int) {
			t.Helper()
			time.Sleep(time.Duration(n) * 24 * time.Hour)
			if _, err := a.db.PurgeFailures(t.Context(), time.Now().Add(-a.options.Throttle.Window), 1000); err != nil {
				t.Fatal(err)
			}
		}
		device := run("203.0.113.1", "curl/8.5.0").text("device_token")
		a.wantNotices("a program", 1)
		for range 2 {
			days(5)
			run("203.0.113.1", "curl/8.6.0")
		}
		run("203.0.113.2", "curl/8.5.0", "device_token", device)
		a.wantNotices("the program again, and one that keeps the token", 0)
		run("203.0.113.2", "curl/8.5.0")
		run("203.0.113.1", "okhttp/4")
		a.wantNotices("a program elsewhere, and another one there", 2)

		a.signup("bob")
		a.page().verify(a.waiting()).want(http.StatusNoContent)
		days(1)
		a.page().signIn("bob", password).want(http.StatusOK)
		a.wantNotices("a day after the sign-up", 1)

		for i := range 20 {
			browser := a.page()
			browser.address = fmt.Sprintf("198.51.100.%d", i)
			browser.signIn("alice", password).want(http.StatusOK)
		}
		a.wantNotices("twenty browsers", 5)
	})
}

// deaf is a store that can't take letters, or whose callers hang up once they are signed in.
type deaf struct {
	server.Store
	mu     sync.Mutex
	silent bool
	hangUp func()
}

func (d *deaf) PostLetter(ctx context.Context, l accounts.Letter, at ids.Place, with ...accounts.Letter) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.silent {
		return errors.New("no room for letters")
	}
	return d.Store.PostLetter(ctx, l, at, with...)
}

func (d *deaf) CreateLogin(ctx context.Context, l tokens.Login, ev audit.Event) error {
	err := d.Store.CreateLogin(ctx, l, ev)
	d.hangUp()
	return err
}

// A sign-in succeeds although its letter can't be stored, and the owner learns of it
// although the caller hangs up.
func TestLetterOrNotTheSignInStands(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &deaf{hangUp: func() {}}
		a, box := telling(t, func(o *server.Options) { store.Store, o.Store = o.Store, store })
		store.silent = true
		a.page().signIn("alice", password).want(http.StatusOK)
		store.silent = false
		box.want(t, "no letter can be stored")
		if !strings.Contains(a.logs.String(), "no letter about a sign-in from a new browser") {
			t.Error("the log doesn't say so")
		}

		ctx, cancel := context.WithCancel(t.Context())
		store.hangUp = cancel
		f := form("username", "alice", "password", password)
		r := httptest.NewRequestWithContext(ctx, "POST", "/login", strings.NewReader(f.Encode()))
		r.Host = "auth.example.com"
		r.Header = http.Header{"Content-Type": {"application/x-www-form-urlencoded"}, "Origin": {issuer}}
		if a.ServeHTTP(httptest.NewRecorder(), r); ctx.Err() == nil {
			t.Fatal("the caller has not hung up")
		}
		box.want(t, "the caller hung up", newSignIn)
	})
}

// What is done to an account is told in the language of its owner's profile, and not in one
// that an intruder may have chosen.
func TestNoticesAreInTheOwnersLanguage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, box := simulated(t)
		a.provenUser("alice")
		p := a.page()
		a.putProfile(a.withScopes("alice", everyScope+" account"), `{"locale":"ko-KR"}`).want(http.StatusOK)
		in := p.signIn("alice", password).want(http.StatusOK)
		korean := func(of string, m mail.Message) {
			t.Helper()
			if m.To != "alice@example.net" || !strings.Contains(m.HTML, `lang="ko"`) {
				t.Errorf("%s: %+v, want it in Korean", of, m)
			}
		}
		const changed = "another good password"
		p.bearer("POST", "/account/password", `{"current_password":"`+password+`","new_password":"`+changed+`","ui_locales":"en"}`, in).want(http.StatusNoContent)
		time.Sleep(2 * time.Second)
		sent, _ := box.empty()
		korean("password", sent[0])

		in = p.signIn("alice", changed).want(http.StatusOK)
		p.bearer("POST", "/account/email", `{"email":"new@example.net","ui_locales":"en"}`, in).want(http.StatusAccepted)
		time.Sleep(2 * time.Second)
		sent, _ = box.empty()
		i := slices.IndexFunc(sent, func(m mail.Message) bool { return m.To == "alice@example.net" })
		korean("change of address asked", sent[i])
		p.verify(token(t, smtpd.Letter{Text: sent[1-i].Text, HTML: sent[1-i].HTML})).want(http.StatusNoContent)
		time.Sleep(2 * time.Second)
		sent, _ = box.empty()
		korean("address changed", sent[0])

		// So is what a stranger causes, who asks for the address.
		a.provenUser("bob")
		a.putProfile(a.withScopes("bob", everyScope+" account"), `{"locale":"ko"}`).want(http.StatusOK)
		a.page().do("POST", "/signup", `{"username":"mallory","password":"`+password+`","email":"bob@example.net","ui_locales":"en"}`)
		p.bearer("POST", "/account/email", `{"email":"bob@example.net","ui_locales":"en"}`, in).want(http.StatusAccepted)
		time.Sleep(2 * time.Second)
		sent, _ = box.empty()
		n := 0
		for _, m := range sent {
			if m.To == "bob@example.net" {
				n++
				if !strings.Contains(m.HTML, `lang="ko"`) {
					t.Errorf("%+v, want it in Korean", m)
				}
			}
		}
		if n == 0 {
			t.Error("no letter to the owner of the address")
		}
	})
}
