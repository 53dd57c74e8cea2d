package mail_test

import (
	"context"
	"errors"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/emersion/go-smtp"

	"countersign/mail"
	"countersign/test/smtpd"
)

// A server's reply drops a letter only if it is about the recipient, whatever the step:
// its other refusals are about this server, and pass or are mended.
func TestOnlyARefusedRecipientDropsALetter(t *testing.T) {
	all := []string{smtpd.Greeting, "EHLO", "STARTTLS", "AUTH", "MAIL", "RCPT", "DATA", smtpd.Body}
	none, rcpt, data := []string{}, []string{"RCPT"}, []string{"DATA", smtpd.Body}
	for reply, drops := range map[string][]string{
		"421 too busy": none, "450 greylisted, come back": none, "451 try again": none, "503 bad sequence": none, "504 not implemented": none,
		"530 5.7.0 authentication required": none, "535 5.7.8 authentication failed": none, "550 5.7.1 relaying denied": none,
		"550 5.1.1 no such user": append(rcpt, data...), "552 5.2.2 mailbox full": append(rcpt, data...), "552 mailbox full": append(rcpt, data...),
		"554 transaction failed": none, "554 5.7.1 listed": none, "552 5.3.4 too big": none, "552 5.7.0 content": none,
		"550 no such user": rcpt, "553 mailbox name invalid": rcpt, "551 user not local": rcpt, "550 relay not permitted": none,
		"550 SPF check failed": none, "554 5.1.1 no such user": append(rcpt, data...), "550 5.1.8 bad sender's domain": none,
		"556 5.1.10 null MX": append(rcpt, data...), "550 5.6.7 no SMTPUTF8 there": append(rcpt, data...), "550 5.4.1 routing": none,
		"450 4.1.1 not now": none,
	} {
		for _, at := range all {
			s := smtpd.Start(t)
			s.Reply(at, reply)
			c := sender(s)
			if at != "STARTTLS" {
				c.TLS, c.Username, c.Password = mail.NoTLS, "post", "office"
			}
			m := compose(t, mail.ResetPassword, "", "alice")
			err := c.Send(t.Context(), m)
			if err == nil || errors.Is(err, mail.ErrRefused) != slices.Contains(drops, at) {
				t.Errorf("%q at %s: %v", reply, at, err)
			} else if !strings.Contains(err.Error(), reply[:3]) {
				t.Errorf("%q at %s: the operator isn't told: %v", reply, at, err)
			}
		}
	}
}

// What a server says reaches the log without the recipient, and can't forge a line.
func TestRepliesAreHarmless(t *testing.T) {
	s := smtpd.Start(t)
	c := sender(s)
	c.TLS = mail.NoTLS
	for name, reply := range map[string]string{
		"the address":         "550-5.1.1 <ALICE@example.net>: no such user\r\n550 5.1.1 ask about alice@example.net",
		"its parts":           "550 5.1.1 user alice is not at example.net, see https://relay.example/alice%40example.net",
		"control characters":  "554 5.7.1 \x1b[2Jno\x07\x00 level=INFO",
		"a direction reverse": "554 5.7.1 no \u202egnol",
		"a long one":          "554 5.7.1 " + strings.Repeat("no ", 600),
	} {
		s.Reply("RCPT", reply)
		err := c.Send(t.Context(), compose(t, mail.ResetPassword, "", "alice"))
		if err == nil || strings.Contains(strings.ToLower(err.Error()), "alice") || strings.ContainsAny(err.Error(), "\x1b\x07\x00\r\n\u202e") || len(err.Error()) > 400 {
			t.Errorf("%s: %q", name, err)
		}
	}
}

// Domains go as A-labels, which every server takes, and EHLO says a qualified name.
func TestInternationalAddresses(t *testing.T) {
	s := smtpd.Start(t)
	c := sender(s)
	c.TLS, c.From = mail.NoTLS, "Büro <post@büro.example>"
	send := func(to string) error {
		m := compose(t, mail.ResetPassword, "", "alice")
		m.To = to
		return c.Send(t.Context(), m)
	}
	for to, want := range map[string]string{
		"alice@bücher.example": "alice@xn--bcher-kva.example", "alice@BÜCHER.example": "alice@xn--bcher-kva.example",
		"alice@예제.한국": "alice@xn--2j5b21b.xn--3e0b707e", "Alice@xn--bcher-kva.example": "Alice@xn--bcher-kva.example",
		"alice@a_b.example": "alice@a_b.example",
	} {
		if err := send(to); err != nil {
			t.Fatalf("%s: %v", to, err)
		}
		got := s.Letters()[len(s.Letters())-1]
		if got.To != want || got.From != "post@xn--bro-hoa.example" || !strings.Contains(got.Header.Get("To"), want) || !strings.HasSuffix(got.Header.Get("Message-Id"), "@xn--bro-hoa.example>") {
			t.Errorf("%s went from %q to %q, header %q, id %q", to, got.From, got.To, got.Header.Get("To"), got.Header.Get("Message-Id"))
		}
	}
	if err := send("앨리스@bücher.example"); !errors.Is(err, mail.ErrRefused) || strings.Contains(err.Error(), "앨리스") {
		t.Errorf("a server without SMTPUTF8: %v", err)
	}
	if c.TakesUTF8(t.Context()) {
		t.Error("takes UTF-8, which the server did not offer")
	}
	if strings.Contains(strings.Join(s.Said(), "\n"), "SMTPUTF8") {
		t.Error("SMTPUTF8 was asked for")
	}

	modern := smtpd.Start(t, func(s *smtp.Server) { s.EnableSMTPUTF8 = true })
	c = sender(modern)
	c.TLS = mail.NoTLS
	if !c.TakesUTF8(t.Context()) { // before any mail
		t.Error("the server offers SMTPUTF8")
	}
	if err := send("앨리스@bücher.example"); err != nil {
		t.Fatal(err)
	}
	if got := modern.Letters()[0]; got.To != "앨리스@xn--bcher-kva.example" || !strings.Contains(strings.Join(modern.Said(), "\n"), "SMTPUTF8") {
		t.Errorf("went to %q: %q", got.To, modern.Said())
	}
	if err := send("alice@bücher.example"); err != nil {
		t.Fatal(err)
	}
	if said := modern.Said(); strings.Count(strings.Join(said, "\n"), "SMTPUTF8") != 1 {
		t.Errorf("an ASCII address needs no SMTPUTF8: %q", said)
	}

	// A server that hangs is asked by one caller only.
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	c = &mail.SMTP{Host: "127.0.0.1", Port: silent.Addr().(*net.TCPAddr).Port, From: "post@example.com"}
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	began := time.Now()
	if c.TakesUTF8(ctx) || c.TakesUTF8(t.Context()) {
		t.Error("a server that hangs takes UTF-8")
	}
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("two callers waited %v, want the first alone, for 0.1 s", took)
	}
}

func TestHelo(t *testing.T) {
	s := smtpd.Start(t)
	c := sender(s)
	c.TLS = mail.NoTLS
	for helo, want := range map[string]string{
		"auth.example.com": "EHLO auth.example.com", "192.0.2.1": "EHLO [192.0.2.1]", "2001:db8::1": "EHLO [IPv6:2001:db8::1]",
	} {
		c.Helo = helo
		if err := c.Send(t.Context(), compose(t, mail.ResetPassword, "", "alice")); err != nil {
			t.Fatal(err)
		}
		if !slices.Contains(s.Said(), want) {
			t.Errorf("%s: said %q", helo, s.Said())
		}
	}
}
