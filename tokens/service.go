// Package tokens issues what users and clients get once they have authenticated:
// authorization codes, sessions, refresh tokens, access tokens and ID tokens. Codes come
// from a [Login], which records that a user is signed in to a browser at the hosted pages.
//
// A session is one sign-in, kept as one row. Its counter says which refresh
// token is current; a refresh token is the session's id and a counter under a
// MAC, so the tokens themselves are stored nowhere. Refreshing moves the
// counter by compare-and-swap: however many callers race, on however many
// replicas, one moves it. The row remembers when its last few rotations
// happened, which tells a lost response (superseded a moment ago: answered with
// the token that is current now) from a theft (superseded long ago: the session
// ends). See [Service.Refresh].
//
// Access tokens are signed JWTs (RFC 9068) that resource servers verify by
// themselves. Our own endpoints also ask whether the session still lives:
// [Service.Authenticate].
package tokens

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"countersign/audit"
	"countersign/caller"
	"countersign/ids"
	"countersign/oauth"
	"countersign/seal"
)

// Signer signs and verifies JWTs with the current signing keys.
type Signer interface {
	// Sign returns claims as a JWT of the given typ. The empty alg is the
	// one access tokens are signed with.
	Sign(now time.Time, alg, typ string, claims jwt.Claims) (string, error)
	// Verify checks everything about a JWT of ours except its audience and scopes, and
	// reads its claims.
	Verify(now time.Time, token, typ, issuer string, claims jwt.Claims) error
	// VerifyHint is Verify for a token that may have expired.
	VerifyHint(token, typ, issuer string, claims jwt.Claims) error
}

// Options are the parts of a Service. All are required except Claims and Log.
type Options struct {
	Store      Store
	Signer     Signer
	Seal       *seal.Keys
	Issuer     string // the "iss" of every token
	IDTokenAlg string // signs ID tokens of clients without a choice of their own
	Settings   Settings

	// Claims returns those of the named claims of a user that have a value, for ID
	// tokens. nil: none do.
	Claims func(ctx context.Context, user ids.User, names []string) (map[string]any, error)

	Log *slog.Logger
}

// Service issues, rotates and revokes tokens. It is safe for concurrent use.
type Service struct {
	Sessions
	signer     Signer
	seal       *seal.Keys
	issuer     string
	idTokenAlg string
	settings   Settings

	claims func(ctx context.Context, user ids.User, names []string) (map[string]any, error)
	log    *slog.Logger
}

// New returns a Service. It refuses settings that don't pass their Check.
func New(o Options) (*Service, error) {
	if err := o.Settings.Check(); err != nil {
		return nil, fmt.Errorf("tokens: %w", err)
	}
	if len(o.Settings.Audience) == 0 {
		o.Settings.Audience = []string{o.Issuer}
	}
	log := o.Log
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	return &Service{
		Sessions: NewSessions(o.Store),
		signer:   o.Signer, seal: o.Seal, issuer: o.Issuer, idTokenAlg: o.IDTokenAlg, settings: o.Settings,
		claims: o.Claims, log: log,
	}, nil
}

// A SignIn is a user who has just authenticated.
type SignIn struct {
	UserID   ids.User
	Epoch    int64 // the account's, read before the proof was checked
	Roles    []string
	AuthTime time.Time
	Methods  oauth.Methods // what the user has proven then
}

// Issued is a set of tokens.
type Issued struct {
	AccessToken  string
	ExpiresIn    time.Duration // of the access token
	RefreshToken string        // empty if the client gets none
	IDToken      string        // empty without the openid scope
	Scopes       oauth.Scopes  // of the access token
	Session      Session       // as it stands now; the zero Session if there is none
}

// Start opens a session for a user who signed in at a client. A request without scopes
// gets all that the client may have except those of oauth.ByName; one without resources
// gets all of the client's. Its errors are those of CanStart, ErrClass if the user has proven
// less than the client requires, and ErrUserGone if the account changed meanwhile.
func (s *Service) Start(ctx context.Context, now time.Time, to oauth.Recipient, who SignIn, ask oauth.Scopes, resources []string, from caller.Caller) (Issued, error) {
	holds, err := grant(to, ask)
	if err != nil {
		return Issued{}, err
	}
	if !who.Methods.Reaches(to.RequireACR) {
		return Issued{}, ErrClass
	}
	scopes, audience, err := s.aim(to, holds, holds, nil, resources)
	if err != nil {
		return Issued{}, err
	}
	session := s.newSession(now, to, who, holds, from.Device())
	session.Details.Resources = resources
	// The tokens come first, or a failure to sign them would leave a session that no
	// client holds.
	issued, err := s.issue(ctx, now, to, &session, scopes, audience, "")
	if err != nil {
		return Issued{}, err
	}
	if err := s.store.CreateSession(ctx, session, who.Epoch, sessionEvent(audit.SessionCreated, now, &session, from)); err != nil {
		return Issued{}, fmt.Errorf("create session: %w", err)
	}
	return issued, nil
}

