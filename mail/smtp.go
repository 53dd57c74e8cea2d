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
	"regexp"
	"strings"
	"sync"
	"time"

	"github.com/wneessen/go-mail"

	"countersign/secrecy"
)

// The ways to protect the connection to the mail server.
const (
	StartTLS    = "starttls" // begins in the clear and insists on TLS (RFC 3207)
	ImplicitTLS = "tls"      // TLS from the start (RFC 8314 section 3)
	NoTLS       = "none"
)

// SMTP is a [Sender] that hands mail to a mail server.
type SMTP struct {
	Host     string
	Port     int
	TLS      string // StartTLS, ImplicitTLS or NoTLS; empty: see protection
	Username string // empty: don't authenticate
	Password secrecy.Text
	From     string         // "a@example.com" or "Name <a@example.com>"
	RootCAs  *x509.CertPool // nil: those of the system
}

// stepTimeout bounds each step of the dialogue with the server.
const stepTimeout = 20 * time.Second

// Send implements [Sender]. It opens a new connection for each message.
func (s *SMTP) Send(ctx context.Context, m Message) error {
	message, err := s.message(m)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	client, err := s.client(ctx)
	if err != nil {
		return fmt.Errorf("send mail: %w", err)
	}
	err = client.DialAndSendWithContext(ctx, message)
	if err == nil || message.IsDelivered() { // after delivery only QUIT can fail
		return nil
	}
	// Servers and the library repeat the address, which must not reach a log.
	what := regexp.MustCompile("(?i)"+regexp.QuoteMeta(m.To)).ReplaceAllLiteralString(err.Error(), "(recipient)")
	if failed, ok := errors.AsType[*mail.SendError](err); ok && failed.ErrorCode()/100 == 5 {
		switch failed.Reason {
		case mail.ErrSMTPRcptTo, mail.ErrSMTPData, mail.ErrSMTPDataClose:
			return fmt.Errorf("%w: %s", ErrRefused, what)
		}
	}
	return fmt.Errorf("send mail: %s", what)
}

func (s *SMTP) message(m Message) (*mail.Msg, error) {
	// Without this option the library adds its own name and the machine's.
	message := mail.NewMsg(mail.WithNoDefaultUserAgent())
	sender, err := netmail.ParseAddress(s.From)
	if err != nil {
		return nil, fmt.Errorf("send mail: sender: %w", err)
	}
	if err := message.From(s.From); err != nil {
		return nil, fmt.Errorf("send mail: sender: %w", err)
	}
	if err := message.To(m.To); err != nil {
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
	ip := net.ParseIP(s.Host)
	switch {
	case s.TLS != "":
		return s.TLS
	case s.Port == 465:
		return ImplicitTLS
	case s.Username == "" && (s.Host == "localhost" || ip != nil && ip.IsLoopback()):
		return NoTLS
	default:
		return StartTLS
	}
}

// client returns a client for one message. Its connection closes when ctx ends.
func (s *SMTP) client(ctx context.Context) (*mail.Client, error) {
	config := &tls.Config{ServerName: s.Host, RootCAs: s.RootCAs, MinVersion: tls.VersionTLS12}
	var dialer interface {
		DialContext(ctx context.Context, network, address string) (net.Conn, error)
	} = &net.Dialer{}
	options := []mail.Option{mail.WithPort(s.Port), mail.WithTimeout(stepTimeout), mail.WithTLSConfig(config)}
	switch s.protection() {
	case ImplicitTLS:
		dialer = &tls.Dialer{Config: config}
		options = append(options, mail.WithSSL())
	case NoTLS:
		options = append(options, mail.WithTLSPolicy(mail.NoTLS))
	default:
		options = append(options, mail.WithTLSPolicy(mail.TLSMandatory))
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
		options = append(options, mail.WithSMTPAuth(mail.SMTPAuthAutoDiscover), mail.WithUsername(s.Username), mail.WithPassword(string(s.Password)))
	}
	return mail.NewClient(s.Host, options...)
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
