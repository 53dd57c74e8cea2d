package server_test

import (
	"encoding/json"
	"net/http"
	"net/url"
	"testing"
	"testing/synctest"
	"time"

	"countersign/caller"
	"countersign/clients"
	"countersign/ids"
	"countersign/oauth"
	"countersign/server"
	"countersign/tokens"
)

const essentialMFA = `{"id_token":{"acr":{"essential":true,"value":"mfa"}}}`

// requireACR has a client require a class of its users; empty: none.
func (a *app) requireACR(id ids.Client, class string) {
	a.t.Helper()
	_, _, err := a.Clients.Update(a.t.Context(), time.Now(), id, func(s clients.Settings) (clients.Settings, error) {
		s.RequireACR = class
		return s, nil
	}, "", caller.Operator())
	if err != nil {
		a.t.Fatal(err)
	}
}

// byPassword is a browser in which a user is signed in who has given the password alone,
// although the user has a second factor.
func (a *app) byPassword(name string) *person {
	a.t.Helper()
	user, err := a.Users.ByUsername(a.t.Context(), name)
	if err != nil {
		a.t.Fatal(err)
	}
	l, err := a.Tokens.SignInBrowser(a.t.Context(), time.Now(), tokens.SignIn{
		UserID: user.ID, Epoch: user.Epoch, AuthTime: time.Now(), Methods: oauth.Methods{oauth.MethodPassword},
	}, nil, caller.Caller{})
	if err != nil {
		a.t.Fatal(err)
	}
	p := a.person()
	p.jar.SetCookies(p.site(), []*http.Cookie{{Name: "__Host-countersign_login", Value: a.Tokens.LoginToken(&l), Secure: true, Path: "/"}})
	return p
}

// stepsUp opens a request, and answers the page that asks for one more factor.
func (p *person) stepsUp(request url.Values, code string) *response {
	p.a.t.Helper()
	return p.submit("/factor", fill(p.authorize(request).page("factor-form"), "code", code))
}

// idToken exchanges the code that r brings, and returns the claims of the ID token.
func (a *app) idToken(r *response) map[string]any {
	a.t.Helper()
	_, claims := a.exchange(r.code(spaCallback)).want(http.StatusOK).claims("id_token")
	return claims
}

// OIDF's check: with acr_values and no claims request, the ID token has acr, after a silent
// sign-in and a refresh, too.
func TestIDTokensSayTheClass(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newApp(t)
		p, _ := a.newPerson(t, "alice")
		signedIn := float64(time.Now().Unix())
		time.Sleep(time.Minute)
		for _, pairs := range [][]string{{}, {"prompt", "none"}} {
			for _, values := range []string{"pwd", "1 2", "mfa", "mfa pwd", "gold pwd mfa"} {
				tokens := a.exchange(p.authorize(authorization("spa", append([]string{"acr_values", values}, pairs...)...)).code(spaCallback)).want(http.StatusOK)
				_, first := tokens.claims("id_token")
				_, access := tokens.claims("access_token")
				_, again := a.refresh(tokens.text("refresh_token")).want(http.StatusOK).claims("id_token")
				for _, claims := range []map[string]any{first, access, again} {
					if said(claims) != "[pwd] pwd" || claims["auth_time"] != signedIn {
						t.Errorf("acr_values=%s %v: %v", values, pairs, claims)
					}
				}
			}
		}
	})
}

// Requirement: line 85.
func TestStepUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newApp(t)
		_, secret, _ := a.withFactor("alice")
		for name, pairs := range map[string][]string{
			"voluntary": {"acr_values", "mfa"}, "preferred": {"acr_values", "gold mfa pwd"}, "essential": {"claims", essentialMFA}, "both": {"acr_values", "pwd", "claims", essentialMFA},
		} {
			p := a.byPassword("alice")
			before := a.exchange(p.authorize(authorization("spa")).code(spaCallback)).want(http.StatusOK)
			_, claims := before.claims("id_token")
			if said(claims) != "[pwd] pwd" {
				t.Fatalf("%s, before: %v", name, claims)
			}
			time.Sleep(time.Minute)
			p.authorize(authorization("spa", append(pairs, "prompt", "none")...)).refuses(spaCallback, "login_required")
			r := p.authorize(authorization("spa", pairs...)).says(http.StatusOK, "authenticator app")
			asks := r.page("factor-form")
			p.submit("/factor", fill(asks, "code", "000000")).says(http.StatusBadRequest, "This code is wrong")
			claims = a.idToken(p.submit("/factor", fill(asks, "code", appCode(t, secret))))
			if said(claims) != "[pwd otp mfa] mfa" || claims["auth_time"] != float64(time.Now().Unix()) {
				t.Errorf("%s, after it: %v", name, claims)
			}
			// Now there is nothing left to ask, and the former session has gone on.
			claims = a.idToken(p.authorize(authorization("spa", append(pairs, "prompt", "none")...)))
			if said(claims) != "[pwd otp mfa] mfa" {
				t.Errorf("%s, silently: %v", name, claims)
			}
			if _, claims := a.refresh(before.text("refresh_token")).want(http.StatusOK).claims("id_token"); said(claims) != "[pwd] pwd" {
				t.Errorf("%s, the former session: %v", name, claims)
			}
			time.Sleep(time.Minute)
		}
	})
}

