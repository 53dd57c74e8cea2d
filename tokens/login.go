package tokens

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"

	"countersign/audit"
	"countersign/caller"
)

// Login is somebody's being signed in to a browser at the hosted pages, from which
// clients get authorization codes without asking for the password again. It is what
// OpenID Connect calls the End-User's session at the OP, and is apart from the
// sessions that clients have.
type Login struct {
	ID       uuid.UUID
	UserID   uuid.UUID
	Epoch    int64     // the account's when it began; in another it is dead
	AuthTime time.Time // when the user last proved here who they are

	CreatedAt         time.Time
	ExpiresAt         time.Time // the earlier of idle and absolute end
	AbsoluteExpiresAt time.Time // never moves
	Device            string    // readable label of the browser, or empty

	Username string // of the user now; not written
}

// LoginStore is the memory for logins. Every method is atomic and safe for concurrent
// use, on every replica together.
type LoginStore interface {
	// CreateLogin adds l if its user exists, is enabled and still is in l's epoch,
	// and writes ev with it. Otherwise ErrUserGone.
	CreateLogin(ctx context.Context, l Login, ev audit.Event) error
	// Login returns one that is live at now. ErrUnknown.
	Login(ctx context.Context, id uuid.UUID, now time.Time) (Login, error)
	// ReplaceLogin is CreateLogin, and removes a login of the same user that is live at
	// now, whose sessions and codes come of l from then on. ErrUnknown if there is no
	// such login.
	ReplaceLogin(ctx context.Context, old uuid.UUID, l Login, now time.Time, ev audit.Event) error
	// ForgetLogin removes a login, and none of the sessions that came of it; its codes
	// are dead. If there is none, that is no error.
	ForgetLogin(ctx context.Context, id uuid.UUID) error
	// EndLogin removes a login, and the sessions that came of it, but for those with
	// offline_access, which outlive it (OpenID Connect Core section 11); and writes ev.
	// Its codes are dead, and a second use of one is still noticed. ErrUnknown if there
	// is no such login.
	EndLogin(ctx context.Context, id uuid.UUID, ev audit.Event) error
	// PurgeLogins removes at most limit logins that have expired at now, and none of the
	// sessions that came of them, and returns how many.
	PurgeLogins(ctx context.Context, now time.Time, limit int) (int64, error)
}

// A login's token is its id (seal.Keys.Token), which the browser keeps in a cookie.
const (
	loginPrefix  = "cs_li_"
	loginPurpose = "login"
)

// LoginToken is what the browser keeps of a login.
func (s *Service) LoginToken(l *Login) string {
	return s.seal.Token(loginPrefix, loginPurpose, l.ID[:])
}

// LoginOf returns the first login that is live of those whose tokens a browser has:
// there can be more than one where another host of the domain has set its own cookie.
// ErrUnknown if nobody is signed in.
func (s *Service) LoginOf(ctx context.Context, now time.Time, candidates []string) (Login, error) {
	for _, token := range candidates {
		id, ok := s.seal.OpenToken(loginPrefix, loginPurpose, token)
		if !ok || len(id) != len(uuid.UUID{}) {
			continue
		}
		l, err := s.Store.Login(ctx, uuid.UUID(id), now)
		if !errors.Is(err, ErrUnknown) {
			return l, err
		}
	}
	return Login{}, ErrUnknown
}

// SignInBrowser remembers that a user has just proved who they are in a browser that
// had the login had, or nobody's if that is nil. There is a new login in any case: a
// copy of the former one's token is worth nothing any more. What came of that goes on
// with the new one, if it was the same user's. ErrUserGone if the account changed
// meanwhile.
func (s *Service) SignInBrowser(ctx context.Context, now time.Time, who SignIn, had *Login, from caller.Caller) (Login, error) {
	id, err := uuid.NewV7()
	if err != nil {
		return Login{}, fmt.Errorf("make login id: %w", err)
	}
	l := Login{
		ID: id, UserID: who.UserID, Epoch: who.Epoch, AuthTime: now, CreatedAt: now, Device: from.Device,
		AbsoluteExpiresAt: now.Add(s.absoluteTTL),
	}
	l.ExpiresAt = s.idleEnd(now, l.AbsoluteExpiresAt)
	ev := from.Event(now, audit.LoginCreated)
	ev.UserID = l.UserID
	if had != nil && had.UserID == who.UserID {
		err := s.Store.ReplaceLogin(ctx, had.ID, l, now, ev)
		if err == nil {
			return l, nil
		}
		if !errors.Is(err, ErrUnknown) { // unknown: it has ended meanwhile
			return Login{}, fmt.Errorf("replace login: %w", err)
		}
	}
	if err := s.Store.CreateLogin(ctx, l, ev); err != nil {
		return Login{}, fmt.Errorf("create login: %w", err)
	}
	if had != nil {
		if err := s.Store.ForgetLogin(ctx, had.ID); err != nil {
			s.log.WarnContext(ctx, "the browser's former login lives on", "subject", had.UserID, "err", err)
		}
	}
	return l, nil
}

// SignOutBrowser ends a login and the sessions that came of it, but for those with
// offline_access. That it has ended already is no error.
func (s *Service) SignOutBrowser(ctx context.Context, now time.Time, l *Login, from caller.Caller) error {
	ev := from.Event(now, audit.LoginEnded)
	ev.UserID = l.UserID
	err := s.Store.EndLogin(ctx, l.ID, ev)
	if err != nil && !errors.Is(err, ErrUnknown) {
		return fmt.Errorf("end login: %w", err)
	}
	return nil
}

// idleEnd is when what was used now ends, if nobody uses it again.
func (s *Service) idleEnd(now, absolute time.Time) time.Time {
	return earlier(now.Add(s.idleTTL), absolute)
}

// Hint is what an ID token of ours says that a client shows to tell which user it
// means (OpenID Connect Core section 3.1.2.1): it is no proof, and may have expired.
type Hint struct {
	Subject  string
	ClientID []string // whom it was issued to: one, but a token may name more
	Session  uuid.UUID
}

// ReadHint reads an id_token_hint. ErrUnknown if we didn't sign it, or no longer know.
func (s *Service) ReadHint(token string) (Hint, error) {
	var claims idClaims
	if err := s.signer.VerifyHint(token, idType, s.issuer, &claims); err != nil {
		return Hint{}, fmt.Errorf("%w: %w", ErrUnknown, err)
	}
	h := Hint{Subject: claims.Subject, ClientID: slices.Clone(claims.Audience)}
	if id, err := uuid.Parse(claims.SessionID); err == nil {
		h.Session = id
	}
	return h, nil
}
