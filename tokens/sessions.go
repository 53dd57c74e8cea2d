package tokens

import (
	"context"
	"fmt"
	"time"

	"countersign/audit"
	"countersign/caller"
	"countersign/ids"
	"countersign/oauth"
)

// Sessions lists and ends sessions. It issues no tokens, so it needs neither keys nor
// lifetimes.
type Sessions struct{ store Store }

// NewSessions returns the sessions in a store.
func NewSessions(store Store) Sessions { return Sessions{store} }

// OfUser lists a user's live sessions, newest first.
func (s Sessions) OfUser(ctx context.Context, now time.Time, user ids.User) (all []Session, err error) {
	const page = 500
	for after := (ids.Session{}); ; {
		some, err := s.Page(ctx, now, user, after, page)
		if err != nil {
			return nil, err
		}
		all = append(all, some...)
		if len(some) < page {
			return all, nil
		}
		after = some[page-1].ID
	}
}

// Page lists at most limit of a user's live sessions, newest first: those after one of
// them, or from the newest on if that is zero.
func (s Sessions) Page(ctx context.Context, now time.Time, user ids.User, after ids.Session, limit int) ([]Session, error) {
	return s.store.UserSessions(ctx, user, now, after, limit)
}

// EndSession revokes one session for the operator. ErrUnknown if there is none,
// caller.ErrNotOperator. Its refresh
// tokens are dead, our own endpoints refuse its access tokens, and its browser is signed
// out of the hosted pages, or the client could start a new session without the user.
func (s Sessions) EndSession(ctx context.Context, now time.Time, id ids.Session, from caller.Caller) error {
	if err := from.MustBeOperator(); err != nil {
		return err
	}
	session, err := s.store.Session(ctx, id, now)
	if err != nil {
		return err
	}
	return s.endSignIn(ctx, now, &session, from)
}

func (s Sessions) endSignIn(ctx context.Context, now time.Time, session *Session, from caller.Caller) error {
	return s.store.EndSignIn(ctx, session.ID, sessionEvent(audit.SessionRevoked, now, session, from))
}

func (s Sessions) end(ctx context.Context, now time.Time, session *Session, from caller.Caller) error {
	return s.store.EndSession(ctx, session.ID, sessionEvent(audit.SessionRevoked, now, session, from))
}

// sessionEvent returns an audit event about a session.
func sessionEvent(kind audit.Kind, now time.Time, session *Session, from caller.Caller) audit.Event {
	ev := from.Event(now, kind)
	ev.UserID, ev.ClientID, ev.SessionID = session.UserID, session.ClientID, session.ID
	return ev
}

// EndUserSessions revokes all sessions of a user for the operator and returns how many.
// caller.ErrNotOperator.
func (s Sessions) EndUserSessions(ctx context.Context, now time.Time, user ids.User, from caller.Caller) (int64, error) {
	if err := from.MustBeOperator(); err != nil {
		return 0, err
	}
	return s.EndOtherSessions(ctx, now, user, ids.Place{}, from)
}

// EndOtherSessions revokes all sessions and logins of a user except the place that asks,
// and what was begun in any of them, codes and mailed links. It returns how many sessions.
// ErrUnknown if the place is no longer live.
func (s Sessions) EndOtherSessions(ctx context.Context, now time.Time, user ids.User, keep ids.Place, from caller.Caller) (int64, error) {
	ev := from.Event(now, audit.SessionRevoked)
	ev.UserID = user
	return s.store.EndUserSessions(ctx, user, keep, ev)
}

// EndSessionOf is EndSession for the user. It returns ErrUnknown if the session is not the
// user's.
func (s Sessions) EndSessionOf(ctx context.Context, now time.Time, user ids.User, id ids.Session, from caller.Caller) error {
	session, err := s.store.Session(ctx, id, now)
	if err != nil {
		return err
	}
	if session.UserID != user {
		return ErrUnknown
	}
	return s.endSignIn(ctx, now, &session, from)
}

// Prove records that the user of a session has just proven who they are in it, and how. epoch
// is the account's, read before the proof was checked: a proof of a former password is none.
// ErrUnknown.
func (s Sessions) Prove(ctx context.Context, now time.Time, id ids.Session, epoch int64, methods oauth.Methods) error {
	if err := s.store.ProveSession(ctx, id, epoch, methods, now); err != nil {
		return fmt.Errorf("prove session: %w", err)
	}
	return nil
}

// EndClientSession revokes only the user's session at a client when the user signs out. A
// session with offline_access lives on. It returns ErrUnknown if there is no such session.
func (s Sessions) EndClientSession(ctx context.Context, now time.Time, clientID ids.Client, user ids.User, id ids.Session, from caller.Caller) error {
	session, err := s.store.Session(ctx, id, now)
	if err != nil {
		return err
	}
	if session.UserID != user || session.ClientID != clientID {
		return ErrUnknown
	}
	if session.Scopes.Has(oauth.ScopeOfflineAccess) {
		return nil
	}
	return s.end(ctx, now, &session, from)
}

// purgeDelay is how long an expired login is kept: another replica's clock may be behind
// ours, and the login still live there. An expired session is kept longer than the letters
// live that were asked for in it (see accounts): they end with its row, but only if its
// user or the operator ends it.
const (
	purgeDelay        = 5 * time.Minute
	sessionPurgeDelay = time.Hour + purgeDelay
)

// Purge removes at most limit sessions that expired more than sessionPurgeDelay ago and
// returns how many. Its one short transaction does not hold up writers.
func (s Sessions) Purge(ctx context.Context, now time.Time, limit int) (int64, error) {
	return s.store.PurgeSessions(ctx, now.Add(-sessionPurgeDelay), limit)
}

// PurgeLogins is Purge for logins.
func (s Sessions) PurgeLogins(ctx context.Context, now time.Time, limit int) (int64, error) {
	return s.store.PurgeLogins(ctx, now.Add(-purgeDelay), limit)
}
