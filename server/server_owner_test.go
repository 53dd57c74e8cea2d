package server_test

import (
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"countersign/caller"
	"countersign/clients"
	"countersign/ids"
	"countersign/server"
)

const api = "https://api.example.com" // a resource server

// apiFirst makes the server's tokens for a resource server.
var apiFirst = withOptions(func(o *server.Options) { o.Tokens.Audience = []string{api} })

// audienceOf returns the aud of an access token.
func audienceOf(r *response) any {
	r.t.Helper()
	_, claims := r.claims("access_token")
	return claims["aud"]
}

// accountWith asks for the sessions with an access token.
func (a *app) accountWith(r *response) *response {
	a.t.Helper()
	return a.do(http.MethodGet, "/account/sessions", "", "Authorization", "Bearer "+r.text("access_token"))
}

// lacksAccount fails the test if the token opens the account, or the answer doesn't say
// which scope it lacks (RFC 6750 section 3).
func lacksAccount(t *testing.T, r *response) {
	t.Helper()
	got := r.wantProblem(http.StatusForbidden, "insufficient_scope").Header().Get("WWW-Authenticate")
	if !strings.Contains(got, `error="insufficient_scope"`) || !strings.Contains(got, `scope="account"`) {
		t.Errorf("WWW-Authenticate = %s", got)
	}
}

// No token that a resource server sees opens the account, and none has the scope account.
func TestOnlyATokenForThisServerAloneOpensTheAccount(t *testing.T) {
	a := newApp(t, apiFirst)
	a.signup("alice")
	in := a.token(with(passwordForm("alice"), "scope", ownScope)).want(http.StatusOK)
	if got := audienceOf(in); got != api || strings.Contains(in.text("scope"), "account") {
		t.Errorf("sign-in: aud %v, scope %s", got, in.text("scope"))
	}
	a.userinfo(in.text("access_token")).want(http.StatusOK) // openid is enough there
	lacksAccount(t, a.accountWith(in))

	for name, c := range map[string]struct {
		ask  []string
		aud  any
		have bool
	}{
		"no scope":                 {nil, api, false},
		"no scope, the issuer":     {[]string{"resource", issuer}, issuer, false},
		"by name, no resource":     {[]string{"scope", "openid account"}, api, false},
		"by name, the issuer":      {[]string{"scope", "openid account", "resource", issuer}, issuer, true},
		"alone, the issuer":        {[]string{"scope", "account", "resource", issuer}, issuer, true},
		"the API":                  {[]string{"scope", "openid account", "resource", api}, api, false},
		"both":                     {[]string{"scope", "openid account", "resource", issuer, "resource", api}, []any{issuer, api}, false},
		"the issuer, another name": {[]string{"scope", "openid", "resource", issuer}, issuer, false},
	} {
		r := a.refresh(in.text("refresh_token"), c.ask...).want(http.StatusOK)
		scopes := strings.Fields(r.text("scope"))
		if has := slices.Contains(scopes, "account"); has != c.have {
			t.Errorf("%s: scope = %v", name, scopes)
		}
		if got := audienceOf(r); !slices.Equal(each(got), each(c.aud)) {
			t.Errorf("%s: aud = %v, want %v", name, got, c.aud)
		}
		if r := a.accountWith(r); c.have {
			r.want(http.StatusOK)
		} else {
			lacksAccount(t, r)
		}
	}
	a.refresh(in.text("refresh_token"), "scope", "account").wantError(http.StatusBadRequest, "invalid_scope")
	a.refresh(in.text("refresh_token"), "scope", "account", "resource", "https://evil.example").wantError(http.StatusBadRequest, "invalid_target")

	// A session that never asked for it has nothing of it.
	plain := a.token(passwordForm("alice")).want(http.StatusOK)
	a.refresh(plain.text("refresh_token"), "scope", "account", "resource", issuer).wantError(http.StatusBadRequest, "invalid_scope")
	a.refresh(plain.text("refresh_token"), "resource", issuer).wantError(http.StatusBadRequest, "invalid_target")
	a.token(with(passwordForm("alice"), "scope", "account")).wantError(http.StatusBadRequest, "invalid_scope")
	a.accountWith(a.token(with(passwordForm("alice"), "scope", "account", "resource", issuer)).want(http.StatusOK)).want(http.StatusOK)
}

