package server_test

import (
	"net/http"
	"slices"
	"strings"
	"testing"
)

// routeClasses says of every route which pages may read its answers, and which format its
// errors have. A new route fails the tests until it is in one class.
var routeClasses = map[string][]string{
	"public document": {
		"/.well-known/jwks.json", "/.well-known/oauth-authorization-server", "/.well-known/openid-configuration", "/.well-known/change-password",
		"/openapi.json", "/assets/countersign.js", "/assets/countersign.d.ts", "/assets/pages.css", "/assets/pages.svg", "/assets/form-post.js", "/assets/deliberate.js", "/assets/mailed-link.js", "/assets/password.js", "/assets/passkey.js", "/assets/answered.js", "/assets/strength.js", "/assets/strength-worker.js",
	},
	"hosted page": {
		"/", "/me", "/me/security", "/me/factors", "/me/sessions", "/me/apps", "/me/data", "/me/deleted", "/oauth/authorize", "/oauth/authorize/resume", "/oauth/logout", "/login", "/login/with/:id", "/login/callback/:id", "/login/link", "/signup/with", "/factor", "/factor/recovery", "/factor/enrol", "/logout", "/consent", "/forgot", "/reset", "/verify", "/verify/again", "/error",
		"GET /signup", "HEAD /signup",
	},
	"OAuth of any client": {"/oauth/token", "/oauth/revoke", "/userinfo"},
	"OAuth of ours":       {"/oauth/introspect", "/oauth/challenge"},
	"probe":               {"/healthz", "/readyz"},
	"own applications": {
		"POST /signup", "/session", "/session/factor", "/session/passkey", "/session/passkey/options", "/session/refresh", "/account", "/account/sessions", "/account/sessions/:id",
		"/account/export", "/account/proof", "/account/consents", "/account/consents/:client_id", "/account/profile", "/account/password",
		"/account/password/forgot", "/account/password/reset", "/account/email", "/account/email/resend", "/account/email/verify",
		"/account/factors", "/account/factors/:id", "/account/factors/totp", "/account/factors/totp/:id/confirm", "/account/factors/passkeys", "/account/factors/passkeys/options", "/account/factors/recovery_codes",
		"/account/identities", "/account/identities/:id",
	},
}

// classOf returns the one class of a route.
func classOf(t *testing.T, route string) string {
	t.Helper()
	_, path, _ := strings.Cut(route, " ")
	var in []string
	for class, routes := range routeClasses {
		if slices.Contains(routes, path) || slices.Contains(routes, route) {
			in = append(in, class)
		}
	}
	if len(in) != 1 {
		t.Errorf("%s is in the classes %q: give it one in this test, and its place in hostedPages or clientEndpoints (server/cors.go) or oauthPaths (handlers/refusals.go)", route, in)
		return ""
	}
	return in[0]
}

// The middleware decides by path which pages may read an answer and, where no handler
// answers, which format an error has.
func TestEveryRouteIsReadableAndRefusesAsItsClass(t *testing.T) {
	a := newApp(t)
	for _, route := range a.Routes() {
		method, path, _ := strings.Cut(route, " ")
		class := classOf(t, route)
		if method == http.MethodGet && !slices.Contains(a.Routes(), "HEAD "+path) {
			t.Errorf("%s doesn't answer HEAD", path)
		}
		path = strings.NewReplacer(":id", "x", ":client_id", "x").Replace(path)
		t.Run(route, func(t *testing.T) {
			got := a.do(method, path, "", "Origin", origin)
			got.t = t
			switch class {
			case "hosted page":
				wantUnreadable(t, got)
			case "public document":
				if open := got.Header().Get("Access-Control-Allow-Origin"); open != "*" {
					t.Errorf("Access-Control-Allow-Origin = %q, want *", open)
				}
			default:
				wantReadable(t, got, origin)
				partner := a.do(method, path, "", "Origin", partnerOrigin)
				partner.t = t
				if class == "OAuth of any client" {
					wantReadableWithoutCredentials(t, partner, partnerOrigin)
				} else {
					wantUnreadable(t, partner)
				}
				for _, from := range []string{partnerOrigin, "https://evil.example", "null"} {
					if got := a.do(method, path, "", "Origin", from, "Authorization", "Bearer x"); class == "own applications" {
						got.t = t
						got.wantProblem(http.StatusForbidden, "origin_not_allowed")
					}
				}
			}
			refused := a.do("PROPFIND", path, "")
			refused.t = t
			if strings.HasPrefix(class, "OAuth") {
				refused.wantError(http.StatusMethodNotAllowed, "invalid_request")
			} else {
				refused.wantProblem(http.StatusMethodNotAllowed, "method_not_allowed")
			}
		})
	}
}
