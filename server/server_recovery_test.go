package server_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"countersign/accounts"
	"countersign/caller"
	"countersign/ids"
	"countersign/mail"
	"countersign/server"
	"countersign/test/smtpd"
)

// withMail makes the app send mail through a real mail server.
func withMail(post *smtpd.Server) func(*server.Options) {
	return func(o *server.Options) {
		o.ServiceName = "Acme"
		o.Mail.Sender = &mail.SMTP{Host: "localhost", Port: post.Port, From: "no-reply@example.com", RootCAs: post.Roots}
		o.Mail.Links = server.Links{ResetPassword: "https://app.example.com/#reset={token}", VerifyEmail: "https://app.example.com/#verify={token}"}
	}
}

// run does the server's background work until the test ends.
func (a *app) run() {
	ctx, stop := context.WithCancel(a.t.Context())
	done := make(chan struct{})
	go func() { defer close(done); a.Background(ctx) }()
	a.t.Cleanup(func() { stop(); <-done })
}

var tokenIn = regexp.MustCompile(`https://app\.example\.com/#(?:reset|verify)=(cs_mt_[A-Za-z0-9_-]+)`)

// token is the token in a letter's link.
func token(t testing.TB, l smtpd.Letter) string {
	t.Helper()
	found := tokenIn.FindStringSubmatch(l.Text)
	if found == nil {
		t.Fatalf("no link in %q", l.Text)
	}
	return found[1]
}

// outbox is a mail server in the test's process, for synctest bubbles, which have no
// network.
type outbox struct {
	mu     sync.Mutex
	sent   []mail.Message
	at     []time.Time   // when each mail was sent, by the simulated clock
	answer error         // what Send returns from now on
	delay  time.Duration // how long the mail server takes for each
}

// Send keeps a mail, or returns the error that fail has set.
func (o *outbox) Send(_ context.Context, m mail.Message) error {
	time.Sleep(o.delay)
	o.mu.Lock()
	defer o.mu.Unlock()
	o.sent, o.at = append(o.sent, m), append(o.at, time.Now())
	return o.answer
}

// TakesUTF8 says that the mail server takes any address.
func (o *outbox) TakesUTF8(context.Context) bool { return true }

// fail makes every Send after this return err.
func (o *outbox) fail(err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.answer = err
}

// empty returns the mails sent since the last call, and when each was sent.
func (o *outbox) empty() ([]mail.Message, []time.Time) {
	synctest.Wait()
	o.mu.Lock()
	defer o.mu.Unlock()
	sent, at := o.sent, o.at
	o.sent, o.at = nil, nil
	return sent, at
}

// take waits until a mail has been sent and returns the only one.
func (o *outbox) take(t *testing.T) smtpd.Letter {
	t.Helper()
	time.Sleep(2 * time.Second)
	sent, _ := o.empty()
	if len(sent) != 1 {
		t.Fatalf("%d mails were sent, want 1: %v", len(sent), sent)
	}
	m := sent[0]
	return smtpd.Letter{To: m.To, Subject: m.Subject, Text: m.Text, HTML: m.HTML}
}

// takeBoth waits until the two letters of a change of address have been sent, and returns
// the one to the new address. The other must say that the change is asked for.
func (o *outbox) takeBoth(t *testing.T, old string) smtpd.Letter {
	t.Helper()
	time.Sleep(2 * time.Second)
	sent, _ := o.empty()
	i := slices.IndexFunc(sent, func(m mail.Message) bool { return m.To == old })
	if len(sent) != 2 || i < 0 || sent[i].Subject != "Your e-mail address is about to change" || !strings.Contains(sent[i].Text, "/forgot") {
		t.Fatalf("sent: %v", sent)
	}
	m := sent[1-i]
	return smtpd.Letter{To: m.To, Subject: m.Subject, Text: m.Text, HTML: m.HTML}
}

// simulated makes an app whose mail goes to an outbox. It is for synctest bubbles.
func simulated(t *testing.T, change ...func(*server.Options)) (*app, *outbox) {
	box := &outbox{}
	all := withOptions(func(o *server.Options) {
		withMail(&smtpd.Server{})(o)
		o.Mail.Sender = box
		for _, c := range change {
			c(o)
		}
	})
	a := newApp(t, all)
	a.run()
	return a, box
}

