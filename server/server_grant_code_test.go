package server_test

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"

	"countersign/caller"
	"countersign/ids"
)

// Requirement: line 60.
func TestAnswersGoOnlyToRegisteredAddresses(t *testing.T) {
	a := newApp(t)
	p, _ := a.newPerson(t, "alice")
	for _, uri := range []string{
		"", "https://client.example.com/callback/", "https://client.example.com/callback?x=1", "https://client.example.com/Callback",
		"https://client.example.com:443/callback", "https://client.example.com.evil.example/callback", "https://client.example.com@evil.example/callback",
		"http://client.example.com/callback", "https://client.example.com/callback#x", "//client.example.com/callback", "javascript:alert(1)",
		"https://client.example.com/callback\x00", "https://client.example.com/%63allback",
	} {
		for _, more := range [][]string{nil, {"prompt", "none"}, {"response_type", "token"}, {"response_mode", "form_post"}} {
			r := p.open("/oauth/authorize?" + authorization("spa", append([]string{"redirect_uri", uri}, more...)...).Encode())
			r.says(http.StatusBadRequest)
			if r.Header().Get("Location") != "" {
				t.Errorf("redirect_uri %q leads to %s", uri, r.Header().Get("Location"))
			}
		}
	}
	two := authorization("spa")
	two.Add("redirect_uri", "https://evil.example/")
	p.open("/oauth/authorize?"+two.Encode()).says(http.StatusBadRequest, "Invalid request")
	two = authorization("spa")
	two.Add("client_id", "rp")
	p.open("/oauth/authorize?" + two.Encode()).says(http.StatusBadRequest)
	for _, client := range []string{"", "nobody", "<script>"} {
		p.open("/oauth/authorize?" + authorization("spa", "client_id", client).Encode()).says(http.StatusBadRequest)
	}
	// The port of a loopback URI is the native app's to choose (RFC 8252 section 7.3).
	p.authorize(authorization("native", "redirect_uri", "http://127.0.0.1:49152/back")).code("http://127.0.0.1:49152/back")
	p.open("/oauth/authorize?"+authorization("native", "redirect_uri", "http://127.0.0.1:49152/other").Encode()).says(http.StatusBadRequest, "Invalid return address")
	p.authorize(authorization("native", "redirect_uri", "com.example.app:/back")).code("com.example.app:/back")
	p.authorize(authorization("native", "redirect_uri", "com.example.app:/back", "response_mode", "form_post")).refuses("com.example.app:/back", "invalid_request")
}

// Requirement: line 61.
func TestPKCEIsAskedFor(t *testing.T) {
	a := newApp(t)
	p, _ := a.newPerson(t, "alice")
	for _, pairs := range [][]string{
		{"code_challenge", "", "code_challenge_method", ""},
		{"code_challenge_method", "plain"},
		{"code_challenge_method", ""}, // means plain (RFC 7636 section 4.3)
		{"code_challenge", ""},
		{"code_challenge", "short"},
		{"code_challenge", strings.Repeat("=", 43)},
		{"code_challenge", challengeOf(pkceVerifier) + "A"},
	} {
		p.authorize(authorization("spa", pairs...)).refuses(spaCallback, "invalid_request")
	}
	p.authorize(authorization("legacy", "code_challenge_method", "plain")).refuses(spaCallback, "invalid_request")
	p.authorize(authorization("legacy", "code_challenge", "short")).refuses(spaCallback, "invalid_request")
}

// A confidential client may leave PKCE out, since a code is of no use without its secret
// (RFC 9700 section 2.1.1), unless it is registered with require_pkce. state and nonce
// come back, which such a client has to check.
func TestConfidentialClientsNeedNoPKCEByDefault(t *testing.T) {
	a := newApp(t)
	p, _ := a.newPerson(t, "alice")
	bare := func(client string) url.Values {
		f := authorization(client)
		f.Del("code_challenge")
		f.Del("code_challenge_method")
		return f
	}
	answer := p.authorize(bare("legacy")).params(spaCallback)
	if answer.Get("state") != "the state" || answer.Get("iss") != issuer {
		t.Errorf("answer %v", answer)
	}
	exchange := exchangeForm("legacy", answer.Get("code"), "code_verifier", "")
	exchange.Set("client_secret", "wrong "+secret)
	a.token(exchange).wantError(http.StatusUnauthorized, "invalid_client")
	exchange.Set("client_secret", secret)
	if _, id := a.token(exchange).want(http.StatusOK).claims("id_token"); id["nonce"] != "the nonce" {
		t.Errorf("ID token %v", id)
	}

	legacy, err := a.Clients.ByID(t.Context(), "legacy")
	if err != nil {
		t.Fatal(err)
	}
	legacy.RequirePKCE = true
	if _, err := a.Clients.Put(t.Context(), time.Now(), legacy, secret, caller.Operator()); err != nil {
		t.Fatal(err)
	}
	p.authorize(bare("legacy")).refuses(spaCallback, "invalid_request")
	p.authorize(authorization("legacy")).code(spaCallback)

	// A public client can't choose.
	public, err := a.Clients.ByID(t.Context(), "spa")
	if err != nil {
		t.Fatal(err)
	}
	public.RequirePKCE = false
	if _, err = a.Clients.Put(t.Context(), time.Now(), public, "", caller.Operator()); err != nil {
		t.Fatal(err)
	}
	p.authorize(bare("spa")).refuses(spaCallback, "invalid_request")
}

