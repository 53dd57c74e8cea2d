package server_test

import (
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"countersign/accounts"
	"countersign/audit"
	"countersign/caller"
	"countersign/ids"
	"countersign/server"
)

// The refresh token is in an HttpOnly, Secure, SameSite cookie with the __Host-
// prefix, which lives as long as the session, and in no body.
//
// Requirement: line 67.
func TestSessionCookie(t *testing.T) {
	a := newApp(t)
	a.signup("alice")
	p := a.page()
	in := p.signIn("alice", password).want(http.StatusOK)
	for what, r := range map[string]*response{"sign-in": in, "refresh": p.refresh().want(http.StatusOK)} {
		noToken(t, r)
		c := r.setCookie(refreshName)
		if !c.HttpOnly || !c.Secure || c.SameSite != http.SameSiteStrictMode || c.Path != "/" || c.Domain != "" {
			t.Errorf("%s: cookie = %s", what, c)
		}
		if life := time.Duration(c.MaxAge) * time.Second; !about(life, 720*time.Hour) {
			t.Errorf("%s: cookie lives %v, want the session's 720h", what, life)
		}
		if r.text("token_type") != "Bearer" || r.json()["expires_in"] != 600.0 || r.json()["user"].(map[string]any)["username"] != "alice" {
			t.Errorf("%s: body = %s", what, r.Body)
		}
		if got := r.Header().Get("Cache-Control"); got != "no-store" {
			t.Errorf("%s: Cache-Control = %q", what, got)
		}
		p.bearer("GET", "/userinfo", "", r).want(http.StatusOK)
	}
	if got := p.do("GET", "/session", "").want(http.StatusOK).text("username"); got != "alice" {
		t.Errorf("signed in = %q", got)
	}
}

func TestSessionCookieVariants(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*server.Options)
		cookie string
		want   []string
		not    []string
	}{
		"domain": {func(o *server.Options) { o.SessionCookie.Domain = "example.com" }, refreshName,
			[]string{"Secure", "SameSite=Strict"}, []string{"Domain"}},
		"other site": {func(o *server.Options) { o.SessionCookie.SameSite = http.SameSiteNoneMode }, refreshName,
			[]string{"Secure", "SameSite=None"}, []string{"Domain"}},
		"lax": {func(o *server.Options) { o.SessionCookie.SameSite = http.SameSiteLaxMode }, refreshName,
			[]string{"SameSite=Lax"}, nil},
		"localhost": {func(o *server.Options) { o.Issuer, o.Dev = "http://localhost:8080", true }, "countersign_refresh",
			[]string{"HttpOnly", "SameSite=Strict"}, []string{"Secure"}},
	} {
		t.Run(name, func(t *testing.T) {
			a := newApp(t, withOptions(c.change))
			a.signup("alice")
			p := a.page()
			r := p.signIn("alice", password).want(http.StatusOK)
			text := strings.Join(r.Header().Values("Set-Cookie"), "\n")
			raw := r.setCookie(c.cookie).Raw
			for _, want := range c.want {
				if !strings.Contains(raw, want) {
					t.Errorf("no %s in %s", want, raw)
				}
			}
			for _, not := range c.not {
				if strings.Contains(raw, not) {
					t.Errorf("%s in %s", not, raw)
				}
			}
			if strings.Contains(text, "countersign_access") {
				t.Errorf("an access cookie: %s", text)
			}
			p.refresh().want(http.StatusOK)
		})
	}
}

