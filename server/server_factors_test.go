package server_test

import (
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pquerna/otp/totp"

	"countersign/caller"
	"countersign/factors"
	"countersign/server"
)

// appCode is the code that an authenticator app shows now for a secret.
func appCode(t testing.TB, secret string) string {
	t.Helper()
	code, err := totp.GenerateCode(secret, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	return code
}

// enrol gives the user of a page that has just signed in a TOTP in force.
func (p *page) enrol() (secret string, recovery []string) {
	p.a.t.Helper()
	begun := p.do(http.MethodPost, "/account/factors/totp", `{"name":"phone"}`).want(http.StatusCreated)
	secret = begun.text("secret")
	r := p.do(http.MethodPost, "/account/factors/totp/"+begun.text("id")+"/confirm", `{"code":"`+appCode(p.a.t, secret)+`"}`).want(http.StatusOK)
	codes, _ := r.json()["recovery_codes"].([]any)
	for _, c := range codes {
		recovery = append(recovery, c.(string))
	}
	return secret, recovery
}

// withFactor makes a user with a second factor, who is signed in to a page.
func (a *app) withFactor(name string) (p *page, secret string, recovery []string) {
	a.t.Helper()
	a.signup(name)
	p, secret, recovery = a.factorFor(name)
	time.Sleep(time.Minute) // until the app shows another code
	return p, secret, recovery
}

// factorFor gives a user a second factor, from a page that the user is signed in to.
func (a *app) factorFor(name string) (p *page, secret string, recovery []string) {
	a.t.Helper()
	p = a.page()
	p.signIn(name, password).want(http.StatusOK)
	secret, recovery = p.enrol()
	return p, secret, recovery
}

// nextCode is the code that an app with a fast clock shows already.
func nextCode(t testing.TB, secret string) string {
	t.Helper()
	code, err := totp.GenerateCode(secret, time.Now().Add(30*time.Second))
	if err != nil {
		t.Fatal(err)
	}
	return code
}

// challenged signs in by a right password, and returns the challenge that comes of it.
func (p *page) challenged(name string) string {
	p.a.t.Helper()
	r := p.signIn(name, password)
	r.wantProblem(http.StatusUnauthorized, "second_factor_required")
	return r.text("challenge")
}

func (p *page) answer(challenge, method, code string) *response {
	p.a.t.Helper()
	return p.do(http.MethodPost, "/session/factor", fmt.Sprintf(`{"challenge":%q,"method":%q,"code":%q}`, challenge, method, code))
}

func TestFactorsAreSetUpAndRemoved(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newApp(t)
		a.signup("alice")
		elsewhere := a.page()
		elsewhere.signIn("alice", password).want(http.StatusOK)
		p := a.page()
		p.signIn("alice", password).want(http.StatusOK)
		factors := func() []any {
			t.Helper()
			return p.do(http.MethodGet, "/account/factors", "").want(http.StatusOK).json()["factors"].([]any)
		}
		if got := factors(); len(got) > 0 {
			t.Errorf("factors at first: %v", got)
		}
		begun := p.do(http.MethodPost, "/account/factors/totp", "").want(http.StatusCreated)
		secret, confirm := begun.text("secret"), "/account/factors/totp/"+begun.text("id")+"/confirm"
		if uri := begun.text("otpauth_uri"); !strings.HasPrefix(uri, "otpauth://totp/") || !strings.Contains(uri, ":alice?") || !strings.Contains(uri, "secret="+secret) {
			t.Errorf("address = %s", uri)
		}
		p.do(http.MethodPost, confirm, `{"code":"000000"}`).wantProblem(http.StatusBadRequest, "invalid_input")
		if got := factors(); len(got) > 0 {
			t.Errorf("factors before one is confirmed: %v", got)
		}
		a.page().signIn("alice", password).want(http.StatusOK)
		r := p.do(http.MethodPost, confirm, `{"code":"`+appCode(t, secret)+`"}`).want(http.StatusOK)
		if codes := r.json()["recovery_codes"].([]any); len(codes) != 10 {
			t.Errorf("recovery codes: %v", codes)
		}
		p.do(http.MethodPost, confirm, `{"code":"`+appCode(t, secret)+`"}`).wantProblem(http.StatusNotFound, "no_factor")
		elsewhere.refresh().want(http.StatusUnauthorized) // a password alone opened it
		_, claims := p.refresh().want(http.StatusOK).claims("access_token")
		if got := fmt.Sprint(claims["amr"], " ", claims["acr"]); got != "[pwd otp mfa] mfa" {
			t.Errorf("the session that has set it up: %s", got)
		}
		got := factors()
		if len(got) != 2 {
			t.Fatalf("factors: %v", got)
		}
		first, codes := got[0].(map[string]any), got[1].(map[string]any)
		if first["kind"] != "totp" || codes["kind"] != "recovery_codes" || codes["remaining"] != 10.0 || first["last_used_at"] == nil {
			t.Errorf("factors: %v", got)
		}
		path := "/account/factors/" + first["id"].(string)
		p.do(http.MethodPatch, path, `{"name":"my phone"}`).want(http.StatusNoContent)
		if got := factors()[0].(map[string]any)["name"]; got != "my phone" {
			t.Errorf("name = %v", got)
		}
		p.do(http.MethodPatch, path, `{"name":"a\u0007b"}`).wantProblem(http.StatusBadRequest, "invalid_input")
		for _, id := range []string{"nonsense", "01a220a2-1cf2-7812-aed6-fbbd87b5b301"} {
			p.do(http.MethodPatch, "/account/factors/"+id, `{"name":"x"}`).wantProblem(http.StatusNotFound, "no_factor")
			p.do(http.MethodDelete, "/account/factors/"+id, "").wantProblem(http.StatusNotFound, "no_factor")
		}
		p.do(http.MethodPost, "/account/factors/recovery_codes", "{}").want(http.StatusCreated)

		// Ten minutes after the sign-in each change needs a new proof.
		time.Sleep(11 * time.Minute)
		p.refresh().want(http.StatusOK)
		for _, ask := range [][3]string{
			{http.MethodPost, "/account/factors/totp", ""}, {http.MethodPost, confirm, `{"code":"000000"}`}, {http.MethodPost, "/account/factors/recovery_codes", ""},
			{http.MethodPatch, path, `{"name":"x"}`}, {http.MethodDelete, path, ""},
		} {
			p.do(ask[0], ask[1], ask[2]).wantProblem(http.StatusForbidden, "reauthentication_required")
		}
		factors()
		p.do(http.MethodPost, "/account/proof", `{"current_password":"`+password+`"}`).want(http.StatusNoContent)
		p.do(http.MethodDelete, path, "").want(http.StatusNoContent)
		if got := factors(); len(got) > 0 {
			t.Errorf("after the last is removed: %v", got)
		}
		p.do(http.MethodPost, "/account/factors/recovery_codes", "").wantProblem(http.StatusNotFound, "no_factor")
		a.page().signIn("alice", password).want(http.StatusOK)
		a.person().do(http.MethodGet, "/account/factors", "").want(http.StatusUnauthorized)
	})
}

