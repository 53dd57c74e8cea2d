// Package grants answers clients that ask for tokens, by the grants of the token
// endpoint, and that revoke and introspect them.
//
// A token request passes a pipeline ([Service.Token]), which reads the form strictly,
// finds the grant, authenticates the client, checks that it may use the grant, and only
// then calls the grant. So a client that has not authenticated gets no password
// checked, and no grant can forget a check. A grant is one type in one file, and a line
// in [New]. Revocation, introspection and the authorization challenge endpoint begin with the
// same steps.
//
// go-oauth2 serves the four grants of RFC 6749, each inside its own step: see
// library.go. Other grants don't use it.
package grants

import (
	"context"
	"log/slog"
	"net/http"
	"slices"

	"countersign/accounts"
	"countersign/caller"
	"countersign/clients"
	"countersign/ids"
	"countersign/oauth"
	"countersign/seal"
	"countersign/signin"
	"countersign/tokens"
)

// Options are what a Service is made of. All are required except RFC9700.
type Options struct {
	Users   *accounts.Users
	Clients *clients.Registry
	Tokens  *tokens.Service
	SignIns *signin.Service
	Seal    *seal.Keys // makes device tokens and auth_sessions
	Log     *slog.Logger
	// RFC9700 disables the password grant (RFC 9700 section 2.4), and the authorization
	// challenge endpoint, which takes passwords, too.
	RFC9700 bool
	// Unavailable reports whether an error means that the database is away,
	// so that the client may try again.
	Unavailable func(error) bool
	// Issued is told of each set of tokens: by which grant, and whether the client is public.
	Issued func(grant string, public bool)
}

// Service answers clients' requests for and about tokens. It is safe for concurrent
// use.
type Service struct {
	users       *accounts.Users
	clients     *clients.Registry
	tokens      *tokens.Service
	signIns     *signin.Service
	seal        *seal.Keys
	grants      []Grant  // those that are enabled
	parameters  []string // names that we know
	log         *slog.Logger
	unavailable func(error) bool
	issued      func(grant string, public bool)

	passwordsOff bool // no application may take passwords
}

// New returns a Service.
func New(o Options) *Service {
	s := &Service{
		users: o.Users, clients: o.Clients, tokens: o.Tokens, signIns: o.SignIns, seal: o.Seal,
		parameters: slices.Concat(shared, askedOfCodes, []string{"auth_session", "otp"}),
		log:        o.Log, unavailable: o.Unavailable, issued: o.Issued, passwordsOff: o.RFC9700,
	}
	for _, g := range []Grant{
		&authorizationCode{o.Tokens},
		&password{o.Seal, o.SignIns, o.Tokens},
		&refreshToken{o.Tokens},
		&clientCredentials{o.Tokens},
	} {
		if o.RFC9700 && g.Rules().Type == oauth.GrantPassword {
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
func (s *Service) Token(r *http.Request, from caller.Caller) (answer *Response, clientID ids.Client, err error) {
	x, err := s.run(r, from, s.parse, s.choose, s.authenticate, s.permit, s.read, s.issue)
	if err != nil {
		return nil, x.Client.ID, err
	}
	s.issued(x.grant.Rules().Type, x.Client.Public)
	return x.answer.encode(), x.Client.ID, nil
}

// Revoke answers a revocation request (RFC 7009 section 2): the session of the
// client's token ends. It returns no error if there was nothing to revoke, because the
// client then has what it wants (section 2.2). Every error it returns is an
// *oauth.Error.
func (s *Service) Revoke(r *http.Request, from caller.Caller) (clientID ids.Client, err error) {
	x, err := s.run(r, from, s.parse, s.authenticate, s.revoke)
	return x.Client.ID, err
}

// Introspect answers an introspection request (RFC 7662 section 2) with the
// members of the response. It doesn't tell why a token isn't active (section 2.2).
// Every error it returns is an *oauth.Error.
func (s *Service) Introspect(r *http.Request, from caller.Caller) (members map[string]any, clientID ids.Client, err error) {
	x, err := s.run(r, from, s.parse, s.authenticate, s.mayIntrospect, func(ctx context.Context, x *Request) (err error) {
		members, err = s.introspect(ctx, x)
		return err
	})
	return members, x.Client.ID, err
}
