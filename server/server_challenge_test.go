package server_test

import (
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"testing"
	"testing/synctest"
	"time"

	"countersign/caller"
	"countersign/clients"
	"countersign/keys"
	"countersign/server"
)

// challengeForm asks for a code at the authorization challenge endpoint, as the first request
// of a client does. Pairs change it; an empty value removes a parameter.
func challengeForm(client string, pairs ...string) url.Values {
	f := form("client_id", client, "response_type", "code", "scope", "openid", "nonce", "the nonce",
		"code_challenge", challengeOf(pkceVerifier), "code_challenge_method", "S256")
	for i := 0; i < len(pairs); i += 2 {
		if f.Set(pairs[i], pairs[i+1]); pairs[i+1] == "" {
			f.Del(pairs[i])
		}
	}
	return f
}

func (a *app) challenge(f url.Values, header ...string) *response {
	a.t.Helper()
	return a.do(http.MethodPost, "/oauth/challenge", f.Encode(), append([]string{"Content-Type", formKind}, header...)...)
}

// due fails the test unless r asks for a code of the user, and returns the auth_session.
func (r *response) due(methods string) string {
	r.t.Helper()
	r.wantError(http.StatusBadRequest, "insufficient_authorization")
	if got := fmt.Sprint(r.json()["methods"]); got != methods {
		r.t.Errorf("methods = %s, want %s", got, methods)
	}
	return r.text("auth_session")
}

const bothMethods = "[totp recovery_code]"

// said is what a token says of the sign-in.
func said(claims map[string]any) string { return fmt.Sprint(claims["amr"], " ", claims["acr"]) }

func TestChallengeGivesACode(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newApp(t)
		a.signup("alice")
		r := a.challenge(challengeForm("spa", "username", " Alice@Example.NET ", "password", password)).want(http.StatusOK)
		if got := r.Header().Get("Cache-Control"); got != "no-store" {
			t.Errorf("Cache-Control = %q", got)
		}
		code := r.text("authorization_code")
		time.Sleep(10 * time.Second)
		a.exchange(code).wantError(http.StatusBadRequest, "invalid_grant")                                                            // it has no redirect_uri
		a.exchange(code, "redirect_uri", "", "code_verifier", "x"+pkceVerifier[1:]).wantError(http.StatusBadRequest, "invalid_grant") // nor another verifier
		a.token(exchangeForm("other", code, "redirect_uri", "")).wantError(http.StatusBadRequest, "invalid_grant")                    // nor another client
		issued := a.exchange(code, "redirect_uri", "").want(http.StatusOK)
		_, claims := issued.claims("id_token")
		if said(claims) != "[pwd] pwd" || claims["nonce"] != "the nonce" || claims["auth_time"] != float64(time.Now().Unix()-10) {
			t.Errorf("ID token: %v", claims)
		}
		if got := issued.text("scope"); got != "openid" {
			t.Errorf("scope = %q", got)
		}
		refreshed := a.refresh(issued.text("refresh_token")).want(http.StatusOK)
		a.exchange(code, "redirect_uri", "").wantError(http.StatusBadRequest, "invalid_grant")
		a.refresh(refreshed.text("refresh_token")).wantError(http.StatusBadRequest, "invalid_grant") // the code came twice

		late := a.challenge(challengeForm("spa", "username", "alice", "password", password)).text("authorization_code")
		time.Sleep(time.Minute)
		a.exchange(late, "redirect_uri", "").wantError(http.StatusBadRequest, "invalid_grant")

		// A client that may use the password grant needs no other to exchange its codes.
		other := a.challenge(challengeForm("other", "username", "alice", "password", password, "response_type", "")).text("authorization_code")
		a.token(exchangeForm("other", other, "redirect_uri", "")).want(http.StatusOK)
		// Confidential clients may leave out PKCE.
		bare := form("username", "alice", "password", password, "resource", "https://api.example.com")
		web := a.challenge(bare, "Authorization", basic("web", secret)).text("authorization_code")
		_, access := a.token(form("grant_type", "authorization_code", "code", web), "Authorization", basic("web", secret)).want(http.StatusOK).claims("access_token")
		if access["aud"] != "https://api.example.com" {
			t.Errorf("aud = %v", access["aud"])
		}
	})
}

