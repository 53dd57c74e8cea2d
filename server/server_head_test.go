package server_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"testing"

	"countersign/mail"
	"countersign/server"
)

// HEAD has the status and headers of GET, and no body, as net/http sends it.
func TestHeadAnswersAsGet(t *testing.T) {
	a := newApp(t)
	a.signup("alice")
	token := a.login("alice").text("access_token")
	srv := httptest.NewServer(a)
	defer srv.Close()
	for path, status := range map[string]int{
		"/": 303, "/me": 303, "/login": 200, "/signup": 200, "/logout": 200, "/forgot": 404, "/error": 400, "/consent": 400, "/oauth/authorize": 400,
		"/session": 401, "/userinfo": 200, "/account/sessions": 200, "/account/profile": 200, "/account/consents": 200, "/account/export": 200,
		"/.well-known/jwks.json": 200, "/.well-known/openid-configuration": 200, "/.well-known/oauth-authorization-server": 200,
		"/.well-known/change-password": 303, "/openapi.json": 200, "/assets/countersign.js": 200, "/assets/pages.css": 200, "/healthz": 200, "/readyz": 200,
		"/nothing": 404, "/oauth/token": 405,
	} {
		var answers [2]*http.Response
		for i, method := range []string{http.MethodGet, http.MethodHead} {
			r, err := http.NewRequestWithContext(t.Context(), method, srv.URL+path, nil)
			if err != nil {
				t.Fatal(err)
			}
			r.Header.Set("Authorization", "Bearer "+token)
			r.Header.Set("Accept-Encoding", "identity") // the client asks for gzip with GET alone
			if answers[i], err = http.DefaultTransport.RoundTrip(r); err != nil {
				t.Fatal(err)
			}
			answers[i].Body.Close()
		}
		get, head := answers[0], answers[1]
		if get.StatusCode != status || head.StatusCode != status {
			t.Errorf("%s: GET %d, HEAD %d, want %d", path, get.StatusCode, head.StatusCode, status)
		}
		for name := range get.Header {
			if name != "Date" && name != "X-Request-Id" && name != "Content-Length" && get.Header.Get(name) != head.Header.Get(name) {
				t.Errorf("%s: %s: HEAD has %q, GET %q", path, name, head.Header.Get(name), get.Header.Get(name))
			}
		}
	}
}

// Password managers look at the origin's root, whatever the issuer's path.
func TestChangePasswordLeadsToThePage(t *testing.T) {
	for _, base := range []string{"", "/tenant"} {
		a := newApp(t, withOptions(func(o *server.Options) {
			o.Issuer = issuer + base
			o.Mail = server.Mail{Sender: &mail.Printer{Out: io.Discard}}
		}))
		for _, path := range []string{"/.well-known/change-password", base + "/.well-known/change-password"} {
			for _, method := range []string{http.MethodGet, http.MethodHead} {
				to := a.do(method, path, "").want(http.StatusSeeOther).Header().Get("Location")
				if to != base+"/me/security" {
					t.Errorf("%s %s leads to %q", method, path, to)
				}
			}
		}
		a.do(http.MethodGet, base+"/me/security", "").goesTo(base + "/login?to=%2Fme%2Fsecurity")
		a.do(http.MethodGet, "/.well-known/resource-that-should-not-exist-whose-status-code-should-not-be-200", "").want(http.StatusNotFound)
	}
}
