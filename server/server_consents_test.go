package server_test

import (
	"net/http"
	"testing"
)

func TestPeopleTakeBackTheirConsent(t *testing.T) {
	a := newApp(t)
	p, mine := a.newPerson(t, "alice")
	bearer := []string{"Authorization", "Bearer " + mine.text("access_token")}
	consents := func() []any {
		t.Helper()
		return a.do(http.MethodGet, "/account/consents", "", bearer...).want(http.StatusOK).json()["consents"].([]any)
	}
	if got := consents(); len(got) != 0 {
		t.Errorf("consents before any: %v", got)
	}
	f := p.authorize(authorization("rp", "scope", "openid email")).page("consent-form")
	f.Set("decision", "allow")
	theirs := a.token(exchangeForm("rp", p.follow(p.submit("/consent", f)).code(rpCallback))).want(http.StatusOK)
	got := consents()
	if len(got) != 1 {
		t.Fatalf("consents: %v", got)
	}
	if one := got[0].(map[string]any); one["client_id"] != "rp" || one["client_name"] != "Partner <b>" || one["scope"] != "openid email" {
		t.Errorf("consent: %v", one)
	}
	if exported := a.do(http.MethodGet, "/account/export", "", bearer...).want(http.StatusOK).json()["consents"].([]any); len(exported) != 1 {
		t.Errorf("exported: %v", exported)
	}
	// An application of somebody else can't, for it may have been what asked for too much.
	a.do(http.MethodGet, "/account/consents", "", "Authorization", "Bearer "+theirs.text("access_token")).wantProblem(http.StatusForbidden, "insufficient_scope")

	code := p.authorize(authorization("rp")).code(rpCallback)
	a.do(http.MethodDelete, "/account/consents/rp", "", bearer...).want(http.StatusNoContent)
	a.token(exchangeForm("rp", code)).wantError(http.StatusBadRequest, "invalid_grant")
	a.token(form("grant_type", "refresh_token", "client_id", "rp", "client_secret", secret, "refresh_token", theirs.text("refresh_token"))).
		wantError(http.StatusBadRequest, "invalid_grant")
	p.authorize(authorization("rp", "prompt", "none")).refuses(rpCallback, "consent_required")
	a.do(http.MethodDelete, "/account/consents/rp", "", bearer...).wantProblem(http.StatusNotFound, "no_consent")
	a.refresh(mine.text("refresh_token")).want(http.StatusOK)
}