// Requirement: line 88.
func TestChallengeAsksForTheSecondFactor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newApp(t)
		_, code, recovery := a.withFactor("alice")
		first := challengeForm("spa", "username", "alice", "password", password)
		session := a.challenge(first).due(bothMethods)
		next := func(session, otp string, pairs ...string) *response {
			t.Helper()
			return a.challenge(form(append([]string{"client_id", "spa", "auth_session", session, "otp", otp}, pairs...)...))
		}
		session = next(session, "000000").due(bothMethods)
		next(session, "nonsense").due(bothMethods)
		issued := a.exchange(next(session, appCode(t, code)).want(http.StatusOK).text("authorization_code"), "redirect_uri", "").want(http.StatusOK)
		_, claims := issued.claims("id_token")
		if said(claims) != "[pwd otp mfa] mfa" || claims["nonce"] != "the nonce" {
			t.Errorf("ID token: %v", claims)
		}
		_, claims = a.refresh(issued.text("refresh_token")).want(http.StatusOK).claims("id_token")
		if said(claims) != "[pwd otp mfa] mfa" {
			t.Errorf("refreshed ID token: %v", claims)
		}
		next(session, recovery[0]).wantError(http.StatusBadRequest, "invalid_session") // it ended with the code

		// All at once, with either kind of code.
		time.Sleep(time.Minute)
		first.Set("otp", "000000")
		session = a.challenge(first).due(bothMethods)
		next(session, recovery[0]).want(http.StatusOK)
		spaced := appCode(t, code)
		first.Set("otp", spaced[:3]+" "+spaced[3:])
		a.challenge(first).want(http.StatusOK)
		a.challenge(first).due(bothMethods) // a code is good once
		first.Del("otp")

		session = a.challenge(first).due(bothMethods)
		next(session, recovery[1], "username", "alice", "password", password).wantError(http.StatusBadRequest, "invalid_request")
		a.challenge(form("client_id", "spa", "auth_session", session)).wantError(http.StatusBadRequest, "invalid_request")
		a.challenge(form("client_id", "other", "auth_session", session, "otp", recovery[1])).wantError(http.StatusBadRequest, "invalid_session")
		a.page().answer(session, "recovery_code", recovery[1]).wantProblem(http.StatusUnauthorized, "invalid_challenge")
		next(a.page().challenged("alice"), recovery[1]).wantError(http.StatusBadRequest, "invalid_session")
		next("cs_as_nonsense", recovery[1]).wantError(http.StatusBadRequest, "invalid_session")
		next(session, recovery[1]).want(http.StatusOK) // none of these has spent anything

		session = a.challenge(first).due(bothMethods)
		time.Sleep(5*time.Minute - time.Second)
		session = next(session, "000000").due(bothMethods) // a wrong code puts nothing off
		time.Sleep(time.Second)
		next(session, recovery[2]).wantError(http.StatusBadRequest, "invalid_session")
	})
}

// What the first request asks for stays.
func TestChallengeBindsTheFirstRequest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newApp(t)
		_, _, recovery := a.withFactor("alice")
		first := challengeForm("spa", "username", "alice", "password", password, "nonce", "")
		session := a.challenge(first).due(bothMethods)
		for name, value := range map[string]string{
			"scope": "openid email", "nonce": "another", "resource": issuer, "code_challenge": challengeOf("another"), "code_challenge_method": "plain", "response_type": "token",
		} {
			a.challenge(form("client_id", "spa", "auth_session", session, "otp", recovery[0], name, value)).wantError(http.StatusBadRequest, "invalid_request")
		}
		same := with(first, "auth_session", session)
		same.Set("otp", recovery[0])
		same.Del("username")
		same.Del("password")
		a.exchange(a.challenge(same).text("authorization_code"), "redirect_uri", "").want(http.StatusOK)

		// The password grant binds what it has.
		asked := a.token(with(passwordForm("alice"), "scope", "openid email")).due(bothMethods)
		goOn := challengeForm("spa", "auth_session", asked, "otp", recovery[1], "scope", "")
		a.challenge(with(goOn, "scope", "openid")).wantError(http.StatusBadRequest, "invalid_request")
		a.challenge(form("client_id", "spa", "auth_session", asked, "otp", recovery[1])).wantError(http.StatusBadRequest, "invalid_request") // no PKCE
		asked = a.challenge(with(goOn, "otp", "000000")).due(bothMethods)
		a.challenge(form("client_id", "spa", "auth_session", asked, "otp", recovery[1], "nonce", "another")).wantError(http.StatusBadRequest, "invalid_request")
		issued := a.exchange(a.challenge(form("client_id", "spa", "auth_session", asked, "otp", recovery[1])).want(http.StatusOK).text("authorization_code"), "redirect_uri", "").want(http.StatusOK)
		if _, claims := issued.claims("id_token"); claims["nonce"] != "the nonce" || issued.text("scope") != "openid email" {
			t.Errorf("ID token %v, scope %s", claims, issued.text("scope"))
		}
	})
}

