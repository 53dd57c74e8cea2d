package server_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
)

// signInByCode hands a code that the person's browser came back with to /session, as
// the page does that it came back to.
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
	// Signing out is signing out: the hosted pages ask for the password again.
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
		a.signInByCode(p, code, pairs...).wantProblem(http.StatusUnauthorized, "invalid_credentials")
	}
	for _, pairs := range [][]string{
		{"code_verifier", ""}, {"redirect_uri", ""}, {"code", ""}, {"username", "alice"}, {"password", password},
	} {
		a.signInByCode(p, code, pairs...).wantProblem(http.StatusBadRequest, "invalid_input")
	}
	another := p.authorize(authorization("native", "redirect_uri", "com.example.app:/back")).code("com.example.app:/back")
	a.signInByCode(p, another, "redirect_uri", "com.example.app:/back").wantProblem(http.StatusUnauthorized, "invalid_credentials")
	a.do(http.MethodPost, "/session", `{"code":"`+code+`","code_verifier":"`+pkceVerifier+`","redirect_uri":"`+spaCallback+`"}`,
		"Content-Type", "application/json", "Origin", "https://evil.example").wantProblem(http.StatusForbidden, "origin_not_allowed")
	a.signInByCode(p, code).want(http.StatusOK)
	a.signInByCode(p, code).wantProblem(http.StatusUnauthorized, "invalid_credentials") // and ends what the first use got
	p.do(http.MethodPost, "/session/refresh", "", "Origin", origin).wantProblem(http.StatusUnauthorized, "login_required")
}