// CanStart returns why Start refuses a client these scopes and resources, whatever the
// user is: ErrScope, ErrTarget or ErrAccountScope.
func (s *Service) CanStart(to oauth.Recipient, ask oauth.Scopes, resources []string) error {
	holds, err := grant(to, ask)
	if err == nil {
		_, _, err = s.aim(to, holds, holds, nil, resources)
	}
	return err
}

// newSession returns a session of a user who signed in at a client, not stored yet.
func (s *Service) newSession(now time.Time, to oauth.Recipient, who SignIn, scopes oauth.Scopes, device string) Session {
	session := Session{
		ID: ids.New[ids.Session](), UserID: who.UserID, ClientID: to.ClientID, Scopes: scopes, Roles: who.Roles, Device: device,
		AuthTime: who.AuthTime, Methods: who.Methods, CreatedAt: now, LastUsedAt: now,
		AbsoluteExpiresAt: now.Add(s.settings.RefreshAbsoluteTTL),
	}
	if to.InCookie {
		session.ProvenAt = who.AuthTime
	}
	if !to.Refresh {
		// Without a refresh token the session ends with its only access token.
		session.AbsoluteExpiresAt = now.Add(s.settings.AccessTTL)
	}
	session.ExpiresAt = s.idleEnd(now, session.AbsoluteExpiresAt)
	return session
}

// ForClient makes an access token for the client itself (RFC 6749 section 4.4), with no
// session, no refresh token (section 4.4.3) and no scope about a user. It returns
// ErrScope or ErrTarget.
func (s *Service) ForClient(now time.Time, to oauth.Recipient, ask oauth.Scopes, resources []string) (Issued, error) {
	to.Scopes = to.Scopes.Without(oauth.UserScopes)
	scopes, err := grant(to, ask)
	if err != nil {
		return Issued{}, err
	}
	audience, err := s.audienceFor(to, scopes, nil, resources)
	if err != nil {
		return Issued{}, err
	}
	access, err := s.accessToken(now, to, nil, scopes, audience)
	if err != nil {
		return Issued{}, fmt.Errorf("sign access token: %w", err)
	}
	return Issued{AccessToken: access, ExpiresIn: s.settings.AccessTTL, Scopes: scopes}, nil
}

// grant is what the client gets when it asks for ask.
func grant(to oauth.Recipient, ask oauth.Scopes) (oauth.Scopes, error) {
	if len(ask) == 0 {
		return to.Scopes.Without(oauth.ByName), nil
	}
	if !ask.Within(to.Scopes) {
		return nil, ErrScope
	}
	return ask, nil
}

// Refresh answers a refresh token with new tokens (RFC 6749 section 6).
//
// The current token is superseded by the next. A token superseded within the replay
// window belongs to a caller whose response was lost, or to another tab that raced: it
// gets the current token, and nothing moves. A token superseded earlier has been copied,
// and we can't tell the thief from the client, so the session ends: ErrReused. Any other
// bad token, another client's among them, is ErrUnknown and changes nothing. ask and
// resources may narrow the access token, not the session; asking for more is ErrScope or
// ErrTarget and spends nothing. The access token has the scope account only if ask names
// it: see aim, whose ErrAccountScope spends nothing either.
func (s *Service) Refresh(ctx context.Context, now time.Time, to oauth.Recipient, token string, ask oauth.Scopes, resources []string, from caller.Caller) (Issued, error) {
	id, counter, ok := s.parseRefreshToken(token)
	if !ok {
		return Issued{}, ErrUnknown
	}
	// A caller that loses the swap reads again, and then holds a superseded token. More
	// than a few rounds mean that reads lag behind writes.
	for range 3 {
		session, standing, err := s.present(ctx, now, to.ClientID, id, counter, from)
		if err != nil {
			return Issued{}, err
		}
		if !session.Methods.Reaches(to.RequireACR) {
			return Issued{}, ErrClass
		}
		may, err := entitled(to, session.Consent) // the client may have lost some since
		if err != nil {
			return Issued{}, err
		}
		holds := session.Scopes.And(may)
		wants := holds.Without(oauth.Scopes{oauth.ScopeAccount})
		if len(ask) > 0 {
			if !ask.Within(session.Scopes) {
				return Issued{}, ErrScope
			}
			wants = ask.And(holds)
		} else if len(wants) == 0 && len(holds) > 0 {
			return Issued{}, ErrAccountScope
		}
		scopes, audience, err := s.aim(to, holds, wants, session.Details.Resources, resources)
		if err != nil {
			return Issued{}, err
		}
		if standing == current {
			session = session.rotated(now, s.settings.RefreshIdleTTL)
		}
		issued, err := s.issue(ctx, now, to, &session, scopes, audience, "")
		if err != nil { // before the counter moves
			return Issued{}, err
		}
		if standing == current {
			err := s.store.AdvanceSession(ctx, session, now)
			if errors.Is(err, ErrStale) {
				continue
			}
			if err != nil {
				return Issued{}, fmt.Errorf("advance session: %w", err)
			}
		}
		return issued, nil
	}
	return Issued{}, fmt.Errorf("refresh session %s: %w", id, ErrStale)
}

