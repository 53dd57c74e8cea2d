// Package grants is how tokens are asked for: by the grants of the token endpoint,
// and by signing in from a browser ([Browser]); and how clients revoke and introspect
// them. For the token endpoint it authenticates the client, lets go-oauth2 dispatch the
// grant, and has package refusals word what accounts and tokens say.
//
// A token request passes, in this order: the form is read strictly, the grant type is
// known, the client proves who it is and may use the grant, and only then does
// the grant's own work begin. So no password is looked at for a client that has
// not authenticated, and no grant can forget a check. Start with
// [Service.Token].
package grants

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/go-oauth2/oauth2/v4"
	oautherrors "github.com/go-oauth2/oauth2/v4/errors"
	oauthserver "github.com/go-oauth2/oauth2/v4/server"

	"countersign/accounts"
	"countersign/audit"
	"countersign/browser"
	"countersign/clients"
	"countersign/oauth"
	"countersign/refusals"
	"countersign/tokens"
)

// supported are the grants that there are.
var supported = []oauth2.GrantType{oauth2.AuthorizationCode, oauth2.PasswordCredentials, oauth2.Refreshing, oauth2.ClientCredentials}

// Options are what a Service is made of. All are required but NoPassword.
type Options struct {
	Users   *accounts.Users
	Clients *clients.Registry
	Tokens  *tokens.Service
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
	library     *oauthserver.Server
	grants      []oauth2.GrantType // those that work here
	log         *slog.Logger
	unavailable func(error) bool
}

// New returns a Service.
func New(o Options) *Service {
	s := &Service{users: o.Users, clients: o.Clients, tokens: o.Tokens, grants: supported, log: o.Log, unavailable: o.Unavailable}
	if o.NoPassword {
		s.grants = slices.DeleteFunc(slices.Clone(supported), func(g oauth2.GrantType) bool { return g == oauth2.PasswordCredentials })
	}
	s.library = oauthserver.NewServer(&oauthserver.Config{
		TokenType:         "Bearer",
		AllowedGrantTypes: s.grants,
	}, &manager{clients: o.Clients, tokens: o.Tokens})
	s.library.ClientInfoHandler = s.clientInfo
	s.library.PasswordAuthorizationHandler = s.passwordAuthorization
	s.library.RefreshTokenResolveHandler = refreshToken
	s.library.ExtensionFieldsHandler = extension
	return s
}

// Supported returns the grant_type values that the token endpoint knows.
func (s *Service) Supported() []string {
	names := make([]string, len(s.grants))
	for i, g := range s.grants {
		names[i] = g.String()
	}
	return names
}

// Token answers a token request (RFC 6749 section 3.2) with the members of the
// response. Every error it returns is an *oauth.Error.
func (s *Service) Token(r *http.Request, from audit.Origin) (members map[string]any, clientID string, err error) {
	x := &exchange{now: time.Now(), from: from, device: browser.Label(r.UserAgent())}
	members, err = s.token(r, x)
	if err != nil {
		return nil, x.client.ID, s.say(r, x.client.ID, from, err)
	}
	return members, x.client.ID, nil
}

// say is what a client is told of an error, as an *oauth.Error. One that nobody foresaw
// is logged.
func (s *Service) say(r *http.Request, clientID string, from audit.Origin, err error) error {
	say, known := refusals.ForClient(err, s.unavailable)
	if !known {
		s.log.ErrorContext(r.Context(), "client request failed", "request_id", from.RequestID, "client_id", clientID, "err", err)
	}
	return say
}

func (s *Service) token(r *http.Request, x *exchange) (map[string]any, error) {
	form, err := readForm(r)
	if err != nil {
		return nil, err
	}
	grant := form.Get("grant_type")
	if grant == "" {
		return nil, invalidRequest("grant_type is missing")
	}
	if !slices.Contains(s.grants, oauth2.GrantType(grant)) {
		return nil, oauth.Refuse(oauth.UnsupportedGrantType, "grant_type is not one of "+strings.Join(s.Supported(), ", "))
	}
	if x.credentials, err = credentials(r, form); err != nil {
		return nil, err
	}
	if x.scopes, err = oauth.ParseScopes(form.Get("scope")); err != nil {
		return nil, oauth.Refuse(oauth.InvalidScope, err.Error())
	}
	if x.resources, err = oauth.ParseResources(form["resource"]); err != nil {
		return nil, err
	}
	// The library takes parameters from wherever net/http finds them, so it
	// gets a request that has the checked ones and nothing else.
	clean := (&http.Request{
		Method:   http.MethodPost,
		URL:      &url.URL{Path: r.URL.Path},
		Form:     form,
		PostForm: form,
		Body:     http.NoBody,
	}).WithContext(context.WithValue(r.Context(), exchangeKey{}, x))

	gt, tgr, err := s.library.ValidationTokenRequest(clean)
	if say, known := missing[oauth2.GrantType(grant)]; known && errors.Is(err, oautherrors.ErrInvalidRequest) {
		return nil, say // the library doesn't say what is missing
	}
	if err != nil {
		return nil, err
	}
	ti, err := s.library.GetAccessToken(clean.Context(), gt, tgr)
	if err != nil {
		return nil, err
	}
	return s.library.GetTokenData(ti), nil
}

// missing is what is told of a request without the parameters that its grant takes.
var missing = map[oauth2.GrantType]*oauth.Error{
	oauth2.AuthorizationCode:   errMissingCode,
	oauth2.PasswordCredentials: errMissingLogin,
}

// clientInfo is the first hook the library calls, and the one that every grant
// passes: the client proves who it is, and that this grant is one of its own.
func (s *Service) clientInfo(r *http.Request) (id, secret string, err error) {
	x := exchangeOf(r.Context())
	client, err := s.clients.Authenticate(r.Context(), x.now, x.credentials, x.from.Address)
	if err != nil {
		return "", "", err
	}
	x.client = client
	grant := r.Form.Get("grant_type")
	switch {
	case !client.AllowsGrant(grant):
		return "", "", errUnauthorized
	case grant == oauth2.PasswordCredentials.String() && !client.FirstParty:
		// Only our own applications may see a password (RFC 9700 section 2.4).
		return "", "", errUnauthorized
	case grant == oauth2.ClientCredentials.String() && client.Public:
		return "", "", errPublicCredentials // RFC 6749 section 4.4
	}
	return client.ID, "", nil
}

// passwordAuthorization is the library's hook for the password grant (RFC 6749
// section 4.3). Scopes are checked first: a request that can't succeed must not
// cost a password hash, nor tell whether the password was right.
func (s *Service) passwordAuthorization(ctx context.Context, _, username, password string) (string, error) {
	x := exchangeOf(ctx)
	if !x.scopes.Within(x.client.Scopes) {
		return "", tokens.ErrScope
	}
	user, err := s.users.Authenticate(ctx, x.now, username, password, accounts.Caller{Address: x.from.Address})
	if err != nil {
		return "", err
	}
	x.user = user
	return user.ID.String(), nil
}

// refreshToken is the library's hook that finds the refresh token.
func refreshToken(r *http.Request) (string, error) {
	token := r.Form.Get("refresh_token")
	if strings.TrimSpace(token) == "" {
		return "", invalidRequest("refresh_token is missing")
	}
	return token, nil
}
