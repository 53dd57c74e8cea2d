package server_test

import (
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"countersign/accounts"
	"countersign/audit"
	"countersign/caller"
	"countersign/ids"
	"countersign/keys"
	"countersign/server"
	"countersign/test/smtpd"
	"countersign/upstreams"
)

// signedInto returns a browser in which a user has signed in with the password.
func signedInto(t *testing.T, l *listening, name string) *surfer {
	t.Helper()
	s := newSurfer(t)
	s.open(l.url+"/login").submit("login-form", "username", name, "password", password).at(l, "/me", http.StatusOK)
	return s
}

// becomes signs the user of another browser in to this one.
func (s *surfer) becomes(other *surfer, at *listening) {
	s.t.Helper()
	root, err := url.Parse(at.url + "/")
	if err != nil {
		s.t.Fatal(err)
	}
	s.client.Jar.SetCookies(root, other.client.Jar.Cookies(root))
}

var unlinkForm = regexp.MustCompile(`id="(unlink-[0-9a-f-]+)"`)

// unlinking returns the id of the form on /me/security that unlinks the first identity.
func unlinking(p *shown) string {
	p.s.t.Helper()
	found := unlinkForm.FindStringSubmatch(p.body)
	if found == nil {
		p.s.t.Fatalf("nothing can be unlinked: %s", p.body)
	}
	return found[1]
}

// Users link and unlink at /me/security, are told by mail, and see it among recent changes.
func TestUsersLinkAndUnlinkProviders(t *testing.T) {
	p, post := newIDP(t), smtpd.Start(t)
	own := listen(t, func(_ string, o *server.Options) {
		o.Upstreams = []upstreams.Declared{p.provide("a")}
		withMail(post)(o)
	})
	own.run()
	alice := own.has("alice", "alice@example.com", true)
	s := signedInto(t, own, "alice")
	elsewhere := signedInto(t, own, "alice")
	const path = "/me/security"
	s.open(own.url+path).submit("link-a").at(own, path, http.StatusOK, "The account is linked", "Account of another provider linked")
	s.open(own.url+path).submit("link-a").at(own, path, http.StatusOK, "The account is linked") // once more is no harm
	if n := own.identities(alice); n != 1 {
		t.Fatalf("%d identities", n)
	}
	newSurfer(t).open(own.url+"/login/with/a").at(own, "/me", http.StatusOK, "alice")

	page := s.open(own.url + path)
	form := unlinking(page)
	page.submit(form).at(own, path, http.StatusOK, "no longer linked", "Account of another provider removed")
	elsewhere.signedOut(own)
	page.submit(form).at(own, path, http.StatusOK, "no longer linked") // the form was sent twice
	newSurfer(t).open(own.url+"/login/with/a").at(own, "/signup/with", http.StatusOK)
	kinds := own.kinds(alice)
	for _, kind := range []audit.Kind{audit.IdentityLinked, audit.IdentityUnlinked} {
		if n := len(slices.DeleteFunc(slices.Clone(kinds), func(k audit.Kind) bool { return k != kind })); n != 1 {
			t.Errorf("%s: %d events: %v", kind, n, kinds)
		}
	}
	var subjects []string
	for _, letter := range post.Wait(2) {
		subjects = append(subjects, letter.Subject)
		if strings.HasPrefix(letter.Subject, "A") && !strings.Contains(letter.Text, "Other") {
			t.Errorf("the letter doesn't name the provider: %s", letter.Text)
		}
		if strings.HasPrefix(letter.Subject, "A") && !strings.Contains(letter.Text, own.url+"/forgot") {
			t.Errorf("the letter doesn't lead to a new password: %s", letter.Text)
		}
	}
	for _, subject := range []string{"Another way to sign in was added", "A way to sign in was removed"} {
		if !slices.Contains(subjects, subject) {
			t.Errorf("no letter %q: %q", subject, subjects)
		}
	}
}

