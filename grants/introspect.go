package grants

import (
	"errors"
	"maps"
	"net/http"
	"net/url"
	"time"

	"github.com/google/uuid"

	"countersign/accounts"
	"countersign/audit"
	"countersign/clients"
	"countersign/oauth"
	"countersign/tokens"
)

// Introspect answers an introspection request (RFC 7662 section 2) with the
// members of the response. Why a token isn't active is not said (section 2.2).
// Every error it returns is an *oauth.Error.
func (s *Service) Introspect(r *http.Request, from audit.Origin) (members map[string]any, clientID string, err error) {
	now := time.Now()
	form, client, err := s.authenticate(r, now, from)
	if err == nil {
		members, err = s.introspect(r, now, form, &client)
	}
	if err != nil {
		return nil, client.ID, s.say(r, client.ID, from, err)
	}
	return members, client.ID, nil
}

func (s *Service) introspect(r *http.Request, now time.Time, form url.Values, client *clients.Client) (map[string]any, error) {
	switch {
	case client.Public:
		return nil, clients.ErrBadCredentials // it has shown nothing but its name (RFC 7662 section 2.1)
	case !client.MayIntrospect:
		return nil, errMayNotIntrospect
	}
	token, err := tokenOf(form)
	if err != nil {
		return nil, err
	}
	members, err := s.active(r, now, client, token)
	if errors.Is(err, tokens.ErrUnknown) {
		return map[string]any{"active": false}, nil
	}
	return members, err
}

// active is what a reader is told of a live token. For all others, and for those
// of people and clients that are gone or barred, it is tokens.ErrUnknown.
func (s *Service) active(r *http.Request, now time.Time, reader *clients.Client, token string) (map[string]any, error) {
	live, err := s.tokens.Introspect(r.Context(), now, tokens.Reader{
		ClientID: reader.ID, Audiences: reader.Audiences, Refresh: reader.AllowsGrant(oauth.GrantRefreshToken),
	}, token)
	if err != nil {
		return nil, err
	}
	members := maps.Clone(live.Claims)
	members["active"] = true
	if live.UserID == uuid.Nil {
		// No session ended with its client, so the client is looked for.
		if _, err := s.clients.ByID(r.Context(), live.ClientID); errors.Is(err, clients.ErrUnknown) {
			return nil, tokens.ErrUnknown
		} else if err != nil {
			return nil, err
		}
		return members, nil
	}
	user, err := s.users.ByID(r.Context(), live.UserID)
	if errors.Is(err, accounts.ErrUnknownUser) || err == nil && user.Disabled() {
		return nil, tokens.ErrUnknown
	}
	if err != nil {
		return nil, err
	}
	members["username"] = user.Username
	return members, nil
}
