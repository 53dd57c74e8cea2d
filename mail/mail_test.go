package mail_test

import (
	"context"
	"errors"
	"net"
	netmail "net/mail"
	"strings"
	"testing"
	"time"

	"github.com/emersion/go-smtp"

	"countersign/mail"
	"countersign/test/smtpd"
)

var kinds = []mail.Kind{
	mail.VerifyEmail, mail.ChangeEmail, mail.ResetPassword, mail.EmailChangeAsked, mail.EmailChanged, mail.PasswordChanged, mail.AlreadyRegistered,
	mail.NewBrowser, mail.FactorAdded, mail.FactorRemoved, mail.FactorsReset, mail.RecoveryCodesRenewed, mail.RecoveryCodeUsed, mail.PasswordRemoved,
	mail.IdentityLinked, mail.IdentityUnlinked,
}

const link = "https://app.example.com/#reset=cs_mt_AbC-_123&x=1"

func compose(t testing.TB, kind mail.Kind, prefers, username string) mail.Message {
	t.Helper()
	vars := mail.Vars{Service: "Acme & Söhne", Username: username, ValidFor: 30 * time.Minute}
	if kind == mail.VerifyEmail || kind == mail.ChangeEmail || kind == mail.ResetPassword {
		vars.Link = link
	}
	m, err := mail.Compose(kind, prefers, vars)
	if err != nil {
		t.Fatal(err)
	}
	m.To = "alice@example.net"
	return m
}

func sender(s *smtpd.Server) *mail.SMTP {
	return &mail.SMTP{Host: "localhost", Port: s.Port, TLS: mail.StartTLS, From: "Acme <no-reply@example.com>", RootCAs: s.Roots}
}

// Every letter arrives in both languages, with a text and an HTML part and the required
// words.
func TestLettersArrive(t *testing.T) {
	s := smtpd.Start(t)
	for prefers, want := range map[string]string{
		"": "en", "fr": "en", "ko": "ko", "ko-KR,ko;q=0.9,en-US;q=0.8": "ko", "en-GB, ko": "en", ";;;q=": "en", "de, ko;q=0.2": "ko",
	} {
		for _, kind := range kinds {
			m := compose(t, kind, prefers, "alice")
			if err := sender(s).Send(t.Context(), m); err != nil {
				t.Fatal(err)
			}
			got := s.Letters()[len(s.Letters())-1]
			text := strings.ReplaceAll(got.Text, "\r\n", "\n")
			if got.To != "alice@example.net" || got.From != "no-reply@example.com" || got.Subject != m.Subject || strings.TrimSpace(text) != strings.TrimSpace(m.Text) {
				t.Errorf("%s in %q: %+v", kind, prefers, got)
			}
			if !strings.Contains(got.HTML, `lang="`+want+`"`) || !strings.Contains(got.HTML, "Acme &amp; Söhne") || !strings.Contains(text, "Acme & Söhne") {
				t.Errorf("%s in %q: HTML = %s", kind, prefers, got.HTML)
			}
			if (want == "ko") != strings.ContainsAny(m.Subject, "가나다라마바사이새을를주비") {
				t.Errorf("%s in %q: subject = %q", kind, prefers, m.Subject)
			}
			if strings.ContainsAny(text+got.HTML[strings.Index(got.HTML, "<h1"):], "{}") {
				t.Errorf("%s in %q: something is not filled in: %s", kind, prefers, text)
			}
			if strings.Contains(string(kind), "_email") || kind == mail.ResetPassword {
				if !strings.Contains(text, "\n"+link+"\n") || !strings.Contains(got.HTML, `href="`+strings.ReplaceAll(link, "&", "&amp;")+`"`) {
					t.Errorf("%s in %q: no link in %s\n%s", kind, prefers, text, got.HTML)
				}
			}
			if got.Header.Get("X-Mailer")+got.Header.Get("User-Agent") != "" {
				t.Errorf("the letter says what sent it: %v", got.Header)
			}
			if got.Header.Get("Auto-Submitted") != "auto-generated" || !strings.HasSuffix(got.Header.Get("Message-Id"), "@example.com>") || got.Header.Get("Date") == "" {
				t.Errorf("headers = %v", got.Header)
			}
			if !got.OverTLS {
				t.Error("sent in the clear")
			}
		}
	}
}

