package tokens

import (
	"context"
	"strings"
	"time"

	"countersign/caller"
	"countersign/ids"
)

// Revoke ends the session of a client's token, any of the session's refresh or access
// tokens (RFC 7009 section 2.1). It returns ErrUnknown for a dead token, ErrNotYours for
// another client's, and ErrNoSession for a client's own access token.
func (s *Service) Revoke(ctx context.Context, now time.Time, clientID ids.Client, token string, from caller.Caller) error {
	session, issuedTo, err := s.presented(ctx, now, token)
	switch {
	case err != nil:
		return err
	case issuedTo != clientID:
		return ErrNotYours
	case session.ID.IsZero():
		return ErrNoSession
	}
	return s.end(ctx, now, &session, from)
}

// presented returns the session of a token of either kind, and the client that the token
// was issued to.
func (s *Service) presented(ctx context.Context, now time.Time, token string) (session Session, clientID ids.Client, err error) {
	if strings.HasPrefix(token, refreshPrefix) {
		session, _, err = s.refreshable(ctx, now, token)
		return session, session.ClientID, err
	}
	claims, err := s.readAccess(now, token)
	if err != nil {
		return Session{}, "", err
	}
	session, err = s.claimedSession(ctx, now, claims)
	return session, claims.ClientID, err
}