// What a right password is answered at every door; a wrong one is told nothing new.
//
// Requirement: line 80.
func TestEveryDoorAsksForTheSecondFactor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, box := simulated(t)
		a.provenUser("alice")
		p := a.page()
		p.signIn("alice", password).want(http.StatusOK)
		secret, _ := p.enrol()
		time.Sleep(time.Minute)

		other := a.page()
		r := other.signIn("alice", password)
		r.wantProblem(http.StatusUnauthorized, "second_factor_required")
		if methods := fmt.Sprint(r.json()["methods"]); methods != "[totp recovery_code]" {
			t.Errorf("methods = %s", methods)
		}
		other.do(http.MethodGet, "/session", "").want(http.StatusUnauthorized)
		other.signIn("alice", "wrong").wantProblem(http.StatusUnauthorized, "invalid_credentials")

		a.token(passwordForm("alice")).wantError(http.StatusBadRequest, "insufficient_authorization")
		wrong := passwordForm("alice")
		wrong.Set("password", "wrong")
		a.token(wrong).wantError(http.StatusBadRequest, "invalid_grant")

		hosted := a.person()
		hosted.submit("/login", form("username", "alice", "password", password)).goesTo("/factor")
		hosted.open("/me").goesTo("/login?to=%2Fme")
		hosted.submit("/login", form("username", "alice", "password", "wrong")).says(http.StatusBadRequest, "is wrong")

		// A mailbox is no second factor, and makes no browser known.
		box.empty() // of what it tells about the factor
		app := a.page()
		app.forgot("alice@example.net").want(http.StatusAccepted)
		app.reset(token(t, box.take(t)), password).want(http.StatusNoContent)
		box.take(t)
		if got := app.jar.Cookies(app.site()); len(got) > 0 {
			t.Errorf("a reset by an application makes the browser known: %v", got)
		}
		lost := a.person()
		lost.submit("/forgot", form("email", "alice@example.net")).want(http.StatusOK)
		lost.submit("/reset", form("token", token(t, box.take(t)), "password", password)).says(http.StatusOK, "Password changed")
		box.take(t)
		if got := lost.jar.Cookies(lost.site()); len(got) > 0 {
			t.Errorf("the browser keeps %v", got)
		}
		recovering := a.person()
		asks := recovering.authorize(authorization("spa")).page("login-form")
		recovering.submit("/forgot", fill(asks, "email", "alice@example.net")).want(http.StatusOK)
		r = recovering.submit("/reset", form("token", token(t, box.take(t)), "password", password))
		if to := r.Header().Get("Location"); r.Code != http.StatusSeeOther || !strings.HasPrefix(to, "/factor?ticket=") {
			t.Fatalf("a reset: %d %s", r.Code, to)
		}
		asks = recovering.follow(r).page("factor-form")
		recovering.open("/me").goesTo("/login?to=%2Fme")
		recovering.submit("/factor", fill(asks, "code", appCode(t, secret))).code(spaCallback)
		recovering.open("/me").says(http.StatusOK, "alice")
	})
}