// present returns the session of a refresh token that is current or superseded within the
// window. A reused one ends the session.
func (s *Service) present(ctx context.Context, now time.Time, clientID ids.Client, id ids.Session, counter uint64, from caller.Caller) (Session, standing, error) {
	session, err := s.store.Session(ctx, id, now)
	if err != nil {
		return Session{}, undecidable, fmt.Errorf("find session: %w", err)
	}
	if session.ClientID != clientID {
		return Session{}, undecidable, ErrUnknown
	}
	standing := session.standing(counter, now, s.settings.RefreshReplayWindow)
	switch standing {
	case reused:
		return Session{}, standing, s.endReused(ctx, now, &session, from)
	case undecidable:
		return Session{}, standing, ErrUnknown
	}
	return session, standing, nil
}

// Holder returns the session of a client's refresh token that is current or superseded
// within the replay window, and changes nothing. A token superseded earlier ends the
// session: ErrReused. Any other is ErrUnknown.
func (s *Service) Holder(ctx context.Context, now time.Time, clientID ids.Client, token string, from caller.Caller) (Session, error) {
	id, counter, ok := s.parseRefreshToken(token)
	if !ok {
		return Session{}, ErrUnknown
	}
	session, _, err := s.present(ctx, now, clientID, id, counter, from)
	return session, err
}

// SignOut ends the session of a client's refresh token; a superseded token may sign out,
// too. It returns ErrUnknown if there is no such session.
func (s *Service) SignOut(ctx context.Context, now time.Time, clientID ids.Client, token string, from caller.Caller) error {
	session, err := s.SessionOf(ctx, now, clientID, token)
	if err != nil {
		return err
	}
	return s.end(ctx, now, &session, from)
}

// SignOutWithLogin is SignOut, and also ends the session's login.
func (s *Service) SignOutWithLogin(ctx context.Context, now time.Time, clientID ids.Client, token string, from caller.Caller) error {
	session, err := s.SessionOf(ctx, now, clientID, token)
	if err != nil {
		return err
	}
	return s.endSignIn(ctx, now, &session, from)
}

// SessionOf returns the live session of a client's refresh token, current or not, or
// ErrUnknown.
func (s *Service) SessionOf(ctx context.Context, now time.Time, clientID ids.Client, token string) (Session, error) {
	session, _, err := s.refreshable(ctx, now, token)
	if err == nil && session.ClientID != clientID {
		err = ErrUnknown
	}
	if err != nil {
		return Session{}, err
	}
	return session, nil
}

// refreshable returns the live session of any client's refresh token, current or not, and
// the token's counter, or ErrUnknown.
func (s *Service) refreshable(ctx context.Context, now time.Time, token string) (Session, uint64, error) {
	id, counter, ok := s.parseRefreshToken(token)
	if !ok {
		return Session{}, 0, ErrUnknown
	}
	session, err := s.store.Session(ctx, id, now)
	if err != nil {
		return Session{}, 0, fmt.Errorf("find session: %w", err)
	}
	return session, counter, nil
}

// endReused ends a session whose refresh token was reused.
func (s *Service) endReused(ctx context.Context, now time.Time, session *Session, from caller.Caller) error {
	err := s.store.EndSession(ctx, session.ID, sessionEvent(audit.SessionReused, now, session, from))
	if err != nil && !errors.Is(err, ErrUnknown) { // unknown: another call ended it first
		return fmt.Errorf("end reused session: %w", err)
	}
	s.log.WarnContext(ctx, "refresh token reused, session revoked",
		"subject", session.UserID, "client_id", session.ClientID, "sid", session.ID)
	return ErrReused
}

// issue makes the tokens of a session.
func (s *Service) issue(ctx context.Context, now time.Time, to oauth.Recipient, session *Session, scopes oauth.Scopes, audience []string, nonce string) (Issued, error) {
	out := Issued{ExpiresIn: s.settings.AccessTTL, Scopes: scopes, Session: *session}
	var err error
	if out.AccessToken, err = s.accessToken(now, to, session, scopes, audience); err != nil {
		return Issued{}, fmt.Errorf("sign access token: %w", err)
	}
	if scopes.Has(oauth.ScopeOpenID) && !to.InCookie {
		if out.IDToken, err = s.idToken(ctx, now, to, session, scopes, out.AccessToken, nonce); err != nil {
			return Issued{}, fmt.Errorf("sign id token: %w", err)
		}
	}
	if to.Refresh {
		out.RefreshToken = s.refreshToken(session.ID, session.Counter)
	}
	return out, nil
}