func TestStepUpAsksForNothingThatTheSignInHas(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newApp(t)
		a.withFactor("alice")
		for _, values := range []string{"pwd", "pwd mfa", "gold"} {
			if claims := a.idToken(a.byPassword("alice").authorize(authorization("spa", "acr_values", values))); said(claims) != "[pwd] pwd" {
				t.Errorf("acr_values=%s: %v", values, claims)
			}
		}
	})
}

func TestStepUpByARecoveryCode(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newApp(t)
		_, _, recovery := a.withFactor("alice")
		p := a.byPassword("alice")
		f := p.authorize(authorization("spa", "acr_values", "mfa")).page("factor-form")
		f.Set("method", "recovery_code")
		if claims := a.idToken(p.submit("/factor", fill(f, "code", recovery[0]))); said(claims) != "[pwd otp mfa] mfa" {
			t.Errorf("ID token: %v", claims)
		}
	})
}

// A request for a passkey takes nothing else.
func TestStepUpByAPasskey(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newApp(t)
		_, d, recovery := a.withPasskey("alice", true)
		p := a.byPassword("alice")
		p.authorize(authorization("spa", "acr_values", "phr", "prompt", "none")).refuses(spaCallback, "login_required")
		r := p.authorize(authorization("spa", "acr_values", "phr")).says(http.StatusOK, "passkey-form")
		var asked any
		if err := json.Unmarshal([]byte(r.attribute("passkey-form", "data-options")), &asked); err != nil {
			t.Fatal(err)
		}
		f := with(r.page("passkey-form"), "credential", d.use(asked))
		if claims := a.idToken(p.submit("/factor", f)); said(claims) != "[pwd swk user mfa] phr" {
			t.Errorf("ID token: %v", claims)
		}
		q := a.byPassword("alice")
		asks := q.authorize(authorization("spa", "acr_values", "phr")).page("passkey-form")
		asks.Set("method", "recovery_code")
		q.submit("/factor", with(asks, "code", recovery[0])).says(http.StatusBadRequest, "This code is wrong")

		// At an application's own screens a passkey can't be used.
		session := a.challenge(challengeForm("spa", "username", "alice", "password", password)).due("[recovery_code]")
		a.requireACR("spa", "phr")
		a.challenge(challengeForm("spa", "username", "alice", "password", password)).wantError(http.StatusBadRequest, "redirect_to_web")
		a.token(passwordForm("alice")).wantError(http.StatusBadRequest, "redirect_to_web")
		a.challenge(form("client_id", "spa", "auth_session", session, "otp", recovery[0])).wantError(http.StatusBadRequest, "redirect_to_web")
	})
}

func TestStepUpComesAfterANewProof(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newApp(t)
		_, secret, _ := a.withFactor("alice")
		p := a.byPassword("alice")
		time.Sleep(time.Minute)
		f := fill(p.authorize(authorization("spa", "acr_values", "mfa", "prompt", "login")).page("login-form"), "username", "alice", "password", password)
		f = p.follow(p.submit("/login", f)).page("factor-form")
		if claims := a.idToken(p.submit("/factor", fill(f, "code", appCode(t, secret)))); said(claims) != "[pwd otp mfa] mfa" {
			t.Errorf("ID token: %v", claims)
		}
	})
}

func TestStepUpLeadsBackAndToAnotherUser(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newApp(t)
		a.withFactor("alice")
		p := a.byPassword("alice")
		asks := p.authorize(authorization("spa", "acr_values", "mfa")).page("factor-form")
		back := p.open("/login?ticket="+asks.Get("ticket")).says(http.StatusOK, "alice").page("continue-form")
		p.follow(p.submit("/login", with(back, "continue", "yes"))).page("factor-form")
		a.signup("bob")
		f := p.open("/login?ticket=" + asks.Get("ticket")).page("login-form")
		if claims := a.idToken(p.submit("/login", fill(f, "username", "bob", "password", password))); said(claims) != "[pwd] pwd" {
			t.Errorf("ID token: %v", claims)
		}
	})
}

func TestStepUpEndsWithTheLoginAndInTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newApp(t)
		_, secret, _ := a.withFactor("alice")
		p := a.byPassword("alice")
		asks := p.authorize(authorization("spa", "acr_values", "mfa")).page("factor-form")
		time.Sleep(5 * time.Minute)
		p.submit("/factor", fill(asks, "code", appCode(t, secret))).says(http.StatusBadRequest, "took too long")
		asks = p.follow(p.open("/factor?ticket=" + asks.Get("ticket"))).page("factor-form")
		var cookies []*http.Cookie
		for _, c := range p.jar.Cookies(p.site()) {
			cookies = append(cookies, &http.Cookie{Name: c.Name, Value: c.Value, Secure: true, Path: "/"})
		}
		p.follow(p.submit("/logout", form()))
		p.jar.SetCookies(p.site(), cookies) // a copy of what the browser had
		p.submit("/factor", fill(asks, "code", appCode(t, secret))).says(http.StatusBadRequest, "took too long")
	})
}

