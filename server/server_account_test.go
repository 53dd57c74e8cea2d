package server_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"countersign/clients"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
)

// sessions lists the sessions as the page sees them.
func (p *page) sessions(in *response) []map[string]any {
	p.a.t.Helper()
	var list struct{ Sessions []map[string]any }
	r := p.bearer("GET", "/account/sessions", "", in).want(http.StatusOK)
	if err := json.Unmarshal(r.Body.Bytes(), &list); err != nil {
		p.a.t.Fatal(err)
	}
	return list.Sessions
}

// Users list and end their sessions, and a new password ends all others.
//
// Requirement: line 76.
func TestOwnSessions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newApp(t)
		a.signup("alice")
		a.signup("bob")
		here, there, third, bobs := a.page(), a.page(), a.page(), a.page()
		in := here.signIn("alice", password).want(http.StatusOK)
		time.Sleep(time.Second)
		there.signIn("alice", password).want(http.StatusOK)
		time.Sleep(time.Second)
		third.signIn("alice", password).want(http.StatusOK)
		bob := bobs.signIn("bob", password).want(http.StatusOK)

		list := here.sessions(in)
		if len(list) != 3 {
			t.Fatalf("sessions = %v", list)
		}
		var other string
		for i, s := range list {
			if (s["current"] == true) != (i == 2) { // newest first
				t.Errorf("current of session %d is %v", i, s["current"])
			}
			for _, member := range []string{"id", "client_id", "scope", "created_at", "last_used_at", "expires_at", "device"} {
				if s[member] == "" || s[member] == nil {
					t.Errorf("%s is missing in %v", member, s)
				}
			}
		}
		other = list[1]["id"].(string) // there's

		bobs.bearer("DELETE", "/account/sessions/"+other, "", bob).wantProblem(http.StatusNotFound, "no_session")
		for _, id := range []string{uuid.NewString(), "nonsense", "00000000-0000-0000-0000-000000000000"} {
			here.bearer("DELETE", "/account/sessions/"+id, "", in).wantProblem(http.StatusNotFound, "no_session")
		}
		here.bearer("DELETE", "/account/sessions/"+other, "", in).want(http.StatusNoContent)
		there.refresh().wantProblem(http.StatusUnauthorized, "login_required")
		third.refresh().want(http.StatusOK)

		changed := `{"current_password":"` + password + `","new_password":"another good password"}`
		here.bearer("POST", "/account/password", changed, in).want(http.StatusNoContent)
		third.refresh().wantProblem(http.StatusUnauthorized, "login_required")
		here.bearer("GET", "/userinfo", "", in).want(http.StatusOK)
		in = here.refresh().want(http.StatusOK)
		if n := len(here.sessions(in)); n != 1 {
			t.Errorf("%d sessions, want 1", n)
		}
		there.signIn("alice", password).wantProblem(http.StatusUnauthorized, "invalid_credentials")
		time.Sleep(time.Second)
		there.signIn("alice", "another good password").want(http.StatusOK)
		time.Sleep(time.Second)

		here.bearer("DELETE", "/account/sessions", "", in).want(http.StatusNoContent)
		there.refresh().wantProblem(http.StatusUnauthorized, "login_required")
		here.refresh().want(http.StatusOK)
		bobs.refresh().want(http.StatusOK)
	})
}

func TestAccountPasswordRefusals(t *testing.T) {
	a := newApp(t)
	a.signup("alice")
	p := a.page()
	in := p.signIn("alice", password).want(http.StatusOK)
	for name, c := range map[string]struct{ body, field, code string }{
		"wrong old":  {`{"current_password":"wrong","new_password":"another good password"}`, "current_password", "invalid"},
		"too short":  {`{"current_password":"` + password + `","new_password":"short"}`, "new_password", "too_short"},
		"too common": {`{"current_password":"` + password + `","new_password":"password123"}`, "new_password", "too_common"},
		"the name":   {`{"current_password":"` + password + `","new_password":"I am alice 123"}`, "new_password", "contains_personal"},
		"unknown":    {`{"current_password":"x","new_password":"y","Password":"z"}`, "Password", "unknown"},
	} {
		t.Run(name, func(t *testing.T) {
			r := p.bearer("POST", "/account/password", c.body, in).wantProblem(http.StatusBadRequest, "invalid_input")
			if !strings.Contains(r.Body.String(), `"field":"`+c.field+`","code":"`+c.code+`"`) {
				t.Errorf("body = %s", r.Body)
			}
		})
	}
	p.bearer("POST", "/account/password", `{"new_password":"another good password"}`, in).wantProblem(http.StatusForbidden, "reauthentication_required")
	p.refresh().want(http.StatusOK)
}