func (p *page) forgot(email string) *response {
	p.a.t.Helper()
	return p.do("POST", "/account/password/forgot", `{"email":"`+email+`"}`)
}

func (p *page) reset(token, password string) *response {
	p.a.t.Helper()
	return p.do("POST", "/account/password/reset", `{"token":"`+token+`","new_password":"`+password+`"}`)
}

func (p *page) verify(token string) *response {
	p.a.t.Helper()
	return p.do("POST", "/account/email/verify", `{"token":"`+token+`"}`)
}

// wantDoneAlready fails the test unless the answer says that the token did this before.
func (r *response) wantDoneAlready() {
	r.t.Helper()
	if r.want(http.StatusOK).text("status") != "already_done" || len(r.json()) != 1 {
		r.t.Errorf("the answer is %s", r.Body)
	}
}

// A user signs up, proves the address, forgets the password and sets a new one, all by
// mail that a real server accepted.
func TestForgottenPasswordByMail(t *testing.T) {
	post := smtpd.Start(t)
	a := newApp(t, withOptions(withMail(post)))
	a.run()
	p, other := a.page(), a.page()
	p.do("POST", "/signup", `{"username":"alice","password":"`+password+`","email":"Alice@example.net"}`, "Accept-Language", "ko-KR,ko;q=0.9").want(http.StatusCreated)
	welcome := post.Wait(1)[0]
	if welcome.To != "Alice@example.net" || !strings.Contains(welcome.Subject, "확인") {
		t.Errorf("letter = %+v", welcome)
	}
	p.verify(token(t, welcome)).want(http.StatusNoContent)
	p.verify(token(t, welcome)).wantDoneAlready()
	in := p.signIn("alice", password).want(http.StatusOK)
	if in.json()["user"].(map[string]any)["email_verified"] != true {
		t.Errorf("user = %v", in.json()["user"])
	}
	other.signIn("alice", password).want(http.StatusOK)

	stranger := a.page()
	stranger.do("POST", "/account/password/forgot", `{"email":"alice@EXAMPLE.net","ui_locales":"en"}`).want(http.StatusAccepted)
	forgotten := post.Wait(2)[1]
	if forgotten.To != "Alice@example.net" || forgotten.Subject != "Set a new password" || !strings.Contains(forgotten.Text, "30 minutes") {
		t.Errorf("letter = %+v", forgotten)
	}
	secret := token(t, forgotten)
	if r := stranger.reset(secret, "short"); r.Code != http.StatusBadRequest || !strings.Contains(r.Body.String(), `"new_password"`) {
		t.Errorf("too short: %d %s", r.Code, r.Body)
	}
	stranger.reset(secret, "another good password").want(http.StatusNoContent)
	stranger.reset(secret, "yet another good one").wantProblem(http.StatusBadRequest, "invalid_input")
	stranger.reset(secret, "another good password").wantDoneAlready()
	p.refresh().wantProblem(http.StatusUnauthorized, "login_required")
	other.refresh().wantProblem(http.StatusUnauthorized, "login_required")
	stranger.signIn("alice", password).wantProblem(http.StatusUnauthorized, "invalid_credentials")
	stranger.signIn("alice", "another good password").want(http.StatusOK)
	if told := post.Wait(3)[2]; told.Subject != "Your password was changed" || told.To != "Alice@example.net" || tokenIn.MatchString(told.Text) {
		t.Errorf("letter = %+v", told)
	}
	if logs := a.logs.String(); strings.Contains(logs, "cs_mt_") || strings.Contains(logs, "alice@") || strings.Contains(logs, "Alice@") {
		t.Error("a token or an address is in the log")
	}
}