// A letter about a sign-in has its time in UTC, and what the caller chose is no link.
func TestLetterSaysHowTheUserSignedIn(t *testing.T) {
	at := time.Date(2026, 3, 1, 1, 5, 0, 0, time.FixedZone("KST", 9*60*60))
	for _, c := range []struct {
		prefers, device, address string
		want, not                []string
	}{
		{"en", "Firefox on Linux", "2001:db8::1", []string{"When: 28 February 2026, 16:05 UTC\n", "Browser or app: Firefox on Linux\n", "IP address: 2001:db8::1\n"}, nil},
		{"ko", "Firefox on Linux", "203.0.113.7", []string{"시각: 2026년 2월 28일 16:05 (UTC)\n", "브라우저 또는 앱: Linux의 Firefox\n", "IP 주소: 203.0.113.7\n"}, nil},
		{"en", "", "", []string{"Browser or app: unknown\n"}, []string{"IP address"}},
		{"en", "evil.example.com on https://evil.com", "", []string{"evil"}, []string{"evil.example.com", "https://evil", "evil.com"}},
	} {
		m, err := mail.Compose(mail.NewBrowser, c.prefers, mail.Vars{Service: "Acme", Username: "alice", Link: link, SignIn: mail.SignIn{At: at, Device: c.device, Address: c.address}})
		if err != nil {
			t.Fatal(err)
		}
		for _, part := range c.want {
			if name, value, fact := strings.Cut(strings.TrimSpace(part), ": "); !strings.Contains(m.Text, part) || fact && !strings.Contains(m.HTML, name+":</span> "+value) {
				t.Errorf("%q from %q: no %q in %s\n%s", c.device, c.address, part, m.Text, m.HTML)
			}
		}
		for _, part := range c.not {
			if strings.Contains(m.Text+m.HTML, part) {
				t.Errorf("%q from %q: %q in %s", c.device, c.address, part, m.Text)
			}
		}
	}
	if m, err := mail.Compose(mail.PasswordChanged, "en", mail.Vars{Link: link}); err != nil || strings.Contains(m.HTML, link) {
		t.Errorf("a link without words: %v, %s", err, m.HTML)
	}
}

func TestUsernamesAreHarmless(t *testing.T) {
	s := smtpd.Start(t)
	m := compose(t, mail.ResetPassword, "en", "<script>alert(1)</script>\r\nBcc: evil@example.com\u202egnp.exe")
	if err := sender(s).Send(t.Context(), m); err != nil {
		t.Fatal(err)
	}
	got := s.Letters()[0]
	if strings.Contains(got.HTML, "<script>") || strings.ContainsRune(got.Text+got.HTML, '\u202e') || got.Header.Get("Bcc") != "" {
		t.Errorf("letter = %s", got.Raw)
	}
}

// An attacker who signs up with another user's address chooses the name in the letter
// to that address: no mail program may turn the name into a link.
func TestUsernamesAreNoLinks(t *testing.T) {
	for name, kept := range map[string]bool{
		"https://evil.example/x": false, "evil.com": false, "www.evil.co.uk": false, "evil.com/login": false, "//evil.com": false, "tel:123": false,
		"evil.github.io": false, "evil.com.": false, "evil.com,": false, "(evil.com)": false, "evil.com?x": false, "evil.한국": false,
		"a@b.com,evil.com": false, "EVIL.COM": false, "x|evil.co.uk|x": false, "john.doe,jr.": true, "a@b.com@c.com": true,
		"alice": true, "john.doe": true, "alice@example.com": true, "j.r.r": true, "앨리스": true, ".": true,
	} {
		m := compose(t, mail.VerifyEmail, "en", name)
		if got := strings.Contains(m.Text, name) && strings.Contains(m.HTML, name); got != kept {
			t.Errorf("%q kept: %v, in %q", name, got, m.Text)
		}
	}
}

