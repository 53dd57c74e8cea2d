package server_test

import (
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"countersign/caller"
	"countersign/server"
)

// required has users of these roles, or all, need a second factor.
func required(who ...string) func(*server.Options) {
	return func(o *server.Options) { o.Factors.Required = who }
}

var (
	shownSecret = regexp.MustCompile(`id="secret">([A-Z2-7]{32})<`)
	shownCode   = regexp.MustCompile(`<li><code>([a-z2-7-]{19})</code>`)
)

// secret returns the key of the authenticator app that a page shows.
func (r *response) secret() string {
	r.t.Helper()
	found := shownSecret.FindStringSubmatch(r.says(http.StatusOK, `<svg class="qr"`).Body.String())
	if found == nil {
		r.t.Fatalf("no key: %s", r.Body)
	}
	return found[1]
}

// dueToEnrol signs in a user who must set up a second factor, and returns the key of the app
// that the page shows.
func (p *person) dueToEnrol(name string) (secret string) {
	p.a.t.Helper()
	p.submit("/login", form("username", name, "password", password)).goesTo("/factor/enrol")
	return p.open("/factor/enrol").secret()
}

// A setting takes no user's protection away: it only refuses new factors.
func TestWithoutTOTPUsersKeepTheirApps(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newApp(t)
		p, secret, recovery := a.withFactor("alice")
		begun := p.do(http.MethodPost, "/account/factors/totp", "").want(http.StatusCreated)
		a.options.Factors.TOTP = false
		a.restart()

		p.answer(p.challenged("alice"), "totp", appCode(t, secret)).want(http.StatusOK)
		p.do(http.MethodPost, "/account/factors/totp", "").wantProblem(http.StatusForbidden, "factor_not_offered")
		p.do(http.MethodPost, "/account/factors/totp/"+begun.text("id")+"/confirm", `{"code":"`+appCode(t, begun.text("secret"))+`"}`).
			wantProblem(http.StatusForbidden, "factor_not_offered")

		own := a.person()
		own.submit("/login", form("username", "alice", "password", password)).goesTo("/factor")
		own.submit("/factor", form("method", "recovery_code", "code", recovery[0])).goesTo("/me")
		for _, page := range []string{"/me/factors", "/me/factors?do=factor_begin"} {
			if r := own.open(page).says(http.StatusOK, "do=codes_renew"); strings.Contains(r.Body.String(), "Set up an authenticator app") {
				t.Errorf("%s offers another app: %s", page, r.Body)
			}
		}
		own.submit("/me/factors", fill(own.open("/me/factors?do=codes_renew").page("factors-form"), "do", "factor_begin")).
			says(http.StatusForbidden, "This can’t be set up here.")
	})
}

// A user who must have a second factor sets one up on the way to the application, with no
// scripts, and sees the recovery codes once.
func TestEnrolmentAtASignIn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newApp(t, withOptions(required("all")))
		a.signup("alice")
		p := a.person()
		f := fill(p.authorize(authorization("spa")).page("login-form"), "username", "alice", "password", password)
		r := p.follow(p.submit("/login", f)).says(http.StatusOK, "Protect your account", "asks you for a second step")
		secret, asks := r.secret(), r.page("enrol-form")
		if again := p.open("/factor/enrol?ticket=" + asks.Get("ticket")).secret(); again != secret {
			t.Error("a reload shows another key")
		}
		p.open("/me").goesTo("/login?to=%2Fme") // not signed in yet
		r = p.submit("/factor/enrol", fill(asks, "code", "000000")).says(http.StatusBadRequest, "This code is wrong", secret)
		f = fill(r.page("enrol-form"), "code", appCode(t, secret))
		r = p.submit("/factor/enrol", f).says(http.StatusOK, "Recovery codes", "I have kept them")
		codes := shownCode.FindAllStringSubmatch(r.Body.String(), -1)
		if len(codes) != 10 {
			t.Fatalf("%d recovery codes: %s", len(codes), r.Body)
		}
		issued := a.exchange(p.submit("/factor/enrol", r.page("done-form")).code(spaCallback)).want(http.StatusOK)
		_, claims := issued.claims("id_token")
		if got := fmt.Sprint(claims["amr"], " ", claims["acr"]); got != "[pwd otp mfa] mfa" {
			t.Errorf("ID token: %s", got)
		}
		p.submit("/factor/enrol", f).goesTo("/login?ticket=" + f.Get("ticket")) // the form once more
		p.open("/me/security").says(http.StatusOK, "Authenticator app or passkey added")

		// From now on the app and the codes are asked for.
		q := a.person()
		q.submit("/login", form("username", "alice", "password", password)).goesTo("/factor")
		q.submit("/factor", form("code", appCode(t, secret))).says(http.StatusBadRequest, "This code is wrong") // good once
		q.submit("/factor", form("method", "recovery_code", "code", codes[0][1])).goesTo("/me")
		q.open("/factor/enrol").goesTo("/login")
	})
}