// The server answers alike for known and unknown addresses and names, and mails only known
// users.
//
// Requirement: line 74.
func TestForgotTellsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, box := simulated(t, func(o *server.Options) { o.TrustedProxies = []string{"192.0.2.0/24"} })
		a.signup("alice")
		a.signup("disabled")
		time.Sleep(2 * time.Second)
		user, _ := a.Users.ByUsername(t.Context(), "disabled")
		if err := a.Users.Disable(t.Context(), time.Now(), user.ID, caller.Operator()); err != nil {
			t.Fatal(err)
		}
		box.empty()
		for _, path := range []string{"/account/password/forgot", "/account/email/resend"} {
			var answers []string
			for i, body := range []string{
				`{"email":"alice@example.net"}`, `{"email":"nobody@example.net"}`, `{"username":"alice"}`, `{"username":"nobody"}`,
				`{"email":"disabled@example.net"}`, `{"username":"not a \u0000 name"}`,
			} {
				p := a.page()
				p.address = fmt.Sprintf("203.0.113.%d", i)
				r := p.do("POST", path, body).want(http.StatusAccepted)
				r.Header().Del("X-Request-Id")
				answers = append(answers, fmt.Sprint(r.Code, r.Header(), r.Body))
			}
			for _, got := range answers {
				if got != answers[0] {
					t.Errorf("%s: told apart:\n%s\n%s", path, answers[0], got)
				}
			}
			time.Sleep(3 * time.Second)
			if sent, _ := box.empty(); len(sent) != 2 || sent[0].To != "alice@example.net" || sent[1].To != "alice@example.net" {
				t.Errorf("%s: mails = %v", path, sent)
			}
		}
		p := a.page()
		for _, body := range []string{`{}`, `{"email":"a@example.com","username":"b"}`, `{"email":"no address"}`, `{"mail":"x"}`} {
			p.do("POST", "/account/password/forgot", body).wantProblem(http.StatusBadRequest, "invalid_input")
		}
	})
}

// With require_verified_email, sign-up doesn't reveal which addresses have accounts, and
// no user can sign in before proving the account's address.
//
// Requirement: line 74.
func TestSignupWithVerifiedEmailTellsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, box := simulated(t, func(o *server.Options) { o.Accounts.RequireVerifiedEmail = true })
		p := a.page()
		p.do("POST", "/signup", `{"username":"alice","password":"`+password+`"}`).wantProblem(http.StatusBadRequest, "invalid_input")
		first := a.post("/signup", `{"username":"alice","password":"`+password+`","email":"same@example.net"}`).want(http.StatusCreated)
		p.signIn("alice", password).wantProblem(http.StatusForbidden, "email_not_verified")
		a.token(passwordForm("alice")).wantError(http.StatusBadRequest, "invalid_grant")
		welcome := box.take(t)
		p.verify(token(t, welcome)).want(http.StatusNoContent)
		p.signIn("alice", password).want(http.StatusOK)

		second := a.post("/signup", `{"username":"mallory","password":"`+password+`","email":"SAME@example.net"}`).want(http.StatusCreated)
		for _, member := range []string{"email_verified", "roles", "disabled"} {
			if fmt.Sprint(first.json()[member]) != fmt.Sprint(second.json()[member]) {
				t.Errorf("%s tells them apart: %s %s", member, first.Body, second.Body)
			}
		}
		p.signIn("mallory", password).wantProblem(http.StatusForbidden, "email_not_verified")
		told := box.take(t)
		if told.To != "same@example.net" || told.Subject != "You already have an account" || tokenIn.MatchString(told.Text) || !strings.Contains(told.Text, "alice") {
			t.Errorf("letter = %+v", told)
		}
		// A taken username is refused whether or not the address has an account.
		a.post("/signup", `{"username":"mallory","password":"`+password+`","email":"other@example.net"}`).wantProblem(http.StatusConflict, "taken")

		// Setting a forgotten password by mail proves the address as well.
		a.post("/signup", `{"username":"dave","password":"`+password+`","email":"dave@example.net"}`).want(http.StatusCreated)
		box.take(t)
		p.do("POST", "/account/password/forgot", `{"username":"dave"}`).want(http.StatusAccepted)
		p.reset(token(t, box.take(t)), "another good password").want(http.StatusNoContent)
		box.take(t)
		p.signIn("dave", "another good password").want(http.StatusOK)

		// Two accounts have the address unproven: the first user to prove it gets it.
		a.post("/signup", `{"username":"bob","password":"`+password+`","email":"open@example.net"}`).want(http.StatusCreated)
		bob := token(t, box.take(t))
		a.post("/signup", `{"username":"carol","password":"`+password+`","email":"open@example.net"}`).want(http.StatusCreated)
		carol := token(t, box.take(t))
		p.verify(carol).want(http.StatusNoContent)
		p.verify(bob).wantProblem(http.StatusConflict, "taken")
		p.signIn("carol", password).want(http.StatusOK)
		p.signIn("bob", password).wantProblem(http.StatusForbidden, "email_not_verified")
	})
}