// A user links to the own account alone, from the browser that has asked.
func TestLinkingIsForTheAccountThatAsked(t *testing.T) {
	p := newIDP(t)
	own := signingInWith(t, p.provide("a"))
	alice, bob := own.has("alice", "alice@example.com", true), own.has("bob", "bob@example.com", true)
	const path = "/me/security"
	none := func(what string) {
		t.Helper()
		if own.identities(alice)+own.identities(bob) != 0 {
			t.Fatalf("%s: it is linked", what)
		}
	}

	// Another user has signed in to the browser meanwhile, before or at the provider.
	s := signedInto(t, own, "alice")
	page := s.open(own.url + path)
	f, to := page.form("link-a")
	s.becomes(signedInto(t, own, "bob"), own)
	s.post(to, own.url, "same-origin", f).at(own, path, http.StatusOK, "Nothing has changed")
	none("the form of another account's page")
	s = signedInto(t, own, "alice")
	s.stopAt = own.url + "/login/callback/"
	s.open(own.url + path).submit("link-a")
	answer := s.trail[len(s.trail)-1]
	s.stopAt = ""
	s.becomes(signedInto(t, own, "bob"), own)
	s.led(answer).at(own, path, http.StatusOK, "Nothing has changed")
	none("an answer for another account")

	// The attacker's answer, in the victim's browser; and the victim's, in the attacker's.
	mallory, victim := signedInto(t, own, "bob"), signedInto(t, own, "alice")
	for _, pair := range [][2]*surfer{{mallory, victim}, {victim, mallory}} {
		pair[0].stopAt = own.url + "/login/callback/"
		pair[0].open(own.url + path).submit("link-a")
		answer := pair[0].trail[len(pair[0].trail)-1]
		pair[0].stopAt = ""
		pair[1].led(answer).at(own, "/login/callback/a", http.StatusBadRequest, "Please sign in again.")
		none("another browser's answer")
	}
	victim.post(own.url+path, "https://evil.example", "cross-site", form("do", "identity_link", "id", "a")).at(own, path, http.StatusForbidden)

	// Signed out meanwhile.
	s = signedInto(t, own, "alice")
	s.stopAt = own.url + "/login/callback/"
	s.open(own.url + path).submit("link-a")
	answer, s.stopAt = s.trail[len(s.trail)-1], ""
	s.open(own.url + "/logout").submit("logout-form")
	s.led(answer).at(own, "/login", http.StatusOK)
	none("signed out")

	// What one account has, another doesn't get.
	signedInto(t, own, "alice").open(own.url+path).submit("link-a").at(own, path, http.StatusOK, "The account is linked")
	signedInto(t, own, "bob").open(own.url+path).submit("link-a").at(own, path, http.StatusOK, "linked to another account here")
	if own.identities(alice) != 1 || own.identities(bob) != 0 {
		t.Error("an identity has been given to another account")
	}
}

// An account that a provider has made can do what it must: it keeps its last way in, sets a
// password by mail, and then may do without the provider.
func TestAnAccountWithoutAPasswordKeepsAWayIn(t *testing.T) {
	p, post := newIDP(t), smtpd.Start(t)
	p.tell(func(p *idp) { p.user["email"], p.user["email_verified"] = "alice@example.com", true })
	own := listen(t, func(_ string, o *server.Options) {
		o.Upstreams = []upstreams.Declared{p.provide("a")}
		withMail(post)(o)
	})
	own.run()
	s := newSurfer(t)
	s.open(own.url+"/login/with/a").at(own, "/me", http.StatusOK)
	page := s.open(own.url + "/me/security")
	page.submit(unlinking(page)).at(own, "/me/security", http.StatusConflict, "no way left to sign in")
	s.open(own.url+"/forgot").submit("forgot-form", "email", "alice@example.com").at(own, "/forgot", http.StatusOK)
	mailed := token(t, post.Wait(1)[0])
	s.open(own.url+"/reset?token="+mailed).submit("reset-form", "password", password).at(own, "/reset", http.StatusOK, "Password changed")
	s = signedInto(t, own, "alice@example.com")
	page = s.open(own.url + "/me/security")
	page.submit(unlinking(page)).at(own, "/me/security", http.StatusOK, "no longer linked")
	s.open(own.url+"/me/data").submit("delete-form", "confirm", "yes").at(own, "/me/deleted", http.StatusOK)

	// The next one of the same user is a new account, and deletes itself without a password.
	s = newSurfer(t)
	s.open(own.url+"/login/with/a").at(own, "/me", http.StatusOK)
	s.open(own.url+"/me/data").submit("delete-form", "confirm", "yes").at(own, "/me/deleted", http.StatusOK)
	if _, err := own.Users.ByEmail(t.Context(), "alice@example.com"); err == nil {
		t.Error("the account is not deleted")
	}
}