// Requirement: line 62.
func TestTheVerifierHasToFit(t *testing.T) {
	a := newApp(t)
	p, _ := a.newPerson(t, "alice")
	code := p.authorize(authorization("spa")).code(spaCallback)
	for _, v := range []string{"", "x", strings.Repeat("x", 43), challengeOf(pkceVerifier), pkceVerifier + "x"} {
		a.exchange(code, "code_verifier", v).wantError(http.StatusBadRequest, "invalid_grant")
	}
	a.exchange(code).want(http.StatusOK) // a wrong verifier doesn't spend the code
	// A verifier without a challenge: an attacker removed the challenge (RFC 9700
	// section 4.8.2).
	bare := p.authorize(authorization("legacy", "code_challenge", "", "code_challenge_method", "")).code(spaCallback)
	a.token(exchangeForm("legacy", bare)).wantError(http.StatusBadRequest, "invalid_grant")
	a.token(exchangeForm("legacy", bare, "code_verifier", "")).want(http.StatusOK)
	with := p.authorize(authorization("legacy")).code(spaCallback)
	a.token(exchangeForm("legacy", with, "code_verifier", "")).wantError(http.StatusBadRequest, "invalid_grant")
}

// Requirement: line 63.
func TestACodeIsGoodForOneUse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newApp(t)
		p, mine := a.newPerson(t, "alice")
		fresh := func() string { return p.authorize(authorization("spa")).code(spaCallback) }

		code := fresh()
		first := a.exchange(code).want(http.StatusOK)
		time.Sleep(30 * time.Second)
		a.exchange(code).wantError(http.StatusBadRequest, "invalid_grant")
		a.refresh(first.text("refresh_token")).wantError(http.StatusBadRequest, "invalid_grant")
		a.userinfo(first.text("access_token")).want(http.StatusUnauthorized)
		a.refresh(mine.text("refresh_token")).want(http.StatusOK) // another session of hers

		code = fresh()
		first = a.exchange(code).want(http.StatusOK)
		time.Sleep(5 * time.Minute) // a code that has expired can be seen to have been used, too
		a.exchange(code).wantError(http.StatusBadRequest, "invalid_grant")
		a.refresh(first.text("refresh_token")).wantError(http.StatusBadRequest, "invalid_grant")

		code = fresh()
		time.Sleep(61 * time.Second)
		a.exchange(code).wantError(http.StatusBadRequest, "invalid_grant")

		code = fresh()
		a.exchange(code, "redirect_uri", "https://client.example.com/other").wantError(http.StatusBadRequest, "invalid_grant")
		a.exchange(code, "client_id", "native").wantError(http.StatusBadRequest, "invalid_grant")
		a.token(exchangeForm("rp", code, "redirect_uri", spaCallback)).wantError(http.StatusBadRequest, "invalid_grant")
		a.exchange(code, "redirect_uri", "").wantError(http.StatusBadRequest, "invalid_request")
		a.exchange("").wantError(http.StatusBadRequest, "invalid_request")
		a.exchange(code+"x").wantError(http.StatusBadRequest, "invalid_grant")
		a.exchange(code).want(http.StatusOK)
		a.do(http.MethodPost, "/oauth/token?code="+code, exchangeForm("spa", fresh()).Encode(), "Content-Type", "application/x-www-form-urlencoded").
			wantError(http.StatusBadRequest, "invalid_request")
	})
}

