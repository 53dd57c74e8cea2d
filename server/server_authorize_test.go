package server_test

import (
	"context"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"countersign/caller"
	"countersign/clients"
	"countersign/keys"
	"countersign/server"
)

func TestAuthorizationCodeFromSignInToTokens(t *testing.T) {
	a := newApp(t)
	id := a.signup("alice")
	p := a.person()
	login := p.authorize(authorization("spa", "scope", "openid profile email offline_access"))
	login.says(http.StatusOK, "Sign in", "SPA")
	back := p.signIn(login, "alice")
	if got := back.params(spaCallback).Get("state"); got != "the state" {
		t.Errorf("state = %q", got)
	}
	tokens := a.exchange(back.code(spaCallback)).want(http.StatusOK)
	_, claims := tokens.claims("id_token")
	for name, want := range map[string]any{"iss": issuer, "sub": id, "aud": "spa", "nonce": "the nonce"} {
		if claims[name] != want {
			t.Errorf("%s = %v, want %v", name, claims[name], want)
		}
	}
	if got := tokens.text("scope"); got != "openid profile email offline_access" {
		t.Errorf("scope = %q", got)
	}
	if got := a.userinfo(tokens.text("access_token")).want(http.StatusOK).text("email"); got != "alice@example.net" {
		t.Errorf("email = %q", got)
	}
	refreshed := a.refresh(tokens.text("refresh_token")).want(http.StatusOK)
	if _, again := refreshed.claims("id_token"); again["nonce"] != nil || again["auth_time"] != claims["auth_time"] || again["sub"] != id {
		t.Errorf("the refreshed ID token says %v, the first said %v (OpenID Connect Core section 12.2)", again, claims)
	}
}

// Once a user is signed in, no client causes a question for the password again, and
// every client gets the same subject and auth_time.
func TestSignedInOnceIsSignedInEverywhere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newApp(t)
		p, first := a.newPerson(t, "alice")
		_, claims := first.claims("id_token")
		time.Sleep(3 * time.Minute)
		again := a.exchange(p.authorize(authorization("spa", "prompt", "none")).code(spaCallback)).want(http.StatusOK)
		if _, now := again.claims("id_token"); now["sub"] != claims["sub"] || now["auth_time"] != claims["auth_time"] {
			t.Errorf("signed in silently: %v, first: %v", now, claims)
		}
		p.authorize(authorization("rp")).page("consent-form") // no password
		stranger := a.person()
		stranger.authorize(authorization("spa", "prompt", "none")).refuses(spaCallback, "login_required")
	})
}

func TestPromptLoginAsksAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newApp(t)
		p, first := a.newPerson(t, "alice")
		_, claims := first.claims("id_token")
		time.Sleep(2 * time.Second)
		login := p.authorize(authorization("spa", "prompt", "login"))
		login.page("login-form")
		// An earlier sign-in elsewhere doesn't count: the ticket asks for one after
		// itself.
		if strings.Contains(login.Body.String(), "continue-as") {
			t.Error("one may go on without the password")
		}
		again := a.exchange(p.signIn(login, "alice").code(spaCallback)).want(http.StatusOK)
		if _, now := again.claims("id_token"); now["auth_time"].(float64) < claims["auth_time"].(float64)+2 || now["sub"] != claims["sub"] {
			t.Errorf("after prompt=login: %v, first: %v", now, claims)
		}
	})
}

func TestMaxAge(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newApp(t)
		p, first := a.newPerson(t, "alice")
		_, claims := first.claims("id_token")
		time.Sleep(2 * time.Second)
		quick := a.exchange(p.authorize(authorization("spa", "max_age", "10000")).code(spaCallback)).want(http.StatusOK)
		if _, now := quick.claims("id_token"); now["auth_time"] != claims["auth_time"] {
			t.Errorf("max_age=10000 asked again: %v", now)
		}
		p.authorize(authorization("spa", "max_age", "1", "prompt", "none")).refuses(spaCallback, "login_required")
		asked := p.authorize(authorization("spa", "max_age", "1"))
		time.Sleep(5 * time.Second) // a user who types slowly isn't asked again
		again := a.exchange(p.signIn(asked, "alice").code(spaCallback)).want(http.StatusOK)
		if _, now := again.claims("id_token"); now["auth_time"].(float64) < claims["auth_time"].(float64)+7 {
			t.Errorf("max_age=1 didn't ask again: %v", now)
		}
		time.Sleep(time.Second)
		p.signIn(p.authorize(authorization("spa", "max_age", "0")), "alice").code(spaCallback)
	})
}

