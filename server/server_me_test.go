package server_test

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"countersign/caller"
	"countersign/server"
)

// act sends a form of a page of the account as the page has it, with pairs of fields.
func (p *person) act(path, id string, pairs ...string) *response {
	p.a.t.Helper()
	return p.submit(path, fill(p.open(path).page(id), pairs...))
}

// fill adds pairs of fields to a form.
func fill(f url.Values, pairs ...string) url.Values {
	for i := 0; i < len(pairs); i += 2 {
		f.Set(pairs[i], pairs[i+1])
	}
	return f
}

// did fails the test unless r leads to a page of the account, which says once what was done.
func (p *person) did(r *response, path, notice string) {
	p.a.t.Helper()
	r.goesTo(path)
	p.open(path).says(http.StatusOK, notice)
	if again := p.open(path); strings.Contains(again.Body.String(), `id="notice"`) {
		p.a.t.Errorf("%s says it again: %s", path, again.Body)
	}
}

// endingNewest returns the form that ends the newest sign-in of a browser that is not p's.
func (p *person) endingNewest() url.Values {
	p.a.t.Helper()
	r := p.open("/me/sessions")
	_, form, _ := strings.Cut(r.Body.String(), `<form id="end-`)
	id, _, _ := strings.Cut(form, `"`)
	return r.page("end-" + id)
}

// sidOf returns the id of the session of an access token.
func sidOf(r *response) string {
	r.t.Helper()
	_, claims := r.claims("access_token")
	return claims["sid"].(string)
}

var mePaths = []string{"/me", "/me/security", "/me/factors", "/me/sessions", "/me/apps", "/me/data"}

// A user who isn't signed in signs in first, and comes to the page that was asked for. No
// other address gets in its way.
func TestAccountPagesLeadToTheSignInAndBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := idle(t, func(o *server.Options) { o.HomeURL = home })
		a.signup("alice")
		for _, path := range mePaths {
			p := a.person()
			r := p.open(path)
			r.goesTo("/login?to=" + url.QueryEscape(path))
			r = p.follow(r)
			r.says(http.StatusOK, "Sign in to manage your account.", "to="+url.QueryEscape(path)+"&language=ko", "/signup?to=")
			f := fill(r.page("login-form"), "username", "alice", "password", "wrong")
			f = fill(p.submit("/login", f).page("login-form"), "username", "alice", "password", password)
			for range 2 {
				p.submit("/login", f).goesTo(path)
			}
			p.open("/login?to=" + url.QueryEscape(path)).goesTo(path)                                      // Back
			p.open(path).says(http.StatusOK, `aria-current="page"`, `href="/logout"`, home, "language=ko") // in every one
			p.submit(path, form()).goesTo(path)                                                            // a form of no page
		}
		q := a.person()
		f := fill(q.open("/signup?to=/me/security").page("signup-form"), "username", "bob", "password", password)
		q.submit("/signup", f).goesTo("/me/security")
		for _, to := range []string{"https://evil.example/", "//evil.example", "/me/../oauth", "/me/", "/me/deleted", "me", `\me`, "/logout", "/me?x"} {
			p := a.person()
			r := p.open("/login?to=" + url.QueryEscape(to)).says(http.StatusOK)
			if got := r.page("login-form").Get("to"); got != "" {
				t.Errorf("%q is kept as %q", to, got)
			}
			p.submit("/login", form("username", "alice", "password", password, "to", to)).goesTo(home)
		}
	})
}