// A challenge stands for the password for fifteen minutes, in the browser that got it, and is
// good for one sign-in.
func TestChallengesOfAnEnrolment(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newApp(t, withOptions(required("all")))
		for _, name := range []string{"alice", "bob", "carol"} {
			a.signup(name)
		}
		slow := a.person()
		secret := slow.dueToEnrol("alice")
		time.Sleep(14 * time.Minute)
		if again := slow.open("/factor/enrol").secret(); again != secret {
			t.Error("the key is another")
		}
		time.Sleep(2 * time.Minute)
		slow.submit("/factor/enrol", form("code", appCode(t, secret))).says(http.StatusBadRequest, "took too long", "/login")
		slow.open("/factor/enrol").goesTo("/login")

		// Two browsers that know the password: the first to finish has the account.
		p, q := a.person(), a.person()
		first, second := p.dueToEnrol("alice"), q.dueToEnrol("alice")
		if first == second {
			t.Error("two browsers see one key")
		}
		p.submit("/factor/enrol", form("code", appCode(t, first))).says(http.StatusOK, "Recovery codes")
		q.submit("/factor/enrol", form("code", appCode(t, second))).says(http.StatusBadRequest, "took too long")
		q.open("/me").goesTo("/login?to=%2Fme")

		// What has changed since the password ends it.
		user, err := a.Users.ByUsername(t.Context(), "bob")
		if err != nil {
			t.Fatal(err)
		}
		secret = q.dueToEnrol("bob")
		if err := a.Users.SetPassword(t.Context(), time.Now(), user.ID, password, caller.Operator()); err != nil {
			t.Fatal(err)
		}
		q.submit("/factor/enrol", form("code", appCode(t, secret))).says(http.StatusBadRequest, "took too long")
		secret = q.dueToEnrol("bob")
		if err := a.Users.Disable(t.Context(), time.Now(), user.ID, caller.Operator()); err != nil {
			t.Fatal(err)
		}
		q.submit("/factor/enrol", form("code", appCode(t, secret))).says(http.StatusBadRequest)

		// One that is another's, or no enrolment's, is none.
		secret = q.dueToEnrol("carol")
		for _, bad := range []string{"x", "cs_ce_", "cs_ce_" + strings.Repeat("A", 500)} {
			r := a.person()
			r.jar.SetCookies(r.site(), []*http.Cookie{{Name: "__Host-countersign_enrol", Value: bad, Path: "/", Secure: true}})
			r.open("/factor/enrol").says(http.StatusBadRequest, "took too long")
			r.submit("/factor/enrol", form("code", appCode(t, secret))).goesTo("/login") // the page has dropped it
		}
		q.submit("/factor/enrol", form("code", appCode(t, secret))).says(http.StatusOK, "Recovery codes")
	})
}

