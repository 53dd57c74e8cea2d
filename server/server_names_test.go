package server_test

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"countersign/accounts"
	"countersign/audit"
	"countersign/caller"
	"countersign/ids"
	"countersign/server"
	"countersign/test/smtpd"
)

// Users sign in with their username or their e-mail address, at every door and however a
// phone's keyboard writes it.
func TestSignInByUsernameOrAddress(t *testing.T) {
	a := newApp(t)
	a.signup("alice")
	for _, name := range []string{"alice", "alice@example.net", " Alice@Example.NET\u200b "} {
		a.page().signIn(name, password).want(http.StatusOK)
		a.login(name)
		p := a.person()
		f := p.open("/login").page("login-form")
		f.Set("username", name)
		f.Set("password", password)
		if got := p.submit("/login", f).want(http.StatusSeeOther).Header().Get("Location"); got != "/me" {
			t.Errorf("%q: the page leads to %s", name, got)
		}
	}
	a.page().signIn("alice@example.com", password).wantProblem(http.StatusUnauthorized, "invalid_credentials")
	a.page().signIn("@", password).wantProblem(http.StatusUnauthorized, "invalid_credentials")
}

// All names of an account have one guess budget, and so do all spellings of an address
// without an account. A browser that the account knows has its own.
func TestNamesOfAnAccountHaveOneBudget(t *testing.T) {
	for _, spellings := range [][]string{
		{"alice", "alice@example.net", "ALICE", " alice@EXAMPLE.net"},
		{"nobody@example.net", " Nobody@example.net", "NOBODY@EXAMPLE.NET "},
	} {
		synctest.Test(t, func(t *testing.T) {
			a := newApp(t)
			a.signup("alice")
			home := a.page()
			home.signIn("alice", password).want(http.StatusOK)
			for i := range 11 {
				a.page().signIn(spellings[i%len(spellings)], "wrong").wantProblem(http.StatusUnauthorized, "invalid_credentials")
			}
			for _, name := range spellings {
				a.page().signIn(name, password).wantProblem(http.StatusTooManyRequests, "throttled")
			}
			home.signIn("alice@example.net", password).want(http.StatusOK)
		})
	}
}

// squat adds an account as older versions let users make it: with an address for its name.
func (a *app) squat(name string) {
	a.t.Helper()
	a.signup("squatter")
	u, err := a.Users.ByUsername(a.t.Context(), "squatter")
	if err != nil {
		a.t.Fatal(err)
	}
	u.ID, u.Username, u.Email = ids.New[ids.User](), name, ""
	if err := a.db.CreateUser(a.t.Context(), u, audit.Event{Kind: audit.UserCreated}); err != nil {
		a.t.Fatal(err)
	}
}

const another = "another correct horse"

// A username that is an address goes on working, but never comes between the address and
// the user who has proven it.
func TestAUsernameShadowsNoProvenAddress(t *testing.T) {
	a := newApp(t)
	a.squat("victim@example.net")
	a.login("victim@example.net")
	if _, err := a.Users.Create(t.Context(), time.Now(), accounts.NewUser{
		Username: "victim", Email: "Victim@example.net", EmailVerified: true, Password: another,
	}, caller.Operator()); err != nil {
		t.Fatal(err)
	}
	a.page().signIn("victim@example.net", another).want(http.StatusOK)
	a.page().signIn("victim@example.net", password).wantProblem(http.StatusUnauthorized, "invalid_credentials")
	a.post("/signup", `{"username":"late","email":"other@example.net","password":"`+password+`"}`).want(http.StatusCreated)
}

// proving is an app whose users must prove their addresses.
func proving(o *server.Options) { o.Accounts.RequireVerifiedEmail = true }

func (p *page) join(username, email, password string) *response {
	p.a.t.Helper()
	return p.do("POST", "/signup", fmt.Sprintf(`{"username":%q,"email":%q,"password":%q}`, username, email, password)).want(http.StatusCreated)
}

