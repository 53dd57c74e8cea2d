package server_test

import (
	"net/http"
	"testing"
	"testing/synctest"
	"time"
)

// The "logout" sentence of docs/requirements.md: GET and POST, post_logout_redirect_uri
// exactly as registered, and an ID token that has expired is hint enough.
//
// Requirement: logout.
func TestLogoutByTheClient(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newApp(t)
		a.signup("alice")
		var p *person
		signedIn := func() (idToken, refresh string) {
			t.Helper()
			p = a.person()
			f := p.signIn(p.authorize(authorization("rp")), "alice")
			if f.Code == http.StatusOK { // the first time
				consent := f.page("consent-form")
				consent.Set("decision", "allow")
				f = p.follow(p.submit("/consent", consent))
			}
			tokens := a.token(exchangeForm("rp", f.code(rpCallback))).want(http.StatusOK)
			return tokens.text("id_token"), tokens.text("refresh_token")
		}
		dead := func(refresh string) {
			t.Helper()
			a.token(form("grant_type", "refresh_token", "client_id", "rp", "client_secret", secret, "refresh_token", refresh)).wantError(http.StatusBadRequest, "invalid_grant")
			p.authorize(authorization("rp", "prompt", "none")).refuses(rpCallback, "login_required")
		}
		lives := func() {
			t.Helper()
			p.authorize(authorization("rp", "prompt", "none")).code(rpCallback)
		}
		goesTo := func(r *response, want string) {
			t.Helper()
			if got := r.want(http.StatusSeeOther).Header().Get("Location"); got != want {
				t.Errorf("Location: %q, want %q", got, want)
			}
		}

		id, refresh := signedIn()
		time.Sleep(24 * time.Hour) // the ID token has expired
		goesTo(p.open("/oauth/logout?"+form("id_token_hint", id, "post_logout_redirect_uri", rpSignedOut, "state", "a b").Encode()), rpSignedOut+"?state=a%20b")
		dead(refresh)

		id, refresh = signedIn()
		p.open("/oauth/logout?" + form("id_token_hint", id).Encode()).want(http.StatusSeeOther)
		p.open("/logout").says(http.StatusOK, "Signed out")
		dead(refresh)

		// A form of another site comes without our cookie, so it is asked once more.
		id, refresh = signedIn()
		goesTo(p.follow(p.post("/oauth/logout", form("id_token_hint", id, "post_logout_redirect_uri", rpSignedOut))), rpSignedOut)
		dead(refresh)
		_, refresh = signedIn()
		f := p.follow(p.post("/oauth/logout", form("client_id", "rp", "post_logout_redirect_uri", rpSignedOut))).says(http.StatusOK, "Partner <b>", "alice").page("logout-form")
		lives()
		goesTo(p.submit("/logout", f), rpSignedOut)
		dead(refresh)

		// Without a hint, the user is asked, too.
		_, refresh = signedIn()
		f = p.follow(p.open("/oauth/logout?" + form("client_id", "rp", "post_logout_redirect_uri", rpSignedOut, "state", "x").Encode())).page("logout-form")
		lives()
		goesTo(p.submit("/logout", f), rpSignedOut+"?state=x")
		dead(refresh)
		_, refresh = signedIn()
		f = p.follow(p.open("/oauth/logout")).page("logout-form")
		goesTo(p.submit("/logout", f), "/logout")
		dead(refresh)

		id, _ = signedIn()
		for _, uri := range []string{"https://evil.example/", rpSignedOut + "/", rpSignedOut + "?x=1", "https://client.example.com/", rpCallback} {
			p.open("/oauth/logout?"+form("id_token_hint", id, "post_logout_redirect_uri", uri).Encode()).says(http.StatusBadRequest, "Invalid return address")
			p.open("/oauth/logout?"+form("client_id", "rp", "post_logout_redirect_uri", uri).Encode()).says(http.StatusBadRequest, "Invalid return address")
		}
		lives()
		p.open("/oauth/logout?" + form("id_token_hint", id+"x", "post_logout_redirect_uri", rpSignedOut).Encode()).says(http.StatusBadRequest)
		p.open("/oauth/logout?" + form("id_token_hint", id, "client_id", "spa").Encode()).says(http.StatusBadRequest)
		lives()
		// Without a client, the address belongs to no registration.
		f = p.follow(p.open("/oauth/logout?" + form("post_logout_redirect_uri", rpSignedOut).Encode())).page("logout-form")
		goesTo(p.submit("/logout", f), "/logout")

		// The hint names another user: the user who is signed in is asked.
		id, _ = signedIn()
		q, _ := a.newPerson(t, "bob")
		q.follow(q.open("/oauth/logout?"+form("id_token_hint", id).Encode())).says(http.StatusOK, "bob").page("logout-form")
		q.authorize(authorization("spa", "prompt", "none")).code(spaCallback)

		// No user is signed in: there is nothing to ask.
		nobody := a.person()
		goesTo(nobody.open("/oauth/logout?"+form("id_token_hint", id, "post_logout_redirect_uri", rpSignedOut).Encode()), rpSignedOut)
		nobody.follow(nobody.open("/oauth/logout")).says(http.StatusOK, "Signed out")
	})
}

