package server_test

import (
	"net/http"
	"strings"
	"testing"
	"testing/synctest"

	"countersign/test/smtpd"
)

// Phone keyboards and copying leave space around names and addresses. No door minds it; a
// password keeps its own.
func TestSpaceAroundNamesAndAddresses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, box := simulated(t)
		p := a.page()
		const spaced = " \u00a0\u3000alice\u200b \t"
		around := func(s string) string { return strings.Replace(spaced, "alice", s, 1) }
		json := strings.NewReplacer("\t", `\t`).Replace

		made := p.do("POST", "/signup", json(`{"username":"`+spaced+`","password":"`+password+`","email":"`+around("Alice@example.net")+`"}`)).want(http.StatusCreated)
		if made.text("username") != "alice" || made.text("email") != "Alice@example.net" {
			t.Errorf("user = %s", made.Body)
		}
		welcome := box.take(t)
		if welcome.To != "Alice@example.net" {
			t.Errorf("the letter went to %q", welcome.To)
		}
		p.verify(json(around(token(t, welcome)))).want(http.StatusNoContent)
		a.post("/signup", json(`{"username":"`+spaced+`","password":"`+password+`"}`)).wantProblem(http.StatusConflict, "taken")
		a.post("/signup", json(`{"username":"bob","password":"`+password+`","email":"`+around("ALICE@example.net")+`"}`)).wantProblem(http.StatusConflict, "taken")
		a.post("/signup", json(`{"username":"`+around("")+`","password":"`+password+`"}`)).wantProblem(http.StatusBadRequest, "invalid_input")

		in := p.do("POST", "/session", json(`{"username":"`+spaced+`","password":"`+password+`"}`)).want(http.StatusOK)
		p.do("POST", "/session", json(`{"username":"alice","password":"`+password+` "}`)).wantProblem(http.StatusUnauthorized, "invalid_credentials")
		f := passwordForm("alice")
		f.Set("username", spaced)
		a.token(f).want(http.StatusOK)
		person := a.person()
		f = person.open("/login").page("login-form")
		f.Set("username", spaced)
		f.Set("password", password)
		person.follow(person.submit("/login", f)).says(http.StatusOK, "Your account", "alice")
		visitor := a.person()
		f = visitor.open("/signup").page("signup-form")
		f.Set("username", around("carol"))
		f.Set("email", around("carol@example.net"))
		f.Set("password", password)
		visitor.follow(visitor.submit("/signup", f)).says(http.StatusOK, "carol")
		box.take(t)

		wantMail := func(to string, r *response) smtpd.Letter {
			t.Helper()
			r.want(http.StatusAccepted)
			l := box.take(t)
			if l.To != to {
				t.Errorf("the letter went to %q, want %q", l.To, to)
			}
			return l
		}
		wantMail("Alice@example.net", p.do("POST", "/account/password/forgot", json(`{"email":"`+around("alice@example.net")+`"}`)))
		wantMail("Alice@example.net", p.do("POST", "/account/password/forgot", json(`{"username":"`+spaced+`"}`)))
		wantMail("carol@example.net", p.do("POST", "/account/email/resend", json(`{"email":"`+around("carol@example.net")+`"}`)))
		p.bearer("POST", "/account/email", json(`{"email":"`+around("new@example.net")+`"}`), in).want(http.StatusAccepted)
		if l := box.takeBoth(t, "Alice@example.net"); l.To != "new@example.net" {
			t.Errorf("mail to %q", l.To)
		}
		f = visitor.open("/forgot").page("forgot-form")
		f.Set("email", around("carol@example.net"))
		visitor.submit("/forgot", f).says(http.StatusOK, "on its way")
		if l := box.take(t); l.To != "carol@example.net" {
			t.Errorf("the letter went to %q", l.To)
		}

		profile := p.bearer("PUT", "/account/profile", `{"phone_number":" +1 (604) 555-1234;ext=5678 "}`, in).want(http.StatusOK)
		if got := profile.text("phone_number"); got != "+16045551234;ext=5678" {
			t.Errorf("phone_number = %q", got)
		}
	})
}