func TestSignsInOnlyUnderTLS(t *testing.T) {
	s := smtpd.Start(t)
	c := sender(s)
	c.Username, c.Password = "post", "office"
	if err := c.Send(t.Context(), compose(t, mail.ResetPassword, "", "alice")); err != nil {
		t.Fatal(err)
	}
	if got := s.Letters()[0]; !got.SignedIn || !got.OverTLS {
		t.Errorf("signed in %v, over TLS %v", got.SignedIn, got.OverTLS)
	}
	c.Password = "wrong"
	if err := c.Send(t.Context(), compose(t, mail.ResetPassword, "", "alice")); err == nil || errors.Is(err, mail.ErrRefused) {
		t.Errorf("wrong password: %v; the mail must not be given up for it", err)
	}

	plain := smtpd.Start(t, func(s *smtp.Server) { s.TLSConfig = nil })
	c = sender(plain)
	if err := c.Send(t.Context(), compose(t, mail.ResetPassword, "", "alice")); err == nil || errors.Is(err, mail.ErrRefused) {
		t.Errorf("a server without TLS: %v", err)
	}
	for _, protection := range []string{mail.NoTLS, ""} { // "" requires TLS except on this machine
		c.TLS = protection
		if err := c.Send(t.Context(), compose(t, mail.ResetPassword, "", "alice")); err != nil {
			t.Errorf("in the clear: %v", err)
		}
	}
	c.Username, c.Password = "post", "office"
	if err := c.Send(t.Context(), compose(t, mail.ResetPassword, "", "alice")); err == nil {
		t.Error("a password went through the clear unasked")
	}
	for _, host := range []string{"localhost", "127.0.0.1"} { // no attacker listens on this machine
		c.Host, c.TLS = host, mail.NoTLS
		if err := c.Send(t.Context(), compose(t, mail.ResetPassword, "", "alice")); err != nil {
			t.Errorf("with a password to %s: %v", host, err)
		}
	}
	if got := plain.Letters(); !got[len(got)-1].SignedIn {
		t.Error("not signed in")
	}
	c.Host = "mail.example.com"
	if err := c.Send(t.Context(), compose(t, mail.ResetPassword, "", "alice")); err == nil || !strings.Contains(err.Error(), "in the clear") {
		t.Errorf("a password to another machine: %v", err)
	}
	c = sender(s)
	c.RootCAs = nil
	if err := c.Send(t.Context(), compose(t, mail.ResetPassword, "", "alice")); err == nil {
		t.Error("an unknown certificate was believed")
	}
}

// Send tells permanent refusals from failures that may pass.
func TestRefusals(t *testing.T) {
	s := smtpd.Start(t)
	for code, refused := range map[int]bool{550: true, 552: true, 450: false, 421: false} {
		s.Answer(func(string) error { return smtpd.Refuse(code, "no") })
		m := compose(t, mail.ResetPassword, "", "alice")
		err := sender(s).Send(t.Context(), m)
		if err == nil || errors.Is(err, mail.ErrRefused) != refused {
			t.Errorf("%d: %v", code, err)
		} else if strings.Contains(strings.ToLower(err.Error()), m.To) {
			t.Errorf("the address would be logged: %v", err)
		}
	}
	s.Answer(func(to string) error { return smtpd.Refuse(550, "<"+strings.ToUpper(to)+"> unknown") })
	if err := sender(s).Send(t.Context(), compose(t, mail.ResetPassword, "", "alice")); err == nil || strings.Contains(strings.ToLower(err.Error()), "alice") {
		t.Errorf("the address in capitals would be logged: %v", err)
	}
	m := compose(t, mail.ResetPassword, "", "alice")
	m.To = "not an address"
	if err := sender(s).Send(t.Context(), m); !errors.Is(err, mail.ErrRefused) {
		t.Errorf("no address: %v", err)
	}
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close() // never answers
	c := sender(smtpd.Start(t))
	c.TLS = mail.ImplicitTLS
	m = compose(t, mail.ResetPassword, "", "alice")
	if err := c.Send(t.Context(), m); err == nil {
		t.Error("a server that only begins in the clear was talked to under TLS")
	}
	c = sender(s)
	c.Port = silent.Addr().(*net.TCPAddr).Port
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	if err := c.Send(ctx, compose(t, mail.ResetPassword, "", "alice")); err == nil || errors.Is(err, mail.ErrRefused) {
		t.Errorf("a server that hangs: %v", err)
	}
}

