package tokens

import (
	"context"
	"fmt"
	"time"

	"countersign/ids"
	"countersign/oauth"
)

// Access is the content of a valid access token. Narrow limits it to what the client may
// have now.
type Access struct {
	Subject  string
	ClientID ids.Client
	Scopes   oauth.Scopes
	Session  Session // the zero Session if no user is involved
	// Account says that the token has the scope account and is for this server alone.
	Account bool
	Claims  []string // that it opens at userinfo; by Narrow
}

// Authenticate reads an access token presented to one of our own endpoints.
// Its signature, times and issuer must be right, without leeway, and its session must
// still live. Anything else is ErrUnknown. The scopes say what the token opens; its
// audience is for resource servers.
func (s *Service) Authenticate(ctx context.Context, now time.Time, token string) (Access, error) {
	claims, err := s.readAccess(now, token)
	if err != nil {
		return Access{}, err
	}
	scopes, err := oauth.ParseScopes(claims.Scope)
	if err != nil {
		return Access{}, fmt.Errorf("%w: %w", ErrUnknown, err)
	}
	access := Access{
		Subject: claims.Subject, ClientID: claims.ClientID, Scopes: scopes,
		Account: scopes.Has(oauth.ScopeAccount) && s.oursAlone(claims.Audience),
	}
	if access.Session, err = s.claimedSession(ctx, now, claims); err != nil {
		return Access{}, err
	}
	return access, nil
}

// claimedSession returns the live session of an access token, or the zero Session if the
// token is a client's own.
func (s *Service) claimedSession(ctx context.Context, now time.Time, claims *accessClaims) (Session, error) {
	if claims.SessionID == "" {
		return Session{}, nil
	}
	id, err := ids.Parse[ids.Session](claims.SessionID)
	if err != nil {
		return Session{}, fmt.Errorf("%w: %w", ErrUnknown, err)
	}
	session, err := s.store.Session(ctx, id, now)
	if err != nil {
		return Session{}, fmt.Errorf("find session: %w", err)
	}
	return session, nil
}

// readAccess reads an access token of ours for any audience. It returns ErrUnknown if the
// token is not valid now.
func (s *Service) readAccess(now time.Time, token string) (*accessClaims, error) {
	claims, err := s.verifyAccess(now, token)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrUnknown, err)
	}
	if len(claims.Audience) == 0 { // RFC 9068 section 2.2
		return nil, fmt.Errorf("%w: no audience", ErrUnknown)
	}
	return claims, nil
}

// verifyAccess returns the claims of an access token, whose typ may be either of the two
// that clients choose from.
func (s *Service) verifyAccess(now time.Time, token string) (*accessClaims, error) {
	var claims accessClaims
	err := s.signer.Verify(now, token, accessType, s.issuer, &claims)
	if err == nil {
		return &claims, nil
	}
	var plain accessClaims
	if s.signer.Verify(now, token, idType, s.issuer, &plain) == nil && plain.ClientID != "" && plain.ID != "" { // else it is an ID token
		return &plain, nil
	}
	return nil, err
}