// An attacker makes an account for the victim's address with a provider of the own. The victim,
// who takes it over by mail, has it alone.
func TestAnAddressProvenByMailRemovesWhatAStrangerHasLinked(t *testing.T) {
	p, post := newIDP(t), smtpd.Start(t)
	own := listen(t, func(_ string, o *server.Options) {
		o.Upstreams = []upstreams.Declared{p.provide("a")}
		withMail(post)(o)
	})
	own.run()
	mallory := newSurfer(t)
	mallory.open(own.url+"/login/with/a").submit("join-form", "email", "victim@example.com").at(own, "/me", http.StatusOK)
	post.Wait(1)
	victim := newSurfer(t)
	victim.open(own.url+"/forgot").submit("forgot-form", "email", "victim@example.com").at(own, "/forgot", http.StatusOK)
	letters := post.Wait(2)
	mailed := token(t, letters[slices.IndexFunc(letters, func(l smtpd.Letter) bool { return l.Subject == "Set a new password" })])
	victim.open(own.url+"/reset?token="+mailed).submit("reset-form", "password", password).at(own, "/reset", http.StatusOK)
	mallory.signedOut(own)
	newSurfer(t).open(own.url+"/login/with/a").at(own, "/signup/with", http.StatusOK)
	u, err := own.Users.ByEmail(t.Context(), "victim@example.com")
	if err != nil || own.identities(u) != 0 || !slices.Contains(own.kinds(u), audit.IdentityUnlinked) {
		t.Errorf("the account: %+v %v %v", u, own.kinds(u), err)
	}
	signedInto(t, own, "victim@example.com")
}

// Ten minutes after the sign-in a change needs a proof: the password, or the provider once more.
func TestChangesOfIdentitiesNeedAProof(t *testing.T) {
	p := newIDP(t)
	p.tell(func(p *idp) { p.user["email"], p.user["email_verified"] = "carol@example.com", true })
	own := signingInWith(t, p.provide("a"))
	alice := own.has("alice", "alice@example.com", true)
	s := signedInto(t, own, "alice")
	carol := newSurfer(t)
	carol.open(own.url+"/login/with/a").at(own, "/me", http.StatusOK)
	own.age(11 * time.Minute)

	r := s.open(own.url+"/me/security").at(own, "/me/security", http.StatusOK)
	if _, to := r.form("link-a"); to != "" {
		t.Error("a provider can be linked without a proof")
	}
	r = s.open(own.url+"/me/security?do=identity_link&id=a").at(own, "/me/security", http.StatusOK, "Link Other")
	r.submit("identity-form").at(own, "/me/security", http.StatusBadRequest, "Please enter your current password.")
	r.submit("identity-form", "current_password", "wrong").at(own, "/me/security", http.StatusBadRequest, "This isn't your current password.")
	p.tell(func(p *idp) { p.user["sub"] = "u2" })
	r.submit("identity-form", "current_password", password).at(own, "/me/security", http.StatusOK, "The account is linked")
	if own.identities(alice) != 1 {
		t.Error("it is not linked")
	}

	// Without a password, the provider proves it.
	p.tell(func(p *idp) { p.user["sub"] = "u1" })
	r = carol.open(own.url+"/me/data").at(own, "/me/data", http.StatusOK, "sign in again first", "Continue with Other")
	r.submit("delete-form", "confirm", "yes").at(own, "/me/data", http.StatusForbidden, "Please sign in again first")
	carol.open(own.url+"/me/data").submit("with-a").at(own, "/me/data", http.StatusOK).
		submit("delete-form", "confirm", "yes").at(own, "/me/deleted", http.StatusOK)

	// A provider that says that the user has not proven anything there of late proves nothing.
	p.tell(func(p *idp) {
		p.user["auth_time"], p.user["email"] = time.Now().Add(-time.Hour).Unix(), "dan@example.com"
	})
	dan := newSurfer(t)
	dan.open(own.url+"/login/with/a").at(own, "/me", http.StatusOK)
	own.age(11 * time.Minute)
	dan.open(own.url+"/me/data").submit("with-a").at(own, "/login/callback/a", http.StatusForbidden, "Other did not have you sign in anew")
}