func TestIDTokenHintNamesTheUser(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newApp(t)
		p, hers := a.newPerson(t, "alice")
		_, his := a.newPerson(t, "bob")
		time.Sleep(time.Hour) // the ID tokens have expired
		p.authorize(authorization("spa", "prompt", "none", "id_token_hint", hers.text("id_token"))).code(spaCallback)
		p.authorize(authorization("spa", "prompt", "none", "id_token_hint", his.text("id_token"))).refuses(spaCallback, "login_required")
		// Alice signs in as herself, but the client means another user.
		asked := p.authorize(authorization("spa", "id_token_hint", his.text("id_token")))
		p.signIn(asked, "alice").refuses(spaCallback, "login_required")
		time.Sleep(time.Second)
		asked = p.authorize(authorization("spa", "id_token_hint", his.text("id_token")))
		p.signIn(asked, "bob").code(spaCallback)
		p.authorize(authorization("spa", "id_token_hint", "a.b.c")).refuses(spaCallback, "invalid_request")
		p.authorize(authorization("spa", "id_token_hint", hers.text("access_token"))).refuses(spaCallback, "invalid_request")
		p.authorize(authorization("other-app", "id_token_hint", hers.text("id_token"))).refuses(spaCallback, "invalid_request")
	})
}

func TestSelectAccount(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newApp(t)
		p, hers := a.newPerson(t, "alice")
		a.signup("bob")
		time.Sleep(time.Second)
		p.authorize(authorization("spa", "prompt", "select_account")).page("login-form")
		choice := p.authorize(authorization("spa", "prompt", "select_account"))
		f := choice.page("continue-form")
		f.Set("continue", "yes")
		again := a.exchange(p.follow(p.submit("/login", f)).code(spaCallback)).want(http.StatusOK)
		_, claims := hers.claims("id_token")
		if _, now := again.claims("id_token"); now["sub"] != claims["sub"] || now["auth_time"] != claims["auth_time"] {
			t.Errorf("going on as who one is: %v", now)
		}
		his := a.exchange(p.signIn(p.authorize(authorization("spa", "prompt", "select_account")), "bob").code(spaCallback)).want(http.StatusOK)
		if _, now := his.claims("id_token"); now["sub"] == claims["sub"] {
			t.Error("choosing another account, one stays who one was")
		}
		// prompt=login is more than a choice.
		time.Sleep(time.Second)
		f = p.authorize(authorization("spa", "prompt", "login select_account")).page("login-form")
		f.Set("continue", "yes")
		p.follow(p.submit("/login", f)).page("login-form")
	})
}

// The user answers on a page that is older than a consent given on another.
func TestDenyingHoldsAlthoughTheSameWasAllowedMeanwhile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newApp(t)
		p, _ := a.newPerson(t, "alice")
		time.Sleep(time.Second)
		older := p.authorize(authorization("rp", "scope", "openid email")).page("consent-form")
		f := p.authorize(authorization("rp", "scope", "openid email profile")).page("consent-form")
		f.Set("decision", "allow")
		p.follow(p.submit("/consent", f)).code(rpCallback)
		older.Set("decision", "deny")
		p.follow(p.submit("/consent", older)).refuses(rpCallback, "access_denied")
		f.Set("decision", "deny") // Back, and then the other button
		p.follow(p.submit("/consent", f)).refuses(rpCallback, "access_denied")
	})
}

func TestClosedSignUpIsNoPrompt(t *testing.T) {
	a := newApp(t, func(o *server.Options, _ *keys.Options) { o.SignupEnabled = false })
	p := a.person()
	p.authorize(authorization("spa", "prompt", "create")).refuses(spaCallback, "invalid_request")
	if got := a.send("GET", "/.well-known/openid-configuration", nil).want(http.StatusOK).Body.String(); strings.Contains(got, `"create"`) {
		t.Errorf("metadata = %s", got)
	}
}