// A mailed token works once and for a short time, and ends when its purpose does.
func TestMailedTokensDie(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, box := simulated(t)
		a.signup("alice")
		verify := token(t, box.take(t))
		p := a.page()
		ask := func() string {
			t.Helper()
			p.forgot("alice@example.net").want(http.StatusAccepted)
			return token(t, box.take(t))
		}
		late := ask()
		time.Sleep(30 * time.Minute)
		p.reset(late, "another good password").wantProblem(http.StatusBadRequest, "invalid_input")

		one, two := ask(), ask()
		p.reset(two, "another good password").want(http.StatusNoContent)
		p.reset(one, "yet another good one").wantProblem(http.StatusBadRequest, "invalid_input")
		box.take(t) // the letter about the new password: the token has proven the address

		in := p.signIn("alice", "another good password").want(http.StatusOK)
		three := ask()
		p.bearer("POST", "/account/password", `{"current_password":"another good password","new_password":"`+password+`","ui_locales":"ko"}`, in).want(http.StatusNoContent)
		if told := box.take(t); !strings.Contains(told.HTML, `lang="ko"`) {
			t.Errorf("letter = %+v, want it in Korean", told)
		}
		p.reset(three, "yet another good one").wantProblem(http.StatusBadRequest, "invalid_input")

		for name, bad := range map[string]string{
			"of another kind": verify, "none": "", "nonsense": "cs_mt_AAAA", "a refresh token": p.cookie(refreshName),
			"changed": three[:len(three)-1] + map[bool]string{true: "A", false: "B"}[three[len(three)-1] != 'A'],
		} {
			if r := p.reset(bad, "yet another good one"); r.Code != http.StatusBadRequest || !strings.Contains(r.Body.String(), `"field":"token"`) {
				t.Errorf("%s: %d %s", name, r.Code, r.Body)
			}
		}
	})
}

func TestChangeOfEmail(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, box := simulated(t)
		a.signup("alice")
		a.page().verify(token(t, box.take(t))).want(http.StatusNoContent)
		a.signup("bob")
		box.take(t)
		p := a.page()
		in := p.signIn("alice", password).want(http.StatusOK)
		p.forgot("alice@example.net").want(http.StatusAccepted)
		old := token(t, box.take(t))
		p.bearer("POST", "/account/email", `{"email":"new@example.net"}`, in).want(http.StatusAccepted)
		confirm := box.takeBoth(t, "alice@example.net")
		if confirm.To != "new@example.net" || confirm.Subject != "Confirm your new e-mail address" {
			t.Errorf("letter = %+v", confirm)
		}
		p.do("GET", "/session", "").want(http.StatusOK)
		if got := p.do("GET", "/session", "").text("email"); got != "alice@example.net" {
			t.Errorf("e-mail before it is proven = %q", got)
		}
		p.verify(token(t, confirm)).want(http.StatusNoContent)
		told := box.take(t)
		if told.To != "alice@example.net" || told.Subject != "Your e-mail address was changed" || tokenIn.MatchString(told.Text) {
			t.Errorf("letter = %+v", told)
		}
		if u := p.do("GET", "/session", ""); u.text("email") != "new@example.net" || u.json()["email_verified"] != true {
			t.Errorf("user = %s", u.Body)
		}
		p.reset(old, "another good password").wantProblem(http.StatusBadRequest, "invalid_input")

		// For another account's address the answer is the same, and that owner gets a letter.
		p.bearer("POST", "/account/email", `{"email":"BOB@example.net"}`, in).want(http.StatusAccepted)
		if told := box.takeBoth(t, "new@example.net"); told.Subject != "You already have an account" || tokenIn.MatchString(told.Text) {
			t.Errorf("letter = %+v", told)
		}
		time.Sleep(11 * time.Minute)
		in = p.refresh().want(http.StatusOK)
		p.bearer("POST", "/account/email", `{"email":"x@example.net"}`, in).wantProblem(http.StatusForbidden, "reauthentication_required")
		p.bearer("POST", "/account/email", `{"email":"x@example.net","current_password":"`+password+`"}`, in).want(http.StatusAccepted)
		box.takeBoth(t, "new@example.net")
	})
}

