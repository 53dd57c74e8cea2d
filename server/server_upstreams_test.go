package server_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"countersign/accounts"
	"countersign/audit"
	"countersign/caller"
	"countersign/server"
	"countersign/upstreams"
)

// pair is a server and another one of ours that it signs users in with.
type pair struct{ own, other *listening }

// newPair starts both. change changes the settings of the provider, and options the server's.
func newPair(t *testing.T, change func(*upstreams.Settings), options ...func(string, *server.Options)) pair {
	t.Helper()
	var p pair
	p.other = listen(t)
	p.own = listen(t, append(options, func(_ string, o *server.Options) {
		d := p.other.provide("other")
		if change != nil {
			change(&d.Settings)
		}
		o.Upstreams = append(o.Upstreams, d)
	})...)
	p.other.declare("other", p.own)
	return p
}

// has makes an account with an address, proven or not.
func (l *listening) has(name, address string, proven bool) accounts.User {
	l.t.Helper()
	u, err := l.Users.Create(l.t.Context(), time.Now(), accounts.NewUser{Username: name, Email: address, EmailVerified: proven, Password: password}, caller.Operator())
	if err != nil {
		l.t.Fatal(err)
	}
	return u
}

// identities returns how many identities a user has.
func (l *listening) identities(u accounts.User) int {
	l.t.Helper()
	all, err := l.Users.Identities(l.t.Context(), u.ID)
	if err != nil {
		l.t.Fatal(err)
	}
	return len(all)
}

// kinds returns the kinds of a user's events.
func (l *listening) kinds(u accounts.User) (all []audit.Kind) {
	l.t.Helper()
	events, err := l.db.Events(l.t.Context(), audit.Filter{UserID: u.ID})
	if err != nil {
		l.t.Fatal(err)
	}
	for _, ev := range events {
		all = append(all, ev.Kind)
	}
	return all
}

// A user of another server of ours gets an account with the first sign-in, comes back to it
// with the next, also for an application, and finds the way in at /me/security.
func TestUsersSignInWithAnotherProvider(t *testing.T) {
	p := newPair(t, nil)
	p.other.has("alice", "alice@example.com", true)
	s := newSurfer(t)
	s.open(p.own.url+"/login").at(p.own, "/login", http.StatusOK, "Continue with Other").
		submit("with-other").at(p.other, "/login", http.StatusOK).
		submit("login-form", "username", "alice", "password", password).at(p.own, "/me", http.StatusOK, "alice@example.com", "Confirmed")
	s.open(p.own.url+"/me/security").at(p.own, "/me/security", http.StatusOK, "Other", "Your account has no password", "Account of another provider linked")
	u, err := p.own.Users.ByEmail(t.Context(), "alice@example.com")
	if err != nil || u.Username != "" || u.PasswordHash != "" || !u.EmailVerified {
		t.Errorf("the account: %+v, %v", u, err)
	}

	// For an application, on the way of which the user is; the provider knows the browser.
	s.stopAt = spaCallback
	asked := s.open(p.own.url+"/oauth/authorize?"+authorization("spa", "prompt", "login").Encode()).at(p.own, "/login", http.StatusOK)
	again := asked.submit("with-other").at(p.other, "/login", http.StatusOK) // which asks anew: the user is signed in here
	again.submit("login-form", "username", "alice", "password", password)
	back := s.trail[len(s.trail)-1]
	if !strings.HasPrefix(back, spaCallback+"?") || !strings.Contains(back, "code=") {
		t.Fatalf("the application gets %s", back)
	}
	code := strings.SplitN(strings.SplitN(back, "code=", 2)[1], "&", 2)[0]
	tokens := p.own.exchange(code).want(http.StatusOK)
	_, claims := tokens.claims("access_token")
	if got, _ := json.Marshal(claims["amr"]); string(got) != `["fed"]` || claims["acr"] != nil || claims["sub"] != u.ID.String() {
		t.Errorf("amr = %s, acr = %v, sub = %v", got, claims["acr"], claims["sub"])
	}
	live := p.own.introspect(tokens.text("access_token"), "Authorization", basic("reader", secret)).want(http.StatusOK).json()
	if _, has := live["acr"]; has || live["active"] != true {
		t.Errorf("introspection says %v", live)
	}
	if n := p.own.identities(u); n != 1 {
		t.Errorf("%d identities", n)
	}

	// A browser that is signed in at neither comes to the same account, and from /signup, too.
	newSurfer(t).open(p.own.url+"/signup").at(p.own, "/signup", http.StatusOK).submit("with-other").
		submit("login-form", "username", "alice", "password", password).at(p.own, "/me", http.StatusOK, "alice@example.com")
}