// Signing out ends the sessions that came of the sign-in in this browser, at all
// clients, except those with offline access (OpenID Connect Core section 11).
func TestLogoutEndsTheSessionsOfTheBrowser(t *testing.T) {
	a := newApp(t)
	p, here := a.newPerson(t, "alice")
	offline := a.exchange(p.authorize(authorization("spa", "scope", "openid offline_access")).code(spaCallback)).want(http.StatusOK)
	elsewhere := a.person()
	there := a.exchange(elsewhere.signIn(elsewhere.authorize(authorization("spa")), "alice").code(spaCallback)).want(http.StatusOK)
	byPassword := a.login("alice")
	p.submit("/logout", form()).want(http.StatusSeeOther)
	a.refresh(here.text("refresh_token")).wantError(http.StatusBadRequest, "invalid_grant")
	a.userinfo(here.text("access_token")).want(http.StatusUnauthorized)
	for _, alive := range []*response{offline, there, byPassword} {
		a.refresh(alive.text("refresh_token")).want(http.StatusOK)
	}
	elsewhere.authorize(authorization("spa", "prompt", "none")).code(spaCallback)
}

// An ID token is no proof: a caller who has it but not the user's cookies ends nothing.
func TestLogoutHintAloneEndsNothing(t *testing.T) {
	a := newApp(t)
	p, tokens := a.newPerson(t, "alice")
	stranger := a.person()
	stranger.open("/oauth/logout?" + form("id_token_hint", tokens.text("id_token")).Encode()).want(http.StatusSeeOther)
	a.userinfo(tokens.text("access_token")).want(http.StatusOK)
	a.refresh(tokens.text("refresh_token")).want(http.StatusOK)
	p.authorize(authorization("spa", "prompt", "none")).code(spaCallback)
}

// If a user ends a session in the list of sessions, that session's browser doesn't sign
// in again by itself.
func TestEndedSessionDoesNotComeBackByItself(t *testing.T) {
	a := newApp(t)
	p, here := a.newPerson(t, "alice")
	other := a.login("alice")
	_, claims := here.claims("id_token")
	a.do(http.MethodDelete, "/account/sessions/"+claims["sid"].(string), "", "Authorization", "Bearer "+other.text("access_token")).want(http.StatusNoContent)
	p.authorize(authorization("spa", "prompt", "none")).refuses(spaCallback, "login_required")

	q, mine := a.newPerson(t, "bob")
	r := a.person()
	r.signIn(r.authorize(authorization("spa")), "bob").code(spaCallback)
	a.do(http.MethodDelete, "/account/sessions", "", "Authorization", "Bearer "+mine.text("access_token")).want(http.StatusNoContent)
	r.authorize(authorization("spa", "prompt", "none")).refuses(spaCallback, "login_required")
	q.authorize(authorization("spa", "prompt", "none")).code(spaCallback)
	a.post("/account/password", `{"current_password":"`+password+`","new_password":"another long password"}`, "Authorization", "Bearer "+mine.text("access_token")).want(http.StatusNoContent)
	a.refresh(mine.text("refresh_token")).want(http.StatusOK) // the session that changed it goes on; the hosted pages ask for a new sign-in
	q.authorize(authorization("spa", "prompt", "none")).refuses(spaCallback, "login_required")
}

// Each proof replaces the login: a copy of its former cookie is worthless, and its
// sessions go on.
func TestLoginCookieChangesWithEachProof(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newApp(t)
		p, tokens := a.newPerson(t, "alice")
		thief := a.person()
		thief.jar.SetCookies(thief.site(), p.jar.Cookies(p.site()))
		thief.authorize(authorization("spa", "prompt", "none")).code(spaCallback)
		time.Sleep(time.Second)
		p.signIn(p.authorize(authorization("spa", "prompt", "login")), "alice").code(spaCallback)
		thief.authorize(authorization("spa", "prompt", "none")).refuses(spaCallback, "login_required")
		refreshed := a.refresh(tokens.text("refresh_token")).want(http.StatusOK)
		p.submit("/logout", form()).want(http.StatusSeeOther)
		a.refresh(refreshed.text("refresh_token")).wantError(http.StatusBadRequest, "invalid_grant") // it came of this browser, too
	})
}
