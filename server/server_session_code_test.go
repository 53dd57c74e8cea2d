package server_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"countersign/audit"
	"countersign/caller"
)

// signInByCode posts the code that the person's browser came back with to /session, as
// the application's page does.
func (a *app) signInByCode(p *person, code string, pairs ...string) *response {
	a.t.Helper()
	body := map[string]string{"code": code, "code_verifier": pkceVerifier, "redirect_uri": spaCallback}
	for i := 0; i < len(pairs); i += 2 {
		if body[pairs[i]] = pairs[i+1]; pairs[i+1] == "" {
			delete(body, pairs[i])
		}
	}
	b, _ := json.Marshal(body)
	return p.do(http.MethodPost, "/session", string(b), "Content-Type", "application/json", "Origin", origin)
}

func TestSessionByCode(t *testing.T) {
	a := newApp(t)
	a.signup("alice")
	p := a.person()
	r := a.signInByCode(p, p.signIn(p.authorize(authorization("spa")), "alice").code(spaCallback)).want(http.StatusOK)
	if r.json()["refresh_token"] != nil || r.json()["id_token"] != nil {
		t.Errorf("the body has tokens that it must not have: %s", r.Body)
	}
	a.userinfo(r.text("access_token")).want(http.StatusOK)
	r = p.do(http.MethodPost, "/session/refresh", "", "Origin", origin).want(http.StatusOK)
	if user := r.json()["user"].(map[string]any); user["username"] != "alice" {
		t.Errorf("user = %v", user)
	}
	// After the sign-out the hosted pages ask for the password again.
	p.do(http.MethodDelete, "/session", "", "Origin", origin).want(http.StatusNoContent)
	p.authorize(authorization("spa")).page("login-form")
	a.userinfo(r.text("access_token")).want(http.StatusUnauthorized)
}

func TestSessionByBadCode(t *testing.T) {
	a := newApp(t)
	p, _ := a.newPerson(t, "alice")
	code := p.authorize(authorization("spa")).code(spaCallback)
	for _, pairs := range [][]string{
		{"code_verifier", strings.Repeat("x", 43)}, {"redirect_uri", "https://client.example.com/other"}, {"code", code + "x"},
	} {
		a.signInByCode(p, code, pairs...).wantProblem(http.StatusUnauthorized, "invalid_code")
	}
	for _, pairs := range [][]string{
		{"code_verifier", ""}, {"redirect_uri", ""}, {"code", ""}, {"username", "alice"}, {"password", password},
	} {
		a.signInByCode(p, code, pairs...).wantProblem(http.StatusBadRequest, "invalid_input")
	}
	another := p.authorize(authorization("native", "redirect_uri", "com.example.app:/back")).code("com.example.app:/back")
	a.signInByCode(p, another, "redirect_uri", "com.example.app:/back").wantProblem(http.StatusUnauthorized, "invalid_code")
	a.do(http.MethodPost, "/session", `{"code":"`+code+`","code_verifier":"`+pkceVerifier+`","redirect_uri":"`+spaCallback+`"}`,
		"Content-Type", "application/json", "Origin", "https://evil.example").wantProblem(http.StatusForbidden, "origin_not_allowed")
	a.signInByCode(p, code).want(http.StatusOK)
	a.signInByCode(p, code).wantProblem(http.StatusUnauthorized, "invalid_code") // and ends the session of the first use
	p.do(http.MethodPost, "/session/refresh", "", "Origin", origin).wantProblem(http.StatusUnauthorized, "login_required")
}

// A bad code ends no session. A code that is used twice does, because one of the two
// callers is a thief.
func TestSessionByALateOrUsedCode(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newApp(t)
		p, _ := a.newPerson(t, "alice")
		code := func() string { return p.authorize(authorization("spa")).code(spaCallback) }
		here := a.page()
		here.jar = p.jar

		used := code()
		a.signInByCode(p, used).want(http.StatusOK)
		late := code()
		time.Sleep(time.Minute + time.Second)
		a.signInByCode(p, late).wantProblem(http.StatusUnauthorized, "invalid_code")
		here.refresh().want(http.StatusOK)
		a.signInByCode(a.person(), used).wantProblem(http.StatusUnauthorized, "invalid_code")
		here.refresh().wantProblem(http.StatusUnauthorized, "login_required")
		if got := a.events(audit.CodeReused); len(got) != 1 {
			t.Errorf("%d events, want 1", len(got))
		}
	})
}

// A client that has lost the grant password takes none from pages, either, and ends no
// session.
func TestSessionTakesNoPasswordWithoutTheGrant(t *testing.T) {
	a := newApp(t)
	a.signup("alice")
	before := a.page()
	before.signIn("alice", password).want(http.StatusOK)
	client, err := a.Clients.ByID(t.Context(), "spa")
	if err != nil {
		t.Fatal(err)
	}
	client.Grants = []string{"refresh_token", "authorization_code"}
	if _, err := a.Clients.Put(t.Context(), time.Now(), client, "", caller.Operator()); err != nil {
		t.Fatal(err)
	}
	a.page().signIn("alice", password).wantProblem(http.StatusForbidden, "password_sign_in_off")
	a.page().signIn("alice", "wrong").wantProblem(http.StatusForbidden, "password_sign_in_off")
	before.refresh().want(http.StatusOK)
	p := a.person()
	a.signInByCode(p, p.signIn(p.authorize(authorization("spa")), "alice").code(spaCallback)).want(http.StatusOK)
}

// Signing out of the app signs the user out of the hosted pages, or the next click
// would sign the user in again.
func TestSigningOutEndsTheLogin(t *testing.T) {
	a := newApp(t)
	a.signup("alice")
	a.signup("bob")
	p := a.person()
	here := a.page()
	here.jar = p.jar
	arrive := func() {
		a.signInByCode(p, p.signIn(p.authorize(authorization("spa")), "alice").code(spaCallback)).want(http.StatusOK)
	}
	gone := func() {
		t.Helper()
		p.authorize(authorization("spa", "prompt", "none")).refuses(spaCallback, "login_required")
	}

	arrive()
	here.do("DELETE", "/session", "").want(http.StatusNoContent)
	gone()

	// Also if a session without a login has replaced the session.
	arrive()
	here.signIn("bob", password).want(http.StatusOK)
	gone()

	// Ending it elsewhere does the same.
	arrive()
	phone := a.page()
	in := phone.signIn("alice", password).want(http.StatusOK)
	phone.bearer("DELETE", "/account/sessions", "", in).want(http.StatusNoContent)
	gone()
	here.refresh().wantProblem(http.StatusUnauthorized, "login_required")
}