// All callers together can make the server send an address a limited number of mails of a
// kind. The answer stays the same, so it doesn't tell that the address has got mail.
func TestMailHasABudget(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, box := simulated(t, func(o *server.Options) { o.TrustedProxies = []string{"192.0.2.0/24"} })
		a.signup("alice")
		box.take(t)
		from := func(address string) *page {
			p := a.page()
			p.address = address
			return p
		}
		sent := func() int {
			time.Sleep(3 * time.Second)
			sent, _ := box.empty()
			return len(sent)
		}
		for _, email := range []string{"alice@example.net", "nobody@example.net"} {
			for i := range 12 {
				from(fmt.Sprintf("203.0.113.%d", i)).forgot(email).want(http.StatusAccepted)
			}
		}
		if n := sent(); n != 6 { // five, and the spaced one
			t.Errorf("%d mails, want 6", n)
		}
		for i := range 60 { // for two hours, an attacker asks every two minutes
			from(fmt.Sprintf("203.0.113.%d", 100+i)).forgot("alice@example.net").want(http.StatusAccepted)
			time.Sleep(2 * time.Minute)
		}
		if n := sent(); n < 10 || n > 22 {
			t.Errorf("%d mails in two hours, want at most 11 an hour, and one every ten minutes", n)
		}

		for i := range 30 { // a caller from one network asks for many addresses
			from("198.51.100.1").forgot(fmt.Sprintf("user%d@example.net", i)).want(http.StatusAccepted)
		}
		for _, email := range []string{"alice@example.net", "user31@example.net"} {
			r := from("198.51.100.1").forgot(email).wantProblem(http.StatusTooManyRequests, "throttled")
			if wait, err := time.ParseDuration(r.Header().Get("Retry-After") + "s"); err != nil || wait <= 0 || wait > 30*time.Minute {
				t.Errorf("Retry-After = %q", r.Header().Get("Retry-After"))
			}
		}
		from("198.51.100.1").do("POST", "/account/email/resend", `{"username":"alice"}`).want(http.StatusAccepted) // another kind
		from("198.51.100.2").forgot("alice@example.net").want(http.StatusAccepted)
	})
}

// Whatever strangers ask for, a user gets a letter that works: at once in a browser that
// the account knows and from another network, and else there is one in the mailbox.
func TestStrangersKeepNoUserFromRecovery(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, box := simulated(t, func(o *server.Options) { o.TrustedProxies = []string{"192.0.2.0/24"} })
		a.signup("alice")
		box.take(t)
		known := a.page()
		known.signIn("alice", password).want(http.StatusOK)
		known.do("DELETE", "/session", "").want(http.StatusNoContent)
		stranger := a.page()
		for range 15 {
			stranger.do("POST", "/account/email/resend", `{"username":"alice"}`).want(http.StatusAccepted)
		}
		time.Sleep(3 * time.Second)
		box.empty()
		stranger.forgot("alice@example.net").want(http.StatusAccepted) // resends use up nothing of it
		box.take(t)
		for range 25 {
			stranger.forgot("alice@example.net").want(http.StatusAccepted)
		}
		time.Sleep(3 * time.Second)
		box.empty()

		known.forgot("alice@example.net").want(http.StatusAccepted) // from the stranger's network
		box.take(t)
		elsewhere := a.page()
		elsewhere.address = "203.0.113.1"
		elsewhere.forgot("alice@example.net").want(http.StatusAccepted)
		box.take(t)

		// The whole network's budget is spent: its strangers are told, the browser isn't.
		for range 4 {
			stranger.forgot("nobody@example.net").want(http.StatusAccepted)
		}
		stranger.forgot("alice@example.net").wantProblem(http.StatusTooManyRequests, "throttled")
		known.do("POST", "/account/password/forgot", `{"username":"alice"}`).want(http.StatusAccepted)
		box.take(t)

		// Strangers of many networks ask all the time: there is always a letter to use.
		var last smtpd.Letter
		for i := range 40 {
			p := a.page()
			p.address = fmt.Sprintf("198.51.100.%d", i)
			p.forgot("alice@example.net").want(http.StatusAccepted)
			time.Sleep(time.Minute)
			if sent, _ := box.empty(); len(sent) > 0 {
				last = smtpd.Letter{Text: sent[len(sent)-1].Text}
			}
		}
		unlucky := a.page()
		unlucky.address = "203.0.113.99"
		unlucky.forgot("alice@example.net").want(http.StatusAccepted)
		unlucky.reset(token(t, last), "another good password").want(http.StatusNoContent)
		box.empty()
		time.Sleep(2 * time.Second)
		box.empty()
		unlucky.forgot("alice@example.net").want(http.StatusAccepted) // with a new password, the budget begins anew
		box.take(t)
	})
}