// each returns a claim of one or several texts as a list.
func each(claim any) []any {
	if several, ok := claim.([]any); ok {
		return several
	}
	return []any{claim}
}

// By codes, too; and the tokens that a page gets from /session never open it.
func TestAccountScopeByCodesAndInPages(t *testing.T) {
	a := newApp(t)
	a.signup("alice")
	p := a.person()
	usual := a.exchange(p.signIn(p.authorize(authorization("spa")), "alice").code(spaCallback)).want(http.StatusOK)
	if strings.Contains(usual.text("scope"), "account") {
		t.Errorf("unasked: %s", usual.text("scope"))
	}
	lacksAccount(t, a.accountWith(usual))
	named := a.exchange(p.authorize(authorization("spa", "scope", "openid account")).code(spaCallback)).want(http.StatusOK)
	a.accountWith(named).want(http.StatusOK)
	lacksAccount(t, a.accountWith(a.refresh(named.text("refresh_token")).want(http.StatusOK)))

	page := a.page()
	in := page.signIn("alice", password).want(http.StatusOK)
	lacksAccount(t, a.accountWith(in))
	lacksAccount(t, a.accountWith(page.refresh().want(http.StatusOK)))
	page.do(http.MethodGet, "/account/sessions", "").want(http.StatusOK)
}

// The cookie of /session opens the account for the pages that may use /session. A bearer
// beside it decides, and the access token's cookie counts for nothing here.
func TestAccountByTheCookie(t *testing.T) {
	a := newApp(t, withOptions(func(o *server.Options) { o.SessionCookie.AccessCookie = true }))
	a.signup("alice")
	p := a.page()
	p.signIn("alice", password).want(http.StatusOK)
	p.do("GET", "/account/sessions", "").want(http.StatusOK)
	for _, bad := range []string{"Bearer x", "Bearer ", "Basic YTpi", ""} {
		if r := p.do("GET", "/account/sessions", "", "Authorization", bad); r.Code != http.StatusUnauthorized {
			t.Errorf("beside %q: %d", bad, r.Code)
		}
	}
	for _, header := range map[string][]string{
		"another origin": {"Origin", "https://evil.example"},
		"null":           {"Origin", "null"},
		"another site":   {"Sec-Fetch-Site", "cross-site"},
	} {
		for _, request := range [][2]string{{"GET", "/account/export"}, {"GET", "/account/sessions"}, {"DELETE", "/account/sessions"}, {"DELETE", "/account"}, {"POST", "/account/proof"}} {
			a.do(request[0], request[1], "", append(header, "Cookie", refreshName+"="+p.cookie(refreshName))...).
				wantProblem(http.StatusForbidden, "origin_not_allowed")
		}
	}
	r := a.do("GET", "/account/sessions", "", "Cookie", accessName+"="+p.cookie(accessName)).wantProblem(http.StatusUnauthorized, "login_required")
	if got := r.Header().Get("WWW-Authenticate"); got != `Bearer realm="countersign", scope="account"` {
		t.Errorf("WWW-Authenticate = %s", got)
	}
	a.do("GET", "/account/sessions", "", "Cookie", refreshName+"=tossed; "+refreshName+"="+p.cookie(refreshName)).want(http.StatusOK)
}