// Other sites can neither send the forms of the account nor read its pages.
func TestAccountPagesAreOurs(t *testing.T) {
	a := idle(t)
	p, _ := a.newPerson(t, "alice")
	for path, forms := range map[string][]string{
		"/me": {"profile", "email", "resend"}, "/me/security": {"password"}, "/me/sessions": {"end_session", "end_login", "end_others"},
		"/me/apps": {"withdraw"}, "/me/data": {"export", "delete"},
	} {
		for _, do := range forms {
			for _, header := range [][]string{
				{"Origin", "https://evil.example", "Sec-Fetch-Site", "cross-site"}, {"Origin", origin, "Sec-Fetch-Site", "same-site"}, {"Origin", "null", "Sec-Fetch-Site", "cross-site"},
			} {
				f := form("do", do, "confirm", "yes", "current_password", password, "new_password", "another good password", "name", "Mallory", "client", "rp")
				p.do(http.MethodPost, path, f.Encode(), append(header, "Content-Type", "application/x-www-form-urlencoded")...).says(http.StatusForbidden, "Another site sent this form")
			}
		}
		p.do(http.MethodPost, path, `{"do":"delete"}`, "Origin", issuer, "Sec-Fetch-Site", "same-origin", "Content-Type", "application/json").says(http.StatusBadRequest)
	}
	p.open("/me").says(http.StatusOK, "alice")
	if r := p.open("/me"); strings.Contains(r.Body.String(), "Mallory") {
		t.Error("a forged form has changed the profile")
	}
}

// A form acts on the account whose page it is on, and on no other that has signed in to the
// browser since, in another tab.
func TestAccountPagesActOnTheirOwnAccount(t *testing.T) {
	a := idle(t)
	p, _ := a.newPerson(t, "alice")
	b, bobs := a.newPerson(t, "bob")
	sid := sidOf(bobs)
	forms := map[string][]url.Values{}
	for path, ids := range map[string][]string{
		"/me": {"profile-form", "email-form"}, "/me/security": {"password-form"}, "/me/sessions": {"others-form"}, "/me/data": {"export-form", "delete-form"},
	} {
		page := p.open(path)
		for _, id := range ids {
			forms[path] = append(forms[path], fill(page.page(id), "name", "Alice", "email", "alice@example.net",
				"current_password", password, "new_password", "another good password", "confirm", "yes"))
		}
	}
	ending := fill(b.open("/me/sessions").page("end-"+sid), "account", forms["/me/sessions"][0].Get("account"))
	forms["/me/sessions"] = append(forms["/me/sessions"], ending)
	for path, all := range forms {
		for _, f := range all {
			for _, account := range []string{f.Get("account"), "", "nonsense"} {
				f.Set("account", account)
				b.did(b.submit(path, f), path, "Nothing has changed")
			}
		}
	}
	if r := b.open("/me").says(http.StatusOK, "bob"); strings.Contains(r.Body.String(), "Alice") {
		t.Error("the form of another account has changed the profile")
	}
	a.person().submit("/login", form("username", "bob", "password", password)).goesTo("/me")
	a.refresh(bobs.text("refresh_token")).want(http.StatusOK)
}

// The profile, with every claim that PUT /account/profile takes.
func TestAccountPageProfile(t *testing.T) {
	a := newApp(t)
	p, tokens := a.newPerson(t, "alice")
	profile := func() string {
		t.Helper()
		return a.profile(tokens).want(http.StatusOK).Body.String()
	}
	claims := []string{
		"name", " Alice Liddell ", "given_name", "Alice", "family_name", "Liddell", "middle_name", "Pleasance", "nickname", "Al",
		"profile", "https://a.example/alice", "picture", "https://a.example/alice.png", "website", "https://a.example/", "gender", "female",
		"birthdate", "1852-05-04", "zoneinfo", "Europe/London", "locale", "en-GB", "phone_number", "+82 10-1234-5678",
		"address.formatted", "Christ Church\r\nOxford", "address.street_address", "St Aldates\r\n1", "address.locality", "Oxford",
		"address.region", "Oxfordshire", "address.postal_code", "OX1 1DP", "address.country", "UK",
	}
	f := fill(p.open("/me").page("profile-form"), claims...)
	p.did(p.submit("/me", f), "/me", "Your profile is saved.")
	p.did(p.submit("/me", f), "/me", "Your profile is saved.") // twice
	for _, want := range []string{`"Alice Liddell"`, `"+821012345678"`, `"Christ Church\nOxford"`, `"middle_name":"Pleasance"`, `"postal_code":"OX1 1DP"`} {
		if got := profile(); !strings.Contains(got, want) {
			t.Errorf("the profile lacks %s: %s", want, got)
		}
	}
	shown := p.open("/me")
	for i := 0; i < len(claims); i += 2 {
		if !strings.Contains(shown.Body.String(), `name="`+claims[i]+`"`) {
			t.Errorf("there is no field for %s", claims[i])
		}
	}
	f.Set("birthdate", "May")
	f.Set("name", "Changed")
	p.submit("/me", f).says(http.StatusBadRequest, `value="May"`, `value="Changed"`, "a date like 2001-12-31", `<details class="fold" open>`)
	if got := profile(); strings.Contains(got, "Changed") {
		t.Errorf("the profile has changed: %s", got)
	}
	for claim := range f {
		if claim != "do" && claim != "account" {
			f.Set(claim, "")
		}
	}
	p.did(p.submit("/me", f), "/me", "Your profile is saved.")
	if got := strings.TrimSpace(profile()); got != "{}" {
		t.Errorf("the profile is %s, want nothing", got)
	}
}