// Requirement: line 87.
func TestChallengeRefusals(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newApp(t)
		a.signup("alice")
		right := []string{"username", "alice", "password", password}
		a.challenge(challengeForm("spa", "username", "alice", "password", "wrong")).wantError(http.StatusBadRequest, "access_denied")
		a.challenge(challengeForm("spa", "username", "nobody", "password", password)).wantError(http.StatusBadRequest, "access_denied")
		for code, pairs := range map[string][]string{
			"invalid_request":           {"password", ""},
			"invalid_scope":             {"scope", "more"},
			"invalid_target":            {"resource", "https://elsewhere.example.org"},
			"unsupported_response_type": {"response_type", "token"},
		} {
			// Before the password is looked at.
			a.challenge(challengeForm("spa", append(append([]string{}, "username", "alice", "password", "wrong"), pairs...)...)).wantError(http.StatusBadRequest, code)
		}
		for _, pairs := range [][]string{
			{"redirect_uri", spaCallback}, {"code_challenge", ""}, {"code_challenge_method", "plain"}, {"code_challenge_method", ""}, {"code_challenge", "short"},
			{"code_challenge", "", "code_challenge_method", ""},
		} {
			a.challenge(challengeForm("spa", append(append([]string{}, right...), pairs...)...)).wantError(http.StatusBadRequest, "invalid_request")
		}
		for _, client := range []string{"third", "other-app"} { // not ours; ours, without the password grant
			a.challenge(challengeForm(client, right...)).wantError(http.StatusBadRequest, "unauthorized_client")
		}
		a.challenge(challengeForm("nobody", right...)).wantError(http.StatusUnauthorized, "invalid_client")
		a.challenge(challengeForm("web", right...)).wantError(http.StatusUnauthorized, "invalid_client")
		a.do(http.MethodPost, "/oauth/challenge?x=y", challengeForm("spa", right...).Encode(), "Content-Type", formKind).wantError(http.StatusBadRequest, "invalid_request")
		a.do(http.MethodGet, "/oauth/challenge", "").wantError(http.StatusMethodNotAllowed, "invalid_request")

		user, err := a.Users.ByUsername(t.Context(), "alice")
		if err != nil {
			t.Fatal(err)
		}
		code := a.challenge(challengeForm("spa", right...)).text("authorization_code")
		if err := a.Users.Disable(t.Context(), time.Now(), user.ID, caller.Operator()); err != nil {
			t.Fatal(err)
		}
		a.exchange(code, "redirect_uri", "").wantError(http.StatusBadRequest, "invalid_grant")
		a.challenge(challengeForm("spa", right...)).wantError(http.StatusBadRequest, "access_denied")

		strange := newApp(t)
		strange.alter("spa", func(c *clients.Client) { c.FirstParty = false }) // as no rule lets it be
		strange.challenge(challengeForm("spa", right...)).wantError(http.StatusBadRequest, "unauthorized_client")

		careful, _ := simulated(t, func(o *server.Options) { o.Accounts.RequireVerifiedEmail = true })
		careful.signup("bob")
		careful.challenge(challengeForm("spa", "username", "bob", "password", password)).wantError(http.StatusBadRequest, "redirect_to_web")

		modern := newApp(t, withOptions(func(o *server.Options) { o.RFC9700 = true }))
		modern.challenge(challengeForm("spa", right...)).wantError(http.StatusBadRequest, "unauthorized_client")
		if modern.do(http.MethodGet, documents[0], "").json()["authorization_challenge_endpoint"] != nil {
			t.Error("profile rfc9700 takes no passwords, and its metadata has the endpoint that does")
		}
	})
}

// Wrong codes have the budgets that they have everywhere, and an app that the account knows
// has its own.
func TestChallengeIsThrottled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newApp(t)
		_, code, _ := a.withFactor("alice")
		first := challengeForm("spa", "username", "alice", "password", password)
		device := a.challenge(with(first, "otp", appCode(t, code))).want(http.StatusOK).text("device_token")
		session := a.challenge(first).due(bothMethods)
		status := 0
		for range 20 {
			if status = a.challenge(form("client_id", "spa", "auth_session", session, "otp", "000000")).Code; status == http.StatusTooManyRequests {
				break
			}
		}
		if status != http.StatusTooManyRequests {
			t.Fatalf("after 20 wrong codes: %d", status)
		}
		a.challenge(form("client_id", "spa", "auth_session", session, "otp", nextCode(t, code))).wantError(http.StatusTooManyRequests, "temporarily_unavailable")
		a.challenge(form("client_id", "spa", "auth_session", session, "otp", nextCode(t, code), "device_token", device)).want(http.StatusOK)
	})
}

