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

// Grant is one way to ask for tokens. It adds what is its own to the checks that the
// pipeline makes for every grant: see [Service.Token].
type Grant interface {
	// Rules are what the pipeline checks before Issue. They never change.
	Rules() Rules
	// Issue makes the grant's own checks and then the tokens. The client of r has
	// proved who it is, and may use the grant; the parameters that the grant needs are
	// there. Errors are *oauth.Error, or the domain's for package refusals to word.
	Issue(ctx context.Context, r *Request) (Answer, error)
}

// Rules say who may use a grant and what it takes.
type Rules struct {
	Type string // grant_type
	For  Kind
	// Needs are the parameters that must be there, and Takes those that may, besides
	// the ones that every grant has: scope, resource and the client's credentials.
	Needs, Takes []string
}

// Kind says which clients may use a grant, of those that have registered it. The zero
// Kind is no client.
type Kind int

// The kinds.
const (
	_ Kind = iota
	AnyClient
	ConfidentialClient // has a secret
	FirstPartyClient   // our own
)

// Request is a request of a client, as far as it has come: each step of the pipeline
// fills in its fields.
type Request struct {
	Now  time.Time
	From caller.Caller

	Form      url.Values     // by parse: each parameter once, but for resource, and none empty
	Client    clients.Client // by authenticate
	Scopes    oauth.Scopes   // by read: what is asked for; empty: what the client gets by default
	Resources []string       // by read: what the access token is asked to be for, if anything

	http   *http.Request
	grant  Grant  // by choose
	answer Answer // by issue
}

// step is one step of a pipeline. Its error ends the request.
type step func(context.Context, *Request) error

// run takes a request through the steps. Its error is an *oauth.Error; one that is ours
// is logged.
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

// parse reads the form.
func (s *Service) parse(_ context.Context, x *Request) (err error) {
	x.Form, err = readForm(x.http, s.parameters)
	return err
}

// choose finds the grant that is asked for.
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

// authenticate finds out which client asks, and has it prove that.
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
	if !x.Client.AllowsGrant(rules.Type) {
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

// read reads the parameters that every grant has, and checks that those are there that
// this one needs.
func (s *Service) read(_ context.Context, x *Request) (err error) {
	if x.Scopes, err = oauth.ParseScopes(x.Form.Get("scope")); err != nil {
		return oauth.Refuse(oauth.InvalidScope, err.Error())
	}
	if x.Resources, err = oauth.ParseResources(x.Form["resource"]); err != nil {
		return err
	}
	needs := x.grant.Rules().Needs
	if slices.ContainsFunc(needs, func(name string) bool { return !x.Form.Has(name) }) {
		return missing(needs...)
	}
	return nil
}

// issue has the grant make the tokens.
func (s *Service) issue(ctx context.Context, x *Request) (err error) {
	x.answer, err = x.grant.Issue(ctx, x)
	return err
}

// Answer is what a grant gives the client.
type Answer struct {
	tokens.Issued
	TokenType string // how the access token is used (RFC 6749 section 7.1); empty: Bearer
}

// Response is the answer to a token request, as JSON (RFC 6749 section 5.1).
type Response struct {
	AccessToken  string `json:"access_token"`
	TokenType    string `json:"token_type"`
	ExpiresIn    int64  `json:"expires_in"` // in seconds
	Scope        string `json:"scope,omitempty"`
	RefreshToken string `json:"refresh_token,omitempty"`
	IDToken      string `json:"id_token,omitempty"` // OpenID Connect Core section 3.1.3.3
}

func (a *Answer) encode() *Response {
	return &Response{
		AccessToken: a.AccessToken, TokenType: cmp.Or(a.TokenType, "Bearer"), ExpiresIn: int64(a.ExpiresIn / time.Second),
		Scope: a.Scopes.String(), RefreshToken: a.RefreshToken, IDToken: a.IDToken,
	}
}