// What ends the account's sessions also ends its pending codes.
func TestCodesDieWithWhatTheyCameOf(t *testing.T) {
	for name, end := range map[string]func(a *app, p *person, id ids.User) error{
		"signed out": func(a *app, p *person, id ids.User) error {
			p.submit("/logout", form()).want(http.StatusSeeOther)
			return nil
		},
		"disabled": func(a *app, p *person, id ids.User) error {
			return a.Users.Disable(a.t.Context(), time.Now(), id, caller.Operator())
		},
		"password changed": func(a *app, p *person, id ids.User) error {
			return a.Users.SetPassword(a.t.Context(), time.Now(), id, "another long password", caller.Operator())
		},
		"deleted": func(a *app, p *person, id ids.User) error {
			return a.Users.Delete(a.t.Context(), time.Now(), id, caller.Operator())
		},
	} {
		t.Run(name, func(t *testing.T) {
			a := newApp(t)
			p, tokens := a.newPerson(t, "alice")
			code := p.authorize(authorization("spa")).code(spaCallback)
			_, claims := tokens.claims("id_token")
			if err := end(a, p, ids.User(uuid.MustParse(claims["sub"].(string)))); err != nil {
				t.Fatal(err)
			}
			a.exchange(code).wantError(http.StatusBadRequest, "invalid_grant")
			p.authorize(authorization("spa", "prompt", "none")).refuses(spaCallback, "login_required")
			if name != "signed out" {
				p.authorize(authorization("spa")).page("login-form")
			}
		})
	}
}

// Requirement: line 64.
func TestEveryAnswerNamesTheIssuer(t *testing.T) {
	a := newApp(t)
	p, _ := a.newPerson(t, "alice")
	// params and refuses look at iss and state.
	p.authorize(authorization("spa")).code(spaCallback)
	p.authorize(authorization("spa", "scope", "nothing")).refuses(spaCallback, "invalid_scope")
	a.person().authorize(authorization("spa", "prompt", "none")).refuses(spaCallback, "login_required")
	if a.do(http.MethodGet, documents[0], "").json()["authorization_response_iss_parameter_supported"] != true {
		t.Error("the metadata doesn't say so")
	}
}

// Requirement: line 65.
func TestOnlyCodesAreGiven(t *testing.T) {
	a := newApp(t)
	p, _ := a.newPerson(t, "alice")
	for _, kind := range []string{"token", "id_token", "code token", "id_token token", "none", "Code"} {
		p.authorize(authorization("spa", "response_type", kind)).refuses(spaCallback, "unsupported_response_type")
	}
	// Every redirect of these pages is a 303, also after a POST: see params, and
	q := a.person()
	f := q.authorize(authorization("spa")).page("login-form")
	f.Set("username", "alice")
	f.Set("password", password)
	q.submit("/login", f).want(http.StatusSeeOther)
	q.submit("/logout", form()).want(http.StatusSeeOther)
	q.post("/oauth/authorize", authorization("spa")).want(http.StatusSeeOther)
	q.open("/oauth/logout").want(http.StatusSeeOther)
}

// Requirement: line 66.
func TestPagesAreNotFramedNorReadFromElsewhere(t *testing.T) {
	a := newApp(t)
	p, _ := a.newPerson(t, "alice")
	ticket := "?ticket=" + url.QueryEscape(p.authorize(authorization("rp")).page("consent-form").Get("ticket"))
	for _, path := range []string{
		"/login", "/signup", "/consent" + ticket, "/logout", "/oauth/authorize", "/oauth/authorize?" + authorization("rp").Encode(),
		"/oauth/logout", "/oauth/authorize/resume" + ticket, "/reset?token=x", "/verify?token=x", "/forgot",
	} {
		for _, from := range []string{origin, "https://client.example.com", "https://evil.example"} {
			r := p.do(http.MethodGet, path, "", "Origin", from)
			for name := range r.Header() {
				if strings.HasPrefix(name, "Access-Control-") {
					t.Errorf("GET %s from %s: %s", path, from, name)
				}
			}
			if r.Header().Get("X-Frame-Options") != "DENY" || !strings.Contains(r.Header().Get("Content-Security-Policy"), "frame-ancestors 'none'") {
				t.Errorf("GET %s can be framed", path)
			}
			preflight := p.do(http.MethodOptions, path, "", "Origin", from, "Access-Control-Request-Method", "GET")
			if got := preflight.Header().Get("Access-Control-Allow-Origin"); got != "" && path != "/signup" { // where applications POST
				t.Errorf("preflight for %s from %s: %s", path, from, got)
			}
		}
	}
}