// Sign-ups that send mail have a budget for each network. Beyond it, the answer tells of
// no account.
func TestSignupsOfANetworkHaveABudget(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, box := simulated(t, func(o *server.Options) { o.TrustedProxies = []string{"192.0.2.0/24"} })
		signUp := func(name, email, from string) *response {
			return a.post("/signup", fmt.Sprintf(`{"username":%q,"password":%q,"email":%q}`, name, password, email), "X-Forwarded-For", from)
		}
		for i := range 30 {
			signUp(fmt.Sprintf("user%d", i), fmt.Sprintf("user%d@example.net", i), "203.0.113.1").want(http.StatusCreated)
		}
		var answers []string
		for _, who := range [][]string{{"user1", "new@example.net"}, {"new", "user1@example.net"}, {"new", "new@example.net"}} {
			r := signUp(who[0], who[1], "203.0.113.1").wantProblem(http.StatusTooManyRequests, "throttled")
			answers = append(answers, r.Header().Get("Retry-After")+r.Body.String())
		}
		if answers[0] != answers[1] || answers[1] != answers[2] {
			t.Errorf("told apart: %q", answers)
		}
		a.post("/signup", `{"username":"silent","password":"`+password+`"}`, "X-Forwarded-For", "203.0.113.1").want(http.StatusCreated) // sends no mail
		signUp("new", "new@example.net", "203.0.113.2").want(http.StatusCreated)
		time.Sleep(30 * time.Minute)
		if sent, _ := box.empty(); len(sent) != 31 {
			t.Errorf("%d mails, want 31", len(sent))
		}
		signUp("later", "later@example.net", "203.0.113.1").want(http.StatusCreated)
	})
}

// A letter that a user waits for waits for no others, whatever the mail server takes for
// each.
func TestResetsGoAhead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, box := simulated(t)
		a.signup("alice")
		box.take(t)
		user, err := a.Users.ByUsername(t.Context(), "alice")
		if err != nil {
			t.Fatal(err)
		}
		box.delay = 300 * time.Millisecond
		now := time.Now()
		for i := range 300 { // the letters of fifteen seconds of sign-ups
			l := accounts.Letter{
				ID: ids.NewRandom[ids.Letter](), Kind: accounts.VerifyEmail, UserID: user.ID, Address: fmt.Sprintf("user%d@example.net", i),
				CreatedAt: now, ExpiresAt: now.Add(24 * time.Hour), DueAt: now,
			}
			if err := a.db.PostLetter(t.Context(), l, ids.Place{}); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(10 * time.Second)
		box.empty()
		asked := time.Now()
		a.page().forgot("alice@example.net").want(http.StatusAccepted)
		time.Sleep(2 * time.Minute)
		sent, at := box.empty()
		for i, m := range sent {
			if m.To == "alice@example.net" {
				t.Logf("the reset mail went out after %v, the last of all after %v", at[i].Sub(asked), at[len(at)-1].Sub(asked))
				if at[i].Sub(asked) > 2*time.Second {
					t.Error("too late")
				}
				return
			}
		}
		t.Errorf("%d mails, none is the reset", len(sent))
	})
}

