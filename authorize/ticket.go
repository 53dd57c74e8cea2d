package authorize

import (
	"bytes"
	"context"
	"encoding/json"
	"time"

	"countersign/accounts"
)

const (
	ticketPrefix  = "cs_ar_"
	ticketPurpose = "authorization request"
	// ticketTTL is how long somebody may take to sign in or up.
	ticketTTL = time.Hour
	// maxTicket bounds a ticket, which has to fit into the address of a page.
	maxTicket = 12 << 10
)

// Ticket is the request as it travels with the browser (seal.Keys.Token): only we can
// make one, and everybody may read it.
func (s *Service) Ticket(r *Request) string {
	var b bytes.Buffer
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false) // it would make six bytes of one
	if err := encoder.Encode(r); err != nil {
		panic(err) // texts and numbers always marshal
	}
	return s.o.Seal.Token(ticketPrefix, ticketPurpose, b.Bytes())
}

// Resume reads a ticket. The client may have changed meanwhile, so what it may is
// looked at once more: *PageError, also for what is no ticket or too old.
func (s *Service) Resume(ctx context.Context, now time.Time, ticket string) (*Request, error) {
	b, ok := s.o.Seal.OpenToken(ticketPrefix, ticketPurpose, ticket)
	var r Request
	if !ok || json.Unmarshal(b, &r) != nil {
		return nil, &PageError{"invalid_request", "ticket is not one of ours"}
	}
	if now.Sub(time.UnixMilli(r.AskedAt)) > ticketTTL {
		return nil, &PageError{"expired", "the authorization request is older than an hour"}
	}
	if err := s.identify(ctx, &r); err != nil {
		return nil, err
	}
	if !r.client.AllowsGrant(accounts.GrantAuthorizationCode) || r.Challenge == "" && s.needsPKCE(&r) {
		return nil, &PageError{"expired", "what the client may has changed since the request"}
	}
	s.imply(&r)
	return &r, nil
}