// No provider opens an account that isn't linked, whatever address it names, verified or not,
// in whatever case.
//
// Requirement: line 84.
func TestAnEqualAddressOpensNoAccount(t *testing.T) {
	for _, policy := range []string{upstreams.LinkNever, upstreams.LinkVerified} {
		for _, verified := range []bool{false, true} {
			for _, address := range []string{"alice@example.com", "Alice@EXAMPLE.com", "ＡLICE@example.com"} {
				for _, proven := range []bool{false, true} {
					p := newIDP(t)
					p.tell(func(p *idp) { p.user["email"], p.user["email_verified"] = address, verified })
					own := signingInWith(t, p.provide("a", func(s *upstreams.Settings) { s.LinkByEmail = policy }))
					alice := own.has("alice", "alice@example.com", proven)
					s := newSurfer(t)
					r := s.open(own.url + "/login/with/a")
					if policy == upstreams.LinkVerified && verified {
						r.at(own, "/login/link", http.StatusOK, "An account at Countersign has the address").
							submit("link-form").at(own, "/login", http.StatusOK, "links your account of", "Other").
							submit("login-form", "username", "alice@example.com", "password", "a wrong password").at(own, "/login", http.StatusBadRequest, "password is wrong", "links your account of")
					} else {
						r.at(own, "/signup/with", http.StatusOK, "Other has told us who you are")
					}
					s.signedOut(own)
					// Another account gets the address neither way, only a name.
					r = s.open(own.url+"/signup/with").at(own, "/signup/with", http.StatusOK)
					r.submit("join-form", "username", "", "email", address).at(own, "/signup/with", http.StatusBadRequest, "belongs to another account")
					r.submit("join-form", "username", "mallory", "email", "").at(own, "/me", http.StatusOK, "mallory")
					if own.identities(alice) != 0 {
						t.Errorf("%s %v %q %v: alice's account is linked", policy, verified, address, proven)
					}
					if got, err := own.Users.ByID(t.Context(), alice.ID); err != nil || got.EmailVerified != proven || got.Epoch != alice.Epoch {
						t.Errorf("alice's account has changed: %+v, %v", got, err)
					}
				}
			}
		}
	}
}

// An address is proven where the provider says so, and nowhere else. One that isn't is what
// the user may fill in, and proves as at any sign-up.
func TestAnAddressIsProvenWhereTheProviderSaysSo(t *testing.T) {
	for _, verified := range []any{true, "true", false, nil, "yes"} {
		p := newIDP(t)
		p.tell(func(p *idp) {
			p.user["email"], p.user["email_verified"], p.user["name"] = "bob@example.com", verified, "Bob \u202e evil"
			p.user["picture"], p.user["locale"] = "https://pictures.example/bob.png", "ko-KR"
		})
		own := signingInWith(t, p.provide("a"))
		s := newSurfer(t)
		r := s.open(own.url + "/login/with/a")
		if proven := verified == true || verified == "true"; !proven {
			r = r.at(own, "/signup/with", http.StatusOK, `value="bob@example.com"`).submit("join-form", "email", "bob@example.com")
			r.at(own, "/me", http.StatusOK, "Not confirmed yet")
		} else {
			r.at(own, "/me", http.StatusOK, "Confirmed", "https://pictures.example/bob.png", "ko-KR")
		}
		if strings.Contains(r.body, "evil") {
			t.Errorf("a name that reverses the page is shown: %s", r.body)
		}
	}
}

// enrol gives a user a second factor at /me/factors.
func (s *surfer) enrol(l *listening, name string) (secret string) {
	s.t.Helper()
	s.open(l.url+"/login").submit("login-form", "username", name, "password", password).at(l, "/me", http.StatusOK)
	return s.enrolHere(l)
}

// enrolHere is enrol for the user who is signed in.
func (s *surfer) enrolHere(l *listening) (secret string) {
	s.t.Helper()
	r := s.open(l.url+"/me/factors?do=factor_begin").submit("factors-form").at(l, "/me/factors", http.StatusOK)
	_, after, _ := strings.Cut(r.body, `<code id="secret">`)
	secret, _, _ = strings.Cut(after, "<")
	r.submit("confirm-form", "code", appCode(s.t, secret)).at(l, "/me/factors", http.StatusOK, "Recovery codes")
	return secret
}

