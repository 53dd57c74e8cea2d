package grants

import (
	"context"
	"errors"
	"maps"

	"countersign/accounts"
	"countersign/clients"
	"countersign/oauth"
	"countersign/tokens"
)

// mayIntrospect checks that the client may introspect tokens.
func (s *Service) mayIntrospect(_ context.Context, x *Request) error {
	switch {
	case x.Client.Public:
		return clients.ErrBadCredentials // a public client proves nothing (RFC 7662 section 2.1)
	case !x.Client.MayIntrospect:
		return errMayNotIntrospect
	}
	return nil
}

func (s *Service) introspect(ctx context.Context, x *Request) (map[string]any, error) {
	token, err := tokenOf(x)
	if err != nil {
		return nil, err
	}
	members, err := s.active(ctx, x, token)
	if errors.Is(err, tokens.ErrUnknown) {
		return map[string]any{"active": false}, nil
	}
	return members, err
}

// active returns what a reader may learn of a live token. Any other token, and one
// whose user or client is deleted or disabled, is tokens.ErrUnknown.
func (s *Service) active(ctx context.Context, x *Request, token string) (map[string]any, error) {
	reader := &x.Client
	live, err := s.tokens.Introspect(ctx, x.Now, tokens.Reader{
		ClientID: reader.ID, Audiences: reader.Audiences, Refresh: reader.AllowsGrant(oauth.GrantRefreshToken),
	}, token)
	if err != nil {
		return nil, err
	}
	// The deletion of a client ends its sessions, but not its own tokens.
	client, err := s.clients.ByID(ctx, live.ClientID)
	if errors.Is(err, clients.ErrUnknown) {
		return nil, tokens.ErrUnknown
	}
	if err == nil {
		err = live.Narrow(client.Recipient())
	}
	if errors.Is(err, tokens.ErrNoConsent) {
		return nil, tokens.ErrUnknown
	}
	if err != nil {
		return nil, err
	}
	members := maps.Clone(live.Claims)
	members["active"] = true
	if live.UserID.IsZero() {
		return members, nil
	}
	user, err := s.users.ByID(ctx, live.UserID)
	if errors.Is(err, accounts.ErrUnknownUser) || err == nil && user.Disabled() {
		return nil, tokens.ErrUnknown
	}
	if err != nil {
		return nil, err
	}
	if user.Username != "" {
		members["username"] = user.Username
	}
	return members, nil
}