// Requirement: line 18.
func TestResources(t *testing.T) {
	a := newApp(t)
	p, _ := a.newPerson(t, "alice")
	const one, two = "https://one.example.com", "https://two.example.com"
	audience := func(r *response) []string {
		t.Helper()
		_, claims := r.want(http.StatusOK).claims("access_token")
		switch aud := claims["aud"].(type) {
		case string:
			return []string{aud}
		default:
			var all []string
			for _, a := range aud.([]any) {
				all = append(all, a.(string))
			}
			return all
		}
	}
	is := func(got []string, want ...string) {
		t.Helper()
		if !slices.Equal(got, want) { // openid adds nothing
			t.Errorf("aud = %v, want %v", got, want)
		}
	}
	// If the client asks for none, it gets all of its own.
	tokens := a.token(exchangeForm("legacy", p.authorize(authorization("legacy")).code(spaCallback)))
	is(audience(tokens), one, two)
	// The authorization request narrows what the session is for, and each token request
	// what its token is for.
	ask := authorization("legacy")
	ask["resource"] = []string{one, two}
	f := exchangeForm("legacy", p.authorize(ask).code(spaCallback))
	f.Set("resource", two)
	is(audience(a.token(f)), two)
	ask["resource"] = []string{one}
	tokens = a.token(exchangeForm("legacy", p.authorize(ask).code(spaCallback)))
	is(audience(tokens), one)
	refresh := func(more ...string) *response {
		return a.token(form(append([]string{"grant_type", "refresh_token", "client_id", "legacy", "client_secret", secret,
			"refresh_token", tokens.text("refresh_token")}, more...)...))
	}
	is(audience(refresh()), one)
	refresh("resource", two).wantError(http.StatusBadRequest, "invalid_target")
	is(audience(refresh("resource", one)), one)
	for _, bad := range []string{"one", "/one", "https://one.example.com#x", "https://three.example.com", "https://one.example.com/", "%zz"} {
		p.authorize(authorization("legacy", "resource", bad)).refuses(spaCallback, "invalid_target")
		refresh("resource", bad).wantError(http.StatusBadRequest, "invalid_target")
		a.token(form("grant_type", "client_credentials", "client_id", "web", "client_secret", secret, "resource", bad)).wantError(http.StatusBadRequest, "invalid_target")
		a.token(with(passwordForm("alice"), "resource", bad)).wantError(http.StatusBadRequest, "invalid_target")
	}
	own := a.token(form("grant_type", "client_credentials", "client_id", "web", "client_secret", secret, "resource", "https://api.example.com"))
	if got := audience(own); !slices.Equal(got, []string{"https://api.example.com"}) {
		t.Errorf("aud = %v", got)
	}
}

func TestIDTokensOfCodesAreSignedAsTheClientChose(t *testing.T) {
	a := newApp(t)
	p, tokens := a.newPerson(t, "alice")
	for client, alg := range map[string]string{"spa": "RS256", "es256": "ES256"} {
		r := a.token(exchangeForm(client, p.authorize(authorization(client)).code(spaCallback))).want(http.StatusOK)
		if header, _ := r.claims("id_token"); header["alg"] != alg {
			t.Errorf("the ID token of %s is signed with %v, want %s", client, header["alg"], alg)
		}
	}
	if tokens.text("token_type") != "Bearer" {
		t.Error("token_type")
	}
}

// A refresh token from a code belongs to its client, like all others.
func TestRefreshTokenOfACodeIsTheClients(t *testing.T) {
	a := newApp(t)
	_, tokens := a.newPerson(t, "alice")
	mine := tokens.text("refresh_token")
	a.token(form("grant_type", "refresh_token", "client_id", "rp", "client_secret", secret, "refresh_token", mine)).wantError(http.StatusBadRequest, "invalid_grant")
	a.token(form("grant_type", "refresh_token", "client_id", "other", "refresh_token", mine)).wantError(http.StatusBadRequest, "invalid_grant")
	a.refresh(mine).want(http.StatusOK)
}

// A client that isn't allowed the refresh token grant gets no refresh token.
func TestCodeWithoutRefreshTokenGrant(t *testing.T) {
	a := newApp(t)
	p, _ := a.newPerson(t, "alice")
	r := a.token(exchangeForm("other-app", p.authorize(authorization("other-app")).code(spaCallback))).want(http.StatusOK)
	if r.json()["refresh_token"] != nil {
		t.Error("there is a refresh token")
	}
	a.userinfo(r.text("access_token")).want(http.StatusOK)
}
