package tokens

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"countersign/audit"
	"countersign/caller"
	"countersign/ids"
	"countersign/oauth"
)

// A Login records that a user is signed in to a browser at the hosted pages. Clients get
// authorization codes from it without asking for the password again. OpenID Connect calls
// it the End-User's session at the OP. The sessions of clients are separate.
type Login struct {
	ID       ids.Login
	UserID   ids.User
	Epoch    int64         // the account's when it began; the login is dead in any other
	AuthTime time.Time     // when the user last signed in here
	Methods  oauth.Methods // what the user has proven then

	CreatedAt         time.Time
	ExpiresAt         time.Time // the earlier of idle and absolute end
	AbsoluteExpiresAt time.Time // never moves
	Device            string    // readable label of the browser, or empty

	Username string // of the user now, or the address of one without; not written
}

// LoginStore stores logins. Every method is atomic and safe for concurrent use, across
// all replicas.
type LoginStore interface {
	// CreateLogin adds l and writes ev if the user exists, is enabled and is in l's epoch.
	// Otherwise it returns ErrUserGone. If the user then has more than MaxLogins, it removes
	// the oldest as ForgetLogin does and writes a LoginEnded for each that was live.
	CreateLogin(ctx context.Context, l Login, ev audit.Event) error
	// Login returns a login that is live at now, or ErrUnknown.
	Login(ctx context.Context, id ids.Login, now time.Time) (Login, error)
	// ReplaceLogin is CreateLogin, and removes the user's login old, which must be live at
	// now, and moves its sessions and codes to l. Letters asked for in old end with it. It
	// returns ErrUnknown if there is no such login.
	ReplaceLogin(ctx context.Context, old ids.Login, l Login, now time.Time, ev audit.Event) error
	// UserLogins lists a user's logins that are live at now, newest first.
	UserLogins(ctx context.Context, user ids.User, now time.Time) ([]Login, error)
	// ForgetLogin removes a login and keeps its sessions; its codes are dead. A missing
	// login is no error.
	ForgetLogin(ctx context.Context, id ids.Login) error
	// EndLogin removes a login and its sessions and writes ev. Sessions with
	// offline_access outlive it (OpenID Connect Core section 11). Its codes are dead, but
	// their second use is still noticed. It returns ErrUnknown if there is no such login.
	EndLogin(ctx context.Context, id ids.Login, ev audit.Event) error
	// PurgeLogins removes at most limit logins that have expired at now, keeps their
	// sessions, and returns how many.
	PurgeLogins(ctx context.Context, now time.Time, limit int) (int64, error)
}

// A login's token is its id (seal.Keys.Token), which the browser keeps in a cookie.
const (
	loginPrefix  = "cs_li_"
	loginPurpose = "login"
)

// LoginToken returns the token of a login, which the browser keeps.
func (s *Service) LoginToken(l *Login) string {
	return s.seal.Token(loginPrefix, loginPurpose, l.ID[:])
}

// LoginOf returns the live login of a browser by its tokens, or ErrUnknown if no user is
// signed in. A browser keeps one token. Where live ones of several users come, another
// program has planted its own, and the user would act as an attacker: none counts.
func (s *Service) LoginOf(ctx context.Context, now time.Time, candidates []string) (Login, error) {
	live, err := s.LoginsOf(ctx, now, candidates)
	if err != nil {
		return Login{}, err
	}
	if len(live) == 0 || slices.ContainsFunc(live, func(l Login) bool { return l.UserID != live[0].UserID }) {
		return Login{}, ErrUnknown
	}
	return live[0], nil
}

// LoginsOf returns the live logins of a browser's tokens, each once.
func (s *Service) LoginsOf(ctx context.Context, now time.Time, candidates []string) ([]Login, error) {
	var live []Login
	seen := map[ids.Login]bool{}
	for _, token := range candidates {
		raw, ok := s.seal.OpenToken(loginPrefix, loginPurpose, token)
		if !ok || len(raw) != len(ids.Login{}) || seen[ids.Login(raw)] {
			continue
		}
		seen[ids.Login(raw)] = true
		l, err := s.store.Login(ctx, ids.Login(raw), now)
		switch {
		case err == nil:
			live = append(live, l)
		case !errors.Is(err, ErrUnknown):
			return nil, err
		}
	}
	return live, nil
}

// IsLive returns nil if a login is live, or ErrUnknown.
func (s *Service) IsLive(ctx context.Context, now time.Time, id ids.Login) error {
	_, err := s.store.Login(ctx, id, now)
	return err
}

