package grants

import (
	"context"
	"errors"
	"time"

	"github.com/go-oauth2/oauth2/v4"
	oautherrors "github.com/go-oauth2/oauth2/v4/errors"
	"github.com/go-oauth2/oauth2/v4/models"

	"countersign/accounts"
	"countersign/audit"
	"countersign/clients"
	"countersign/oauth"
	"countersign/refusals"
	"countersign/tokens"
)

// exchange is what one token request has established so far. The library's
// hooks get no more than a context, so it travels in there.
type exchange struct {
	now         time.Time
	from        audit.Origin
	credentials clients.Credentials

	client clients.Client // set by the client-info hook
	user   accounts.User  // set by the password hook
	scopes oauth.Scopes   // what was asked for
	// resources are what the access token is asked to be for, if anything
	resources []string
	device    string // label of what asks, or empty
}

type exchangeKey struct{}

func exchangeOf(ctx context.Context) *exchange {
	return ctx.Value(exchangeKey{}).(*exchange)
}

// manager is go-oauth2's view of our tokens. The library's own manager
// refreshes without looking at the client, and in several steps that can be
// torn apart; ours leaves each decision to one call of the tokens package.
type manager struct {
	clients *clients.Registry
	tokens  *tokens.Service
}

var _ oauth2.Manager = (*manager)(nil)

// GetClient implements [oauth2.Manager]. No secret ever leaves accounts.
func (m *manager) GetClient(ctx context.Context, id string) (oauth2.ClientInfo, error) {
	client, err := m.clients.ByID(ctx, id)
	if err != nil {
		return nil, err
	}
	return &models.Client{ID: client.ID, Public: client.Public}, nil
}

// GenerateAccessToken implements [oauth2.Manager]: the first tokens of a grant.
func (m *manager) GenerateAccessToken(ctx context.Context, gt oauth2.GrantType, tgr *oauth2.TokenGenerateRequest) (oauth2.TokenInfo, error) {
	x := exchangeOf(ctx)
	to := x.client.Recipient()
	switch gt {
	case oauth2.AuthorizationCode:
		issued, err := m.tokens.Redeem(ctx, x.now, to, tokens.Exchange{
			Code: tgr.Code, RedirectURI: tgr.RedirectURI, Verifier: tgr.CodeVerifier, Resources: x.resources,
		}, x.from)
		if errors.Is(err, tokens.ErrUnknown) || errors.Is(err, tokens.ErrUserGone) {
			err = refusals.BadCode
		}
		return info(issued, err)
	case oauth2.PasswordCredentials:
		who := tokens.SignIn{UserID: x.user.ID, Epoch: x.user.Epoch, Roles: x.user.Roles, AuthTime: x.now, Device: x.device}
		return info(m.tokens.Start(ctx, x.now, to, who, x.scopes, x.resources, x.from))
	case oauth2.ClientCredentials:
		return info(m.tokens.ForClient(x.now, to, x.scopes, x.resources))
	default:
		return nil, oautherrors.ErrUnsupportedGrantType // which Service.Token never lets come here
	}
}

// RefreshAccessToken implements [oauth2.Manager].
func (m *manager) RefreshAccessToken(ctx context.Context, tgr *oauth2.TokenGenerateRequest) (oauth2.TokenInfo, error) {
	x := exchangeOf(ctx)
	return info(m.tokens.Refresh(ctx, x.now, x.client.Recipient(), tgr.Refresh, x.scopes, x.resources, x.from))
}

// The rest of [oauth2.Manager] serves the library's authorization endpoint, its
// implicit grant and its bearer check, none of which is mounted: package authorize
// issues the codes.

func (m *manager) GenerateAuthToken(context.Context, oauth2.ResponseType, *oauth2.TokenGenerateRequest) (oauth2.TokenInfo, error) {
	return nil, oautherrors.ErrUnsupportedResponseType
}

func (m *manager) RemoveAccessToken(context.Context, string) error {
	return oautherrors.ErrInvalidAccessToken
}

func (m *manager) RemoveRefreshToken(context.Context, string) error {
	return oautherrors.ErrInvalidRefreshToken
}

func (m *manager) LoadAccessToken(context.Context, string) (oauth2.TokenInfo, error) {
	return nil, oautherrors.ErrInvalidAccessToken
}

func (m *manager) LoadRefreshToken(context.Context, string) (oauth2.TokenInfo, error) {
	return nil, oautherrors.ErrInvalidRefreshToken
}

// tokenInfo is the library's many-setter record with the ID token beside it.
type tokenInfo struct {
	*models.Token
	idToken string
}

func info(issued tokens.Issued, err error) (oauth2.TokenInfo, error) {
	if err != nil {
		return nil, err
	}
	t := models.NewToken()
	t.SetAccess(issued.AccessToken)
	t.SetAccessExpiresIn(issued.ExpiresIn)
	t.SetRefresh(issued.RefreshToken)
	t.SetScope(issued.Scopes.String())
	return &tokenInfo{Token: t, idToken: issued.IDToken}, nil
}

// extension adds the fields of a token response that the library doesn't know.
func extension(ti oauth2.TokenInfo) map[string]any {
	if t, ok := ti.(*tokenInfo); ok && t.idToken != "" {
		return map[string]any{"id_token": t.idToken}
	}
	return nil
}
