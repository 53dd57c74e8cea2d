package browser_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"countersign/test/mariadb"
)

// call is a request of a page.
type call struct {
	Method, Path string
	JSON         any               `json:",omitempty"`
	Form         map[string]string `json:",omitempty"`
	Token        string            `json:",omitempty"`
	NoCookies    bool              `json:",omitempty"`
}

// answer is what a page can read of the answer to a call.
type answer struct {
	Error           string // the error of fetch: the page can read nothing
	Status          int
	Body            string
	RequestID       string
	RetryAfter      string
	WWWAuthenticate string
}

// ask makes a call from the page as its scripts would.
func (b *tab) ask(server string, c call) answer {
	b.t.Helper()
	what, err := json.Marshal(c)
	if err != nil {
		b.t.Fatal(err)
	}
	return evaluate[answer](b, `(async () => {
		const c = `+string(what)+`;
		const headers = {};
		if (c.JSON) headers["Content-Type"] = "application/json";
		if (c.Token) headers.Authorization = "Bearer " + c.Token;
		try {
			const r = await fetch($1 + c.Path, {
				method: c.Method, headers, credentials: c.NoCookies ? "omit" : "include",
				body: c.JSON ? JSON.stringify(c.JSON) : c.Form ? new URLSearchParams(c.Form) : undefined,
			});
			return {
				Error: "", Status: r.status, Body: await r.text(), RequestID: r.headers.get("X-Request-Id") ?? "",
				RetryAfter: r.headers.get("Retry-After") ?? "", WWWAuthenticate: r.headers.get("WWW-Authenticate") ?? "",
			};
		} catch (err) {
			return { Error: String(err), Status: 0, Body: "", RequestID: "", RetryAfter: "", WWWAuthenticate: "" };
		}
	})()`, server)
}

// cell is a call, and the status and text of the server's answer.
type cell struct {
	name   string
	call   call
	status int
	says   string
}

// cells returns the possible combinations of {sign in, refresh, userinfo, sign out} and
// {200, 400, 401, 403, 429, 503}. A listed origin gets a 403 only for a token with too little scope. Refresh
// and sign-out have no input that could be malformed (400) or be guessed (429), nor has
// userinfo. A sign-out without a session succeeds, so it has no 401.
func cells(login, token, narrow string) (calm, outage []cell) {
	account := func(password string) map[string]string {
		return map[string]string{"username": login, "password": password}
	}
	signIn := call{Method: "POST", Path: "/session", JSON: account(password)}
	refresh := call{Method: "POST", Path: "/session/refresh"}
	userinfo := call{Method: "GET", Path: "/userinfo", Token: token}
	signOut := call{Method: "DELETE", Path: "/session"}
	calm = []cell{
		{"sign in", signIn, 200, `"user"`},
		{"sign in", call{Method: "POST", Path: "/session", JSON: map[string]int{"nonsense": 1}}, 400, "invalid_input"},
		{"sign in", call{Method: "POST", Path: "/session", JSON: account("wrong")}, 401, "invalid_credentials"},
		{"sign in", call{Method: "POST", Path: "/session", JSON: map[string]string{"username": "guessed", "password": "wrong"}}, 429, "throttled"},
		{"refresh", refresh, 200, `"user"`},
		{"refresh", call{Method: "POST", Path: "/session/refresh", NoCookies: true}, 401, "login_required"},
		{"userinfo", userinfo, 200, `"sub"`},
		{"userinfo", call{Method: "POST", Path: "/userinfo", Token: token, Form: map[string]string{"access_token": token}}, 400, "invalid_request"},
		{"userinfo", call{Method: "GET", Path: "/userinfo", Token: "nonsense"}, 401, "invalid_token"},
		{"userinfo", call{Method: "GET", Path: "/userinfo", Token: narrow}, 403, "insufficient_scope"},
		{"sign out", signOut, 204, ""},
		{"sign in", signIn, 200, `"user"`},
	}
	outage = []cell{
		{"sign in", signIn, 503, "unavailable"},
		{"refresh", refresh, 503, "unavailable"},
		{"userinfo", userinfo, 503, "temporarily_unavailable"},
		{"sign out", signOut, 503, "unavailable"},
	}
	return calm, outage
}

