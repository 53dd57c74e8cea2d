package server_test

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/google/uuid"

	"countersign/caller"
	"countersign/ids"
)

// loginFor signs a user in for a scope.
func (a *app) loginFor(username, scope string) *response {
	a.t.Helper()
	f := passwordForm(username)
	f.Set("scope", scope)
	return a.token(f).want(http.StatusOK)
}

// Requirement: line 49.
func TestUserinfoByGetAndPost(t *testing.T) {
	a := newApp(t)
	id := a.signup("alice")
	login := a.login("alice")
	token := login.text("access_token")
	_, claims := login.claims("access_token")
	for _, method := range []string{http.MethodGet, http.MethodPost} {
		for _, scheme := range []string{"Bearer", "bearer", "BEARER", "bEaReR"} {
			got := a.do(method, "/userinfo", "", "Authorization", scheme+" "+token).want(http.StatusOK)
			if kind := got.Header().Get("Content-Type"); kind != "application/json" {
				t.Errorf("Content-Type = %q, want application/json", kind)
			}
			if cache := got.Header().Get("Cache-Control"); cache != "no-store" {
				t.Errorf("Cache-Control = %q, want no-store: it is about a person", cache)
			}
			if sub := got.text("sub"); sub != id || sub != claims["sub"] {
				t.Errorf("sub = %q, want %q, the token's %v", sub, id, claims["sub"])
			}
		}
	}
	// Beside the header, the server accepts a form without a token, and JSON.
	a.do(http.MethodPost, "/userinfo", "x=y", "Authorization", "Bearer "+token, "Content-Type", "application/x-www-form-urlencoded").want(http.StatusOK)
	a.do(http.MethodPost, "/userinfo", "{}", "Authorization", "Bearer "+token, "Content-Type", "application/json").want(http.StatusOK)
	for _, method := range []string{http.MethodPut, http.MethodDelete, http.MethodPatch} {
		got := a.do(method, "/userinfo", "", "Authorization", "Bearer "+token).want(http.StatusMethodNotAllowed)
		if allow := got.Header().Get("Allow"); !strings.Contains(allow, "GET") || !strings.Contains(allow, "POST") {
			t.Errorf("Allow = %q, want GET and POST", allow)
		}
	}
}

func TestUserinfoSaysWhatTheScopesOpenAndNothingElse(t *testing.T) {
	a := newApp(t)
	a.signup("alice")
	for scope, want := range map[string]string{
		"openid":                     "map[sub:]",
		"openid profile":             "map[name: preferred_username: sub: updated_at:]",
		"openid email":               "map[email: email_verified: sub:]",
		"openid roles":               "map[sub:]",
		"openid offline_access":      "map[sub:]",
		"roles email openid profile": "map[email: email_verified: name: preferred_username: sub: updated_at:]",
		"profile":                    "",
		"profile email roles":        "",
		"offline_access":             "",
	} {
		got := a.userinfo(a.loginFor("alice", scope).text("access_token"))
		if want == "" {
			got.wantError(http.StatusForbidden, "insufficient_scope")
			continue
		}
		names := map[string]string{}
		for name := range got.want(http.StatusOK).json() {
			names[name] = ""
		}
		if fmt.Sprint(names) != want {
			t.Errorf("scope %q opens %v, want %v", scope, names, want)
		}
	}
}

// Requirement: line 50.
func TestNoCredentialsAreAskedForWithoutAnErrorCode(t *testing.T) {
	a := newApp(t)
	for name, header := range map[string][]string{
		"nothing":           nil,
		"Basic":             {"Authorization", basic("spa", "")},
		"Digest":            {"Authorization", "Digest username=x"},
		"empty":             {"Authorization", ""},
		"no scheme":         {"Authorization", "eyJhbGciOiJFUzI1NiJ9.e30.x"},
		"a cookie":          {"Cookie", "access_token=x"},
		"a proxy's":         {"Proxy-Authorization", "Bearer x"},
		"a scheme alike":    {"Authorization", "BearerX abc"},
		"a header invented": {"X-Access-Token", "abc"},
	} {
		got := a.do(http.MethodGet, "/userinfo", "", header...)
		challenge := got.Header().Get("WWW-Authenticate")
		if got.Code != http.StatusUnauthorized || !strings.HasPrefix(challenge, "Bearer") || strings.Contains(challenge, "error") {
			t.Errorf("%s: %d %q, want 401 and Bearer without an error", name, got.Code, challenge)
		}
		if got.Header().Get("Cache-Control") != "no-store" {
			t.Errorf("%s: Cache-Control = %q", name, got.Header().Get("Cache-Control"))
		}
	}
}