// The role decides, as of the sign-in; and the last factor of a user who must have one stays.
func TestFactorsThatARoleRequires(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newApp(t, withOptions(required("admin", "staff")))
		a.signup("alice")
		user, err := a.Users.ByUsername(t.Context(), "alice")
		if err != nil {
			t.Fatal(err)
		}
		p, own := a.page(), a.person()
		p.signIn("alice", password).want(http.StatusOK)
		own.submit("/login", form("username", "alice", "password", password)).goesTo("/me")
		own.authorize(authorization("spa")).code(spaCallback)
		if _, err := a.Users.AddRole(t.Context(), time.Now(), user.ID, "staff", caller.Operator()); err != nil {
			t.Fatal(err)
		}

		// Sessions go on; a login is none for an application any more.
		p.refresh().want(http.StatusOK)
		own.open("/me").says(http.StatusOK, "alice")
		own.open("/oauth/authorize?"+authorization("spa", "prompt", "none").Encode()).refuses(spaCallback, "login_required")
		f := own.authorize(authorization("spa")).page("login-form")
		if f.Has("continue") {
			t.Error("the page offers to go on without a password")
		}
		account := a.Users.AccountToken(time.Now(), user.ID)
		own.follow(own.submit("/login", form("ticket", f.Get("ticket"), "continue", "yes", "account", account))).page("login-form")
		own.open("/login").page("login-form") // where enrol_url leads
		r := a.page().signIn("alice", password)
		r.wantProblem(http.StatusForbidden, "factor_enrolment_required")
		if at := r.text("enrol_url"); at != issuer+"/factor/enrol" {
			t.Errorf("enrol_url = %s", at)
		}
		a.token(passwordForm("alice")).wantError(http.StatusBadRequest, "redirect_to_web")
		r = own.follow(own.submit("/login", fill(f, "username", "alice", "password", password)))
		secret := r.secret()
		r = own.submit("/factor/enrol", fill(r.page("enrol-form"), "code", appCode(t, secret))).says(http.StatusOK, "Recovery codes")
		own.submit("/factor/enrol", r.page("done-form")).code(spaCallback)
		own.authorize(authorization("spa")).code(spaCallback)
		p.refresh().want(http.StatusUnauthorized) // a password alone opened it

		time.Sleep(time.Minute)
		q := a.page()
		q.answer(q.challenged("alice"), "totp", appCode(t, secret)).want(http.StatusOK)
		factor := q.do(http.MethodGet, "/account/factors", "").json()["factors"].([]any)[0].(map[string]any)["id"].(string)
		q.do(http.MethodDelete, "/account/factors/"+factor, "").wantProblem(http.StatusConflict, "factor_required")
		own.submit("/me/factors", own.open("/me/factors?do=factor_remove&id="+factor).page("factors-form")).
			says(http.StatusConflict, "You must have a second step.")
		q.enrol()
		q.do(http.MethodDelete, "/account/factors/"+factor, "").want(http.StatusNoContent)
		if _, err := a.Users.RemoveRole(t.Context(), time.Now(), user.ID, "staff", caller.Operator()); err != nil {
			t.Fatal(err)
		}
		factor = q.do(http.MethodGet, "/account/factors", "").json()["factors"].([]any)[1].(map[string]any)["id"].(string)
		q.do(http.MethodDelete, "/account/factors/"+factor, "").want(http.StatusNoContent)
		a.page().signIn("alice", password).want(http.StatusOK)
	})
}

// Where the operator removes the factors of a user who must have one, the user sets up others.
func TestResetFactorsAreSetUpAnew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newApp(t, withOptions(required("all")))
		a.signup("alice")
		p := a.person()
		secret := p.dueToEnrol("alice")
		p.submit("/factor/enrol", form("code", appCode(t, secret))).says(http.StatusOK, "Recovery codes")
		user, err := a.Users.ByUsername(t.Context(), "alice")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := a.Factors.Reset(t.Context(), time.Now(), user.ID, caller.Operator()); err != nil {
			t.Fatal(err)
		}
		p.open("/me").says(http.StatusOK, "alice")
		r := p.follow(p.submit("/login", fill(p.authorize(authorization("spa")).page("login-form"), "username", "alice", "password", password)))
		if again := r.secret(); again == secret {
			t.Error("the key is the former one")
		}
	})
}

