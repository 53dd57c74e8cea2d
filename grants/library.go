package grants

import (
	"context"
	"net/http"
	"net/url"

	"github.com/go-oauth2/oauth2/v4"
	oautherrors "github.com/go-oauth2/oauth2/v4/errors"
	"github.com/go-oauth2/oauth2/v4/models"
	oauthserver "github.com/go-oauth2/oauth2/v4/server"

	"countersign/tokens"
)

// library has go-oauth2 serve one request of a grant that it knows, and is the manager
// that it calls. Each request has a library of its own, whose functions close over the
// request, so no state travels in a context.
//
// go-oauth2's own manager refreshes without looking at the client, and in several
// steps that a crash or a race tears apart. This one leaves each decision to one call of
// package tokens.
type library struct {
	// prove is the library's hook for the password grant, nil for the others.
	prove oauthserver.PasswordAuthorizationHandler
	// issue makes the tokens that the parameters of the request ask for.
	issue func(context.Context, *oauth2.TokenGenerateRequest) (tokens.Issued, error)

	issued tokens.Issued
}

var _ oauth2.Manager = (*library)(nil)

// serve has go-oauth2 read the grant's parameters and call prove and issue. The pipeline has
// made all checks that do not depend on the grant.
func (l *library) serve(ctx context.Context, r *Request) (Answer, error) {
	rules := r.grant.Rules()
	server := oauthserver.NewServer(&oauthserver.Config{AllowedGrantTypes: []oauth2.GrantType{oauth2.GrantType(rules.Type)}}, l)
	server.ClientInfoHandler = func(*http.Request) (id, secret string, err error) {
		return string(r.Client.ID), "", nil // the pipeline has authenticated it
	}
	if l.prove != nil {
		server.PasswordAuthorizationHandler = l.prove
	}
	// The library takes parameters from wherever net/http finds them, so it
	// gets a request that has the checked ones and nothing else.
	clean := (&http.Request{
		Method: http.MethodPost, URL: &url.URL{}, Form: r.Form, PostForm: r.Form, Body: http.NoBody,
	}).WithContext(ctx)

	grant, asked, err := server.ValidationTokenRequest(clean)
	if err != nil {
		return Answer{}, err
	}
	if _, err := server.GetAccessToken(ctx, grant, asked); err != nil {
		return Answer{}, err
	}
	return Answer{Issued: l.issued}, nil
}

// GenerateAccessToken implements [oauth2.Manager]: the first tokens of a grant.
func (l *library) GenerateAccessToken(ctx context.Context, _ oauth2.GrantType, asked *oauth2.TokenGenerateRequest) (oauth2.TokenInfo, error) {
	return l.generate(ctx, asked)
}

// RefreshAccessToken implements [oauth2.Manager].
func (l *library) RefreshAccessToken(ctx context.Context, asked *oauth2.TokenGenerateRequest) (oauth2.TokenInfo, error) {
	return l.generate(ctx, asked)
}

func (l *library) generate(ctx context.Context, asked *oauth2.TokenGenerateRequest) (_ oauth2.TokenInfo, err error) {
	if l.issued, err = l.issue(ctx, asked); err != nil {
		return nil, err
	}
	return models.NewToken(), nil // serve returns the issued tokens itself
}

// The rest of [oauth2.Manager] serves the library's authorization endpoint, its
// implicit grant and its bearer check, none of which is mounted: package authorize
// issues the codes.

func (l *library) GetClient(context.Context, string) (oauth2.ClientInfo, error) {
	return nil, oautherrors.ErrInvalidClient
}

func (l *library) GenerateAuthToken(context.Context, oauth2.ResponseType, *oauth2.TokenGenerateRequest) (oauth2.TokenInfo, error) {
	return nil, oautherrors.ErrUnsupportedResponseType
}

func (l *library) RemoveAccessToken(context.Context, string) error {
	return oautherrors.ErrInvalidAccessToken
}

func (l *library) RemoveRefreshToken(context.Context, string) error {
	return oautherrors.ErrInvalidRefreshToken
}

func (l *library) LoadAccessToken(context.Context, string) (oauth2.TokenInfo, error) {
	return nil, oautherrors.ErrInvalidAccessToken
}

func (l *library) LoadRefreshToken(context.Context, string) (oauth2.TokenInfo, error) {
	return nil, oautherrors.ErrInvalidRefreshToken
}