// Only first-party clients may be registered with account, and one that is demoted gets
// it no more, with the tokens it has or new ones.
func TestAccountScopeIsForOurOwnClients(t *testing.T) {
	a := newApp(t)
	a.signup("alice")
	third := clients.Client{ID: "partner", Settings: clients.Settings{Public: true, Grants: []string{"refresh_token"}, Scopes: []string{"openid", "account"}}}
	if _, err := a.Clients.Put(t.Context(), time.Now(), third, "", caller.Operator()); err == nil || !strings.Contains(err.Error(), "account") {
		t.Errorf("a third-party client with account: %v", err)
	}
	in := a.login("alice")
	a.accountWith(in).want(http.StatusOK)
	a.demote("spa")
	lacksAccount(t, a.accountWith(in))
	a.refresh(in.text("refresh_token"), "scope", "openid account").wantError(http.StatusBadRequest, "invalid_grant")
}

// What was begun before the user signed out everywhere, or set a new password by mail, is
// over: links in mails, codes, and after a reset the consents, too.
func TestWhatWasBegunEndsWithTheSessions(t *testing.T) {
	ends := map[string]func(a *app, owner *page, mailed string){
		"others, by the user": func(_ *app, owner *page, _ string) {
			owner.do("DELETE", "/account/sessions", "").want(http.StatusNoContent)
		},
		"all, by the operator": func(a *app, owner *page, _ string) {
			user, err := a.Users.ByUsername(a.t.Context(), "alice")
			if err == nil {
				_, err = a.Tokens.EndUserSessions(a.t.Context(), time.Now(), user.ID, caller.Operator())
			}
			if err != nil {
				a.t.Fatal(err)
			}
		},
		"password": func(_ *app, owner *page, _ string) {
			owner.do("POST", "/account/password", `{"current_password":"`+password+`","new_password":"another good password"}`).want(http.StatusNoContent)
		},
		"reset": func(_ *app, owner *page, mailed string) {
			owner.reset(mailed, "another good password").want(http.StatusNoContent)
		},
	}
	for how, end := range ends {
		t.Run(how, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				a, box := simulated(t)
				thief, _ := a.newPerson(t, "alice")
				box.take(t)
				owner := a.page()
				owner.signIn("alice", password).want(http.StatusOK)
				f := thief.authorize(authorization("rp")).page("consent-form")
				f.Set("decision", "allow")
				thief.follow(thief.submit("/consent", f)).code(rpCallback)
				code := thief.authorize(authorization("rp")).code(rpCallback)
				page := a.page()
				page.signIn("alice", password).want(http.StatusOK)
				page.do("POST", "/account/email", `{"email":"thief@example.net"}`).want(http.StatusAccepted)
				change := token(t, box.takeBoth(t, "alice@example.net"))
				page.forgot("alice@example.net").want(http.StatusAccepted)
				reset := token(t, box.take(t))
				owner.forgot("alice@example.net").want(http.StatusAccepted)
				mailed := token(t, box.take(t))

				end(a, owner, mailed)
				owner.verify(change).wantProblem(http.StatusBadRequest, "invalid_input")
				owner.reset(reset, "password of the thief").wantProblem(http.StatusBadRequest, "invalid_input")
				a.token(exchangeForm("rp", code)).wantError(http.StatusBadRequest, "invalid_grant")
				page.refresh().wantProblem(http.StatusUnauthorized, "login_required")

				again := password
				if how == "reset" || how == "password" {
					again = "another good password"
				}
				owner.signIn("alice", again).want(http.StatusOK)
				left := owner.do("GET", "/account/consents", "").want(http.StatusOK).json()["consents"].([]any)
				if (len(left) == 0) != (how == "reset") {
					t.Errorf("consents: %v", left)
				}
			})
		})
	}
}

// demote makes a client a third party's.
func (a *app) demote(id ids.Client) {
	a.t.Helper()
	a.alter(id, func(c *clients.Client) { c.FirstParty = false })
}