// The address: sent again, changed after a proof, which is due ten minutes after the sign-in.
func TestAccountPageAddress(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := idle(t)
		p := a.person()
		p.submit("/signup", form("username", "alice", "email", "alice@example.net", "password", password)).goesTo("/me")
		p.open("/me").says(http.StatusOK, "alice@example.net", "Not confirmed yet")
		a.waiting()
		time.Sleep(time.Hour)
		again := p.open("/me").page("resend-form")
		p.did(p.submit("/me", again), "/me", "A link is on its way")
		p.submit("/verify", form("token", a.waiting())).says(http.StatusOK, "confirmed")
		if r := p.open("/me").says(http.StatusOK, "Confirmed"); strings.Contains(r.Body.String(), "resend-form") {
			t.Error("a link is offered for an address that is confirmed")
		}
		p.did(p.submit("/me", again), "/me", "A link is on its way") // in a former tab

		f := fill(p.open("/me").page("email-form"), "email", "new@example.net")
		p.submit("/me", f).says(http.StatusBadRequest, "Please enter your current password.", `value="new@example.net"`)
		f.Set("current_password", "wrong")
		p.submit("/me", f).says(http.StatusBadRequest, "This isn't your current password.")
		f.Set("current_password", password)
		f.Set("email", "nonsense")
		p.submit("/me", f).says(http.StatusBadRequest, "name@example.com", `value="nonsense"`)
		f.Set("email", "new@example.net")
		for range 2 {
			p.did(p.submit("/me", f), "/me", "the mailbox of the new address")
		}
		token := a.waiting()
		p.submit("/verify", form("token", token)).says(http.StatusOK, "confirmed")
		p.open("/me").says(http.StatusOK, "new@example.net", "Confirmed")

		// Right after the sign-in no proof is due; and a link that another browser's owner has
		// asked for dies when all others are signed out.
		q := a.person()
		q.submit("/login", form("username", "alice", "password", password)).goesTo("/me")
		q.did(q.act("/me", "email-form", "email", "mallory@example.net"), "/me", "the mailbox of the new address")
		token = a.waiting()
		p.did(p.act("/me/sessions", "others-form"), "/me/sessions", "You are signed out everywhere else.")
		p.submit("/verify", form("token", token)).says(http.StatusBadRequest, "too old")
		q.open("/me").goesTo("/login?to=%2Fme")

		// As it does when that browser alone is signed out.
		q.submit("/login", form("username", "alice", "password", password)).goesTo("/me")
		q.did(q.act("/me", "email-form", "email", "mallory@example.net"), "/me", "the mailbox of the new address")
		token = a.waiting()
		p.did(p.submit("/me/sessions", p.endingNewest()), "/me/sessions", "That sign-in has ended.")
		q.open("/me").goesTo("/login?to=%2Fme")
		p.submit("/verify", form("token", token)).says(http.StatusBadRequest, "too old")
		p.open("/me").says(http.StatusOK, "new@example.net")
	})
}

