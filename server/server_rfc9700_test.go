package server_test

import (
	"net/http"
	"slices"
	"testing"

	"countersign/keys"
	"countersign/server"
)

// With profile rfc9700 no application sees a password, and every code has PKCE.
func TestProfileRFC9700(t *testing.T) {
	a := newApp(t, func(o *server.Options, _ *keys.Options) { o.RFC9700 = true })
	a.signup("alice")
	a.token(passwordForm("alice")).wantError(http.StatusBadRequest, "unsupported_grant_type")
	document := a.do(http.MethodGet, documents[0], "").json()
	if slices.Contains(advertised(t, document, "grant_types_supported"), "password") {
		t.Error("the password grant is advertised")
	}
	a.page().do(http.MethodPost, "/session", `{"username":"alice","password":"`+password+`"}`).wantProblem(http.StatusForbidden, "password_sign_in_off")

	p := a.person()
	code := p.signIn(p.authorize(authorization("spa")), "alice").code(spaCallback)
	tokens := a.exchange(code).want(http.StatusOK)
	a.refresh(tokens.text("refresh_token")).want(http.StatusOK)
	p.authorize(authorization("legacy", "code_challenge", "", "code_challenge_method", "")).refuses(spaCallback, "invalid_request")
	p.authorize(authorization("rp", "code_challenge", "", "code_challenge_method", "")).refuses(rpCallback, "invalid_request")
	p.authorize(authorization("legacy")).code(spaCallback)
	a.signInByCode(p, p.authorize(authorization("spa")).code(spaCallback)).want(http.StatusOK)
}