// A third-party client without audiences gets tokens for userinfo alone, by every grant.
func TestThirdPartiesGetNoneOfTheServersAudiences(t *testing.T) {
	for name, a := range map[string]*app{"default": newApp(t), "configured": newApp(t, apiFirst)} {
		p, _ := a.newPerson(t, "alice")
		f := p.authorize(authorization("rp")).page("consent-form")
		f.Set("decision", "allow")
		theirs := a.token(exchangeForm("rp", p.follow(p.submit("/consent", f)).code(rpCallback))).want(http.StatusOK)
		next := a.token(form("grant_type", "refresh_token", "client_id", "rp", "client_secret", secret, "refresh_token", theirs.text("refresh_token"))).want(http.StatusOK)
		own := a.token(form("grant_type", "client_credentials"), "Authorization", basic("api", "dev-secret")).want(http.StatusOK)
		for what, r := range map[string]*response{"code": theirs, "refresh": next, "client credentials": own} {
			if got := audienceOf(r); got != issuer+"/userinfo" {
				t.Errorf("%s, %s: aud = %v", name, what, got)
			}
		}
		a.userinfo(theirs.text("access_token")).want(http.StatusOK)
		for _, resource := range []string{issuer, api} {
			p.authorize(authorization("rp", "resource", resource)).refuses(rpCallback, "invalid_target")
			a.token(form("grant_type", "client_credentials", "resource", resource), "Authorization", basic("api", "dev-secret")).
				wantError(http.StatusBadRequest, "invalid_target")
		}
	}
}

// A proof counts in the session that made it, for ten minutes and until the password
// changes. A sign-in whose token travels is none.
func TestProofs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, box := simulated(t)
		a.signup("alice")
		box.take(t)
		time.Sleep(time.Hour)
		here, there := a.login("alice"), a.login("alice")
		p := a.page()
		ask := func(in *response, method, path, body string) *response {
			return a.do(method, path, body, "Authorization", "Bearer "+in.text("access_token"), "Content-Type", "application/json")
		}
		due := func(in *response) {
			t.Helper()
			for path, request := range map[string][2]string{
				"/account/email": {"POST", `{"email":"new@example.net"}`}, "/account/password": {"POST", `{"new_password":"another good password"}`}, "/account": {"DELETE", `{}`},
			} {
				ask(in, request[0], path, request[1]).wantProblem(http.StatusForbidden, "reauthentication_required")
			}
		}
		due(here) // although it has just signed in
		ask(here, "POST", "/account/proof", `{}`).wantProblem(http.StatusBadRequest, "invalid_input")
		ask(here, "POST", "/account/proof", `{"current_password":"wrong"}`).wantProblem(http.StatusBadRequest, "invalid_input")
		ask(here, "POST", "/account/proof", `{"current_password":"`+password+`","more":1}`).wantProblem(http.StatusBadRequest, "invalid_input")
		due(here)
		ask(here, "POST", "/account/proof", `{"current_password":"`+password+`"}`).want(http.StatusNoContent)
		due(there)
		ask(here, "POST", "/account/email", `{"email":"new@example.net"}`).want(http.StatusAccepted)
		// The old address is told, although it was never proven.
		if m := box.takeBoth(t, "alice@example.net"); m.To != "new@example.net" {
			t.Errorf("letter: %v", m)
		}
		// A refresh keeps it; ten minutes end it.
		time.Sleep(9 * time.Minute)
		here = a.refresh(here.text("refresh_token"), "scope", "account").want(http.StatusOK)
		ask(here, "POST", "/account/email", `{"email":"newer@example.net"}`).want(http.StatusAccepted)
		time.Sleep(time.Minute + time.Second)
		due(here)

		// It is enough to change the password, which ends it.
		ask(here, "POST", "/account/proof", `{"current_password":"`+password+`"}`).want(http.StatusNoContent)
		ask(here, "POST", "/account/password", `{"new_password":"another good password"}`).want(http.StatusNoContent)
		due(here)
		ask(here, "POST", "/account/proof", `{"current_password":"`+password+`"}`).wantProblem(http.StatusBadRequest, "invalid_input")

		// In a page's own session the sign-in counts, but not for the password, and not once
		// that has changed.
		p.signIn("alice", "another good password").want(http.StatusOK)
		time.Sleep(time.Second)
		p.do("POST", "/account/email", `{"email":"newest@example.net"}`).want(http.StatusAccepted)
		p.do("POST", "/account/password", `{"new_password":"a third good password"}`).wantProblem(http.StatusForbidden, "reauthentication_required")
		p.do("POST", "/account/password", `{"current_password":"another good password","new_password":"a third good password"}`).want(http.StatusNoContent)
		p.do("POST", "/account/email", `{"email":"again@example.net"}`).wantProblem(http.StatusForbidden, "reauthentication_required")
		p.do("DELETE", "/account", "").wantProblem(http.StatusForbidden, "reauthentication_required")
		p.do("POST", "/account/proof", `{"current_password":"a third good password"}`).want(http.StatusNoContent)
		p.do("DELETE", "/account", "").want(http.StatusNoContent)
	})
}