// A user without a factor is never given less than what is required, and is asked for nothing
// that acr_values would like to have.
//
// Requirement: line 86.
func TestWhatTheUserHasNotIsUnmet(t *testing.T) {
	a := newApp(t)
	p, _ := a.newPerson(t, "alice")
	if claims := a.idToken(p.authorize(authorization("spa", "acr_values", "mfa"))); said(claims) != "[pwd] pwd" {
		t.Errorf("ID token: %v", claims)
	}
	for _, prompt := range []string{"", "none"} {
		p.authorize(authorization("spa", "claims", essentialMFA, "prompt", prompt)).refuses(spaCallback, "unmet_authentication_requirements")
	}
	a.requireACR("spa", "mfa")
	for _, prompt := range []string{"", "none"} {
		p.authorize(authorization("spa", "prompt", prompt)).refuses(spaCallback, "unmet_authentication_requirements")
	}
	a.requireACR("spa", "pwd")
	p.authorize(authorization("spa")).code(spaCallback)
}

// A client that requires a class gets no session below it, at any door.
func TestRequiredACRHoldsAtEveryDoor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newApp(t, withOptions(func(o *server.Options) { o.Factors.RememberBrowser = time.Hour }))
		a.signup("bob") // who has no second factor
		had := a.login("bob")
		page := a.page()
		page.signIn("bob", password).want(http.StatusOK)
		browser := a.person()
		browser.signIn(browser.authorize(authorization("spa")), "bob").code(spaCallback)
		_, secret, recovery := a.withFactor("alice")
		low := a.exchange(a.byPassword("alice").authorize(authorization("spa")).code(spaCallback)).want(http.StatusOK)
		pending := a.challenge(challengeForm("spa", "username", "bob", "password", password)).text("authorization_code")
		code := browser.authorize(authorization("spa")).code(spaCallback)

		known := a.page() // a browser that alice has told us to remember
		known.remember(known.challenged("alice"), appCode(t, secret))
		known.signIn("alice", password).want(http.StatusOK)
		time.Sleep(time.Minute)

		a.requireACR("spa", "mfa")
		known.challenged("alice")
		a.token(passwordForm("bob")).wantError(http.StatusBadRequest, "unmet_authentication_requirements")
		a.challenge(challengeForm("spa", "username", "bob", "password", password)).wantError(http.StatusBadRequest, "unmet_authentication_requirements")
		a.challenge(challengeForm("spa", "username", "bob", "password", "wrong")).wantError(http.StatusBadRequest, "access_denied")
		a.page().signIn("bob", password).wantProblem(http.StatusForbidden, "unmet_authentication_requirements")
		a.page().signIn("bob", "wrong").wantProblem(http.StatusUnauthorized, "invalid_credentials")
		browser.authorize(authorization("spa")).refuses(spaCallback, "unmet_authentication_requirements")
		// What began before goes no further.
		a.exchange(code).wantError(http.StatusBadRequest, "invalid_grant")
		a.exchange(pending, "redirect_uri", "").wantError(http.StatusBadRequest, "invalid_grant")
		a.refresh(had.text("refresh_token")).wantError(http.StatusBadRequest, "invalid_grant")
		a.refresh(low.text("refresh_token")).wantError(http.StatusBadRequest, "invalid_grant")
		page.refresh().wantProblem(http.StatusUnauthorized, "login_required")
		// Other clients require nothing.
		a.token(form("grant_type", "password", "client_id", "other", "username", "bob", "password", password)).want(http.StatusOK)

		if claims := a.idToken(a.byPassword("alice").stepsUp(authorization("spa"), appCode(t, secret))); said(claims) != "[pwd otp mfa] mfa" {
			t.Errorf("at the authorization endpoint: %v", claims)
		}
		p := a.page()
		p.answer(p.challenged("alice"), "recovery_code", recovery[0]).want(http.StatusOK)
		p.refresh().want(http.StatusOK)
		session := a.token(passwordForm("alice")).due(bothMethods)
		got := a.challenge(challengeForm("spa", "auth_session", session, "otp", recovery[1], "scope", "")).want(http.StatusOK)
		issued := a.exchange(got.text("authorization_code"), "redirect_uri", "").want(http.StatusOK)
		a.refresh(issued.text("refresh_token")).want(http.StatusOK)

		a.requireACR("spa", "")
		a.refresh(low.text("refresh_token")).want(http.StatusOK) // it has ended nothing
	})
}
