package tokens

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"countersign/ids"
	"countersign/oauth"
)

// Reader is the client that asks about a token.
type Reader struct {
	ClientID  ids.Client
	Audiences []string // its names as a resource server; empty is the default
	Refresh   bool     // may refresh, so its refresh tokens are of use
}

// Live is a token that is valid now.
type Live struct {
	Claims   map[string]any // its claims, by the names of RFC 7662 section 2.2
	ClientID ids.Client     // the client that it was issued to
	UserID   ids.User       // the user who signed in; zero if none is involved

	scopes  oauth.Scopes
	consent oauth.Scopes // as in Session
}

// Narrow limits what is said about a token to what its client, as it is now, may have.
// ErrNoConsent.
func (l *Live) Narrow(to oauth.Recipient) error {
	may := to.Scopes
	if !l.UserID.IsZero() {
		var err error
		if may, err = entitled(to, l.consent); err != nil {
			return err
		}
	}
	scopes := l.scopes.And(may)
	if l.Claims["scope"] = scopes.String(); len(scopes) == 0 {
		delete(l.Claims, "scope")
	}
	for _, scope := range []string{oauth.ScopeRoles, oauth.ScopeGroups} { // each opens the claim of its name
		if !scopes.Has(scope) {
			delete(l.Claims, scope)
		}
	}
	return nil
}

// Introspect returns what a token is good for (RFC 7662) and changes nothing: even a
// reused refresh token ends no session, because the caller does not redeem it. The audience and
// the holder of an access token may read it; only its client may read a refresh token
// (section 4). Anything else is ErrUnknown.
func (s *Service) Introspect(ctx context.Context, now time.Time, reader Reader, token string) (Live, error) {
	if strings.HasPrefix(token, refreshPrefix) {
		return s.introspectRefresh(ctx, now, reader, token)
	}
	return s.introspectAccess(ctx, now, reader, token)
}

func (s *Service) introspectRefresh(ctx context.Context, now time.Time, reader Reader, token string) (Live, error) {
	if !reader.Refresh {
		return Live{}, ErrUnknown
	}
	session, counter, err := s.refreshable(ctx, now, token)
	if err != nil {
		return Live{}, err
	}
	if session.ClientID != reader.ClientID {
		return Live{}, ErrUnknown
	}
	if got := session.standing(counter, now, s.settings.RefreshReplayWindow); got != current && got != superseded {
		return Live{}, ErrUnknown
	}
	claims := map[string]any{
		"iss":       s.issuer,
		"sub":       session.UserID.String(),
		"client_id": string(session.ClientID),
		"exp":       session.ExpiresAt.Unix(),
		"auth_time": session.AuthTime.Unix(),
		"sid":       session.ID.String(),
	}
	proven(claims, session)
	if len(session.Scopes) > 0 {
		claims["scope"] = session.Scopes.String()
	}
	return Live{Claims: claims, ClientID: session.ClientID, UserID: session.UserID, scopes: session.Scopes, consent: session.Consent}, nil
}

// proven adds what the user of a session has proven. What comes to no class has no acr.
func proven(claims map[string]any, session Session) {
	claims["amr"] = []string(session.Methods)
	if class := session.Methods.Class(); class != "" {
		claims["acr"] = class
	}
}

func (s *Service) introspectAccess(ctx context.Context, now time.Time, reader Reader, token string) (Live, error) {
	said, err := s.readAccess(now, token)
	if err != nil {
		return Live{}, err
	}
	if said.ClientID != reader.ClientID && !s.meant(said.Audience, reader) {
		return Live{}, ErrUnknown
	}
	session, err := s.claimedSession(ctx, now, said)
	if err != nil {
		return Live{}, err
	}
	claims := map[string]any{
		"iss":        said.Issuer,
		"sub":        said.Subject,
		"aud":        said.Audience,
		"client_id":  string(said.ClientID),
		"exp":        said.ExpiresAt,
		"iat":        said.IssuedAt,
		"jti":        said.ID,
		"token_type": "Bearer",
	}
	if said.Scope != "" {
		claims["scope"] = said.Scope
	}
	if said.SessionID != "" {
		claims["sid"] = said.SessionID
		claims["auth_time"] = said.AuthTime
		proven(claims, session)
	}
	if len(said.Roles) > 0 {
		claims["roles"] = said.Roles
	}
	if len(said.Groups) > 0 {
		claims["groups"] = said.Groups
	}
	scopes, err := oauth.ParseScopes(said.Scope)
	if err != nil {
		return Live{}, fmt.Errorf("%w: %w", ErrUnknown, err)
	}
	return Live{Claims: claims, ClientID: said.ClientID, UserID: session.UserID, scopes: scopes, consent: session.Consent}, nil
}

// meant reports whether a token with the audience is meant for the reader.
func (s *Service) meant(aud audience, reader Reader) bool {
	names := s.settings.Audience
	if len(reader.Audiences) > 0 {
		names = reader.Audiences
	}
	return slices.ContainsFunc(aud, func(name string) bool { return slices.Contains(names, name) })
}