// The password: with the present one, whatever the age of the sign-in. This browser stays
// signed in, with its applications; all others are signed out.
func TestAccountPagePassword(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := idle(t)
		p, mine := a.newPerson(t, "alice")
		beside := a.page() // in the same browser
		beside.jar = p.jar
		beside.signIn("alice", password).want(http.StatusOK)
		other := a.person()
		theirs := a.exchange(other.signIn(other.authorize(authorization("spa")), "alice").code(spaCallback))
		const changed = "another good password"
		f := p.open("/me/security").page("password-form")
		for _, c := range []struct{ current, next, says string }{
			{"", changed, "Please enter your current password."}, {"wrong", changed, "This isn't your current password."},
			{password, "short", "at least 8 characters"}, {password, "", "Please enter a password."},
		} {
			p.submit("/me/security", fill(f, "current_password", c.current, "new_password", c.next)).says(http.StatusBadRequest, c.says)
		}
		f = fill(f, "current_password", password, "new_password", changed)
		for range 3 { // a second submit is no mistake
			p.did(p.submit("/me/security", f), "/me/security", "Your password is changed.")
		}
		p.open("/me").says(http.StatusOK, "alice")
		a.refresh(mine.text("refresh_token")).want(http.StatusOK)
		beside.refresh().want(http.StatusOK)
		a.refresh(theirs.text("refresh_token")).wantDead()
		other.open("/me/security").goesTo("/login?to=%2Fme%2Fsecurity")
		// Later, the present password as the new one is no form sent twice.
		time.Sleep(2 * time.Minute)
		p.submit("/me/security", fill(p.open("/me/security").page("password-form"), "current_password", "wrong", "new_password", changed)).
			says(http.StatusBadRequest, "This isn't your current password.")
		other.submit("/me/security", f).goesTo("/login?to=%2Fme%2Fsecurity")
		other.submit("/login", form("username", "alice", "password", password)).says(http.StatusBadRequest)
		other.submit("/login", form("username", "alice", "password", changed)).goesTo("/me")

		// The guesses are counted as those at /account, in the login and over all of the user's.
		last := http.StatusBadRequest
		for i := 0; last == http.StatusBadRequest && i < 20; i++ {
			r := p.submit("/me/security", fill(f, "current_password", fmt.Sprint("wrong ", i), "new_password", fmt.Sprint("a third good password ", i)))
			last = r.Code
		}
		if last != http.StatusTooManyRequests {
			t.Errorf("guesses end with %d, want 429", last)
		}
		p.submit("/me/security", f).says(http.StatusTooManyRequests, "Too many attempts.")
		p.open("/me").says(http.StatusOK, "alice")
	})
}

// What happened of late: from where, and by which browser, where it is still signed in.
func TestAccountPageShowsRecentSignIns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newApp(t, proxied)
		a.signup("alice")
		const firefox = "Mozilla/5.0 (X11; Linux x86_64; rv:131.0) Gecko/20100101 Firefox/131.0"
		p := a.person()
		p.do(http.MethodPost, "/login", form("username", "alice", "password", password).Encode(), "Content-Type", "application/x-www-form-urlencoded",
			"X-Forwarded-For", "203.0.113.9", "User-Agent", firefox).goesTo("/me")
		now := time.Now().UTC()
		time.Sleep(time.Hour)
		p.open("/me/security").says(http.StatusOK, "Signed in to <bdi>Countersign</bdi>", "203.0.113.9", "Firefox on Linux", "This browser",
			now.Format("2 January 2006, 15:04 UTC"), `datetime="`+now.Format(time.RFC3339)+`"`)
		q := a.person()
		q.language = "ko"
		q.submit("/login", form("username", "alice", "password", password)).goesTo("/me")
		r := q.open("/me/security").says(http.StatusOK, "Linux의 Firefox", "현재 브라우저", now.Format("2006년 1월 2일 15:04 (UTC)"))
		if n := strings.Count(r.Body.String(), `good">현재 브라우저`); n != 1 {
			t.Errorf("%d entries are this browser's", n)
		}
		p.did(p.act("/me/security", "password-form", "current_password", password, "new_password", "another good password"), "/me/security", "Password changed")

		// Changes of the profile, as many as one likes, hide none of it.
		for i := range 60 {
			time.Sleep(time.Minute) // of one kind, ten events a minute are kept
			for j := range 10 {
				p.act("/me", "profile-form", "nickname", fmt.Sprint("Al", i, j)).goesTo("/me")
			}
		}
		p.open("/me/security").says(http.StatusOK, "Password changed", "203.0.113.9")
	})
}