// Requirement: line 51.
func TestInvalidTokensAreInvalidToken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newApp(t)
		a.signup("alice")
		a.signup("gone")
		a.signup("barred")
		gone, barred, revoked, expired := a.login("gone"), a.login("barred"), a.login("alice"), a.login("alice")
		claim := func(login *response, name string) uuid.UUID {
			_, claims := login.claims("access_token")
			return uuid.MustParse(claims[name].(string))
		}
		if err := errors.Join(
			a.Users.Delete(t.Context(), time.Now(), ids.User(claim(gone, "sub")), caller.Operator()),
			a.Users.Disable(t.Context(), time.Now(), ids.User(claim(barred, "sub")), caller.Operator()),
			a.Tokens.EndSession(t.Context(), time.Now(), ids.Session(claim(revoked, "sid")), caller.Operator()),
		); err != nil {
			t.Fatal(err)
		}

		k, private := a.signingKey("ES256")
		_, good := expired.claims("access_token")
		now := time.Now().Unix()
		good["exp"] = now // expires in this second
		for name, token := range map[string]string{
			"of a deleted user":    gone.text("access_token"),
			"of a disabled user":   barred.text("access_token"),
			"of a revoked session": revoked.text("access_token"),
			"malformed":            "abc",
			"of two words":         "abc def",
			"expired":              forge(t, jwt.SigningMethodES256, private, map[string]any{"typ": "at+jwt", "kid": k.KID}, good),
			"empty":                "",
		} {
			got := a.userinfo(token).wantError(http.StatusUnauthorized, "invalid_token")
			if challenge := got.Header().Get("WWW-Authenticate"); !strings.HasPrefix(challenge, "Bearer ") || !strings.Contains(challenge, `error="invalid_token"`) {
				t.Errorf("%s: WWW-Authenticate = %q", name, challenge)
			}
		}
		a.userinfo(expired.text("access_token")).want(http.StatusOK) // the forged token has expired, this one hasn't
		time.Sleep(10 * time.Minute)
		a.userinfo(expired.text("access_token")).wantError(http.StatusUnauthorized, "invalid_token")
	})
}

// Requirement: line 52.
func TestMissingScopeIsInsufficientScope(t *testing.T) {
	a := newApp(t)
	a.signup("alice")
	for name, token := range map[string]string{
		"a user's without openid": a.loginFor("alice", "profile email").text("access_token"),
		"a client's own": a.token(form("grant_type", "client_credentials", "client_id", "api", "client_secret", "dev-secret")).
			want(http.StatusOK).text("access_token"),
	} {
		got := a.userinfo(token).wantError(http.StatusForbidden, "insufficient_scope")
		challenge := got.Header().Get("WWW-Authenticate")
		if !strings.Contains(challenge, `error="insufficient_scope"`) || !strings.Contains(challenge, `scope="openid"`) {
			t.Errorf("%s: WWW-Authenticate = %q, want insufficient_scope and the scope that is missing", name, challenge)
		}
	}
}

// Requirement: line 53.
func TestTokenOnceAndInTheHeaderOnly(t *testing.T) {
	a := newApp(t)
	a.signup("alice")
	token := a.login("alice").text("access_token")
	body := url.Values{"access_token": {token}}.Encode()
	formType := []string{"Content-Type", "application/x-www-form-urlencoded"}
	bearer := []string{"Authorization", "Bearer " + token}

	for name, got := range map[string]*response{
		"header and body":            a.do(http.MethodPost, "/userinfo", body, append(bearer, formType...)...),
		"header and body, charset":   a.do(http.MethodPost, "/userinfo", body, append(bearer, "Content-Type", "Application/X-WWW-Form-Urlencoded; charset=utf-8")...),
		"header and query":           a.do(http.MethodGet, "/userinfo?"+body, "", bearer...),
		"header and empty in query":  a.do(http.MethodGet, "/userinfo?access_token=", "", bearer...),
		"header and another in body": a.do(http.MethodPost, "/userinfo", "access_token=other", append(bearer, formType...)...),
		"two headers":                a.do(http.MethodGet, "/userinfo", "", append(bearer, bearer...)...),
		"a form that is none":        a.do(http.MethodPost, "/userinfo", "access_token=%zz", append(bearer, formType...)...),
		"a huge form":                a.do(http.MethodPost, "/userinfo", strings.Repeat("x", 65<<10), append(bearer, formType...)...),
	} {
		if got.Code != http.StatusBadRequest || got.text("error") != "invalid_request" {
			t.Errorf("%s: %d %s, want 400 invalid_request", name, got.Code, got.Body)
		}
	}
	for name, got := range map[string]*response{
		"query":         a.do(http.MethodGet, "/userinfo?"+body, ""),
		"query of POST": a.do(http.MethodPost, "/userinfo?"+body, "", formType...),
		"body":          a.do(http.MethodPost, "/userinfo", body, formType...),
		"body of GET":   a.do(http.MethodGet, "/userinfo", body, formType...),
		"cookie":        a.do(http.MethodGet, "/userinfo", "", "Cookie", body),
	} {
		if got.Code != http.StatusUnauthorized || strings.Contains(got.Header().Get("WWW-Authenticate"), "error") {
			t.Errorf("in the %s: %d %s, want 401 as if there was none", name, got.Code, got.Body)
		}
	}
}

// Requirement: line 54.
func TestUserinfoErrorsCarryCORSHeaders(t *testing.T) {
	a := newApp(t)
	a.signup("alice")
	good := a.login("alice").text("access_token")
	narrow := a.loginFor("alice", "profile").text("access_token")
	for _, from := range []string{origin, "https://client.example.com"} {
		for status, header := range map[int][]string{
			http.StatusOK:           {"Authorization", "Bearer " + good},
			http.StatusBadRequest:   {"Authorization", "Bearer " + good, "Authorization", "Bearer " + good},
			http.StatusUnauthorized: {"Authorization", "Bearer nonsense"},
			http.StatusForbidden:    {"Authorization", "Bearer " + narrow},
		} {
			got := a.do(http.MethodGet, "/userinfo", "", append(header, "Origin", from)...).want(status)
			wantReadable(t, got, from)
		}
		wantReadable(t, a.do(http.MethodGet, "/userinfo", "", "Origin", from).want(http.StatusUnauthorized), from)
		wantReadable(t, a.do(http.MethodPut, "/userinfo", "", "Origin", from).want(http.StatusMethodNotAllowed), from)
	}
}