func TestAuthorizationRequestsAreAtMostEightKiB(t *testing.T) {
	a := newApp(t)
	p := a.person()
	for size, want := range map[int]string{8 << 10: "Sign in", 8<<10 + 1: "larger than 8 KiB"} {
		f := authorization("spa", "unknown", "x")
		f.Set("unknown", strings.Repeat("x", size+1-len(f.Encode())))
		if got := len(f.Encode()); got != size {
			t.Fatalf("the request has %d bytes, want %d", got, size)
		}
		status := http.StatusOK
		if size > 8<<10 {
			status = http.StatusBadRequest
		}
		p.authorize(f).says(status, want)
		p.follow(p.post("/oauth/authorize", f)).says(status, want)
	}
}

func TestConsentIsAskedForAndRemembered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newApp(t)
		p, _ := a.newPerson(t, "alice")
		time.Sleep(time.Second)
		p.authorize(authorization("rp", "scope", "openid email", "prompt", "none")).refuses(rpCallback, "consent_required")
		ask := p.authorize(authorization("rp", "scope", "openid email"))
		ask.says(http.StatusOK, "Partner <b>", "see your e-mail address", "alice")
		f := ask.page("consent-form")
		f.Set("decision", "deny")
		p.follow(p.submit("/consent", f)).refuses(rpCallback, "access_denied")
		f = p.authorize(authorization("rp", "scope", "openid email")).page("consent-form")
		f.Set("decision", "allow")
		tokens := a.token(exchangeForm("rp", p.follow(p.submit("/consent", f)).code(rpCallback))).want(http.StatusOK)
		if got := a.userinfo(tokens.text("access_token")).text("email"); got != "alice@example.net" {
			t.Errorf("email = %q", got)
		}
		p.authorize(authorization("rp", "scope", "openid email", "prompt", "none")).code(rpCallback)
		p.authorize(authorization("rp", "scope", "openid")).code(rpCallback)
		p.authorize(authorization("rp", "scope", "openid profile")).page("consent-form")                                               // more than was given
		p.authorize(authorization("rp", "scope", "openid", "claims", `{"userinfo":{"name":{"essential":true}}}`)).page("consent-form") // likewise, by name
		f = p.authorize(authorization("rp", "scope", "openid", "prompt", "consent")).page("consent-form")
		f.Set("decision", "allow")
		p.follow(p.submit("/consent", f)).code(rpCallback)
		// Another user has let it have nothing.
		q, _ := a.newPerson(t, "bob")
		q.authorize(authorization("rp")).page("consent-form")
	})
}

// A page of another site can't make a browser allow, sign in, sign up or sign out.
func TestFormsOfOtherSitesAreRefused(t *testing.T) {
	a := newApp(t)
	p, _ := a.newPerson(t, "alice")
	f := p.authorize(authorization("rp")).page("consent-form")
	f.Set("decision", "allow")
	for _, header := range [][]string{
		{"Origin", "https://elsewhere.example.org"}, {"Origin", "null"}, {"Origin", "http://auth.example.com"},
		{"Sec-Fetch-Site", "cross-site"}, {"Sec-Fetch-Site", "same-site"}, {"Origin", origin},
	} {
		for _, path := range []string{"/consent", "/login", "/logout", "/forgot", "/reset", "/verify"} {
			r := p.do(http.MethodPost, path, f.Encode(), append([]string{"Content-Type", "application/x-www-form-urlencoded"}, header...)...)
			r.says(http.StatusForbidden, "Request from another site")
		}
		r := p.do(http.MethodPost, "/signup", form("username", "mallory", "password", password).Encode(), append([]string{"Content-Type", "application/x-www-form-urlencoded"}, header...)...)
		if r.Code != http.StatusForbidden && r.Code != http.StatusUnsupportedMediaType { // that of applications, which takes no form
			t.Errorf("a form for /signup with %v: %d %s", header, r.Code, r.Body)
		}
	}
	p.authorize(authorization("rp", "prompt", "none")).refuses(rpCallback, "consent_required")
	p.authorize(authorization("spa", "prompt", "none")).code(spaCallback) // still signed in
}

// Browsers leave our cookie out of forms that other sites send, so the server redirects
// them to come again with a GET.
func TestPostedAuthorizationRequest(t *testing.T) {
	a := newApp(t)
	p, _ := a.newPerson(t, "alice")
	r := p.post("/oauth/authorize", authorization("spa", "prompt", "none"))
	r.want(http.StatusSeeOther)
	p.follow(r).code(spaCallback)
	p.post("/oauth/authorize", authorization("spa", "scope", "openid admin")).refuses(spaCallback, "invalid_scope")
	p.post("/oauth/authorize", authorization("spa", "redirect_uri", "https://elsewhere.example.org/")).says(http.StatusBadRequest, "Invalid return address")
}

