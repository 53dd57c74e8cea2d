package tokens

import (
	"context"
	"strings"
	"time"

	"github.com/google/uuid"

	"countersign/caller"
)

// Revoke ends the session of a client's token (RFC 7009 section 2.1), whichever
// of the session's refresh or access tokens it is. One that is good for nothing
// any more is ErrUnknown, one of another client's ErrNotYours, and a client's own
// access token ErrNoSession.
func (s *Service) Revoke(ctx context.Context, now time.Time, clientID, token string, from caller.Caller) error {
	session, issuedTo, err := s.presented(ctx, now, token)
	switch {
	case err != nil:
		return err
	case issuedTo != clientID:
		return ErrNotYours
	case session.ID == uuid.Nil:
		return ErrNoSession
	}
	return s.end(ctx, now, &session, from)
}

// presented finds the session of a token of either kind, and the client that
// has the token.
func (s *Service) presented(ctx context.Context, now time.Time, token string) (session Session, clientID string, err error) {
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