// A refused request changes nothing: its cookie stays valid.
//
// Requirement: line 68.
func TestForeignPagesChangeNothing(t *testing.T) {
	a := newApp(t)
	a.signup("alice")
	p := a.page()
	p.signIn("alice", password).want(http.StatusOK)
	before := p.cookie(refreshName)
	for name, header := range map[string][]string{
		"another origin":             {"Origin", "https://evil.example"},
		"null":                       {"Origin", "null"},
		"plain HTTP":                 {"Origin", "http://auth.example.com"},
		"a suffix":                   {"Origin", "https://evil-app.example.com"},
		"no origin, cross-site":      {"Sec-Fetch-Site", "cross-site"},
		"no origin, same-site":       {"Sec-Fetch-Site", "same-site"},
		"two origins":                {"Origin", origin, "Origin", "https://evil.example"},
		"another origin, same-site":  {"Origin", "https://www.example.com", "Sec-Fetch-Site", "same-site"},
		"another origin, cross-site": {"Origin", "https://evil.example", "Sec-Fetch-Site", "cross-site"},
		"another, as our own":        {"Origin", "https://evil.example", "Sec-Fetch-Site", "same-origin"},
		"a listed one, sent twice":   {"Origin", origin, "Sec-Fetch-Site", "cross-site", "Sec-Fetch-Site", "same-origin"},
	} {
		for _, request := range [][2]string{
			{"POST", "/session/refresh"}, {"DELETE", "/session"}, {"POST", "/session"}, {"POST", "/signup"},
		} {
			t.Run(name+" "+request[0]+" "+request[1], func(t *testing.T) {
				body := ""
				if request[1] == "/session" && request[0] == "POST" || request[1] == "/signup" {
					body = `{"username":"mallory","password":"` + password + `"}`
				}
				all := append([]string{"Cookie", refreshName + "=" + before, "Content-Type", "application/json"}, header...)
				r := a.do(request[0], request[1], body, all...).wantProblem(http.StatusForbidden, "origin_not_allowed")
				if set := r.Header().Values("Set-Cookie"); len(set) > 0 {
					t.Errorf("cookies are set: %q", set)
				}
			})
		}
	}
	if users, _ := a.Users.List(t.Context(), accounts.User{}, 10); len(users) != 1 {
		t.Errorf("%d users, want 1", len(users))
	}
	p.refresh().want(http.StatusOK)
	for name, header := range map[string][]string{
		"our own origin":   {"Origin", issuer},
		"our own, as said": {"Origin", issuer, "Sec-Fetch-Site", "same-origin"},
		"a listed one":     {"Origin", origin, "Sec-Fetch-Site", "cross-site"},
		"a client's":       {"Origin", "https://client.example.com"},
		"no browser":       {},
		"our own, hidden":  {"Origin", "null", "Sec-Fetch-Site", "same-origin"},
	} {
		all := append([]string{"Cookie", refreshName + "=" + p.cookie(refreshName)}, header...)
		if r := a.do("POST", "/session/refresh", "", all...); r.Code != http.StatusOK {
			t.Errorf("%s: %d %s", name, r.Code, r.Body)
		}
	}
}

// If only the access token has expired, one request renews it. If both have, the answer
// is login_required, and the cookies are deleted.
//
// Requirement: line 71.
func TestSilentRefreshAndLoginRequired(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newApp(t)
		a.signup("alice")
		p := a.page()
		in := p.signIn("alice", password).want(http.StatusOK)
		time.Sleep(11 * time.Minute)
		p.bearer("GET", "/userinfo", "", in).wantError(http.StatusUnauthorized, "invalid_token")
		again := p.refresh().want(http.StatusOK)
		p.bearer("GET", "/userinfo", "", again).want(http.StatusOK)

		time.Sleep(721 * time.Hour)
		if p.cookie(refreshName) != "" {
			t.Error("the cookie outlives the session")
		}
		p.keep(refreshName, again.setCookie(refreshName).Value) // a browser with its clock wrong
		p.bearer("GET", "/userinfo", "", again).wantError(http.StatusUnauthorized, "invalid_token")
		for _, request := range [][2]string{{"GET", "/session"}, {"POST", "/session/refresh"}} {
			p.keep(refreshName, again.setCookie(refreshName).Value)
			r := p.do(request[0], request[1], "").wantProblem(http.StatusUnauthorized, "login_required")
			if c := r.setCookie(refreshName); c.MaxAge >= 0 || c.Value != "" {
				t.Errorf("%s: the cookie isn't cleared: %s", request[1], c.Raw)
			}
			if p.cookie(refreshName) != "" {
				t.Error("the browser still has the cookie")
			}
		}
		p.refresh().wantProblem(http.StatusUnauthorized, "login_required")
	})
}

func TestSessionWrongPassword(t *testing.T) {
	a := newApp(t)
	a.signup("alice")
	wrong := a.page().signIn("alice", "wrong password").wantProblem(http.StatusUnauthorized, "invalid_credentials")
	unknown := a.page().signIn("nobody", "wrong password").wantProblem(http.StatusUnauthorized, "invalid_credentials")
	if wrong.Body.String() != unknown.Body.String() {
		t.Errorf("told apart:\n%s%s", wrong.Body, unknown.Body)
	}
	for _, r := range []*response{wrong, unknown} {
		if set := r.Header().Values("Set-Cookie"); len(set) > 0 {
			t.Errorf("cookies are set: %q", set)
		}
	}
	p := a.page()
	p.do("POST", "/session", `{"username":"alice"}`).wantProblem(http.StatusBadRequest, "invalid_input")
	p.do("POST", "/session", `{"username":"alice","password":"x","admin":true}`).wantProblem(http.StatusBadRequest, "invalid_input")
}

func TestSessionSignOut(t *testing.T) {
	a := newApp(t)
	a.signup("alice")
	p := a.page()
	in := p.signIn("alice", password).want(http.StatusOK)
	token := p.cookie(refreshName)
	p.do("DELETE", "/session", "").want(http.StatusNoContent)
	if p.cookie(refreshName) != "" {
		t.Error("the cookie is still there")
	}
	p.keep(refreshName, token)
	p.refresh().wantProblem(http.StatusUnauthorized, "login_required")
	p.bearer("GET", "/userinfo", "", in).wantError(http.StatusUnauthorized, "invalid_token")
	p.do("DELETE", "/session", "").want(http.StatusNoContent) // twice is fine
}

