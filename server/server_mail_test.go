package server_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/emersion/go-smtp"

	"countersign/test/smtpd"
)

// An address is one whether its domain comes as U-label or A-label, its mail goes to the
// A-label, and an address that the mail server doesn't take is refused at sign-up.
func TestInternationalAddresses(t *testing.T) {
	post := smtpd.Start(t)
	a := newApp(t, withOptions(withMail(post)))
	a.run()
	p := a.page()
	p.do("POST", "/signup", `{"username":"alice","password":"`+password+`","email":"alice@bücher.example"}`).want(http.StatusCreated)
	if l := post.Wait(1)[0]; l.To != "alice@xn--bcher-kva.example" {
		t.Errorf("mail went to %q", l.To)
	}
	for _, same := range []string{"alice@xn--bcher-kva.example", "ALICE@BÜCHER.example", "alice@XN--BCHER-KVA.EXAMPLE"} {
		p.do("POST", "/signup", `{"username":"bob","password":"`+password+`","email":"`+same+`"}`).wantProblem(http.StatusConflict, "taken")
	}
	p.forgot("alice@xn--bcher-kva.example").want(http.StatusAccepted)
	if l := post.Wait(2)[1]; l.To != "alice@xn--bcher-kva.example" || l.Subject != "Set a new password" {
		t.Errorf("mail = %+v", l)
	}
	for email, code := range map[string]string{
		"앨리스@example.net": "invalid_characters", "böb@bücher.example": "invalid_characters",
		"bob@-bücher-.example": "invalid", "bob@" + strings.Repeat("bü", 40) + ".example": "invalid",
	} {
		r := p.do("POST", "/signup", `{"username":"bob","password":"`+password+`","email":"`+email+`"}`)
		r.wantProblem(http.StatusBadRequest, "invalid_input")
		if !strings.Contains(r.Body.String(), `"field":"email"`) || !strings.Contains(r.Body.String(), `"code":"`+code+`"`) {
			t.Errorf("%s: %s, want %s", email, r.Body, code)
		}
	}
	in := p.signIn("alice", password).want(http.StatusOK)
	if r := p.bearer("POST", "/account/email", `{"email":"앨리스@example.net","current_password":"`+password+`"}`, in); r.Code != http.StatusBadRequest || !strings.Contains(r.Body.String(), "before the @") {
		t.Errorf("a new address: %d %s", r.Code, r.Body)
	}

	modern := smtpd.Start(t, func(s *smtp.Server) { s.EnableSMTPUTF8 = true })
	a = newApp(t, withOptions(withMail(modern)))
	a.run()
	a.page().do("POST", "/signup", `{"username":"alice","password":"`+password+`","email":"앨리스@bücher.example"}`).want(http.StatusCreated)
	if l := modern.Wait(1)[0]; l.To != "앨리스@xn--bcher-kva.example" {
		t.Errorf("mail went to %q", l.To)
	}
}