// Pages of listed origins can read every answer, errors included; other pages can read
// none.
func TestPagesReadAnswersIfTheyMay(t *testing.T) {
	t.Parallel()
	db, err := mariadb.Start()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	serve := func(sameSite string) *hosts {
		if err := db.CreateDatabase(sameSite); err != nil {
			t.Fatal(err)
		}
		h := newHosts(t, "COUNTERSIGN_DATABASE_URL="+db.URL(sameSite), "COUNTERSIGN_SESSION_COOKIE_SAME_SITE="+sameSite,
			"COUNTERSIGN_THROTTLE_STRANGERS_PER_ACCOUNT=5")
		for range 5 {
			h.try("/session", "application/json", `{"username":"guessed","password":"wrong"}`)
		}
		return h
	}
	strict, none := serve("strict"), serve("none")

	browser := browse(t, true)
	type place struct {
		name, host string
		server     *hosts
		allowed    bool
		tab        *tab
		outage     []cell
	}
	places := []*place{
		{name: "same origin", host: authHost, server: strict, allowed: true},
		{name: "subdomain", host: appHost, server: strict, allowed: true},
		{name: "other site", host: farHost, server: none, allowed: true},
		{name: "subdomain that isn't listed", host: evilHost, server: strict},
		{name: "other site that isn't listed", host: evilFar, server: none},
	}
	var read, kept int
	look := func(p *place, c cell) {
		t.Helper()
		name := fmt.Sprintf("%s, %s, %d", p.name, c.name, c.status)
		got := p.tab.ask(p.server.origin(authHost), c.call)
		if !p.allowed {
			if !strings.Contains(got.Error, "TypeError") {
				t.Errorf("%s: the page reads %+v", name, got)
			}
			kept++
			return
		}
		if got.Error != "" || got.Status != c.status || !strings.Contains(got.Body, c.says) || got.RequestID == "" {
			t.Errorf("%s: the page reads %+v", name, got)
		}
		if (c.status == 429 || c.status == 503) && got.RetryAfter == "" {
			t.Errorf("%s: the page can't read Retry-After", name)
		}
		if c.status == 401 && got.WWWAuthenticate == "" {
			t.Errorf("%s: the page can't read WWW-Authenticate", name)
		}
		read++
	}
	for i, p := range places {
		login := fmt.Sprint("user", i)
		p.server.signUp(login)
		p.tab = browser.newTab()
		if p.server == strict { // this context loses cookies with SameSite=None, as it does third-party cookies
			p.tab = browser.newContext().newTab()
		}
		p.tab.blocked = !p.allowed
		if !p.allowed { // an attacker needs a signed-in user to spy on
			p.tab.open(p.server.origin(authHost) + "/page")
			in := p.tab.ask(p.server.origin(authHost), call{Method: "POST", Path: "/session", JSON: map[string]string{"username": login, "password": password}})
			if in.Status != http.StatusOK {
				t.Fatalf("sign in: %+v", in)
			}
		}
		p.tab.open(p.server.origin(p.host) + "/page")
		var calm []cell
		calm, p.outage = cells(login, p.server.token(login, "openid profile"), p.server.token(login, "profile"))
		for _, c := range calm {
			look(p, c)
		}
	}
	if err := db.Stop(); err != nil {
		t.Fatal(err)
	}
	for _, p := range places {
		for _, c := range p.outage {
			look(p, c)
		}
	}
	t.Logf("%d answers were read, %d could not be", read, kept)
}

// An application on another site can sign users in, but under same_site strict they are
// signed out at once. Under none they stay signed in if their browser allows third-party
// cookies.
func TestOtherSitesNeedSameSiteNoneAndThirdPartyCookies(t *testing.T) {
	for _, c := range []struct {
		sameSite     string
		thirdParties bool
		refreshed    int
	}{
		{"none", true, http.StatusOK}, {"none", false, http.StatusUnauthorized}, {"strict", true, http.StatusUnauthorized},
	} {
		h := newHosts(t, "COUNTERSIGN_SESSION_COOKIE_SAME_SITE="+c.sameSite)
		h.signUp("alice")
		b := browse(t, c.thirdParties).newTab()
		b.open(h.origin(farHost) + "/page")
		account := map[string]string{"username": "alice", "password": password}
		if in := b.ask(h.origin(authHost), call{Method: "POST", Path: "/session", JSON: account}); in.Status != http.StatusOK {
			t.Errorf("%+v: sign in: %+v", c, in)
		}
		if got := b.ask(h.origin(authHost), call{Method: "POST", Path: "/session/refresh"}); got.Status != c.refreshed {
			t.Errorf("%+v: refresh: %+v", c, got)
		}
	}
}