// A browser is remembered for a while, for the account, until a password or the factors change.
func TestRememberedBrowsers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newApp(t, withOptions(func(o *server.Options) { o.Factors.RememberBrowser = 2 * time.Hour }))
		_, secret, recovery := a.withFactor("alice")
		a.signup("bob")
		_, bobs, _ := a.factorFor("bob")
		remembered := func() *page {
			t.Helper()
			time.Sleep(time.Minute)
			p := a.page()
			p.remember(p.challenged("alice"), appCode(t, secret))
			return p
		}
		p := a.page()
		p.answer(p.challenged("alice"), "totp", appCode(t, secret)).want(http.StatusOK) // did not ask for it
		p.challenged("alice")

		p = remembered()
		_, claims := p.signIn("alice", password).want(http.StatusOK).claims("access_token")
		if got := fmt.Sprint(claims["amr"], " ", claims["acr"]); got != "[pwd] pwd" {
			t.Errorf("access token: %s", got)
		}
		p.signIn("alice", "wrong").wantProblem(http.StatusUnauthorized, "invalid_credentials")
		a.token(passwordForm("alice")).wantError(http.StatusBadRequest, "insufficient_authorization")
		time.Sleep(time.Minute)
		p.answer(p.challenged("bob"), "totp", appCode(t, bobs)).want(http.StatusOK) // another account asks as before
		p.challenged("bob")
		p.signIn("alice", password).want(http.StatusOK)

		// The same browser at the hosted pages; what an application asks for is asked for all the same.
		own := a.person()
		own.jar = p.jar
		own.submit("/login", form("username", "alice", "password", password)).goesTo("/me")
		own.authorize(authorization("spa")).code(spaCallback)
		own.open("/oauth/authorize?"+authorization("spa", "claims", essentialMFA, "prompt", "none").Encode()).refuses(spaCallback, "login_required")
		asks := own.authorize(authorization("spa", "claims", essentialMFA)).page("factor-form")
		_, claims = a.exchange(own.submit("/factor", fill(asks, "code", appCode(t, secret))).code(spaCallback)).want(http.StatusOK).claims("id_token")
		if got := fmt.Sprint(claims["amr"], " ", claims["acr"]); got != "[pwd otp mfa] mfa" {
			t.Errorf("ID token of a step-up: %s", got)
		}
		own.submit("/login", form("username", "alice", "password", password)).goesTo("/factor") // a user who is signed in is there to prove it anew
		own.lapse()
		own.submit("/login", form("username", "alice", "password", password)).goesTo("/me") // remembered as before

		// A recovery code remembers nothing.
		q := a.page()
		q.do(http.MethodPost, "/session/factor", fmt.Sprintf(`{"challenge":%q,"method":"recovery_code","code":%q,"remember":true}`, q.challenged("alice"), recovery[0])).want(http.StatusOK)
		q.challenged("alice")

		time.Sleep(110 * time.Minute)
		p.signIn("alice", password).want(http.StatusOK)
		time.Sleep(10 * time.Minute)
		p.challenged("alice")

		user, err := a.Users.ByUsername(t.Context(), "alice")
		if err != nil {
			t.Fatal(err)
		}
		prove := func(p *page) {
			time.Sleep(time.Minute)
			p.do(http.MethodPost, "/account/proof", `{"code":"`+appCode(t, secret)+`"}`).want(http.StatusNoContent)
		}
		for what, change := range map[string]func(p *page){
			"another password": func(p *page) {
				p.do(http.MethodPost, "/account/password", `{"current_password":"`+password+`","new_password":"`+password+`"}`).want(http.StatusNoContent)
			},
			"by the operator": func(*page) {
				if err := a.Users.SetPassword(t.Context(), time.Now(), user.ID, password, caller.Operator()); err != nil {
					t.Error(err)
				}
			},
			"signed out everywhere": func(p *page) { p.do(http.MethodDelete, "/account/sessions", "").want(http.StatusNoContent) },
			"another factor":        func(p *page) { prove(p); p.enrol() },
			"new recovery codes": func(p *page) {
				prove(p)
				p.do(http.MethodPost, "/account/factors/recovery_codes", "").want(http.StatusCreated)
			},
			"turned off": func(*page) {
				a.options.Factors.RememberBrowser = 0
				a.restart()
			},
		} {
			p := remembered()
			p.signIn("alice", password).want(http.StatusOK)
			change(p)
			if r := p.signIn("alice", password); r.Code != http.StatusUnauthorized {
				t.Errorf("%s: %d %s", what, r.Code, r.Body)
			}
			a.options.Factors.RememberBrowser = 2 * time.Hour
			a.restart()
		}
		p = remembered()
		if _, err := a.Factors.Reset(t.Context(), time.Now(), user.ID, caller.Operator()); err != nil {
			t.Fatal(err)
		}
		elsewhere := a.page()
		elsewhere.signIn("alice", password).want(http.StatusOK)
		elsewhere.enrol()
		p.challenged("alice")
	})
}

// remember answers a challenge, and asks for no second factor in this browser.
func (p *page) remember(challenge, code string) {
	p.a.t.Helper()
	p.do(http.MethodPost, "/session/factor", fmt.Sprintf(`{"challenge":%q,"method":"totp","code":%q,"remember":true}`, challenge, code)).want(http.StatusOK)
}