// A user whose last refresh lost its answer still signs out, with the token from
// before.
func TestSessionSignOutWithOldCookie(t *testing.T) {
	a := newApp(t, withOptions(func(o *server.Options) { o.Tokens.RefreshReplayWindow = 0 }))
	a.signup("alice")
	p := a.page()
	p.signIn("alice", password).want(http.StatusOK)
	old := p.cookie(refreshName)
	p.refresh().want(http.StatusOK)
	current := p.cookie(refreshName)
	p.keep(refreshName, old)
	p.do("DELETE", "/session", "").want(http.StatusNoContent)
	p.keep(refreshName, current)
	p.refresh().wantProblem(http.StatusUnauthorized, "login_required")
}

func TestSessionLostResponseHeals(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newApp(t)
		a.signup("alice")
		p := a.page()
		p.signIn("alice", password).want(http.StatusOK)
		before := p.cookie(refreshName)
		p.refresh().want(http.StatusOK)
		after := p.cookie(refreshName)
		p.keep(refreshName, before)
		time.Sleep(30 * time.Second)
		p.refresh().want(http.StatusOK)
		if got := p.cookie(refreshName); got != after {
			t.Error("the retry didn't get the current token")
		}
		p.keep(refreshName, before)
		time.Sleep(31 * time.Second)
		p.do("GET", "/session", "").wantProblem(http.StatusUnauthorized, "login_required") // stolen: a read notices it, too
		p.keep(refreshName, after)
		p.refresh().wantProblem(http.StatusUnauthorized, "login_required")
		if n := countEvents(t, a, audit.SessionReused); n != 1 {
			t.Errorf("%d events of reuse, want 1", n)
		}
	})
}

// countEvents counts the events of a kind.
func countEvents(t *testing.T, a *app, kind audit.Kind) int {
	t.Helper()
	events, err := a.db.Events(t.Context(), audit.Filter{})
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, ev := range events {
		if ev.Kind == kind {
			n++
		}
	}
	return n
}

// The browser's cookie has room for one session: the one before ends, and no other
// user's.
func TestSessionSignInAgainEndsTheFormer(t *testing.T) {
	a := newApp(t)
	a.signup("alice")
	p, other := a.page(), a.page()
	p.signIn("alice", password).want(http.StatusOK)
	other.signIn("alice", password).want(http.StatusOK)
	former := p.cookie(refreshName)
	in := p.signIn("alice", password).want(http.StatusOK)
	if n := len(p.bearer("GET", "/account/sessions", "", in).want(http.StatusOK).json()["sessions"].([]any)); n != 2 {
		t.Errorf("%d sessions, want 2", n)
	}
	other.refresh().want(http.StatusOK)
	p.keep(refreshName, former)
	p.refresh().wantProblem(http.StatusUnauthorized, "login_required")
}

// Another host of the domain may have set a cookie of the same name.
func TestSessionFindsItsOwnCookieAmongOthers(t *testing.T) {
	a := newApp(t)
	a.signup("alice")
	p := a.page()
	p.signIn("alice", password).want(http.StatusOK)
	good := refreshName + "=" + p.cookie(refreshName)
	for _, bad := range []string{"tossed", "cs_rt_" + strings.Repeat("A", 80), strings.Repeat("x", 5000)} {
		header := []string{"Origin", origin, "Cookie", refreshName + "=" + bad + "; " + good}
		a.do("GET", "/session", "", header...).want(http.StatusOK)
		r := a.do("POST", "/session/refresh", "", header...).want(http.StatusOK)
		good = refreshName + "=" + r.setCookie(refreshName).Value
	}
	a.do("POST", "/session/refresh", "", "Origin", origin, "Cookie", refreshName+"=tossed").
		wantProblem(http.StatusUnauthorized, "login_required")
}

// The browser's endpoints ignore a token of another client.
func TestSessionTakesNoOtherClientsToken(t *testing.T) {
	a := newApp(t)
	a.signup("alice")
	f := passwordForm("alice")
	f.Set("client_id", "other")
	token := a.token(f).want(http.StatusOK).text("refresh_token")
	p := a.page()
	for _, request := range [][2]string{{"GET", "/session"}, {"POST", "/session/refresh"}} {
		p.keep(refreshName, token)
		p.do(request[0], request[1], "").wantProblem(http.StatusUnauthorized, "login_required")
	}
	p.keep(refreshName, token)
	p.do("DELETE", "/session", "").want(http.StatusNoContent)
	a.token(form("grant_type", "refresh_token", "client_id", "other", "refresh_token", token)).want(http.StatusOK)
}

