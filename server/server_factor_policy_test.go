package server_test

import (
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
)

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
			says(http.StatusForbidden, "Authenticator apps can’t be set up here.")
	})
}
