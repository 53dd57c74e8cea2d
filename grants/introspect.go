package grants

import (
	"context"
	"errors"
	"maps"

	"github.com/google/uuid"

	"countersign/accounts"
	"countersign/clients"
	"countersign/oauth"
	"countersign/tokens"
)

// mayIntrospect checks that the client may introspect at all.
func (s *Service) mayIntrospect(_ context.Context, x *Request) error {
	switch {
	case x.Client.Public:
		return clients.ErrBadCredentials // it has shown nothing but its name (RFC 7662 section 2.1)
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

// active is what a reader is told of a live token. For all others, and for those
// of people and clients that are gone or barred, it is tokens.ErrUnknown.
func (s *Service) active(ctx context.Context, x *Request, token string) (map[string]any, error) {
	reader := &x.Client
	live, err := s.tokens.Introspect(ctx, x.Now, tokens.Reader{
		ClientID: reader.ID, Audiences: reader.Audiences, Refresh: reader.AllowsGrant(oauth.GrantRefreshToken),
	}, token)
	if err != nil {
		return nil, err
	}
	members := maps.Clone(live.Claims)
	members["active"] = true
	if live.UserID == uuid.Nil {
		// No session ended with its client, so the client is looked for.
		if _, err := s.clients.ByID(ctx, live.ClientID); errors.Is(err, clients.ErrUnknown) {
			return nil, tokens.ErrUnknown
		} else if err != nil {
			return nil, err
		}
		return members, nil
	}
	user, err := s.users.ByID(ctx, live.UserID)
	if errors.Is(err, accounts.ErrUnknownUser) || err == nil && user.Disabled() {
		return nil, tokens.ErrUnknown
	}
	if err != nil {
		return nil, err
	}
	members["username"] = user.Username
	return members, nil
}