func TestSessionEndsWithTheAccount(t *testing.T) {
	a := newApp(t)
	a.signup("alice")
	p := a.page()
	p.signIn("alice", password).want(http.StatusOK)
	user, err := a.Users.ByUsername(t.Context(), "alice")
	if err != nil {
		t.Fatal(err)
	}
	if err := a.Users.Disable(t.Context(), time.Now(), user.ID, caller.Operator()); err != nil {
		t.Fatal(err)
	}
	p.refresh().wantProblem(http.StatusUnauthorized, "login_required")
	p.signIn("alice", password).wantProblem(http.StatusForbidden, "account_disabled")
	p.signIn("alice", "another password").wantProblem(http.StatusUnauthorized, "invalid_credentials")
}

func TestSessionNeedsAClientOfOurs(t *testing.T) {
	for _, client := range []ids.Client{"missing", "third"} {
		a := newApp(t, withOptions(func(o *server.Options) { o.SessionCookie.Client = client }))
		a.signup("alice")
		a.page().signIn("alice", password).wantProblem(http.StatusNotFound, "browser_sign_in_off")
	}
}

// In full cookie mode no token is in any body, and our endpoints and those of the
// same site read the access token's cookie.
func TestSessionAccessCookie(t *testing.T) {
	a := newApp(t, withOptions(func(o *server.Options) { o.SessionCookie.AccessCookie = true }))
	a.signup("alice")
	p := a.page()
	in := p.signIn("alice", password).want(http.StatusOK)
	c := in.setCookie(accessName)
	if !c.HttpOnly || !c.Secure || c.SameSite != http.SameSiteStrictMode || c.Path != "/" || time.Duration(c.MaxAge)*time.Second != 10*time.Minute {
		t.Errorf("cookie = %s", c.Raw)
	}
	for what, r := range map[string]*response{"sign-in": in, "refresh": p.refresh().want(http.StatusOK)} {
		noToken(t, r)
		if _, there := r.json()["access_token"]; there || strings.Contains(r.Body.String(), "eyJ") {
			t.Errorf("%s: access token in the body", what)
		}
	}
	p.do("GET", "/userinfo", "").want(http.StatusOK)
	p.do("GET", "/account/sessions", "").want(http.StatusOK)
	p.do("POST", "/userinfo", "").want(http.StatusOK)
	a.do("GET", "/userinfo", "", "Cookie", accessName+"="+p.cookie(accessName)).want(http.StatusOK)

	evil := a.page()
	evil.jar, evil.origin = p.jar, "https://evil.example"
	evil.do("POST", "/account/password", `{"current_password":"`+password+`","new_password":"another good password"}`).
		wantProblem(http.StatusForbidden, "origin_not_allowed")
	evil.do("DELETE", "/account", "").wantProblem(http.StatusForbidden, "origin_not_allowed")
	evil.do("POST", "/userinfo", "").wantProblem(http.StatusForbidden, "origin_not_allowed")
	p.do("GET", "/session", "").want(http.StatusOK)

	p.do("DELETE", "/session", "").want(http.StatusNoContent)
	if p.cookie(accessName) != "" || p.cookie(refreshName) != "" {
		t.Error("cookies are still there")
	}
	p.do("GET", "/account/sessions", "").wantProblem(http.StatusUnauthorized, "login_required")
}

// Without access_cookie the server ignores the cookie of that name.
func TestSessionAccessCookieIsOffByDefault(t *testing.T) {
	a := newApp(t)
	a.signup("alice")
	p := a.page()
	p.keep(accessName, p.signIn("alice", password).text("access_token"))
	p.do("GET", "/userinfo", "").want(http.StatusUnauthorized)
	a.do("DELETE", "/account", "", "Cookie", accessName+"="+p.cookie(accessName)).want(http.StatusUnauthorized)
}

func TestSessionDeviceLabel(t *testing.T) {
	a := newApp(t)
	a.signup("alice")
	for agent, want := range map[string]string{
		"Mozilla/5.0 (X11; Linux x86_64; rv:131.0) Gecko/20100101 Firefox/131.0": "Firefox on Linux",
		"": "",
		"<script>alert(1)</script>" + strings.Repeat("x", 9000): "",
	} {
		p := a.page()
		p.agent = agent
		in := p.signIn("alice", password).want(http.StatusOK)
		for _, s := range p.bearer("GET", "/account/sessions", "", in).want(http.StatusOK).json()["sessions"].([]any) {
			s := s.(map[string]any)
			if label := s["device"].(string); s["current"] == true && label != want {
				t.Errorf("device of %.40q = %q, want %q", agent, label, want)
			}
		}
		p.do("DELETE", "/session", "").want(http.StatusNoContent)
	}
}