func TestFormPost(t *testing.T) {
	a := newApp(t)
	p, _ := a.newPerson(t, "alice")
	r := p.authorize(authorization("spa", "response_mode", "form_post"))
	f := r.says(http.StatusOK).page("form-post")
	if f.Get("state") != "the state" || f.Get("iss") != issuer || !strings.Contains(r.Body.String(), `action="`+spaCallback+`"`) {
		t.Errorf("the form has %v: %s", f, r.Body)
	}
	a.exchange(f.Get("code")).want(http.StatusOK)
	if csp := r.Header().Get("Content-Security-Policy"); !strings.Contains(csp, "script-src 'self'") {
		t.Errorf("Content-Security-Policy: %s", csp)
	}
	f = p.authorize(authorization("spa", "response_mode", "form_post", "response_type", "token")).page("form-post")
	if f.Get("error") != "unsupported_response_type" || f.Get("state") != "the state" {
		t.Errorf("the form has %v", f)
	}
	p.authorize(authorization("spa", "response_mode", "fragment")).refuses(spaCallback, "invalid_request")
}

func TestStateComesBackAsItWas(t *testing.T) {
	a := newApp(t)
	p, _ := a.newPerson(t, "alice")
	for _, state := range []string{
		strings.Repeat("0123456789abcdef", 8), "a b+c%20d&e=f#g?h/i", "Zoë 한글 👩‍👩‍👧", `"<script>'\`, strings.Repeat("x", 1024),
	} {
		if got := p.authorize(authorization("spa", "state", state)).params(spaCallback).Get("state"); got != state {
			t.Errorf("state %q came back as %q", state, got)
		}
		login := a.person().authorize(authorization("spa", "state", state))
		if got := a.person().signIn(login, "alice").params(spaCallback).Get("state"); got != state {
			t.Errorf("state %q came back as %q by the sign-in page", state, got)
		}
	}
	if values := p.authorize(authorization("spa", "state", "")).params(spaCallback); values.Has("state") {
		t.Errorf("a state that was not sent came back: %v", values)
	}
}

func TestClaimsParameter(t *testing.T) {
	a := newApp(t)
	p, _ := a.newPerson(t, "alice")
	ask := func(claims string) *response {
		t.Helper()
		return p.authorize(authorization("spa", "scope", "openid", "claims", claims))
	}
	tokens := a.exchange(ask(`{"userinfo":{"name":{"essential":true},"nonsense":null},"id_token":{"email":null,"auth_time":{"essential":true},"acr":{"values":["x"]}}}`).code(spaCallback)).want(http.StatusOK)
	info := a.userinfo(tokens.text("access_token")).want(http.StatusOK).json()
	if info["name"] != "alice" || info["email"] != nil || info["preferred_username"] != nil {
		t.Errorf("userinfo says %v, asked for name", info)
	}
	_, claims := tokens.claims("id_token")
	if claims["email"] != "alice@example.net" || claims["name"] != nil {
		t.Errorf("the ID token says %v, asked for email", claims)
	}
	if _, claims := a.refresh(tokens.text("refresh_token")).want(http.StatusOK).claims("id_token"); claims["email"] != "alice@example.net" || claims["acr"] != "pwd" || !slices.Equal(claims["amr"].([]any), []any{"pwd"}) {
		t.Errorf("the refreshed ID token says %v", claims)
	}
	// A claim that no scope of the client opens is left out.
	other := a.token(exchangeForm("other-app", p.authorize(authorization("other-app", "claims", `{"id_token":{"email":null}}`)).code(spaCallback))).want(http.StatusOK)
	if _, claims := other.claims("id_token"); claims["email"] != nil {
		t.Errorf("the ID token of a client without the scope email says %v", claims)
	}
	me := claims["sub"].(string)
	ask(`{"id_token":{"sub":{"value":"` + me + `"}}}`).code(spaCallback)
	p.authorize(authorization("spa", "prompt", "none", "claims", `{"id_token":{"sub":{"value":"248289761001"}}}`)).refuses(spaCallback, "login_required")
	for _, unmet := range []string{`"values":["gold"]`, `"value":"mfa"`, `"value":["pwd"]`, `"values":[{},1]`} {
		ask(`{"id_token":{"acr":{"essential":true,`+unmet+`}}}`).refuses(spaCallback, "unmet_authentication_requirements")
	}
	for _, met := range []string{`"essential":true`, `"essential":true,"values":["gold","pwd"]`, `"essential":true,"value":"pwd"`, `"value":"gold"`} {
		ask(`{"id_token":{"acr":{` + met + `}}}`).code(spaCallback)
	}
	for _, malformed := range []string{`{`, `[]`, `{"id_token":[]}`, `{"userinfo":{"name":7}}`, `"x"`} {
		ask(malformed).refuses(spaCallback, "invalid_request")
	}
}

func TestAuthorizationRequestIsReadStrictly(t *testing.T) {
	a := newApp(t)
	p, _ := a.newPerson(t, "alice")
	for _, c := range []struct {
		code  string
		pairs []string
	}{
		{"invalid_request", []string{"response_type", ""}},
		{"unsupported_response_type", []string{"response_type", "code id_token"}},
		{"request_not_supported", []string{"request", "eyJ"}},
		{"request_uri_not_supported", []string{"request_uri", "https://client.example.com/r"}},
		{"registration_not_supported", []string{"registration", "{}"}},
		{"invalid_scope", []string{"scope", "openid admin"}},
		{"invalid_scope", []string{"scope", "openid  \"x"}},
		{"invalid_request", []string{"prompt", "none login"}},
		{"invalid_request", []string{"prompt", "dance"}},
		{"invalid_request", []string{"max_age", "-1"}},
		{"invalid_request", []string{"max_age", "soon"}},
		{"invalid_target", []string{"resource", "https://elsewhere.example.org"}},
	} {
		if got := p.authorize(authorization("spa", c.pairs...)).refuses(spaCallback, c.code).Get("state"); got != "the state" {
			t.Errorf("%v: state = %q", c.pairs, got)
		}
	}
	twice := authorization("spa")
	twice.Add("scope", "openid")
	p.authorize(twice).refuses(spaCallback, "invalid_request")
	p.authorize(authorization("web", "redirect_uri", spaCallback)).says(http.StatusBadRequest, "Invalid return address")
	for _, odd := range []string{"%zz=1", "client_id=spa&" + strings.Repeat("x", 9000)} {
		p.open("/oauth/authorize?"+odd).says(http.StatusBadRequest, "Invalid request")
	}
	// The server ignores parameters that it doesn't use.
	p.authorize(authorization("spa", "display", "popup", "claims_locales", "ko", "acr_values", "1 2", "login_hint", "alice", "unknown", "x")).code(spaCallback)
}

func TestAuthorizationPagesSpeakKorean(t *testing.T) {
	a := newApp(t)
	p := a.person()
	p.authorize(authorization("spa", "ui_locales", "ko en")).says(http.StatusOK, "로그인")
	p.language = "ko-KR,ko;q=0.9,en;q=0.8"
	p.authorize(authorization("spa")).says(http.StatusOK, "로그인")
	p.authorize(authorization("spa", "ui_locales", "fr en")).says(http.StatusOK, "Sign in")
}

func TestSignUpOnTheWay(t *testing.T) {
	a := newApp(t)
	p := a.person()
	login := p.authorize(authorization("spa"))
	ticket := login.page("login-form").Get("ticket")
	f := p.open("/signup?ticket="+url.QueryEscape(ticket)).says(http.StatusOK, "Create an account").page("signup-form")
	f.Set("username", "carol")
	f.Set("password", "short")
	f.Set("email", "carol@example.net")
	r := p.submit("/signup", f)
	r.says(http.StatusBadRequest, "at least 8 characters", "carol@example.net")
	if strings.Contains(r.Body.String(), "short\"") {
		t.Error("the page has the password")
	}
	f.Set("password", password)
	a.exchange(p.follow(p.submit("/signup", f)).code(spaCallback)).want(http.StatusOK)
	p.authorize(authorization("spa", "prompt", "create")).page("signup-form")
	q := a.person()
	f = q.authorize(authorization("spa", "prompt", "create", "login_hint", "dave")).page("signup-form")
	f.Set("username", "carol")
	f.Set("password", password)
	q.submit("/signup", f).says(http.StatusBadRequest, "This username is taken.")
}

func TestWrongPasswordOnThePage(t *testing.T) {
	a := newApp(t)
	a.signup("alice")
	p := a.person()
	f := p.authorize(authorization("spa")).page("login-form")
	f.Set("username", "alice")
	f.Set("password", "wrong")
	known := p.submit("/login", f).says(http.StatusBadRequest, "The username, the e-mail address or the password is wrong.")
	f.Set("username", "alicf")
	unknown := p.submit("/login", f)
	if strings.ReplaceAll(unknown.Body.String(), "alicf", "alice") != known.Body.String() || unknown.Code != known.Code {
		t.Error("the page tells whether the account exists")
	}
	f.Set("username", "")
	p.submit("/login", f).says(http.StatusBadRequest, "Please fill in all fields.")
}

// Guesses on the page count like all others, and the page says when to try again.
func TestGuessesOnThePageAreThrottled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newApp(t)
		a.signup("alice")
		p := a.person()
		f := p.authorize(authorization("spa")).page("login-form")
		f.Set("username", "alice")
		f.Set("password", "wrong")
		for range 11 {
			p.submit("/login", f)
		}
		r := p.submit("/login", f).says(http.StatusTooManyRequests, "Too many attempts.")
		if r.Header().Get("Retry-After") == "" {
			t.Error("Retry-After is missing")
		}
		a.token(passwordForm("alice")).want(http.StatusTooManyRequests) // the same budget
		time.Sleep(50 * time.Minute)                                    // the ticket lives an hour
		a.exchange(p.signIn(r, "alice").code(spaCallback)).want(http.StatusOK)
	})
}

// A foreign ticket leads to a page, not to a sign-in. On a page whose ticket has expired the user still
// signs in, signs up and signs out; only the client gets nothing.
func TestTicketsAreOursAndExpire(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, other := newApp(t), newApp(t)
		a.signup("alice")
		p := a.person()
		f := p.authorize(authorization("spa")).page("login-form")
		f.Set("username", "alice")
		f.Set("password", password)
		foreign := other.person().authorize(authorization("spa")).page("login-form").Get("ticket")
		logout := p.open("/oauth/logout").Header().Get("Location")
		for _, ticket := range []string{"x", foreign, f.Get("ticket") + "x", strings.TrimPrefix(logout, "/logout?ticket=")} {
			for _, path := range []string{"/login", "/signup", "/consent", "/oauth/authorize/resume", "/forgot"} {
				if path == "/forgot" && a.options.Mail.Sender == nil {
					continue
				}
				p.open(path+"?ticket="+url.QueryEscape(ticket)).says(http.StatusBadRequest, "Invalid request")
			}
		}
		time.Sleep(59 * time.Minute)
		p.open("/login?ticket=" + url.QueryEscape(f.Get("ticket"))).page("login-form")
		time.Sleep(2 * time.Minute)
		onward := func(r *response) {
			t.Helper()
			if !strings.Contains(r.Body.String(), `href="/login"`) {
				t.Errorf("the page has no way on: %s", r.Body)
			}
		}
		onward(p.open("/login?ticket="+url.QueryEscape(f.Get("ticket"))).says(http.StatusBadRequest, "Too much time has passed"))
		wrong := maps.Clone(f)
		wrong.Set("password", "wrong")
		again := p.submit("/login", wrong).page("login-form")
		again.Set("username", "alice")
		again.Set("password", password)
		onward(p.submit("/login", again).says(http.StatusOK, "You are signed in"))
		p.open("/login").want(http.StatusSeeOther)
		onward(p.submit("/consent", form("ticket", f.Get("ticket"), "decision", "allow")).says(http.StatusBadRequest, "Too much time has passed"))
		p.submit("/login", form("ticket", f.Get("ticket"), "continue", "yes")).says(http.StatusBadRequest, "Too much time has passed")
		onward(p.follow(p.submit("/logout", form("ticket", strings.TrimPrefix(logout, "/logout?ticket=")))).says(http.StatusOK, "Signed out"))
		p.open("/login").page("login-form")
		visitor := a.person()
		f.Set("username", "bob")
		onward(visitor.submit("/signup", f).says(http.StatusOK, "You are signed in"))
	})
}

// The cookie of the pages is limited to this host, is sent when applications lead here,
// and no script can read it.
func TestLoginCookie(t *testing.T) {
	a := newApp(t)
	a.signup("alice")
	p := a.person()
	f := p.authorize(authorization("spa")).page("login-form")
	f.Set("username", "alice")
	f.Set("password", password)
	found := false
	for _, c := range p.submit("/login", f).Result().Cookies() {
		if c.Name == "__Host-countersign_login" {
			found = true
			if !c.HttpOnly || !c.Secure || c.SameSite != http.SameSiteLaxMode || c.Path != "/" || c.Domain != "" || c.MaxAge < 86400 {
				t.Errorf("cookie: %s", c.Raw)
			}
		}
	}
	if !found {
		t.Error("there is no cookie")
	}
	// Its value is no other kind of token, and no other token is valid in its place.
	cookie := p.jar.Cookies(p.site())[0].Value
	for _, c := range p.jar.Cookies(p.site()) {
		if c.Name == "__Host-countersign_login" {
			cookie = c.Value
		}
	}
	a.userinfo(cookie).want(http.StatusUnauthorized)
	a.refresh(cookie).wantError(http.StatusBadRequest, "invalid_grant")
	refresh := a.login("alice").text("refresh_token")
	a.do(http.MethodGet, "/oauth/authorize?"+authorization("spa", "prompt", "none").Encode(), "", "Cookie", "__Host-countersign_login="+refresh).refuses(spaCallback, "login_required")
}

// When the database is away, a page says so, and an application that waits in a hidden
// frame gets an error.
func TestAuthorizationWithoutDatabase(t *testing.T) {
	f := &faults{}
	a := newApp(t, withFaults(f))
	p, _ := a.newPerson(t, "alice")
	f.set(func(_ context.Context, method string) error {
		if method == "Login" {
			return context.DeadlineExceeded
		}
		return nil
	})
	r := p.open("/oauth/authorize?"+authorization("spa").Encode()).says(http.StatusServiceUnavailable, "Please try again shortly.")
	if r.Header().Get("Retry-After") == "" {
		t.Error("Retry-After is missing")
	}
	p.open("/oauth/authorize?"+authorization("spa", "prompt", "none").Encode()).refuses(spaCallback, "temporarily_unavailable")
	f.set(nil)
	p.authorize(authorization("spa", "prompt", "none")).code(spaCallback)
}

// The user who continues must be the user whom the page named, although another has signed
// in to the browser since, in another tab.
func TestContinueAsWhoWasNamed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newApp(t)
		p, _ := a.newPerson(t, "alice")
		time.Sleep(time.Second)
		f := fill(p.authorize(authorization("spa", "prompt", "select_account")).page("continue-form"), "continue", "yes")
		a.signup("bob")
		time.Sleep(time.Second)
		his := a.exchange(p.signIn(p.authorize(authorization("spa", "prompt", "login")), "bob").code(spaCallback)).want(http.StatusOK)
		for _, account := range []string{f.Get("account"), "", "nonsense"} {
			r := p.submit("/login", fill(f, "account", account)).says(http.StatusBadRequest, "Another account has signed in", "Continue as <bdi>bob</bdi>")
			again := fill(r.page("continue-form"), "continue", "yes")
			_, was := his.claims("id_token")
			if _, now := a.exchange(p.follow(p.submit("/login", again)).code(spaCallback)).claims("id_token"); now["sub"] != was["sub"] {
				t.Errorf("continuing as bob: %v", now)
			}
		}
	})
}

// The user who allows must be the user who was asked.
func TestConsentIsOfWhoWasAsked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newApp(t)
		p, _ := a.newPerson(t, "alice")
		time.Sleep(time.Second)
		f := p.authorize(authorization("rp")).page("consent-form")
		f.Set("decision", "allow")
		time.Sleep(time.Second)
		a.signup("bob")
		p.signIn(p.authorize(authorization("spa", "prompt", "login")), "bob").code(spaCallback)
		p.follow(p.submit("/consent", f)).refuses(rpCallback, "login_required")
		p.authorize(authorization("rp", "prompt", "none")).refuses(rpCallback, "consent_required")
	})
}

// If a client loses scopes or resources while the user signs in, they are refused as if
// it had asked for them now.
func TestTicketOfAClientThatMayHaveLess(t *testing.T) {
	a := newApp(t)
	a.signup("alice")
	for what, c := range map[string]struct {
		ask  url.Values
		lose func(*clients.Client)
	}{
		"invalid_scope":  {authorization("legacy"), func(c *clients.Client) { c.Scopes = []string{"profile"} }},
		"invalid_target": {authorization("legacy", "resource", "https://one.example.com"), func(c *clients.Client) { c.Audiences = []string{"https://two.example.com"} }},
	} {
		p := a.person()
		was, err := a.Clients.ByID(t.Context(), "legacy")
		if err != nil {
			t.Fatal(err)
		}
		login := p.authorize(c.ask)
		is := was
		c.lose(&is)
		put := func(client clients.Client) {
			if _, err := a.Clients.Put(t.Context(), time.Now(), client, secret, caller.Operator()); err != nil {
				t.Fatal(err)
			}
		}
		put(is)
		p.signIn(login, "alice").refuses(spaCallback, what)
		put(was)
	}
}

// A ticket grants no more than its client may have at that time.
func TestTicketOfAClientThatMayLess(t *testing.T) {
	a := newApp(t)
	p, _ := a.newPerson(t, "alice")
	f := p.authorize(authorization("legacy", "prompt", "login", "code_challenge", "", "code_challenge_method", "")).page("login-form")
	strict, err := a.Clients.ByID(t.Context(), "legacy")
	if err != nil {
		t.Fatal(err)
	}
	strict.RequirePKCE = true
	if _, err := a.Clients.Put(t.Context(), time.Now(), strict, secret, caller.Operator()); err != nil {
		t.Fatal(err)
	}
	f.Set("username", "alice")
	f.Set("password", password)
	p.submit("/login", f).says(http.StatusBadRequest, "Too much time has passed")
}

// A request that is accepted also fits into the redirects that it leads to: proxies take
// at most 8 KiB of headers. One that doesn't gets a page, or an error that fits.
func TestRedirectsFitIntoProxies(t *testing.T) {
	a := newApp(t)
	p, _ := a.newPerson(t, "alice")
	for name, c := range map[string]struct {
		with []string
		want string
	}{
		"a usual state":                     {[]string{"state", strings.Repeat("x", 1024)}, "code"},
		"a long state":                      {[]string{"state", strings.Repeat("x", 3000)}, "code"},
		"a state that is escaped":           {[]string{"state", strings.Repeat("\u2028", 300)}, "code"},
		"a longer state":                    {[]string{"state", strings.Repeat("x", 7000)}, "page"},
		"one that escapes make long":        {[]string{"state", strings.Repeat("<", 2400)}, "page"},
		"a longer nonce":                    {[]string{"nonce", strings.Repeat("n", 7000)}, "error"},
		"both":                              {[]string{"nonce", strings.Repeat("n", 3500), "state", strings.Repeat("x", 3500)}, "error"},
		"a longer state with another error": {[]string{"state", strings.Repeat("x", 7000), "response_type", "token"}, "page"},
		"in a form":                         {[]string{"state", strings.Repeat("x", 3000), "response_mode", "form_post"}, "form"},
	} {
		for _, method := range []string{http.MethodGet, http.MethodPost} {
			f := authorization("spa", c.with...)
			var r *response
			if method == http.MethodGet {
				r = p.open("/oauth/authorize?" + f.Encode())
			} else {
				r = p.post("/oauth/authorize", f)
			}
			for range 5 {
				size := 0
				for name, values := range r.Header() {
					for _, v := range values {
						size += len(name) + len(v) + 4
					}
				}
				if size > 8<<10 {
					t.Errorf("%s, %s: the headers have %d bytes", name, method, size)
				}
				to := r.Header().Get("Location")
				if !strings.HasPrefix(to, "/") {
					break
				}
				r = p.open(to)
			}
			switch c.want {
			case "code":
				if got := r.params(spaCallback).Get("state"); got != f.Get("state") {
					t.Errorf("%s, %s: the state has %d bytes", name, method, len(got))
				}
			case "error":
				r.refuses(spaCallback, "invalid_request")
			case "form":
				r.says(http.StatusOK, f.Get("state"))
			case "page":
				r.says(http.StatusBadRequest, "too long")
			}
		}
	}
	out := form("client_id", "spa", "post_logout_redirect_uri", "https://client.example.com/", "state", strings.Repeat("<", 3000))
	p.open("/oauth/logout?"+out.Encode()).says(http.StatusBadRequest, "too large")
}
