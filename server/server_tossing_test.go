package server_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"countersign/server"
)

const domainAccessName = "__Secure-countersign_access"

// inDomain shares the access token's cookie with the hosts of a domain.
var inDomain = withOptions(func(o *server.Options) { o.SessionCookie.Domain, o.SessionCookie.AccessCookie = "example.com", true })

// Of our cookies only the access token's is for all hosts of the domain.
func TestOnlyTheAccessCookieIsDomainWide(t *testing.T) {
	a := newApp(t, inDomain)
	a.signup("alice")
	in := a.page().signIn("alice", password).want(http.StatusOK)
	for _, c := range in.Result().Cookies() {
		if wide := c.Domain != ""; wide != (c.Name == domainAccessName) || !wide && !strings.HasPrefix(c.Name, "__Host-") {
			t.Errorf("cookie = %s", c.Raw)
		}
	}
	in.setCookie(refreshName)
	in.setCookie(deviceName)
	in.setCookie(domainAccessName)

	p, _ := a.newPerson(t, "bob")
	for _, c := range p.jar.Cookies(p.site()) {
		if !strings.HasPrefix(c.Name, "__Host-") {
			t.Errorf("the hosted pages set %s", c.Name)
		}
	}
}

// What older versions set for the whole domain signs no user in. It is deleted, and its
// session ends when the user signs out or in.
func TestFormerDomainWideCookiesAreNotHonoured(t *testing.T) {
	const former = "__Secure-countersign_refresh"
	for _, request := range [][2]string{{"GET", "/session"}, {"POST", "/session/refresh"}, {"DELETE", "/session"}, {"POST", "/session"}} {
		a := newApp(t, inDomain)
		a.signup("alice")
		p := a.page()
		p.signIn("alice", password).want(http.StatusOK)
		token := p.cookie(refreshName)
		body := ""
		if request == [2]string{"POST", "/session"} {
			body = `{"username":"alice","password":"` + password + `"}`
		}
		r := a.do(request[0], request[1], body, "Origin", origin, "Content-Type", "application/json", "Cookie", former+"="+token)
		if body == "" && request[0] != "DELETE" {
			r.wantProblem(http.StatusUnauthorized, "login_required")
		}
		if c := r.setCookie(former); c.MaxAge >= 0 || c.Domain != "example.com" || c.Path != "/" || !c.Secure {
			t.Errorf("%q: the former cookie isn't deleted: %s", request, c.Raw)
		}
		want := http.StatusUnauthorized // ended
		if body == "" && request[0] != "DELETE" {
			want = http.StatusOK
		}
		p.refresh().want(want)
	}
}

// Another host of the domain can set the access token's cookie, also for a longer path,
// so that browsers send it first. The user never acts as the attacker by it.
func TestPlantedAccessCookiesDoNotCount(t *testing.T) {
	a := newApp(t, inDomain)
	a.signup("alice")
	a.signup("mallory")
	alice, mallory := a.page(), a.page()
	alice.signIn("alice", password).want(http.StatusOK)
	evil := mallory.signIn("mallory", password).want(http.StatusOK).setCookie(domainAccessName).Value
	good, refresh := alice.cookie(domainAccessName), alice.cookie(refreshName)
	cookies := func(access ...string) string {
		var list []string
		for _, value := range access {
			list = append(list, domainAccessName+"="+value)
		}
		return strings.Join(append(list, refreshName+"="+refresh), "; ")
	}
	// The account is opened by the session's cookie alone, whatever is planted beside it.
	for _, path := range []string{"/userinfo", "/account/export", "/account/sessions", "/account/profile"} {
		for name, sent := range map[string]string{
			"planted first": cookies(evil, good), "planted last": cookies(good, evil), "junk first": cookies("a", "b", "c", "d", "e", good),
		} {
			r := a.do("GET", path, "", "Origin", origin, "Cookie", sent).want(http.StatusOK)
			if strings.Contains(r.Body.String(), "mallory") {
				t.Errorf("%s: %s acts as mallory: %s", name, path, r.Body)
			}
		}
		for name, sent := range map[string]string{
			"planted alone": cookies(evil), "without a session": domainAccessName + "=" + evil, "both without a session": domainAccessName + "=" + good + "; " + domainAccessName + "=" + evil,
			"with a junk session": domainAccessName + "=" + evil + "; " + refreshName + "=junk",
		} {
			r := a.do("GET", path, "", "Origin", origin, "Cookie", sent)
			if own := name == "planted alone" && path != "/userinfo"; own == (r.Code == http.StatusUnauthorized) || strings.Contains(r.Body.String(), "mallory") {
				t.Errorf("%s: %s: %d %s", name, path, r.Code, r.Body)
			}
		}
	}
	a.do("DELETE", "/account", `{"current_password":"`+password+`"}`, "Origin", origin, "Content-Type", "application/json", "Cookie", domainAccessName+"="+evil).
		want(http.StatusUnauthorized)
	mallory.refresh().want(http.StatusOK)
}