// Send succeeds if the server has accepted the mail, even if the server then hangs up.
func TestNoFarewellIsNeeded(t *testing.T) {
	s := smtpd.Start(t)
	s.HangUpAfterMail()
	if err := sender(s).Send(t.Context(), compose(t, mail.ResetPassword, "", "alice")); err != nil || len(s.Letters()) != 1 {
		t.Errorf("%d letters, %v", len(s.Letters()), err)
	}
}

func TestImplicitTLS(t *testing.T) {
	s := smtpd.StartImplicit(t)
	c := sender(s)
	c.TLS = mail.ImplicitTLS
	if err := c.Send(t.Context(), compose(t, mail.ResetPassword, "", "alice")); err != nil {
		t.Fatal(err)
	}
	if !s.Letters()[0].OverTLS {
		t.Error("sent in the clear")
	}
	c.RootCAs = nil
	if err := c.Send(t.Context(), compose(t, mail.ResetPassword, "", "alice")); err == nil {
		t.Error("an unknown certificate was believed")
	}
}

func TestPrinterShowsTheLink(t *testing.T) {
	var out strings.Builder
	if err := (&mail.Printer{Out: &out}).Send(t.Context(), compose(t, mail.VerifyEmail, "", "alice")); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(out.String(), "alice@example.net") || !strings.Contains(out.String(), link) {
		t.Error(out.String())
	}
}

func FuzzCompose(f *testing.F) {
	f.Add("alice", "ko-KR")
	f.Add("\r\nBcc: x@example.com", "en, *;q=0")
	f.Add("\u202e\u2066\u2028</p>", "\xff")
	f.Fuzz(func(t *testing.T, username, prefers string) {
		for _, kind := range kinds {
			m := compose(t, kind, prefers, username)
			if strings.ContainsAny(m.Subject, "\r\n") {
				t.Fatalf("subject = %q", m.Subject)
			}
			clean := compose(t, kind, prefers, "")
			if strings.Count(m.Text, "\n") != strings.Count(clean.Text, "\n") || strings.Count(m.HTML, "<") != strings.Count(clean.HTML, "<") {
				t.Fatalf("the name has changed the letter: %q", username)
			}
		}
	})
}

func FuzzRecipient(f *testing.F) {
	f.Add("alice@example.com")
	f.Add("a@b, c@d")
	f.Add("x@example.com\r\nBcc: y@example.com")
	s := smtpd.Start(f)
	f.Fuzz(func(t *testing.T, to string) {
		if a, err := netmail.ParseAddress(to); err == nil && a.Address == to {
			t.Skip() // an address
		}
		m := compose(t, mail.PasswordChanged, "", "alice")
		m.To = to
		before := len(s.Letters())
		err := sender(s).Send(t.Context(), m)
		for _, l := range s.Letters()[before:] {
			if a, perr := netmail.ParseAddress(to); perr != nil || l.To != a.Address || l.Header.Get("Bcc") != "" {
				t.Fatalf("%q got through to %q: %v", to, l.To, err)
			}
		}
	})
}