// The pages offer it, but for a recovery code and where the operator has turned it off.
func TestPagesRememberBrowsers(t *testing.T) {
	const box = `name="remember"`
	synctest.Test(t, func(t *testing.T) {
		a := newApp(t, withOptions(required("all")))
		a.signup("alice")
		p := a.person()
		p.submit("/login", form("username", "alice", "password", password)).goesTo("/factor/enrol")
		secret := p.open("/factor/enrol").says(http.StatusOK, box).secret()
		p.submit("/factor/enrol", form("code", appCode(t, secret), "remember", "yes")).says(http.StatusOK, "Recovery codes")
		p.lapse()
		p.submit("/login", form("username", "alice", "password", password)).goesTo("/me")

		time.Sleep(time.Minute)
		q := a.person()
		q.submit("/login", form("username", "alice", "password", password)).goesTo("/factor")
		q.open("/factor").says(http.StatusOK, box, "Don’t ask again in this browser")
		if r := q.open("/factor/recovery").says(http.StatusOK); strings.Contains(r.Body.String(), box) {
			t.Error("a recovery code offers it")
		}
		q.submit("/factor", form("code", "000000")).says(http.StatusBadRequest, box)
		q.submit("/factor", form("code", appCode(t, secret), "remember", "yes")).goesTo("/me")
		q.lapse()
		q.submit("/login", form("username", "alice", "password", password)).goesTo("/me")

		a.options.Factors.RememberBrowser = 0
		a.restart()
		q.submit("/login", form("username", "alice", "password", password)).goesTo("/factor")
		if r := q.open("/factor").says(http.StatusOK); strings.Contains(r.Body.String(), box) {
			t.Error("the page offers it")
		}
	})
}

// A password that a remembered browser makes enough for a sign-in is not enough to add a factor,
// or to remove one: with that it would become a second factor of its own.
func TestOnlyAProvenFactorChangesFactors(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newApp(t, withOptions(func(o *server.Options) { o.Factors.RememberBrowser = 2 * time.Hour }))
		_, secret, _ := a.withFactor("alice")
		p := a.ownPage()
		p.remember(p.challenged("alice"), appCode(t, secret))
		p.signIn("alice", password).want(http.StatusOK)
		id := p.do(http.MethodGet, "/account/factors", "").want(http.StatusOK).json()["factors"].([]any)[0].(map[string]any)["id"].(string)
		changes := [][3]string{
			{http.MethodPost, "/account/factors/totp"},
			{http.MethodPost, "/account/factors/totp/" + id + "/confirm", `{"code":"000000"}`},
			{http.MethodPost, "/account/factors/passkeys/options"},
			{http.MethodPost, "/account/factors/passkeys", `{"credential":{}}`},
			{http.MethodPost, "/account/factors/recovery_codes"},
			{http.MethodPatch, "/account/factors/" + id, `{"name":"x"}`},
			{http.MethodDelete, "/account/factors/" + id},
		}
		for _, proof := range []string{"", `{"current_password":"` + password + `"}`} {
			if proof != "" {
				p.do(http.MethodPost, "/account/proof", proof).want(http.StatusNoContent)
			}
			for _, c := range changes {
				p.do(c[0], c[1], c[2]).wantProblem(http.StatusForbidden, "reauthentication_required")
			}
		}
		time.Sleep(time.Minute)
		p.do(http.MethodPost, "/account/proof", `{"code":"`+appCode(t, secret)+`"}`).want(http.StatusNoContent)
		p.do(http.MethodPatch, "/account/factors/"+id, `{"name":"x"}`).want(http.StatusNoContent)
		_, claims := p.refresh().want(http.StatusOK).claims("access_token")
		if got := fmt.Sprint(claims["amr"], " ", claims["acr"]); got != "[pwd otp mfa] mfa" {
			t.Errorf("access token: %s", got)
		}

		own := a.person()
		own.jar = p.jar
		own.submit("/login", form("username", "alice", "password", password)).goesTo("/me")
		forms := []url.Values{
			form("do", "factor_begin"), form("do", "factor_confirm", "code", "000000"), form("do", "codes_renew"), form("do", "factor_remove", "id", id),
			form("do", "passkey_add", "credential", "{}"),
		}
		account := own.open("/me").page("profile-form").Get("account")
		for _, f := range forms {
			own.open("/me/factors?"+f.Encode()).says(http.StatusOK, `id="again"`)
			f.Set("account", account)
			f.Set("current_password", password)
			own.submit("/me/factors", f).says(http.StatusForbidden, "Please sign in again first", `id="again"`)
		}
		own.open("/login?again=yes&to=/me/factors").want(http.StatusOK)
		time.Sleep(time.Minute)
		own.submit("/login", form("username", "alice", "password", password, "to", "/me/factors")).goesTo("/factor?to=%2Fme%2Ffactors")
		own.submit("/factor", form("method", "totp", "code", appCode(t, secret), "to", "/me/factors")).goesTo("/me/factors")
		own.submit("/me/factors", own.open("/me/factors?do=factor_begin").page("factors-form")).says(http.StatusOK, `id="secret"`)
	})
}
