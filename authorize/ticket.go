package authorize

import (
	"context"
	"encoding/json"
	"time"
)

const (
	ticketPrefix  = "cs_ar_"
	ticketPurpose = "authorization request"
	// ticketTTL is how long somebody may take to sign in or up.
	ticketTTL = time.Hour
)

// Ticket is the request as it travels with the browser (seal.Keys.Token): only we can
// make one, and everybody may read it.
func (s *Service) Ticket(r *Request) string {
	b, err := json.Marshal(r)
	if err != nil {
		panic(err) // texts and numbers always marshal
	}
	return s.o.Seal.Token(ticketPrefix, ticketPurpose, b)
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
	s.imply(&r)
	return &r, nil
}
