package grants

import (
	"cmp"
	"context"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"countersign/caller"
	"countersign/clients"
	"countersign/oauth"
	"countersign/refusals"
	"countersign/tokens"
)

// Grant is one way to ask for tokens. It adds its own checks to those that the pipeline
// makes for every grant: see [Service.Token].
type Grant interface {
	// Rules are what the pipeline checks before Issue. They never change.
	Rules() Rules
	// Issue makes the grant's own checks and then the tokens. The pipeline has already
	// authenticated the client of r and checked that it may use the grant and sent the
	// parameters that the grant needs. Errors are *oauth.Error, or the domain's, for
	// which package refusals has the words.
	Issue(ctx context.Context, r *Request) (Answer, error)
}

// Rules say which clients may use a grant and which parameters it has.
type Rules struct {
	Type string // grant_type
	Also string // clients with this grant_type may use it, too; empty: none
	For  Kind
	// Needs are the required parameters, and Takes the optional ones, besides those of
	// every grant: scope, resource and the client's credentials.
	Needs, Takes []string
}

// Kind says which of the clients that registered a grant may use it. The zero Kind
// allows no client.
type Kind int

// The kinds of clients.
const (
	_ Kind = iota
	AnyClient
	ConfidentialClient // has a secret
	FirstPartyClient   // our own
)

// Request is a client's request on its way through the pipeline: each step fills in its
// fields.
type Request struct {
	Now  time.Time
	From caller.Caller

	Form      url.Values     // by parse: each parameter once, but for resource, and none empty
	Client    clients.Client // by authenticate
	Scopes    oauth.Scopes   // by read: the requested scopes; empty: the client's default
	Resources []string       // by read: the requested audience of the access token, if any

	http   *http.Request
	grant  Grant  // by choose
	answer Answer // by issue
}

// step is one step of a pipeline. Its error ends the request.
type step func(context.Context, *Request) error

// run takes a request through the steps. Its error is an *oauth.Error; it logs errors
// of the server.
func (s *Service) run(r *http.Request, from caller.Caller, steps ...step) (*Request, error) {
	x := &Request{Now: time.Now(), From: from, http: r}
	for _, step := range steps {
		err := step(r.Context(), x)
		if err == nil {
			continue
		}
		say, known := refusals.ForClient(err, s.unavailable)
		if !known {
			s.log.ErrorContext(r.Context(), "client request failed", "request_id", from.RequestID, "client_id", x.Client.ID, "err", err)
		}
		return x, say
	}
	return x, nil
}

func (s *Service) parse(_ context.Context, x *Request) (err error) {
	x.Form, err = readForm(x.http, s.parameters)
	return err
}

// choose finds the requested grant.
func (s *Service) choose(_ context.Context, x *Request) error {
	asked := x.Form.Get("grant_type")
	if asked == "" {
		return missing("grant_type")
	}
	i := slices.IndexFunc(s.grants, func(g Grant) bool { return g.Rules().Type == asked })
	if i < 0 {
		return oauth.Refuse(oauth.UnsupportedGrantType, "grant_type is not one of "+strings.Join(s.Supported(), ", "))
	}
	x.grant = s.grants[i]
	return nil
}

// authenticate finds the client and checks its credentials.
func (s *Service) authenticate(ctx context.Context, x *Request) error {
	cred, err := credentials(x.http, x.Form)
	if err != nil {
		return err
	}
	client, err := s.clients.Authenticate(ctx, x.Now, cred, x.From)
	if err != nil {
		return err
	}
	x.Client = client
	return nil
}

// permit checks that the client may use the grant.
func (s *Service) permit(_ context.Context, x *Request) error {
	rules := x.grant.Rules()
	if !x.Client.AllowsGrant(rules.Type) && !x.Client.AllowsGrant(rules.Also) {
		return errUnauthorized
	}
	switch {
	case rules.For == AnyClient,
		rules.For == ConfidentialClient && !x.Client.Public,
		rules.For == FirstPartyClient && x.Client.FirstParty:
		return nil
	case rules.For == ConfidentialClient:
		return oauth.Refuse(oauth.UnauthorizedClient, rules.Type+" needs a confidential client")
	default:
		return errUnauthorized
	}
}

// read reads the parameters of every grant, and checks that those that this grant needs
// are there.
func (s *Service) read(_ context.Context, x *Request) error {
	if err := x.readScope(); err != nil {
		return err
	}
	needs := x.grant.Rules().Needs
	if slices.ContainsFunc(needs, func(name string) bool { return !x.Form.Has(name) }) {
		return missing(needs...)
	}
	return nil
}

// readScope reads the requested scopes and resources.
func (x *Request) readScope() (err error) {
	if x.Scopes, err = oauth.ParseScopes(x.Form.Get("scope")); err != nil {
		return oauth.Refuse(oauth.InvalidScope, err.Error())
	}
	x.Resources, err = oauth.ParseResources(x.Form["resource"])
	return err
}

// issue calls the grant.
func (s *Service) issue(ctx context.Context, x *Request) (err error) {
	x.answer, err = x.grant.Issue(ctx, x)
	return err
}

// Answer is the result of a grant.
type Answer struct {
	tokens.Issued
	TokenType string // how the access token is used (RFC 6749 section 7.1); empty: Bearer
	// DeviceToken makes the app known to the account at the next sign-in; empty: none.
	DeviceToken string
}

// Response is the answer to a token request, as JSON (RFC 6749 section 5.1).
type Response struct {
	AccessToken  string `json:"access_token"`
	TokenType    string `json:"token_type"`
	ExpiresIn    int64  `json:"expires_in"` // in seconds
	Scope        string `json:"scope,omitempty"`
	RefreshToken string `json:"refresh_token,omitempty"`
	IDToken      string `json:"id_token,omitempty"`     // OpenID Connect Core section 3.1.3.3
	DeviceToken  string `json:"device_token,omitempty"` // ours; only for the password grant
}

func (a *Answer) encode() *Response {
	return &Response{
		AccessToken: a.AccessToken, TokenType: cmp.Or(a.TokenType, "Bearer"), ExpiresIn: int64(a.ExpiresIn / time.Second),
		Scope: a.Scopes.String(), RefreshToken: a.RefreshToken, IDToken: a.IDToken, DeviceToken: a.DeviceToken,
	}
}