// A challenge is good for five minutes, one sign-in, and the browser that got it.
func TestChallengesOfTheSecondFactor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newApp(t)
		_, secret, recovery := a.withFactor("alice")
		p := a.page()
		ch := p.challenged("alice")
		p.answer(ch, "totp", "000000").wantProblem(http.StatusUnauthorized, "invalid_code")
		a.page().answer(ch, "totp", appCode(t, secret)).wantProblem(http.StatusUnauthorized, "invalid_challenge")
		q := a.page()
		q.challenged("alice")
		q.answer(ch, "totp", appCode(t, secret)).wantProblem(http.StatusUnauthorized, "invalid_challenge")
		for _, bad := range []string{"x", ch[:len(ch)-1], ch + "A", "cs_ch_" + strings.Repeat("A", 500)} {
			p.answer(bad, "totp", appCode(t, secret)).wantProblem(http.StatusUnauthorized, "invalid_challenge")
		}
		p.answer("", "nonsense", "").wantProblem(http.StatusBadRequest, "invalid_input")
		r := p.answer(ch, "totp", appCode(t, secret)).want(http.StatusOK)
		_, claims := r.claims("access_token")
		if got := fmt.Sprint(claims["amr"], " ", claims["acr"]); got != "[pwd otp mfa] mfa" {
			t.Errorf("access token: %s", got)
		}
		p.refresh().want(http.StatusOK)
		p.answer(ch, "recovery_code", recovery[0]).wantProblem(http.StatusUnauthorized, "invalid_challenge") // used, and takes no code
		p.answer(p.challenged("alice"), "recovery_code", recovery[0]).want(http.StatusOK)

		time.Sleep(time.Minute)
		ch = p.challenged("alice")
		time.Sleep(5 * time.Minute)
		p.answer(ch, "totp", appCode(t, secret)).wantProblem(http.StatusUnauthorized, "invalid_challenge")
		ch = p.challenged("alice")
		p.answer(ch, "recovery_code", recovery[1]).want(http.StatusOK)

		// What has changed since the password ends it.
		ch = q.challenged("alice")
		p.do(http.MethodPost, "/account/password", `{"current_password":"`+password+`","new_password":"`+password+`"}`).want(http.StatusNoContent)
		q.answer(ch, "recovery_code", recovery[2]).wantProblem(http.StatusUnauthorized, "invalid_challenge")
		user, err := a.Users.ByUsername(t.Context(), "alice")
		if err != nil {
			t.Fatal(err)
		}
		ch = q.challenged("alice")
		if err := a.Users.Disable(t.Context(), time.Now(), user.ID, caller.Operator()); err != nil {
			t.Fatal(err)
		}
		if r := q.answer(ch, "recovery_code", recovery[3]); r.Code != http.StatusUnauthorized && r.Code != http.StatusForbidden {
			t.Errorf("a disabled user: %d %s", r.Code, r.Body)
		}
	})
}

