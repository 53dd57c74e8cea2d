// Package grants is how tokens are asked for, by the grants of the token endpoint, and
// how clients revoke and introspect them.
//
// A token request passes a pipeline ([Service.Token]): the form is read strictly, the
// grant is known, the client proves who it is and may use the grant, and only then does
// the grant's own work begin. So no password is looked at for a client that has not
// authenticated, and no grant can forget a check. A grant is one type in one file,
// and a line in [New]. Revoking and introspecting have the same head.
//
// go-oauth2 serves the four grants of RFC 6749, each inside its own step: see library.go.
// A grant that it doesn't know does without it.
package grants

import (
	"context"
	"log/slog"
	"net/http"
	"slices"

	"countersign/accounts"
	"countersign/caller"
	"countersign/clients"
	"countersign/oauth"
	"countersign/signin"
	"countersign/tokens"
)

// Options are what a Service is made of. All are required but NoPassword.
type Options struct {
	Users   *accounts.Users
	Clients *clients.Registry
	Tokens  *tokens.Service
	SignIns *signin.Service
	Log     *slog.Logger
	// NoPassword leaves out the password grant (RFC 9700 section 2.4).
	NoPassword bool
	// Unavailable reports whether an error means that the database is away,
	// so that the caller may try again.
	Unavailable func(error) bool
}

// Service answers what clients ask about tokens. It is safe for concurrent use.
type Service struct {
	users       *accounts.Users
	clients     *clients.Registry
	tokens      *tokens.Service
	grants      []Grant  // those that work here
	parameters  []string // names that we know
	log         *slog.Logger
	unavailable func(error) bool
}

// New returns a Service.
func New(o Options) *Service {
	s := &Service{users: o.Users, clients: o.Clients, tokens: o.Tokens, parameters: slices.Clone(shared), log: o.Log, unavailable: o.Unavailable}
	for _, g := range []Grant{
		&authorizationCode{o.Tokens},
		&password{o.SignIns, o.Tokens},
		&refreshToken{o.Tokens},
		&clientCredentials{o.Tokens},
	} {
		if o.NoPassword && g.Rules().Type == oauth.GrantPassword {
			continue
		}
		s.add(g)
	}
	return s
}

func (s *Service) add(g Grant) {
	s.grants = append(s.grants, g)
	s.parameters = append(append(s.parameters, g.Rules().Needs...), g.Rules().Takes...)
}

// Supported returns the grant_type values that the token endpoint knows.
func (s *Service) Supported() []string {
	names := make([]string, len(s.grants))
	for i, g := range s.grants {
		names[i] = g.Rules().Type
	}
	return names
}

// Token answers a token request (RFC 6749 section 3.2). Every error it returns is an
// *oauth.Error.
func (s *Service) Token(r *http.Request, from caller.Caller) (answer *Response, clientID string, err error) {
	x, err := s.run(r, from, s.parse, s.choose, s.authenticate, s.permit, s.read, s.issue)
	if err != nil {
		return nil, x.Client.ID, err
	}
	return x.answer.encode(), x.Client.ID, nil
}

// Revoke answers a revocation request (RFC 7009 section 2): the session of the
// client's token ends. No error also means that there was nothing to revoke, for
// then the client has what it wants (section 2.2). Every error it returns is an
// *oauth.Error.
func (s *Service) Revoke(r *http.Request, from caller.Caller) (clientID string, err error) {
	x, err := s.run(r, from, s.parse, s.authenticate, s.revoke)
	return x.Client.ID, err
}

// Introspect answers an introspection request (RFC 7662 section 2) with the
// members of the response. Why a token isn't active is not said (section 2.2).
// Every error it returns is an *oauth.Error.
func (s *Service) Introspect(r *http.Request, from caller.Caller) (members map[string]any, clientID string, err error) {
	x, err := s.run(r, from, s.parse, s.authenticate, s.mayIntrospect, func(ctx context.Context, x *Request) (err error) {
		members, err = s.introspect(ctx, x)
		return err
	})
	return members, x.Client.ID, err
}
