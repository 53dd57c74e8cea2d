package authorize

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net/url"
	"time"

	"countersign/oauth"
)

const (
	ticketPrefix   = "cs_ar_"
	requestPurpose = "authorization request"
	logoutPurpose  = "logout request"
	// ticketTTL is how long a user may take to sign in or sign up.
	ticketTTL = time.Hour
	// MaxLocation bounds the address of a redirect, in bytes. Many proxies take at most
	// 8 KiB of headers in an answer, and there are others beside it.
	MaxLocation = 6 << 10
	// maxTicket bounds a ticket, which is part of the address of a page.
	maxTicket = MaxLocation - 512
)

// ErrLate means that a ticket has expired.
var ErrLate = &PageError{"expired", "the request is older than an hour"}

// Ticket returns the request in the form that the browser carries.
func (s *Service) Ticket(r *Request) string { return s.ticket(requestPurpose, r) }

// LogoutTicket returns a request to sign out in the form that the browser carries.
func (s *Service) LogoutTicket(r *Logout) string { return s.ticket(logoutPurpose, r) }

// ticket makes a ticket (seal.Keys.Token) of a *Request or a *Logout: only we can make
// one, and any holder may read it.
func (s *Service) ticket(purpose string, r any) string {
	var b bytes.Buffer
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false) // escaping makes six bytes of one
	if err := encoder.Encode(r); err != nil {
		panic(err) // texts and numbers always marshal
	}
	return s.o.Seal.Token(ticketPrefix, purpose, b.Bytes())
}

// open reads a ticket into r, of which askedAt is a part. An invalid or expired ticket
// is a *PageError.
func (s *Service) open(now time.Time, purpose, ticket string, r any, askedAt *int64) error {
	b, ok := s.o.Seal.OpenToken(ticketPrefix, purpose, ticket)
	if !ok || json.Unmarshal(b, r) != nil {
		return &PageError{"invalid_request", "ticket was not issued by this server"}
	}
	if now.Sub(time.UnixMilli(*askedAt)) > ticketTTL {
		return ErrLate
	}
	return nil
}

// Whence returns the name of the client that a ticket is from, however old, and the web
// origin of its redirect URI, as a URL: there a user whose ticket has expired can start
// again. Both are empty if the ticket is not ours, or if the client no longer has that URI;
// the origin is empty for an app, too.
func (s *Service) Whence(ctx context.Context, now time.Time, ticket string) (client, origin string) {
	var r Request
	if err := s.open(now, requestPurpose, ticket, &r, &r.AskedAt); err != nil && !errors.Is(err, ErrLate) {
		return "", ""
	}
	if err := s.identify(ctx, &r); err != nil {
		return "", ""
	}
	u, err := url.Parse(r.RedirectURI)
	if err == nil && u.Host != "" && (u.Scheme == "https" || u.Scheme == "http") {
		origin = u.Scheme + "://" + u.Host + "/"
	}
	return r.client.Name, origin
}

// Resume reads a ticket and checks again what the client may do, which may have changed
// meanwhile. An invalid or expired ticket is a *PageError.
func (s *Service) Resume(ctx context.Context, now time.Time, ticket string) (*Request, error) {
	var r Request
	if err := s.open(now, requestPurpose, ticket, &r, &r.AskedAt); err != nil {
		return nil, err
	}
	if err := s.identify(ctx, &r); err != nil {
		return nil, err
	}
	if !r.client.AllowsGrant(oauth.GrantAuthorizationCode) || r.Challenge == "" && s.needsPKCE(&r) {
		return nil, &PageError{"expired", "what the client may do has changed since the request"}
	}
	s.imply(&r)
	return &r, nil
}