// On the way to an application, users come through /factor with their request.
func TestFactorPage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newApp(t, withOptions(func(o *server.Options) { o.HomeURL = home }))
		_, secret, recovery := a.withFactor("alice")
		p := a.person()
		f := fill(p.authorize(authorization("spa")).page("login-form"), "username", "alice", "password", password)
		r := p.follow(p.submit("/login", f)).says(http.StatusOK, "authenticator app", "/factor/recovery?ticket=")
		asks := r.page("factor-form")
		p.submit("/factor", fill(asks, "code", "000000")).says(http.StatusBadRequest, "This code is wrong")
		issued := a.exchange(p.submit("/factor", fill(asks, "code", appCode(t, secret))).code(spaCallback)).want(http.StatusOK)
		_, claims := issued.claims("id_token")
		if got := fmt.Sprint(claims["amr"], " ", claims["acr"]); got != "[pwd otp mfa] mfa" {
			t.Errorf("ID token: %s", got)
		}
		p.open("/factor").goesTo("/login")
		p.submit("/factor", fill(asks, "code", "000000")).goesTo("/login?ticket=" + asks.Get("ticket"))

		q := a.person()
		q.submit("/login", form("username", "alice", "password", password, "to", "/me/security")).goesTo("/factor?to=%2Fme%2Fsecurity")
		r = q.open("/factor/recovery?to=%2Fme%2Fsecurity").says(http.StatusOK, "Recovery code", `value="recovery_code"`)
		q.submit("/factor", fill(r.page("factor-form"), "code", recovery[0])).goesTo("/me/security")
		q.open("/me/security").says(http.StatusOK, "alice")

		slow := a.person()
		slow.submit("/login", form("username", "alice", "password", password)).goesTo("/factor")
		time.Sleep(6 * time.Minute)
		slow.submit("/factor", form("code", appCode(t, secret))).says(http.StatusBadRequest, "took too long", "/login")
		slow.open("/factor").goesTo("/login")
		a.person().open("/factor").goesTo("/login")
	})
}