// The owner of the right password learns why the account can't be used yet, and no other
// caller does. The page sends the letter again, to the account whose password it was.
func TestRightPasswordIsToldWhy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, box := simulated(t, proving)
		p := a.page()
		p.join("alice", "alice@example.net", password)
		box.take(t)
		p.join("mallory", "Alice@example.net", another) // the newest account of that address
		box.take(t)
		wrong := a.page().signIn("nobody@example.net", "wrong").wantProblem(http.StatusUnauthorized, "invalid_credentials").Body.String()
		for _, name := range []string{"alice", "mallory", "alice@example.net"} {
			if got := a.page().signIn(name, "wrong").Body.String(); got != wrong {
				t.Errorf("%s, a wrong password: %s, want %s", name, got, wrong)
			}
		}
		for name, right := range map[string][]string{"alice": {password}, "mallory": {another}, "ALICE@example.net": {password, another}} {
			for _, secret := range right {
				a.page().signIn(name, secret).wantProblem(http.StatusForbidden, "email_not_verified")
				said := a.token(with(passwordForm(name), "password", secret)).wantNothing().wantError(http.StatusBadRequest, "invalid_grant").text("error_description")
				if !strings.Contains(said, "not verified") {
					t.Errorf("error_description = %q", said)
				}
			}
		}
		browser := a.person()
		in := browser.open("/login").page("login-form")
		in.Set("username", "alice@example.net")
		in.Set("password", password)
		r := browser.submit("/login", in).says(http.StatusForbidden, "isn't confirmed yet", "Send the confirmation again")
		again := r.page("again-form")
		if strings.Contains(again.Encode(), password) {
			t.Error("the page carries the password")
		}
		browser.submit("/verify/again", again).says(http.StatusOK, "Check your mail")
		letter := box.take(t)
		if letter.To != "alice@example.net" || !strings.Contains(letter.Text, "account alice ") {
			t.Errorf("the letter to %s says %q", letter.To, letter.Text)
		}
		// After an hour the page no longer tells the accounts apart, and the newest gets it.
		time.Sleep(time.Hour + time.Minute)
		browser.submit("/verify/again", again).says(http.StatusOK, "Check your mail")
		if late := box.take(t); !strings.Contains(late.Text, "account mallory ") {
			t.Errorf("an hour later the letter says %q", late.Text)
		}
		p.verify(token(t, letter)).want(http.StatusNoContent)
		a.page().signIn("alice@example.net", password).want(http.StatusOK)
		// For the other it looks as if the address were free.
		a.page().signIn("alice@example.net", another).wantProblem(http.StatusForbidden, "email_not_verified")

		alice, err := a.Users.ByUsername(t.Context(), "alice")
		if err != nil {
			t.Fatal(err)
		}
		if err := a.Users.Disable(t.Context(), time.Now(), alice.ID, caller.Operator()); err != nil {
			t.Fatal(err)
		}
		a.page().signIn("alice", password).wantProblem(http.StatusForbidden, "account_disabled")
		a.page().signIn("alice", "wrong").wantProblem(http.StatusUnauthorized, "invalid_credentials")
		if said := a.token(passwordForm("alice@example.net")).wantNothing().wantError(http.StatusBadRequest, "invalid_grant").text("error_description"); !strings.Contains(said, "disabled") {
			t.Errorf("error_description = %q", said)
		}
		in.Set("username", "alice")
		browser.submit("/login", in).says(http.StatusForbidden, "account is disabled")
	})
}

// An attacker who makes an account for another person's address learns nothing about that
// person from signing in to it: neither from answers nor from budgets nor from the work, which
// is one hash at every door. Nor does it keep the person out.
func TestAnAccountForAnothersAddressTellsNothing(t *testing.T) {
	a := newApp(t, withHeavyHashes, withOptions(func(o *server.Options) {
		withMail(&smtpd.Server{})(o)
		o.Mail.Sender = &outbox{}
	}))
	a.signUpProven("alice")
	a.options.Accounts.RequireVerifiedEmail = true
	a.restart()
	a.page().join("mallory1", "alice@example.net", another)
	a.page().join("mallory2", "empty@example.net", another)
	doors := map[string]func(name, secret string) *response{
		"session": func(name, secret string) *response { return a.page().signIn(name, secret) },
		"token":   func(name, secret string) *response { return a.token(with(passwordForm(name), "password", secret)) },
		"page": func(name, secret string) *response {
			return a.person().submit("/login", url.Values{"username": {name}, "password": {secret}})
		},
	}
	for door, ask := range doors {
		for _, secret := range []string{another, "wrong"} {
			var told []string
			for _, name := range []string{"alice@example.net", "empty@example.net"} {
				var r *response
				if n := hashesIn(func() { r = ask(name, secret) }); n != 1 {
					t.Errorf("%s, %s: %d hashes, want 1", door, name, n)
				}
				answer := strings.ReplaceAll(r.answer(), name, "NAME")
				if f := r.Body.String(); strings.Contains(f, `name="account"`) {
					answer = strings.ReplaceAll(answer, r.page("again-form").Get("account"), "ACCOUNT")
				}
				told = append(told, answer)
			}
			if told[0] != told[1] {
				t.Errorf("%s, %q: told apart:\n%s\n%s", door, secret, told[0], told[1])
			}
		}
	}
	for _, pair := range [][2]string{{"mallory1", "alice@example.net"}, {"mallory2", "empty@example.net"}} {
		var codes []int
		for range 12 {
			codes = append(codes, a.page().signIn(pair[0], "wrong").Code)
		}
		codes = append(codes, a.page().signIn(pair[1], "wrong").Code)
		if want := http.StatusTooManyRequests; codes[12] != want || !slices.Contains(codes[:12], want) {
			t.Errorf("guesses at %s, and the last at %s: %v", pair[0], pair[1], codes)
		}
	}
}