// What ends a user's sessions ends codes and sessions of the challenge endpoint.
func TestChallengeEndsWithTheUsersSessions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newApp(t)
		a.signup("alice")
		ask := func() string {
			t.Helper()
			return a.challenge(challengeForm("spa", "username", "alice", "password", password)).want(http.StatusOK).text("authorization_code")
		}
		issued, pending := a.exchange(ask(), "redirect_uri", "").want(http.StatusOK), ask()
		p := a.page()
		p.signIn("alice", password).want(http.StatusOK)
		list := p.do(http.MethodGet, "/account/sessions", "").want(http.StatusOK).json()["sessions"].([]any)
		if len(list) != 2 {
			t.Errorf("sessions: %v", list)
		}
		user, err := a.Users.ByUsername(t.Context(), "alice")
		if err != nil {
			t.Fatal(err)
		}
		if logins, err := a.Tokens.LoginsOfUser(t.Context(), time.Now(), user.ID); err != nil || len(logins) > 0 {
			t.Errorf("browsers that are signed in: %v, %v", logins, err)
		}
		p.do(http.MethodDelete, "/account/sessions", "").want(http.StatusNoContent)
		a.refresh(issued.text("refresh_token")).wantError(http.StatusBadRequest, "invalid_grant")
		a.exchange(pending, "redirect_uri", "").wantError(http.StatusBadRequest, "invalid_grant")

		// And one session alone.
		issued = a.exchange(ask(), "redirect_uri", "").want(http.StatusOK)
		_, claims := issued.claims("access_token")
		p.do(http.MethodDelete, "/account/sessions/"+claims["sid"].(string), "").want(http.StatusNoContent)
		a.refresh(issued.text("refresh_token")).wantError(http.StatusBadRequest, "invalid_grant")
		p.refresh().want(http.StatusOK)
	})
}

// FuzzChallenge sends what a stranger may send, and auth_sessions of any content: the answer
// is a refusal in the form of RFC 6749 section 5.2, never a code and never a 5xx.
func FuzzChallenge(f *testing.F) {
	a := newApp(f, func(o *server.Options, _ *keys.Options) { o.Log = slog.New(slog.DiscardHandler) })
	a.signup("alice")
	body := func(pairs ...string) string { return challengeForm("spa", pairs...).Encode() }
	for _, content := range []string{
		"", "null", "{}", "[]", `{"challenge":"cs_ch_x"}`, `{"challenge":7}`, `{"binds":["scope","otp","auth_session"],"asked":{"otp":[],"scope":null}}`,
		`{"asked":{"resource":["x","x"]},"binds":["resource"],"methods":["totp"]}`, `{"asked":{"username":["alice"]},"binds":["client_id"]}`,
	} {
		f.Add(body("otp", "000000"), content)
	}
	for _, one := range []string{
		body("username", "nobody", "password", password), body("username", "alice", "password", "\x00"), body("username", "\xff", "password", password),
		body("auth_session", "cs_as_x", "otp", "\x00"), body("auth_session", "cs_ch_x", "otp", "000000"), body("scope", "\x00"), body("nonce", "\x00"), "otp", "a=b;c", "%", "",
		body("redirect_uri", "x"), body("code_challenge_method", "plain"), body("device_token", "x"), "client_id=spa&otp=1&otp=2", "client_id=third",
	} {
		f.Add(one, "")
	}
	f.Fuzz(func(t *testing.T, body, content string) {
		a := a.in(t)
		if content != "" {
			body += "&auth_session=" + url.QueryEscape(a.options.Seal.Token("cs_as_", "auth_session", []byte(content)))
		}
		r := a.do(http.MethodPost, "/oauth/challenge", body, "Content-Type", formKind)
		if r.Code != http.StatusBadRequest && r.Code != http.StatusUnauthorized && r.Code != http.StatusTooManyRequests {
			t.Fatalf("status = %d: %s", r.Code, r.Body)
		}
		if got := r.text("error_description"); !description.MatchString(got) {
			t.Errorf("error_description has other characters: %q", got)
		}
		if r.json()["auth_session"] != nil {
			t.Errorf("a stranger has got on: %s", r.Body)
		}
	})
}