// factors makes all answers about factors.
func (o *observer) factors(a *app) {
	a.provenUser("fay")
	p := a.page()
	p.signIn("fay", password).want(http.StatusOK)
	p.do(http.MethodPost, "/account/factors/recovery_codes", "").want(http.StatusNotFound)
	p.do(http.MethodPost, "/account/factors/totp", `{"name":"\u0007"}`).want(http.StatusBadRequest)
	p.do(http.MethodPost, "/account/factors/recovery_codes", `{"x":1}`).want(http.StatusBadRequest)
	secret, recovery := p.enrol()
	for range 18 {
		p.enrol()
	}
	p.do(http.MethodPost, "/account/factors/totp", "").wantProblem(http.StatusConflict, "too_many_factors")
	all := p.do(http.MethodGet, "/account/factors", "").want(http.StatusOK).json()["factors"].([]any)
	own := a.person()
	own.submit("/login", form("username", "fay", "password", password)).want(http.StatusSeeOther)
	own.submit("/factor", form("method", "recovery_code", "code", recovery[1])).goesTo("/me")
	own.open("/me/factors").want(http.StatusOK)
	own.submit("/me/factors", own.open("/me/factors?do=factor_begin").page("factors-form")).want(http.StatusConflict)
	own.submit("/me/factors", own.open("/me/factors?do=codes_renew").page("factors-form")).want(http.StatusOK)
	path := "/account/factors/" + all[2].(map[string]any)["id"].(string)
	p.do(http.MethodPatch, path, `{"name":"tablet"}`).want(http.StatusNoContent)
	p.do(http.MethodPatch, path, `{"name":"\u0007"}`).want(http.StatusBadRequest)
	p.do(http.MethodDelete, path, "").want(http.StatusNoContent)
	p.do(http.MethodDelete, path, "").want(http.StatusNotFound)
	p.do(http.MethodPatch, path, `{"name":"tablet"}`).want(http.StatusNotFound)
	p.do(http.MethodPost, "/account/factors/totp/"+all[0].(map[string]any)["id"].(string)+"/confirm", `{"code":"000000"}`).want(http.StatusNotFound)
	recovery = nil
	for _, c := range p.do(http.MethodPost, "/account/factors/recovery_codes", "").want(http.StatusCreated).json()["recovery_codes"].([]any) {
		recovery = append(recovery, c.(string))
	}

	time.Sleep(time.Minute)
	q := a.page()
	ch := q.challenged("fay")
	q.answer("", "", "").want(http.StatusBadRequest)
	q.answer(ch, "totp", "000000").want(http.StatusUnauthorized)
	q.answer(ch, "totp", appCode(a.t, secret)).want(http.StatusOK)
	a.token(passwordForm("fay")).want(http.StatusBadRequest)

	o.passkeys(a)
	hosted := a.person()
	hosted.open("/factor").want(http.StatusSeeOther)
	hosted.open("/factor/recovery").want(http.StatusSeeOther)
	for _, page := range []string{"/factor", "/factor/recovery"} {
		hosted.open(page + "?ticket=nonsense").want(http.StatusBadRequest)
	}
	begun := hosted.authorize(authorization("spa")).page("login-form")
	hosted.submit("/login", fill(begun, "username", "fay", "password", password)).want(http.StatusSeeOther)
	hosted.open("/factor").want(http.StatusOK)
	hosted.open("/factor/recovery").want(http.StatusOK)
	hosted.submit("/factor", form("code", "000000")).want(http.StatusBadRequest)
	hosted.submit("/factor", form("method", "recovery_code", "code", recovery[0])).want(http.StatusSeeOther)
	late := a.person()
	begun = late.authorize(authorization("spa")).page("login-form")
	time.Sleep(2 * time.Hour)
	late.follow(late.submit("/login", fill(begun, "username", "fay", "password", password)))
	late.submit("/factor", form("ticket", begun.Get("ticket"), "method", "recovery_code", "code", recovery[1])).want(http.StatusOK)

	// The budgets, one after the other: of the page of the account, of a browser, and of our pages.
	p.signIn("fay", password)
	p.answer(p.challenged("fay"), "recovery_code", recovery[2]).want(http.StatusOK)
	id := p.do(http.MethodPost, "/account/factors/totp", "").want(http.StatusCreated).text("id")
	until := func(ask func() *response) {
		a.t.Helper()
		for range 60 {
			if ask().Code == http.StatusTooManyRequests {
				return
			}
		}
		a.t.Error("guesses without end")
	}
	until(func() *response {
		return p.do(http.MethodPost, "/account/factors/totp/"+id+"/confirm", `{"code":"000000"}`)
	})
	ch = q.challenged("fay")
	until(func() *response { return q.answer(ch, "totp", "000000") })
	hosted = a.person()
	hosted.submit("/login", form("username", "fay", "password", password)).want(http.StatusSeeOther)
	until(func() *response { return hosted.submit("/factor", form("code", "000000")) })
	time.Sleep(time.Hour)
}

// enrolments makes all answers of a server where users must have a second factor.
func (o *observer) enrolments(t *testing.T) {
	a := newApp(t, withOptions(required("all")))
	o.watch(a)
	a.signup("eve")
	a.page().signIn("eve", password).want(http.StatusForbidden)
	p := a.person()
	p.open("/factor/enrol").want(http.StatusSeeOther)
	p.open("/factor/enrol?ticket=nonsense").want(http.StatusBadRequest)
	secret := p.dueToEnrol("eve")
	for range 60 {
		if p.submit("/factor/enrol", form("code", "000000")).Code == http.StatusTooManyRequests {
			break
		}
	}
	p.submit("/factor/enrol", form("code", appCode(t, secret))).want(http.StatusTooManyRequests)
	is := a.options.Factors
	a.options.Factors = factors.Settings{}
	a.restart()
	p.open("/factor/enrol").want(http.StatusForbidden)
	a.options.Factors = is
	a.restart()
	time.Sleep(time.Hour)
	secret = p.dueToEnrol("eve")
	p.submit("/factor/enrol", form("code", appCode(t, secret))).want(http.StatusOK)
	p.submit("/factor/enrol", form("done", "yes")).want(http.StatusSeeOther)
	time.Sleep(time.Minute)
	q := a.page()
	q.answer(q.challenged("eve"), "totp", appCode(t, secret)).want(http.StatusOK)
	factor := q.do(http.MethodGet, "/account/factors", "").json()["factors"].([]any)[0].(map[string]any)["id"].(string)
	q.do(http.MethodDelete, "/account/factors/"+factor, "").want(http.StatusConflict)
	own := a.person()
	own.submit("/login", form("username", "eve", "password", password)).want(http.StatusSeeOther)
	own.submit("/factor", form("code", nextCode(t, secret))).want(http.StatusSeeOther)
	own.submit("/me/factors", own.open("/me/factors?do=factor_remove&id="+factor).page("factors-form")).want(http.StatusConflict)
}