// Concurrent requests cause no more letters than sequential ones.
func TestMailHasABudgetForRacers(t *testing.T) {
	a := newApp(t, proxied, withOptions(withMail(&smtpd.Server{})))
	a.signup("alice")
	a.signup("bob")
	race := func(n int, from func(i int) string, email func(i int) string) (accepted int) {
		var ok atomic.Int64
		var wg sync.WaitGroup
		for i := range n {
			wg.Go(func() {
				p := a.page()
				p.address = from(i)
				switch r := p.forgot(email(i)); r.Code {
				case http.StatusAccepted:
					ok.Add(1)
				case http.StatusTooManyRequests:
				default:
					t.Errorf("%d %s", r.Code, r.Body)
				}
			})
		}
		wg.Wait()
		return int(ok.Load())
	}
	race(30, func(i int) string { return fmt.Sprintf("203.0.113.%d", i) }, func(int) string { return "alice@example.net" })
	due, err := a.db.DueLetters(t.Context(), time.Now().Add(time.Second), 100, accounts.ResetPassword)
	if err != nil || len(due) < 5 || len(due) > 7 { // a new slot may begin
		t.Errorf("%d mails for one address, %v, want 6", len(due), err)
	}
	n := race(60, func(int) string { return "198.51.100.7" }, func(i int) string { return fmt.Sprint(i, "@example.net") })
	if n < 15 || n > 31 {
		t.Errorf("%d requests of one network were taken, want 30", n)
	}
	var told atomic.Int64
	var wg sync.WaitGroup
	for range 40 {
		wg.Go(func() {
			r := a.post("/signup", `{"username":"alice","password":"`+password+`"}`, "X-Forwarded-For", "198.51.100.8")
			if r.Code == http.StatusConflict {
				told.Add(1)
			}
		})
	}
	wg.Wait()
	if n := told.Load(); n < 5 || n > 11 {
		t.Errorf("%d answers that a name is taken, want at most 11", n)
	}
}

// An attacker who gives a victim's address to any number of accounts stays within that
// limit, and learns nothing: sign-up and answers are the same beyond it.
func TestMailToOneAddressHasABudget(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, box := simulated(t, func(o *server.Options) {
			o.Accounts.RequireVerifiedEmail = true
			o.TrustedProxies = []string{"192.0.2.0/24"}
		})
		for i := range 8 {
			a.post("/signup", fmt.Sprintf(`{"username":"user%d","password":%q,"email":"victim@example.net"}`, i, password),
				"X-Forwarded-For", fmt.Sprintf("203.0.113.%d", i)).want(http.StatusCreated)
		}
		for _, path := range []string{"/account/email/resend", "/account/password/forgot"} {
			for i := range 8 {
				for j := range 3 {
					p := a.page()
					p.address = fmt.Sprintf("203.0.113.%d", 100+3*i+j)
					p.do("POST", path, fmt.Sprintf(`{"username":"user%d"}`, i)).want(http.StatusAccepted)
				}
			}
		}
		time.Sleep(3 * time.Second)
		if sent, _ := box.empty(); len(sent) != 12 {
			t.Errorf("%d mails to one address, want 6 of each kind", len(sent))
		}
	})
}

func TestMailIsOffWithoutAServer(t *testing.T) {
	a := newApp(t)
	a.signup("alice")
	p := a.page()
	p.forgot("alice@example.net").wantProblem(http.StatusNotFound, "mail_off")
	in := p.signIn("alice", password).want(http.StatusOK)
	p.bearer("POST", "/account/email", `{"email":"x@example.net"}`, in).wantProblem(http.StatusNotFound, "mail_off")
}

// The server retries a mail that the mail server refuses for now, but not one that it
// refuses permanently. Of two replicas one sends each mail.
func TestMailIsTriedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, box := simulated(t)
		b := openApp(t, a.path, a.master, withOptions(func(o *server.Options) { withMail(&smtpd.Server{})(o); o.Mail.Sender = box }))
		b.run()
		tries := func() int {
			time.Sleep(20 * time.Minute)
			_, at := box.empty()
			for i := 1; i < len(at); i++ {
				if pause := at[i].Sub(at[i-1]); pause < time.Minute {
					t.Errorf("tried again after %v", pause)
				}
			}
			return len(at)
		}
		box.fail(errors.New("try later"))
		a.signup("alice")
		if n := tries(); n < 3 || n > 10 {
			t.Errorf("tried %d times in twenty minutes", n)
		}
		box.fail(nil)
		if n := tries(); n != 1 {
			t.Errorf("sent %d times, want 1", n)
		}
		if n := tries(); n != 0 {
			t.Errorf("sent %d times more", n)
		}
		box.fail(fmt.Errorf("%w: no such mailbox", mail.ErrRefused))
		a.signup("bob")
		if n := tries(); n != 1 {
			t.Errorf("refused mail was tried %d times", n)
		}
	})
}

