package mail

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	netmail "net/mail"
	"strings"
	"sync"
	"time"

	"github.com/wneessen/go-mail"
	"github.com/wneessen/go-mail/smtp"

	"countersign/secrecy"
	"countersign/uris"
)

// The ways to protect the connection to the mail server.
const (
	StartTLS    = "starttls" // begins in the clear and insists on TLS (RFC 3207)
	ImplicitTLS = "tls"      // TLS from the start (RFC 8314 section 3)
	NoTLS       = "none"     // with a Username only to a server on this machine
)

// SMTP is a [Sender] that hands mail to a mail server. Its fields must not change once
// it is in use.
type SMTP struct {
	Host     string
	Port     int
	TLS      string // StartTLS, ImplicitTLS or NoTLS; empty: see protection
	Username string // empty: don't authenticate
	Password secrecy.Text
	From     string         // "a@example.com" or "Name <a@example.com>"
	Helo     string         // host name or IP address that EHLO says this server is; empty: the machine's name
	RootCAs  *x509.CertPool // nil: those of the system

	mu      sync.Mutex // guards the next two fields
	utf8    bool       // what the server last said about SMTPUTF8
	learned time.Time  // when it said so
}

// stepTimeout bounds each step of the dialogue with the server.
const stepTimeout = 20 * time.Second

// Send implements [Sender]. It opens a new connection for each message.
func (s *SMTP) Send(ctx context.Context, m Message) error {
	to, err := onTheWire(m.To)
	if err != nil {
		return fmt.Errorf("%w: not an address", ErrRefused)
	}
	message, err := s.message(m, to)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel() // closes the connection
	client, err := s.connect(ctx)
	if err != nil {
		return fmt.Errorf("%w: %s", ErrUnavailable, harmlessReply(err, m.To, to))
	}
	if !uris.IsASCII(to) && !s.learn(client) {
		return fmt.Errorf("%w: the part of the address before the @ is not ASCII, and the mail server does not offer SMTPUTF8", ErrRefused)
	}
	at, err := hand(client, message, to)
	if err != nil {
		words := fmt.Sprintf("%s: %s", at, harmlessReply(err, m.To, to))
		if aboutRecipient(at, err) {
			return fmt.Errorf("%w: %s", ErrRefused, words)
		}
		if aboutUs(at, err) {
			return fmt.Errorf("%w: %s", ErrUnavailable, words)
		}
		return fmt.Errorf("send mail: %s", words)
	}
	client.Quit() // the server has the message, whatever it says now
	return nil
}

// hand gives a message to a server, and returns at which step it failed.
func hand(client *smtp.Client, message *mail.Msg, to string) (at step, err error) {
	from, err := message.GetSender(false)
	if err != nil {
		return atMail, err
	}
	recipients, err := message.GetRecipients()
	if err != nil {
		return atRecipient, err
	}
	client.SkipSMTPUTF8(uris.IsASCII(to)) // a message that asks for it can go only to servers that know it
	if err := client.UpdateDeadline(stepTimeout); err != nil {
		return atMail, err
	}
	if err := client.Mail(from); err != nil {
		return atMail, err
	}
	for _, r := range recipients {
		if err := client.Rcpt(r); err != nil {
			return atRecipient, err
		}
	}
	if err := client.UpdateDeadline(stepTimeout); err != nil {
		return atData, err
	}
	w, err := client.Data()
	if err != nil {
		return atData, err
	}
	if _, err := message.WriteTo(w); err != nil {
		return atEnd, err
	}
	return atEnd, w.Close()
}

// message composes a mail to an address in the form that goes on the wire.
func (s *SMTP) message(m Message, to string) (*mail.Msg, error) {
	// Without this option the library adds its own name and the machine's.
	message := mail.NewMsg(mail.WithNoDefaultUserAgent())
	sender, err := netmail.ParseAddress(s.From)
	if err == nil {
		sender.Address, err = onTheWire(sender.Address)
	}
	if err == nil {
		err = message.From(sender.String())
	}
	if err != nil {
		return nil, fmt.Errorf("send mail: sender: %w", err)
	}
	if err := message.To(to); err != nil {
		return nil, fmt.Errorf("%w: not an address", ErrRefused)
	}
	message.Subject(m.Subject)
	message.SetDate()
	message.SetMessageIDWithValue(rand.Text() + sender.Address[strings.LastIndexByte(sender.Address, '@'):])
	// These keep out-of-office replies from coming back (RFC 3834 section 5).
	message.SetGenHeader("Auto-Submitted", "auto-generated")
	message.SetGenHeader("X-Auto-Response-Suppress", "All")
	message.SetBodyString(mail.TypeTextPlain, m.Text)
	message.AddAlternativeString(mail.TypeTextHTML, m.HTML)
	return message, nil
}