// Visitors sign up with a username, an address or both, as the settings say, and sign in with
// what they gave.
func TestSignUpTakesTheNamesThatTheSettingsSay(t *testing.T) {
	const both, username, email = `"username":"alice","email":"alice@example.net"`, `"username":"alice"`, `"email":"alice@example.net"`
	for _, c := range []struct {
		names                 accounts.SignupNames
		both, username, email string // the field that is wrong, if one is
		form, login           []string
	}{
		{accounts.SignupNames{}, "", "", "", []string{"one or both", "(optional)"}, []string{"Username or e-mail address"}},
		{accounts.SignupNames{Username: accounts.Required}, "", "", "username", nil, nil},
		{accounts.SignupNames{Email: accounts.Required}, "", "email", "", nil, nil},
		{accounts.SignupNames{Username: accounts.None}, "username", "username", "", nil, []string{">E-mail address<"}},
		{accounts.SignupNames{Email: accounts.None}, "email", "", "email", nil, []string{">Username<"}},
	} {
		for body, wrong := range map[string]string{both: c.both, username: c.username, email: c.email} {
			a := newApp(t, withOptions(func(o *server.Options) { o.Accounts.Signup = c.names }))
			r := a.page().do("POST", "/signup", `{"password":"`+password+`",`+body+`}`)
			if wrong != "" {
				r.wantProblem(http.StatusBadRequest, "invalid_input")
				if !strings.Contains(r.Body.String(), `"field":"`+wrong+`"`) {
					t.Errorf("%+v, %s: %s, want %s to be wrong", c.names, body, r.Body, wrong)
				}
				continue
			}
			r.want(http.StatusCreated)
			for _, name := range []string{"alice", "alice@example.net"} {
				if strings.Contains(body, `"`+name+`"`) {
					a.page().signIn(name, password).want(http.StatusOK)
				}
			}
		}
	}
}

// An account without a username has no claim of it, and no page or answer shows another in its
// place.
func TestAnAccountWithoutAUsername(t *testing.T) {
	a := newApp(t)
	p := a.page()
	answer := p.do("POST", "/signup", `{"email":"Alice@example.net","password":"`+password+`"}`).want(http.StatusCreated)
	if _, has := answer.json()["username"]; has {
		t.Errorf("the account has a username: %s", answer.Body)
	}
	p.do("POST", "/signup", `{"email":"alice@EXAMPLE.net","password":"`+password+`"}`).wantProblem(http.StatusConflict, "taken")
	p.do("POST", "/signup", `{"password":"`+password+`"}`).wantProblem(http.StatusBadRequest, "invalid_input")
	in := a.login("alice@example.net")
	for who, claims := range map[string]map[string]any{"userinfo": a.userinfo(in.text("access_token")).want(http.StatusOK).json(), "introspection": a.introspectAs("reader", secret, in.text("access_token")).want(http.StatusOK).json()} {
		for _, claim := range []string{"preferred_username", "username", "name"} {
			if v, has := claims[claim]; has {
				t.Errorf("%s has the claim %s: %v", who, claim, v)
			}
		}
	}
	browser := a.person()
	in = browser.open("/login")
	f := in.page("login-form")
	f.Set("username", "alice@example.net")
	f.Set("password", password)
	browser.submit("/login", f).want(http.StatusSeeOther)
	browser.open("/logout").says(http.StatusOK, "Sign out?", "Alice@example.net")
	for _, name := range []string{"", " " + answer.text("id"), answer.text("id")} {
		if _, err := a.Users.ByUsername(t.Context(), name); err == nil {
			t.Errorf("%q finds the account", name)
		}
	}
	second := a.person()
	s := second.open("/signup").page("signup-form")
	s.Set("email", "bob@example.net")
	s.Set("password", password)
	second.submit("/signup", s).want(http.StatusSeeOther)
	second.submit("/signup", s).want(http.StatusSeeOther) // sent twice
}