// Browsers and sessions: one ends, all others end, and this browser stays.
func TestAccountPageEndsSessions(t *testing.T) {
	a := newApp(t)
	p, mine := a.newPerson(t, "alice")
	q := a.person()
	theirs := a.exchange(q.signIn(q.authorize(authorization("spa")), "alice").code(spaCallback))
	program := a.page()
	program.signIn("alice", password).want(http.StatusOK)
	bob, bobs := a.newPerson(t, "bob")

	sid := sidOf(theirs)
	r := p.open("/me/sessions").says(http.StatusOK, "SPA", "Firefox on Linux", "Unknown device")
	if n := strings.Count(r.Body.String(), `good">This browser`); n != 2 { // it and its session
		t.Errorf("%d times this browser: %s", n, r.Body)
	}
	f := r.page("end-" + sid)
	bobsForm := fill(bob.open("/me/sessions").page("others-form"), "do", "end_session", "id", sid)
	bob.did(bob.submit("/me/sessions", bobsForm), "/me/sessions", "That sign-in has ended.") // but not alice's
	a.refresh(theirs.text("refresh_token")).want(http.StatusOK)
	for range 2 {
		p.did(p.submit("/me/sessions", f), "/me/sessions", "That sign-in has ended.")
	}
	a.refresh(theirs.text("refresh_token")).wantDead()
	q.open("/me").goesTo("/login?to=%2Fme") // its browser is signed out, too
	p.did(p.submit("/me/sessions", fill(f, "id", "nonsense")), "/me/sessions", "That sign-in has ended.")

	q.submit("/login", form("username", "alice", "password", password)).goesTo("/me")
	for range 2 {
		p.did(p.act("/me/sessions", "others-form"), "/me/sessions", "You are signed out everywhere else.")
	}
	q.open("/me/sessions").goesTo("/login?to=%2Fme%2Fsessions")
	q.submit("/me/sessions", form("do", "end_others")).goesTo("/login?to=%2Fme%2Fsessions")
	program.refresh().want(http.StatusUnauthorized)
	a.refresh(mine.text("refresh_token")).want(http.StatusOK)
	a.refresh(bobs.text("refresh_token")).want(http.StatusOK)

	// A browser that is signed in to no application can be signed out, too.
	q.submit("/login", form("username", "alice", "password", password)).goesTo("/me")
	f = p.endingNewest()
	bob.submit("/me/sessions", fill(bobsForm, "do", "end_login", "id", f.Get("id"))).goesTo("/me/sessions")
	q.open("/me").says(http.StatusOK, "alice")
	for range 2 {
		p.did(p.submit("/me/sessions", f), "/me/sessions", "That sign-in has ended.")
	}
	q.open("/me").goesTo("/login?to=%2Fme")

	// This one, last.
	p.submit("/me/sessions", p.open("/me/sessions").page("end-"+sidOf(mine))).goesTo("/me/sessions")
	p.open("/me/sessions").goesTo("/login?to=%2Fme%2Fsessions")
}

// Sessions come in pages.
func TestAccountPagePagesSessions(t *testing.T) {
	a := newApp(t)
	p, _ := a.newPerson(t, "alice")
	for range 22 {
		a.page().signIn("alice", password).want(http.StatusOK)
	}
	count := func(r *response) int { return strings.Count(r.Body.String(), `value="end_session"`) }
	first := p.open("/me/sessions").says(http.StatusOK, "Show older ones")
	_, after, _ := strings.Cut(first.Body.String(), "?after=")
	after, _, _ = strings.Cut(after, `"`)
	second := p.open("/me/sessions?after="+after).says(http.StatusOK, "Show the newest")
	if count(first) != 20 || count(second) != 3 || strings.Contains(second.Body.String(), "Show older ones") {
		t.Errorf("pages of %d and %d sessions, want 20 and 3", count(first), count(second))
	}
	if got := count(p.open("/me/sessions?after=nonsense").says(http.StatusOK)); got != 20 {
		t.Errorf("%d sessions after nonsense, want the newest", got)
	}
}