// Users set up an authenticator app at our own pages, and remove it, with no application.
func TestAccountPageFactors(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newApp(t)
		a.signup("alice")
		p, elsewhere := a.person(), a.person()
		for _, one := range []*person{p, elsewhere} {
			one.submit("/login", form("username", "alice", "password", password)).goesTo("/me")
		}
		p.open("/me/security").says(http.StatusOK, "your password alone", `href="/me/factors"`)
		p.open("/me/factors").says(http.StatusOK, "?do=factor_begin")
		f := p.open("/me/factors?do=factor_begin").page("factors-form")
		r := p.submit("/me/factors", f).says(http.StatusOK, `<svg class="qr"`, `id="secret"`)
		secret := regexp.MustCompile(`id="secret">([A-Z2-7]{32})<`).FindStringSubmatch(r.Body.String())[1]
		f = r.page("confirm-form")
		r = p.submit("/me/factors", fill(f, "code", "000000")).says(http.StatusBadRequest, "This isn't the code", secret, `<svg class="qr"`)
		f = fill(r.page("confirm-form"), "code", appCode(t, secret))
		r = p.submit("/me/factors", f).says(http.StatusOK, "Recovery codes")
		codes := regexp.MustCompile(`<li><code>([a-z2-7-]{19})</code>`).FindAllStringSubmatch(r.Body.String(), -1)
		if len(codes) != 10 {
			t.Fatalf("%d recovery codes: %s", len(codes), r.Body)
		}
		p.did(p.submit("/me/factors", f), "/me/factors", "Your authenticator app is set up.") // once more
		elsewhere.open("/me").goesTo("/login?to=%2Fme")
		p.open("/me/security").says(http.StatusOK, "Authenticator app or passkey added", "your password alone doesn’t sign in")
		q := a.person()
		q.submit("/login", form("username", "alice", "password", password)).goesTo("/factor")
		q.submit("/factor", form("method", "recovery_code", "code", codes[0][1])).goesTo("/me")
		q.open("/me/security").says(http.StatusOK, "Recovery code used")
		list := q.open("/me/factors").says(http.StatusOK, "Left: 9")

		// The secret of an app that was begun is shown to the owner alone.
		begun := q.submit("/me/factors", q.open("/me/factors?do=factor_begin").page("factors-form")).says(http.StatusOK, `id="secret"`).page("confirm-form")
		time.Sleep(time.Hour)
		for _, code := range []string{"", "000000"} {
			r := q.submit("/me/factors", fill(begun, "code", code)).says(http.StatusBadRequest, "Please enter your current password.", `name="code"`)
			if strings.Contains(r.Body.String(), `id="secret"`) || strings.Contains(r.Body.String(), "<svg class=\"qr\"") {
				t.Errorf("without a proof the page shows the secret: %s", r.Body)
			}
		}

		// Later each change takes the password.
		remove := regexp.MustCompile(`/me/factors\?do=factor_remove&amp;id=[0-9a-f-]{36}`).FindString(list.Body.String())
		for _, path := range []string{"/me/factors?do=codes_renew", "/me/factors?do=factor_begin", strings.ReplaceAll(remove, "&amp;", "&")} {
			f := q.open(path).page("factors-form")
			r := q.submit("/me/factors", f).says(http.StatusBadRequest, "Please enter your current password.")
			q.submit("/me/factors", fill(r.page("factors-form"), "current_password", "wrong")).says(http.StatusBadRequest, "This isn't your current password.")
		}
		r = q.submit("/me/factors", fill(q.open("/me/factors?do=codes_renew").page("factors-form"), "current_password", password)).says(http.StatusOK, "Recovery codes")
		if strings.Contains(r.Body.String(), codes[1][1]) {
			t.Error("the recovery codes are the former ones")
		}
		f = fill(q.open(strings.ReplaceAll(remove, "&amp;", "&")).page("factors-form"), "current_password", password)
		for range 2 {
			q.did(q.submit("/me/factors", f), "/me/factors", "It is removed.")
		}
		q.did(q.submit("/me/factors", fill(f, "do", "codes_renew")), "/me/factors", "Nothing has changed")
		a.person().submit("/login", form("username", "alice", "password", password)).goesTo("/me")
		a.person().open("/me/factors").goesTo("/login?to=%2Fme%2Ffactors")
	})
}