// Where another program can set cookies of every name, a request may have sessions of
// several users. None of them counts, and all end: the one left over might be the
// attacker's.
func TestSessionsOfSeveralUsersAreNone(t *testing.T) {
	for _, request := range [][2]string{{"GET", "/session"}, {"POST", "/session/refresh"}} {
		a := newApp(t)
		a.signup("alice")
		a.signup("mallory")
		alice, mallory := a.page(), a.page()
		alice.signIn("alice", password).want(http.StatusOK)
		mallory.signIn("mallory", password).want(http.StatusOK)
		dead := a.page()
		dead.signIn("mallory", password).want(http.StatusOK)
		ended := dead.cookie(refreshName)
		dead.do("DELETE", "/session", "").want(http.StatusNoContent)
		sent := refreshName + "=" + ended + "; " + refreshName + "=" + alice.cookie(refreshName)
		a.do("GET", "/session", "", "Origin", origin, "Cookie", sent).want(http.StatusOK) // an ended one doesn't matter

		sent = refreshName + "=" + mallory.cookie(refreshName) + "; " + refreshName + "=" + alice.cookie(refreshName)
		a.do(request[0], request[1], "", "Origin", origin, "Cookie", sent).wantProblem(http.StatusUnauthorized, "login_required")
		alice.refresh().wantProblem(http.StatusUnauthorized, "login_required")
		mallory.refresh().wantProblem(http.StatusUnauthorized, "login_required")
	}
}

// Signing out ends every session that the cookies prove: no junk hides one.
func TestSignOutEndsAllThatTheCookiesProve(t *testing.T) {
	a := newApp(t)
	a.signup("alice")
	a.signup("bob")
	for _, first := range []bool{true, false} {
		var own []*page
		var sent []string
		for i := range 8 {
			p := a.page()
			p.signIn([]string{"alice", "bob"}[i%2], password).want(http.StatusOK)
			own = append(own, p)
			sent = append(sent, refreshName+"="+p.cookie(refreshName))
		}
		for i := range 100 {
			junk := fmt.Sprintf("%s=cs_rt_junk%d", refreshName, i)
			if first {
				sent = slices.Insert(sent, 0, junk)
			} else {
				sent = append(sent, junk)
			}
		}
		a.do("DELETE", "/session", "", "Origin", origin, "Cookie", strings.Join(sent, "; ")).want(http.StatusNoContent)
		for _, p := range own {
			p.refresh().wantProblem(http.StatusUnauthorized, "login_required")
		}
	}

	// The hosted page does, too.
	var sent []string
	var people []*person
	for i := range 100 {
		sent = append(sent, fmt.Sprintf("__Host-countersign_login=cs_li_junk%d", i))
	}
	for _, name := range []string{"carol", "dave"} {
		p, _ := a.newPerson(t, name)
		people = append(people, p)
		for _, c := range p.jar.Cookies(p.site()) {
			if c.Name == "__Host-countersign_login" {
				sent = append(sent, c.Name+"="+c.Value)
			}
		}
	}
	a.do("POST", "/logout", "", "Origin", issuer, "Content-Type", "application/x-www-form-urlencoded", "Cookie", strings.Join(sent, "; ")).want(http.StatusSeeOther)
	for _, p := range people {
		p.authorize(authorization("spa", "prompt", "none")).refuses(spaCallback, "login_required")
	}
}

// Deleting an account makes the browser forget its cookie: a session of another user in
// it ends, too.
func TestDeletingTheAccountLeavesNoSessionWithoutItsCookie(t *testing.T) {
	a := newApp(t)
	a.signup("alice")
	a.signup("bob")
	bob := a.page()
	bob.signIn("bob", password).want(http.StatusOK)
	kept := bob.cookie(refreshName)
	bob.do("DELETE", "/account", `{"current_password":"`+password+`"}`, "Authorization", "Bearer "+a.login("alice").text("access_token")).want(http.StatusNoContent)
	bob.keep(refreshName, kept)
	bob.refresh().wantProblem(http.StatusUnauthorized, "login_required")
}