// A sign-up with an address alone that is sent twice makes one account, also where the address
// must be proven first; with another password it makes another.
func TestSignUpByAddressSentTwice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, box := simulated(t, proving)
		p := a.page()
		first := p.do("POST", "/signup", `{"email":"alice@example.net","password":"`+password+`"}`).want(http.StatusCreated).text("id")
		again := p.do("POST", "/signup", `{"email":"Alice@example.net","password":"`+password+`"}`).want(http.StatusCreated).text("id")
		other := p.do("POST", "/signup", `{"email":"alice@example.net","password":"`+another+`"}`).want(http.StatusCreated).text("id")
		if first != again || first == other {
			t.Errorf("accounts %s, %s, %s: want the second to be the first", first, again, other)
		}
		time.Sleep(2 * time.Second)
		letters, _ := box.empty()
		if len(letters) != 2 || !strings.Contains(letters[0].Text, "alice@example.net") {
			t.Fatalf("letters: %v", letters)
		}
		p.signIn("alice@example.net", password).wantProblem(http.StatusForbidden, "email_not_verified")
		p.do("POST", "/account/email/resend", `{"email":"alice@example.net"}`).want(http.StatusAccepted)
		letter := box.take(t) // to the newest account
		p.verify(token(t, letter)).want(http.StatusNoContent)
		p.signIn("alice@example.net", another).want(http.StatusOK)
	})
}

// A browser that signed up with an address is a stranger to the address until the user proves
// it, whether or not another account has proven it: a budget of its own would tell which.
func TestABrowserIsAStrangerToAnAddressThatItsUserDoesNotOwn(t *testing.T) {
	a := newApp(t, proxied, withOptions(func(o *server.Options) {
		withMail(&smtpd.Server{})(o)
		o.Mail.Sender = &outbox{}
		o.Throttle.StrangersPerAccount = 5
	}))
	a.signUpProven("alice")
	a.options.Accounts.RequireVerifiedEmail = true
	a.restart()
	for i, address := range []string{"alice@example.net", "empty@example.net"} {
		browser := a.person()
		browser.submit("/signup", form("username", fmt.Sprint("mallory", i), "email", address, "password", another)).says(http.StatusOK, "Check your mail")
		for range 6 {
			p := a.page()
			p.address = "203.0.113.7"
			p.signIn(address, "wrong")
		}
		browser.submit("/login", form("username", address, "password", "wrong")).want(http.StatusTooManyRequests)
	}
}

// An attacker can't refill the budget of an address by signing in to an account of the
// attacker's own that only holds the address.
func TestAnUnclaimedAccountRefillsNoBudget(t *testing.T) {
	a := newApp(t, withOptions(func(o *server.Options) {
		withMail(&smtpd.Server{})(o)
		o.Mail.Sender = &outbox{}
	}))
	a.signUpProven("alice")
	a.options.Accounts.RequireVerifiedEmail = true
	a.restart()
	a.page().join("mallory", "alice@example.net", another)
	a.options.Accounts.RequireVerifiedEmail = false // now both may sign in
	a.restart()
	for range 40 {
		if a.page().signIn("alice@example.net", "wrong").Code == http.StatusTooManyRequests {
			return
		}
		a.page().signIn("alice@example.net", another)
	}
	t.Error("forty wrong guesses, and no wait")
}

// signUpProven adds an account with a proven address.
func (a *app) signUpProven(name string) {
	a.t.Helper()
	a.signup(name)
	u, err := a.Users.ByUsername(a.t.Context(), name)
	if err == nil {
		_, err = a.Users.VerifyEmail(a.t.Context(), time.Now(), u, caller.Operator())
	}
	if err != nil {
		a.t.Fatal(err)
	}
}