// age has all sign-ins have happened earlier.
func (l *listening) age(d time.Duration) {
	l.t.Helper()
	if _, err := openPast(l.t, l.path).ExecContext(l.t.Context(), `UPDATE logins SET auth_time = auth_time - ?`, d.Milliseconds()); err != nil {
		l.t.Fatal(err)
	}
}

// The API lists and unlinks with a proof, and the export has the identities.
func TestIdentitiesOverHTTP(t *testing.T) {
	a := newApp(t, func(o *server.Options, _ *keys.Options) {
		o.Upstreams = []upstreams.Declared{{Settings: upstreams.Settings{ID: "google", Preset: "google", ClientID: "x", Signup: true}, Secret: "s"}}
	})
	a.signup("alice")
	p := a.page()
	in := p.signIn("alice", password).want(http.StatusOK)
	if got := p.do(http.MethodGet, "/account/identities", "").want(http.StatusOK).Body.String(); strings.TrimSpace(got) != `{"identities":[]}` {
		t.Errorf("none: %s", got)
	}
	user, err := a.Users.ByUsername(t.Context(), "alice")
	if err != nil {
		t.Fatal(err)
	}
	sid, err := ids.Parse[ids.Session](sidOf(in))
	if err == nil {
		err = a.Users.Link(t.Context(), time.Now(), user.ID, ids.Place{Session: sid}, accounts.Named{Provider: "google", Name: "Google", Key: [32]byte{1}, Email: "a@gmail.example"}, caller.Operator())
	}
	if err != nil {
		t.Fatal(err)
	}
	all := p.do(http.MethodGet, "/account/identities", "").want(http.StatusOK).json()["identities"].([]any)
	one := all[0].(map[string]any)
	if len(all) != 1 || one["provider"] != "google" || one["email"] != "a@gmail.example" || one["linked_at"] == nil {
		t.Fatalf("identities: %v", all)
	}
	if got := p.do(http.MethodGet, "/account/export", "").want(http.StatusOK).json()["identities"].([]any); len(got) != 1 {
		t.Errorf("the export has %v", got)
	}
	id := one["id"].(string)
	bearer := a.login("alice") // a token that travels proves nothing by itself
	a.do(http.MethodDelete, "/account/identities/"+id, "", "Authorization", "Bearer "+bearer.text("access_token")).wantProblem(http.StatusForbidden, "reauthentication_required")
	for _, unknown := range []string{"nonsense", "01a220a2-1cf2-7812-aed6-fbbd87b5b301"} {
		p.do(http.MethodDelete, "/account/identities/"+unknown, "").wantProblem(http.StatusNotFound, "no_identity")
	}
	a.signup("bob")
	q := a.page()
	q.signIn("bob", password).want(http.StatusOK)
	q.do(http.MethodDelete, "/account/identities/"+id, "").wantProblem(http.StatusNotFound, "no_identity")
	p.do(http.MethodDelete, "/account/identities/"+id, "").want(http.StatusNoContent)
	p.do(http.MethodDelete, "/account/identities/"+id, "").wantProblem(http.StatusNotFound, "no_identity")
	p.refresh().want(http.StatusOK)
	a.refresh(bearer.text("refresh_token")).want(http.StatusBadRequest)
}