// What was granted counts only within what the client may have now: the scopes that it is
// registered with and, once it is not ours any more, what the user has allowed it.
func TestClientsGetNoMoreThanTheyMayHaveNow(t *testing.T) {
	a := newApp(t)
	p, in := a.newPerson(t, "alice")
	a.putProfile(in, `{"name":"Alice"}`).want(http.StatusOK)
	claims := `{"userinfo":{"email":null,"name":null},"id_token":{"email":null,"name":null}}`
	named := a.exchange(p.authorize(authorization("spa", "scope", "openid", "claims", claims)).code(spaCallback)).want(http.StatusOK)
	pending := p.authorize(authorization("spa", "scope", "openid", "claims", claims)).code(spaCallback)

	has := func(what string, got map[string]any, email, name bool) {
		t.Helper()
		_, hasEmail := got["email"]
		_, hasName := got["name"]
		if hasEmail != email || hasName != name {
			t.Errorf("%s: %v", what, got)
		}
	}
	idToken := func(r *response) map[string]any {
		t.Helper()
		_, claims := r.claims("id_token")
		return claims
	}
	has("userinfo", a.userinfo(named.text("access_token")).want(http.StatusOK).json(), true, true)
	has("ID token", idToken(named), true, true)

	a.alter("spa", func(c *clients.Client) { c.Scopes = []string{"openid", "profile"} })
	has("userinfo by name, without the scope", a.userinfo(named.text("access_token")).want(http.StatusOK).json(), false, true)
	has("userinfo by scope, without the scope", a.userinfo(in.text("access_token")).want(http.StatusOK).json(), false, true)
	has("ID token of a refresh, without the scope", idToken(a.refresh(named.text("refresh_token")).want(http.StatusOK)), false, true)
	if got := a.ask(in.text("access_token")).json(); got["scope"] != "openid profile" || got["roles"] != nil {
		t.Errorf("introspected: %v", got)
	}

	a.demote("spa")
	a.refresh(named.text("refresh_token")).wantError(http.StatusBadRequest, "invalid_grant")
	a.exchange(pending).wantError(http.StatusBadRequest, "invalid_grant")
	a.userinfo(named.text("access_token")).want(http.StatusForbidden)
	a.ask(named.text("access_token")).wantInactive()
	a.token(passwordForm("alice")).wantError(http.StatusBadRequest, "unauthorized_client")
	p.authorize(authorization("spa", "prompt", "none", "scope", "openid")).refuses(spaCallback, "consent_required")

	// The user allows it a part.
	f := p.authorize(authorization("spa", "scope", "openid")).page("consent-form")
	f.Set("decision", "allow")
	p.follow(p.submit("/consent", f)).code(spaCallback)
	again := a.refresh(named.text("refresh_token")).want(http.StatusOK)
	has("ID token with a part", idToken(again), false, false)
	has("userinfo with a part", a.userinfo(in.text("access_token")).want(http.StatusOK).json(), false, false)
}