// A letter that a user waits for is tried again soon.
func TestUrgentMailIsTriedAgainSoon(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, box := simulated(t)
		a.signup("alice")
		box.take(t)
		box.fail(errors.New("try later"))
		a.page().forgot("alice@example.net").want(http.StatusAccepted)
		time.Sleep(30 * time.Minute)
		_, at := box.empty()
		var pauses []time.Duration
		for i := 1; i < len(at); i++ {
			pauses = append(pauses, at[i].Sub(at[i-1]).Round(2*time.Second))
		}
		if want := []time.Duration{10 * time.Second, 30 * time.Second, 2 * time.Minute, 4 * time.Minute, 8 * time.Minute}; !slices.Equal(pauses, want) {
			t.Errorf("pauses = %v, want %v", pauses, want)
		}
		box.fail(nil)
		time.Sleep(2 * time.Hour)
		if sent, _ := box.empty(); len(sent) > 0 {
			t.Errorf("sent after the token's time: %v", sent)
		}
	})
}

// A visitor whose address is to be confirmed can have the letter sent again from the page,
// and is told if no mail can be sent at present. No page tells whether there is an account.
func TestConfirmationIsSentAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, box := simulated(t, func(o *server.Options) { o.Accounts.RequireVerifiedEmail = true })
		p := a.person()
		f := p.authorize(authorization("rp", "prompt", "create")).page("signup-form")
		f.Set("username", "alice")
		f.Set("email", "alice@example.net")
		f.Set("password", password)
		box.fail(fmt.Errorf("%w: 535 authentication failed", mail.ErrUnavailable))
		const waits = "be sent at the moment"
		r := p.submit("/signup", f).says(http.StatusOK, "Check your mail", "alice@example.net", "Send the confirmation again")
		again := r.page("again-form")
		if again.Get("username") != "alice" || again.Get("ticket") == "" {
			t.Errorf("form = %v", again)
		}
		p.authorize(authorization("rp")).says(http.StatusOK, "Address not confirmed yet?", `href="/verify/again?ticket=`)
		time.Sleep(2 * time.Second)
		p.submit("/verify/again", again).says(http.StatusOK, "Check your mail", waits, "Send the confirmation again")
		p.submit("/forgot", form("email", "alice")).says(http.StatusOK, waits)
		korean := a.person()
		korean.language = "ko"
		korean.submit("/verify/again", form("username", "mallory")).says(http.StatusOK, "지금은 메일을 보낼 수 없습니다", "확인 메일 다시 보내기")
		box.fail(nil)
		time.Sleep(3 * time.Minute)
		box.empty()
		again.Del("account") // by the name alone
		r = p.submit("/verify/again", again).says(http.StatusOK, "Check your mail")
		if strings.Contains(r.Body.String(), waits) {
			t.Error("mail can be sent again, and the page says that it can't")
		}
		unknown := again
		unknown.Set("username", "nobody")
		other := p.submit("/verify/again", unknown).want(http.StatusOK)
		ticket := regexp.MustCompile(`ticket=[^"]*|value="[^"]*"`)
		if one, two := ticket.ReplaceAllString(r.Body.String(), ""), ticket.ReplaceAllString(other.Body.String(), ""); one != two {
			t.Errorf("told apart:\n%s\n%s", one, two)
		}
		p.submit("/verify", form("token", token(t, box.take(t)))).says(http.StatusOK, "E-mail address confirmed")

		// A bad link isn't kept in the form, where pressing again would not help.
		p.submit("/verify", form("token", "cs_mt_AAAA")).says(http.StatusBadRequest, `href="/verify/again?ticket=`, "Link from the mail")
		p.submit("/reset", form("token", "cs_mt_AAAA", "password", password)).says(http.StatusBadRequest, `href="/forgot?ticket=`, "Link from the mail")
		p.open("/verify/again").page("again-form")
		p.submit("/verify/again", form("username", " ")).says(http.StatusBadRequest, "Please enter a username or an e-mail address.")
	})
}

// A delayed letter says how long its link still works. The server doesn't send a letter
// whose link has expired.
func TestLateMailSaysHowLongItIsGood(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, box := simulated(t)
		box.fail(errors.New("try later"))
		a.signup("alice")
		a.page().forgot("alice@example.net").want(http.StatusAccepted)
		time.Sleep(10 * time.Minute)
		box.fail(nil)
		box.empty()
		time.Sleep(15 * time.Minute)
		sent, _ := box.empty()
		for _, m := range sent {
			if m.Subject == "Set a new password" && strings.Contains(m.Text, "30 minutes") {
				t.Errorf("letter = %s", m.Text)
			}
		}
		if len(sent) != 2 {
			t.Errorf("%d letters, want 2", len(sent))
		}
	})
}