// protection returns how to protect the connection: as s.TLS says, or else by TLS,
// except to a server on this machine that asks for no password.
func (s *SMTP) protection() string {
	switch {
	case s.TLS != "":
		return s.TLS
	case s.Port == 465:
		return ImplicitTLS
	case s.Username == "" && uris.IsLoopback(s.Host):
		return NoTLS
	default:
		return StartTLS
	}
}

// errInTheClear means that the password would travel unprotected.
var errInTheClear = errors.New("no TLS: the password of a mail server on another machine would go in the clear")

// connect returns a connection on which the server is ready to take a message. It
// closes when ctx ends.
func (s *SMTP) connect(ctx context.Context) (*smtp.Client, error) {
	config := &tls.Config{ServerName: s.Host, RootCAs: s.RootCAs, MinVersion: tls.VersionTLS12}
	var dialer interface {
		DialContext(ctx context.Context, network, address string) (net.Conn, error)
	} = &net.Dialer{}
	options := []mail.Option{mail.WithPort(s.Port), mail.WithTimeout(stepTimeout), mail.WithTLSConfig(config)}
	signIn := mail.WithSMTPAuth(mail.SMTPAuthAutoDiscover)
	switch s.protection() {
	case ImplicitTLS:
		dialer = &tls.Dialer{Config: config}
		options = append(options, mail.WithSSL())
	case NoTLS:
		if s.Username != "" && !uris.IsLoopback(s.Host) {
			return nil, errInTheClear
		}
		options = append(options, mail.WithTLSPolicy(mail.NoTLS))
		signIn = mail.WithOpportunisticSMTPAuth(mail.SMTPAuthSCRAMSHA256, mail.SMTPAuthSCRAMSHA1, mail.SMTPAuthCramMD5,
			mail.SMTPAuthPlainNoEnc, mail.SMTPAuthLoginNoEnc)
	default:
		options = append(options, mail.WithTLSPolicy(mail.TLSMandatory))
	}
	if s.Helo != "" {
		options = append(options, mail.WithHELO(heloName(s.Helo)))
	}
	// The library heeds ctx while it dials, but not afterwards.
	options = append(options, mail.WithDialContextFunc(func(dialing context.Context, network, address string) (net.Conn, error) {
		conn, err := dialer.DialContext(dialing, network, address)
		if err == nil {
			context.AfterFunc(ctx, func() { conn.Close() })
		}
		return conn, err
	}))
	if s.Username != "" {
		options = append(options, signIn, mail.WithUsername(s.Username), mail.WithPassword(string(s.Password)))
	}
	dial, err := mail.NewClient(s.Host, options...)
	if err != nil {
		return nil, err
	}
	client, err := dial.DialToSMTPClientWithContext(ctx)
	if err == nil {
		s.learn(client)
	}
	return client, err
}

// learn notes whether a server offers SMTPUTF8, and returns it.
func (s *SMTP) learn(client *smtp.Client) bool {
	offers, _ := client.Extension("SMTPUTF8")
	s.mu.Lock()
	defer s.mu.Unlock()
	s.utf8, s.learned = offers, time.Now()
	return offers
}

// askAgain is how long TakesUTF8 relies on the server's last word.
const askAgain = 10 * time.Minute

// TakesUTF8 implements [Sender] by the server's last word. If that is too old, TakesUTF8
// asks the server. A server that can't be asked takes none until it is asked again.
func (s *SMTP) TakesUTF8(ctx context.Context) bool {
	s.mu.Lock()
	takes, fresh := s.utf8, time.Since(s.learned) < askAgain
	if !fresh {
		s.utf8, s.learned = false, time.Now() // one caller asks; the others don't wait for the answer
	}
	s.mu.Unlock()
	if fresh {
		return takes
	}
	ctx, cancel := context.WithTimeout(ctx, stepTimeout/2)
	defer cancel()
	client, err := s.connect(ctx)
	if err != nil {
		return false
	}
	client.Quit()
	return s.learn(client)
}

// A Printer is a [Sender] that writes mail where a developer sees it.
type Printer struct {
	Out io.Writer
	mu  sync.Mutex
}

// Send implements [Sender].
func (p *Printer) Send(_ context.Context, m Message) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	_, err := fmt.Fprintf(p.Out, "\n--- mail to %s: %s ---\n%s---\n\n", m.To, m.Subject, m.Text)
	return err
}

// TakesUTF8 implements [Sender]: a terminal shows any address.
func (p *Printer) TakesUTF8(context.Context) bool { return true }