// Consents: what the application may do, and its end.
func TestAccountPageWithdrawsConsents(t *testing.T) {
	a := newApp(t)
	p, _ := a.newPerson(t, "alice")
	p.open("/me/apps").says(http.StatusOK, "You have allowed no application")
	f := p.follow(p.authorize(authorization("rp", "scope", "openid email"))).page("consent-form")
	f.Set("decision", "allow")
	tokens := a.token(exchangeForm("rp", p.submit("/consent", f).code(rpCallback)))
	g := p.open("/me/apps").says(http.StatusOK, "Partner", "see your e-mail address", "Allowed").page("withdraw-rp")
	for range 2 {
		p.did(p.submit("/me/apps", g), "/me/apps", "The application can no longer use your account.")
	}
	p.open("/me/apps").says(http.StatusOK, "You have allowed no application")
	a.refreshAs("rp", secret, tokens.text("refresh_token")).wantDead()
}

// Everything as JSON, and the end of the account.
func TestAccountPageExportsAndDeletes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := idle(t, func(o *server.Options) { o.HomeURL = home })
		p, tokens := a.newPerson(t, "alice")
		file := p.act("/me/data", "export-form").want(http.StatusOK)
		if got := file.Header().Get("Content-Disposition"); got != `attachment; filename="account.json"` {
			t.Errorf("Content-Disposition: %q", got)
		}
		if user, _ := file.json()["user"].(map[string]any); user["username"] != "alice" || len(file.json()["sessions"].([]any)) != 1 || !strings.Contains(file.Body.String(), `"current":true`) {
			t.Errorf("export: %s", file.Body)
		}
		f := p.open("/me/data").page("delete-form")
		p.submit("/me/data", f).says(http.StatusBadRequest, "tick the box")
		time.Sleep(time.Hour)
		f.Set("confirm", "yes")
		p.submit("/me/data", f).says(http.StatusBadRequest, "Please enter your current password.")
		f.Set("current_password", "wrong")
		p.submit("/me/data", f).says(http.StatusBadRequest, "This isn't your current password.")
		f.Set("current_password", password)
		twice := a.person() // sends the cookies once more, as a second click does
		twice.jar.SetCookies(p.site(), p.jar.Cookies(p.site()))
		p.submit("/me/data", f).goesTo("/me/deleted")
		p.open("/me/deleted").says(http.StatusOK, "Your account is deleted", home)
		p.open("/me/deleted").goesTo("/login")
		twice.submit("/me/data", f).goesTo("/me/deleted")
		twice.open("/me/deleted").says(http.StatusOK, "Your account is deleted")
		p.open("/me").goesTo("/login?to=%2Fme")
		a.refresh(tokens.text("refresh_token")).wantDead()
		if got := p.jar.Cookies(p.site()); len(got) > 1 { // the browser stays known to whom it knows
			t.Errorf("the browser keeps %v", got)
		}
		a.person().submit("/me/data", form("do", "delete", "confirm", "yes")).goesTo("/login?to=%2Fme%2Fdata")
	})
}

// A user who is disabled meanwhile ends at the sign-in, whatever the page.
func TestAccountPagesOfADisabledUser(t *testing.T) {
	a := newApp(t)
	p, _ := a.newPerson(t, "alice")
	forms := map[string]url.Values{}
	for path, id := range map[string]string{"/me": "profile-form", "/me/security": "password-form", "/me/sessions": "others-form", "/me/data": "delete-form"} {
		forms[path] = fill(p.open(path).page(id), "confirm", "yes", "current_password", password, "new_password", "another good password")
	}
	user, err := a.Users.ByUsername(t.Context(), "alice")
	if err != nil {
		t.Fatal(err)
	}
	if err := a.Users.Disable(t.Context(), time.Now(), user.ID, caller.Operator()); err != nil {
		t.Fatal(err)
	}
	for path, f := range forms {
		p.submit(path, f).goesTo("/login?to=" + url.QueryEscape(path))
		p.open(path).goesTo("/login?to=" + url.QueryEscape(path))
	}
	p.open("/me/apps").goesTo("/login?to=%2Fme%2Fapps")
}