// SignInBrowser starts a new login for the user in this browser, replacing had, which may
// be nil. The new login makes copies of had's token worthless, and takes over had's
// sessions and codes if they are the same user's. It returns ErrUserGone if the account
// changed meanwhile.
func (s *Service) SignInBrowser(ctx context.Context, now time.Time, who SignIn, had *Login, from caller.Caller) (Login, error) {
	l := Login{
		ID: ids.New[ids.Login](), UserID: who.UserID, Epoch: who.Epoch, AuthTime: who.AuthTime, Methods: who.Methods, CreatedAt: now, Device: from.Device(),
		AbsoluteExpiresAt: now.Add(s.settings.RefreshAbsoluteTTL),
	}
	l.ExpiresAt = s.idleEnd(now, l.AbsoluteExpiresAt)
	ev := from.Event(now, audit.LoginCreated)
	ev.UserID = l.UserID
	if had != nil && had.UserID == who.UserID {
		err := s.store.ReplaceLogin(ctx, had.ID, l, now, ev)
		if err == nil {
			return l, nil
		}
		if !errors.Is(err, ErrUnknown) { // unknown: it has ended meanwhile
			return Login{}, fmt.Errorf("replace login: %w", err)
		}
	}
	if err := s.store.CreateLogin(ctx, l, ev); err != nil {
		return Login{}, fmt.Errorf("create login: %w", err)
	}
	if had != nil {
		if err := s.store.ForgetLogin(ctx, had.ID); err != nil {
			s.log.WarnContext(ctx, "the browser's former login lives on", "subject", had.UserID, "err", err)
		}
	}
	return l, nil
}

// SignOutBrowser ends a login and its sessions, except those with offline_access. A login
// that has already ended is no error.
func (s *Service) SignOutBrowser(ctx context.Context, now time.Time, l *Login, from caller.Caller) error {
	err := s.store.EndLogin(ctx, l.ID, loginEnded(now, l, from))
	if err != nil && !errors.Is(err, ErrUnknown) {
		return fmt.Errorf("end login: %w", err)
	}
	return nil
}

func loginEnded(now time.Time, l *Login, from caller.Caller) audit.Event {
	ev := from.Event(now, audit.LoginEnded)
	ev.UserID = l.UserID
	return ev
}

// LoginsOfUser lists a user's live logins, newest first.
func (s Sessions) LoginsOfUser(ctx context.Context, now time.Time, user ids.User) ([]Login, error) {
	return s.store.UserLogins(ctx, user, now)
}

// EndLoginOf is SignOutBrowser for one of the user's logins. ErrUnknown if it is not the
// user's, or has ended.
func (s Sessions) EndLoginOf(ctx context.Context, now time.Time, user ids.User, id ids.Login, from caller.Caller) error {
	l, err := s.store.Login(ctx, id, now)
	if err != nil {
		return err
	}
	if l.UserID != user {
		return ErrUnknown
	}
	return s.store.EndLogin(ctx, id, loginEnded(now, &l, from))
}

// idleEnd returns when something last used now ends, unless it is used again.
func (s *Service) idleEnd(now, absolute time.Time) time.Time {
	return earlier(now.Add(s.settings.RefreshIdleTTL), absolute)
}

// Hint is the content of an id_token_hint, one of our ID tokens, with which a client names
// a user (OpenID Connect Core section 3.1.2.1). It proves nothing, and may have expired.
type Hint struct {
	Subject  string
	ClientID []ids.Client // its audience: one client, but a token may name more
	Session  ids.Session
}

// ReadHint reads an id_token_hint. It returns ErrUnknown unless a key that we still have
// signed it.
func (s *Service) ReadHint(token string) (Hint, error) {
	var claims idClaims
	if err := s.signer.VerifyHint(token, idType, s.issuer, &claims); err != nil {
		return Hint{}, fmt.Errorf("%w: %w", ErrUnknown, err)
	}
	if claims.ClientID != "" {
		return Hint{}, fmt.Errorf("%w: it is an access token", ErrUnknown)
	}
	h := Hint{Subject: claims.Subject}
	for _, name := range claims.Audience {
		h.ClientID = append(h.ClientID, ids.Client(name))
	}
	if id, err := ids.Parse[ids.Session](claims.SessionID); err == nil {
		h.Session = id
	}
	return h, nil
}