// A user who has a second factor is asked for it after the provider, and tokens say so. An
// account that may not sign in is refused as by its password.
func TestAProviderIsOneFactor(t *testing.T) {
	p := newIDP(t)
	p.tell(func(p *idp) { p.user["email"], p.user["email_verified"] = "alice@example.com", true })
	own := signingInWith(t, p.provide("a"))
	s := newSurfer(t)
	s.open(own.url+"/login/with/a").at(own, "/me", http.StatusOK)
	// An application that insists on a password gets one, or the truth: the user is asked once more.
	s.stopAt = spaCallback
	insists := authorization("spa", "claims", `{"id_token":{"acr":{"essential":true,"values":["pwd"]}}}`)
	s.open(own.url+"/oauth/authorize?"+insists.Encode()).at(own, "/login", http.StatusOK).submit("with-a")
	if back := s.trail[len(s.trail)-1]; !strings.Contains(back, "error=unmet_authentication_requirements") {
		t.Errorf("the application gets %s", back)
	}
	s.stopAt = ""
	secret := s.enrolHere(own)
	q := newSurfer(t)
	q.stopAt = spaCallback
	q.open(own.url+"/oauth/authorize?"+authorization("spa").Encode()).submit("with-a").at(own, "/factor", http.StatusOK).
		submit("factor-form", "code", nextCode(t, secret))
	back := q.trail[len(q.trail)-1]
	code := strings.SplitN(strings.SplitN(back+"code=", "code=", 2)[1], "&", 2)[0]
	_, claims := own.exchange(code).want(http.StatusOK).claims("access_token")
	if got, _ := json.Marshal(claims["amr"]); string(got) != `["fed","otp","mfa"]` || claims["acr"] != "mfa" {
		t.Errorf("amr = %s, acr = %v", got, claims["acr"])
	}
	u, err := own.Users.ByEmail(t.Context(), "alice@example.com")
	if err == nil {
		err = own.Users.Disable(t.Context(), time.Now(), u.ID, caller.Operator())
	}
	if err != nil {
		t.Fatal(err)
	}
	newSurfer(t).open(own.url+"/login/with/a").at(own, "/login/callback/a", http.StatusForbidden, "This account is disabled")
}

// A browser that a user has had remembered asks for no second factor after a provider, either,
// and the tokens say no more than what was proven.
func TestARememberedBrowserCountsAfterAProvider(t *testing.T) {
	p := newIDP(t)
	p.tell(func(p *idp) { p.user["email"], p.user["email_verified"] = "alice@example.com", true })
	own := listen(t, func(_ string, o *server.Options) {
		o.Upstreams, o.Factors.RememberBrowser = []upstreams.Declared{p.provide("a")}, time.Hour
	})
	s := newSurfer(t)
	s.open(own.url+"/login/with/a").at(own, "/me", http.StatusOK)
	secret := s.enrolHere(own)
	q := newSurfer(t)
	q.open(own.url+"/login/with/a").at(own, "/factor", http.StatusOK).
		submit("factor-form", "code", nextCode(t, secret), "remember", "yes").at(own, "/me", http.StatusOK)
	q.stopAt = spaCallback
	q.open(own.url + "/oauth/authorize?" + authorization("spa", "prompt", "login").Encode()).submit("with-a")
	back := q.trail[len(q.trail)-1]
	code := strings.SplitN(strings.SplitN(back+"code=", "code=", 2)[1], "&", 2)[0]
	_, claims := own.exchange(code).want(http.StatusOK).claims("access_token")
	if got, _ := json.Marshal(claims["amr"]); string(got) != `["fed"]` || claims["acr"] != nil {
		t.Errorf("amr = %s, acr = %v", got, claims["acr"])
	}
	// What an application insists on is asked for all the same, and other browsers are asked.
	q.open(own.url+"/oauth/authorize?"+authorization("spa", "prompt", "login", "claims", essentialMFA).Encode()).submit("with-a").at(own, "/factor", http.StatusOK)
	newSurfer(t).open(own.url+"/login/with/a").at(own, "/factor", http.StatusOK)
}
