package server_test

import (
	"net/http"
	"strings"
	"sync"
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
	// A third-party application can't, because it may be the one that asked for too
	// much.
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

// A code that is requested while the user withdraws the consent is not issued, or dies
// with the consent.
func TestNoCodeOutlivesItsConsent(t *testing.T) {
	a := newApp(t)
	p, mine := a.newPerson(t, "alice")
	for range 10 {
		f := p.authorize(authorization("rp")).page("consent-form")
		f.Set("decision", "allow")
		p.follow(p.submit("/consent", f)).code(rpCallback)
		codes := make(chan string, 8)
		var wg sync.WaitGroup
		for range cap(codes) {
			wg.Go(func() {
				r := p.open("/oauth/authorize?" + authorization("rp", "prompt", "none").Encode())
				if _, code, found := strings.Cut(r.Header().Get("Location"), "code="); found {
					code, _, _ = strings.Cut(code, "&")
					codes <- code
				}
			})
		}
		a.do(http.MethodDelete, "/account/consents/rp", "", "Authorization", "Bearer "+mine.text("access_token")).want(http.StatusNoContent)
		wg.Wait()
		close(codes)
		for code := range codes {
			a.token(exchangeForm("rp", code)).wantError(http.StatusBadRequest, "invalid_grant")
		}
	}
}
