// Package smtpd runs a mail server for tests, which keeps the mail it receives.
package smtpd

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"math/big"
	"mime"
	"mime/multipart"
	"mime/quotedprintable"
	"net"
	"net/mail"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/emersion/go-sasl"
	"github.com/emersion/go-smtp"
)

// A Letter is a received mail.
type Letter struct {
	From, To   string // the envelope's addresses
	Header     mail.Header
	Subject    string
	Text, HTML string
	Raw        string
	OverTLS    bool
	SignedIn   bool
}

// A Server is a mail server on its own port on 127.0.0.1. It accepts mail in the clear
// and over STARTTLS, and the user "post" with the password "office".
type Server struct {
	Port  int
	Roots *x509.CertPool // verify the server's certificate

	t        testing.TB
	mu       sync.Mutex
	received []Letter
	arrived  chan struct{} // closed and made anew at each arrival
	answer   func(to string) error
	hangUp   bool
	replies  map[string]string // by step, see Reply
	said     []string
}

// Start starts a server, which ends with the test. The change functions may alter the
// SMTP server's settings.
func Start(t testing.TB, change ...func(*smtp.Server)) *Server {
	t.Helper()
	return start(t, func(ln net.Listener, _ *tls.Config) net.Listener { return ln }, change...)
}

// StartImplicit is Start for a server that speaks TLS from the first byte on.
func StartImplicit(t testing.TB) *Server {
	t.Helper()
	return start(t, tls.NewListener)
}

func start(t testing.TB, wrap func(net.Listener, *tls.Config) net.Listener, change ...func(*smtp.Server)) *Server {
	t.Helper()
	s := &Server{t: t, arrived: make(chan struct{})}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s.Port = ln.Addr().(*net.TCPAddr).Port
	server := smtp.NewServer(smtp.BackendFunc(func(c *smtp.Conn) (smtp.Session, error) {
		return &session{server: s, conn: c}, nil
	}))
	server.Domain = "localhost"
	server.TLSConfig = s.certify()
	server.AllowInsecureAuth = true
	server.ReadTimeout, server.WriteTimeout = 30*time.Second, 30*time.Second
	server.ErrorLog = silent{}
	for _, c := range change {
		c(server)
	}
	ln = wrap(&prompter{ln, s}, server.TLSConfig)
	done := make(chan struct{})
	go func() { defer close(done); server.Serve(ln) }()
	// A server that has not begun to serve would not close the listener.
	t.Cleanup(func() { server.Close(); ln.Close(); <-done })
	return s
}

// silent drops the server's log.
type silent struct{}

func (silent) Printf(string, ...any) {}
func (silent) Println(...any)        {}

// Answer makes the server answer RCPT TO with the function's result.
func (s *Server) Answer(f func(to string) error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.answer = f
}

// HangUpAfterMail makes the server close a connection as soon as it has accepted a mail.
func (s *Server) HangUpAfterMail() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.hangUp = true
}

// Refuse returns an answer with a code and a text.
func Refuse(code int, text string) error {
	return &smtp.SMTPError{Code: code, EnhancedCode: smtp.NoEnhancedCode, Message: text}
}

// Letters returns the letters received so far.
func (s *Server) Letters() []Letter {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]Letter{}, s.received...)
}

// Wait waits until n letters have arrived and returns them.
func (s *Server) Wait(n int) []Letter {
	s.t.Helper()
	timeout := time.After(30 * time.Second)
	for {
		s.mu.Lock()
		arrived, got := s.arrived, append([]Letter{}, s.received...)
		s.mu.Unlock()
		if len(got) >= n {
			return got
		}
		select {
		case <-arrived:
		case <-timeout:
			s.t.Fatalf("%d letters have arrived, want %d", len(got), n)
		}
	}
}

// certify makes a certificate for localhost.
func (s *Server) certify() *tls.Config {
	s.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		s.t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		DNSNames: []string{"localhost"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		s.t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		s.t.Fatal(err)
	}
	s.Roots = x509.NewCertPool()
	s.Roots.AddCert(cert)
	return &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}
}

// session is one connection.
type session struct {
	server   *Server
	conn     *smtp.Conn
	from, to string
	signedIn bool
}

func (s *session) AuthMechanisms() []string { return []string{sasl.Plain} }

func (s *session) Auth(string) (sasl.Server, error) {
	return sasl.NewPlainServer(func(_, username, password string) error {
		if username != "post" || password != "office" {
			return errors.New("wrong password")
		}
		s.signedIn = true
		return nil
	}), nil
}

func (s *session) Mail(from string, _ *smtp.MailOptions) error { s.from = from; return nil }

func (s *session) Rcpt(to string, _ *smtp.RcptOptions) error {
	s.server.mu.Lock()
	answer := s.server.answer
	s.server.mu.Unlock()
	if answer != nil {
		if err := answer(to); err != nil {
			return err
		}
	}
	s.to = to
	return nil
}

func (s *session) Data(r io.Reader) error {
	raw, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	_, overTLS := s.conn.TLSConnectionState()
	letter := Letter{From: s.from, To: s.to, Raw: string(raw), OverTLS: overTLS, SignedIn: s.signedIn}
	if err := letter.parse(); err != nil {
		return Refuse(554, err.Error())
	}
	s.server.mu.Lock()
	defer s.server.mu.Unlock()
	s.server.received = append(s.server.received, letter)
	close(s.server.arrived)
	s.server.arrived = make(chan struct{})
	return nil
}

func (s *session) Reset() {
	s.server.mu.Lock()
	hangUp := s.server.hangUp && len(s.server.received) > 0
	s.server.mu.Unlock()
	if hangUp {
		s.conn.Conn().Close()
	}
}

func (s *session) Logout() error { return nil }

// parse reads the letter as a mail program would.
func (l *Letter) parse() error {
	m, err := mail.ReadMessage(strings.NewReader(l.Raw))
	if err != nil {
		return err
	}
	l.Header = m.Header
	if l.Subject, err = new(mime.WordDecoder).DecodeHeader(m.Header.Get("Subject")); err != nil {
		return err
	}
	_, params, err := mime.ParseMediaType(m.Header.Get("Content-Type"))
	if err != nil {
		return err
	}
	parts := multipart.NewReader(m.Body, params["boundary"])
	for {
		part, err := parts.NextRawPart()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		var body io.Reader = part
		if strings.EqualFold(part.Header.Get("Content-Transfer-Encoding"), "quoted-printable") {
			body = quotedprintable.NewReader(part)
		}
		b, err := io.ReadAll(body)
		if err != nil {
			return err
		}
		switch kind, _, _ := mime.ParseMediaType(part.Header.Get("Content-Type")); kind {
		case "text/plain":
			l.Text = string(b)
		case "text/html":
			l.HTML = string(b)
		}
	}
}