// An attacker who holds an access token has no free guesses at the password.
func TestAccountPasswordGuessesAreCounted(t *testing.T) {
	a := newApp(t)
	a.signup("alice")
	p := a.page()
	in := p.signIn("alice", password).want(http.StatusOK)
	p.keep(deviceName, "stolen without it")
	guess := func() *response {
		return p.bearer("POST", "/account/password", `{"current_password":"wrong","new_password":"another good password"}`, in)
	}
	for range 11 {
		guess().want(http.StatusBadRequest)
	}
	if got := guess().wantProblem(http.StatusTooManyRequests, "throttled").Header().Get("Retry-After"); got == "" {
		t.Error("no Retry-After")
	}
}

// Only tokens of users at our own applications manage accounts: no third party's token,
// no client's own, no ID token.
func TestAccountIsForOurOwnApplications(t *testing.T) {
	a := newApp(t)
	a.signup("alice")
	own := a.token(form("grant_type", "client_credentials"), "Authorization", basic("web", secret)).want(http.StatusOK)
	login := a.login("alice")
	for name, token := range map[string]string{
		"client's": own.text("access_token"), "ID token": login.text("id_token"), "refresh token": login.text("refresh_token"), "nonsense": "x",
	} {
		for _, request := range [][2]string{{"GET", "/account/sessions"}, {"DELETE", "/account"}, {"GET", "/account/export"}, {"GET", "/account/profile"}, {"PUT", "/account/profile"}} {
			r := a.do(request[0], request[1], "", "Authorization", "Bearer "+token)
			if r.Code != http.StatusUnauthorized && r.Code != http.StatusForbidden {
				t.Errorf("%s %s with a %s token: %d", request[0], request[1], name, r.Code)
			}
			if got := r.Header().Get("WWW-Authenticate"); !strings.HasPrefix(got, "Bearer ") {
				t.Errorf("WWW-Authenticate = %q", got)
			}
		}
	}
	// A client that was ours and isn't any more.
	a.alter("spa", func(c *clients.Client) { c.FirstParty, c.Grants = false, []string{"refresh_token"} })
	a.do("DELETE", "/account", "", "Authorization", "Bearer "+login.text("access_token")).
		wantProblem(http.StatusForbidden, "insufficient_scope")
}

func TestAccountDelete(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newApp(t)
		a.signup("alice")
		p, other := a.page(), a.page()
		p.signIn("alice", password).want(http.StatusOK)
		other.signIn("alice", password).want(http.StatusOK)

		time.Sleep(10*time.Minute + time.Second)
		in := p.refresh().want(http.StatusOK)
		p.bearer("DELETE", "/account", "", in).wantProblem(http.StatusForbidden, "reauthentication_required")
		p.bearer("DELETE", "/account", `{"current_password":"wrong"}`, in).wantProblem(http.StatusBadRequest, "invalid_input")
		p.bearer("DELETE", "/account", `{"current_password":"`+password+`"}`, in).want(http.StatusNoContent)
		if p.cookie(refreshName) != "" {
			t.Error("the cookie is still there")
		}
		p.bearer("GET", "/userinfo", "", in).want(http.StatusUnauthorized)
		other.refresh().wantProblem(http.StatusUnauthorized, "login_required")
		p.signIn("alice", password).wantProblem(http.StatusUnauthorized, "invalid_credentials")

		a.signup("alice") // the name is free; this is a new account
		in = p.signIn("alice", password).want(http.StatusOK)
		p.bearer("DELETE", "/account", "", in).want(http.StatusNoContent) // the user has just signed in
	})
}

func TestAccountExport(t *testing.T) {
	a := newApp(t)
	id := a.signup("alice")
	p := a.page()
	in := p.signIn("alice", password).want(http.StatusOK)
	p.bearer("PUT", "/account/profile", fullProfile, in).want(http.StatusOK)
	r := p.bearer("GET", "/account/export", "", in).want(http.StatusOK)
	var export struct {
		User     map[string]any
		Profile  map[string]any
		Sessions []map[string]any
		Events   []map[string]any
	}
	if err := json.Unmarshal(r.Body.Bytes(), &export); err != nil {
		t.Fatal(err)
	}
	if export.User["id"] != id || export.User["email"] != "alice@example.net" || len(export.Sessions) != 1 || len(export.Events) != 3 {
		t.Errorf("export = %s", r.Body)
	}
	if diff := cmp.Diff(object(t, fullProfile), export.Profile); diff != "" {
		t.Errorf("profile (-want +got):\n%s", diff)
	}
	if export.Events[0]["kind"] != "user.created" || export.Events[1]["kind"] != "session.created" || export.Events[2]["kind"] != "user.profile_changed" {
		t.Errorf("events = %v", export.Events)
	}
	if strings.Contains(r.Body.String(), "argon2") || strings.Contains(r.Body.String(), "cs_rt_") {
		t.Errorf("secrets in %s", r.Body)
	}
}
