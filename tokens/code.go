package tokens

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"time"

	"countersign/audit"
	"countersign/caller"
	"countersign/ids"
	"countersign/oauth"
)

// Details are what an authorization request asks for in addition to scopes. The session
// keeps them for its later tokens.
type Details struct {
	Resources      []string `json:"resources,omitempty"`       // RFC 8707; empty: all that the client has
	IDTokenClaims  []string `json:"id_token_claims,omitempty"` // OpenID Connect Core section 5.5
	UserInfoClaims []string `json:"userinfo_claims,omitempty"`
}

// Code is an authorization code (RFC 6749 section 4.1.2), what it was issued for, and
// what it was exchanged for.
type Code struct {
	ID        [sha256.Size]byte // digest of the code; the code itself is not stored
	ClientID  ids.Client
	UserID    ids.User
	Epoch     int64     // the account's; the code is dead in any other
	LoginID   ids.Login // the login it was issued for; the code dies with it
	AuthTime  time.Time
	Methods   oauth.Methods // of the login
	Scopes    oauth.Scopes
	Device    string
	ExpiresAt time.Time
	// WithoutLogin says that the user has signed in without a browser, so that LoginID is zero.
	// Otherwise the login must live when the code is written. Not read back.
	WithoutLogin bool
	// WithoutConsent says that the client needs no consent. Otherwise the user's consent
	// must exist when the code is written. Not read back.
	WithoutConsent bool

	RedirectURI string // of the authorization request, which the exchange must repeat; empty: it had none
	Nonce       string
	Challenge   string // S256 code_challenge (RFC 7636); empty: none
	Details     Details

	SessionID ids.Session // the session it was exchanged for; zero: none yet
	Roles     []string    // the user's roles as they are now; not written
	// Consent is what the user lets the client have now, nil if nothing; not written either.
	Consent oauth.Scopes
}

// CodeStore stores codes. Every method is atomic and safe for concurrent use, across all
// replicas.
type CodeStore interface {
	// CreateCode adds c and moves the login's expiry to loginExpires, if the login is live
	// at now and the consent that c needs exists. It returns ErrUnknown if not, or if the
	// client does not exist. For a code WithoutLogin the user must be enabled and in its epoch.
	CreateCode(ctx context.Context, c Code, loginExpires, now time.Time) error
	// Code returns a code, even an expired or used one, or ErrUnknown if there is none.
	Code(ctx context.Context, id [sha256.Size]byte) (Code, error)
	// RedeemCode marks a code as exchanged for s, adds s under the code's present login,
	// and writes ev, if the code is live at now and unused, its user enabled and in the
	// code's epoch, and its login, if it has one, live. Of any number of concurrent calls
	// for one code exactly one succeeds; the others get ErrCodeUsed. It returns ErrUnknown
	// if the code is not live or s is another client's, ErrUserGone if the user or the login
	// is not live. A concurrent call that ends the login, the user's or the client's
	// sessions, or the consent comes either before, so that no session begins, or after,
	// and ends the session.
	RedeemCode(ctx context.Context, c Code, s Session, now time.Time, ev audit.Event) error
	// PurgeCodes removes at most limit codes that expired by before and returns how many.
	PurgeCodes(ctx context.Context, before time.Time, limit int) (int64, error)
}

// Reasons to refuse a code, in addition to ErrUnknown.
var (
	// ErrCodeUsed says that the code was exchanged before; its session has ended.
	ErrCodeUsed = errors.New("authorization code used twice")
	// ErrVerifier says that the code_verifier is missing, does not match the
	// code_challenge, or comes without a challenge.
	ErrVerifier = errors.New("code_verifier does not match code_challenge")
	// ErrNoRedirectURI says that the redirect_uri is missing that the code was asked for with.
	ErrNoRedirectURI = errors.New("redirect_uri is missing")
	// ErrTarget says that the client asked for a resource that is not among its own.
	ErrTarget = errors.New("resource is not one of the client's")
)

// codeTTL is the life of a code: the client is only a redirect away.
const codeTTL = time.Minute

// codesKept is how long an expired code is kept, to notice a second use.
const codesKept = 10 * time.Minute

const codePrefix = "cs_ac_" // lets secret scanners recognise a code

// Asked is what a client asks for at the authorization endpoint, or the authorization
// challenge endpoint.
type Asked struct {
	Scopes      oauth.Scopes // none: all that the client may have less oauth.ByName
	RedirectURI string       // empty: none, at the authorization challenge endpoint
	Nonce       string
	Challenge   string
	Details     Details
	// WithoutConsent is for our own clients, which need no consent of the user.
	WithoutConsent bool
}

// Granted returns the scopes that a client gets when it asks for these scopes and
// resources, or ErrScope or ErrTarget.
func (s *Service) Granted(to oauth.Recipient, ask oauth.Scopes, resources []string) (oauth.Scopes, error) {
	holds, err := grant(to, ask)
	if err != nil {
		return nil, err
	}
	if _, err := s.audienceFor(to, holds, nil, resources); err != nil {
		return nil, err
	}
	return holds, nil
}

// IssueCode returns a code for the user of l. It returns ErrScope or ErrTarget if ask
// exceeds what the client may have, ErrClass if the user has proven less than the client
// requires, and ErrUnknown if the login has ended or the user has revoked the consent.
func (s *Service) IssueCode(ctx context.Context, now time.Time, to oauth.Recipient, l *Login, ask Asked) (string, error) {
	return s.issueCode(ctx, now, to, Code{
		UserID: l.UserID, Epoch: l.Epoch, LoginID: l.ID, AuthTime: l.AuthTime, Methods: l.Methods, Device: l.Device,
	}, s.idleEnd(now, l.AbsoluteExpiresAt), ask)
}

// IssueCodeWithoutLogin is IssueCode for a user who has signed in at the client itself, without
// a browser. The code and the session that comes of it belong to no login: they end as those
// of the password grant do, with the client's session, a new password or all of the user's
// sessions. It returns ErrUserGone if the account changed meanwhile.
func (s *Service) IssueCodeWithoutLogin(ctx context.Context, now time.Time, to oauth.Recipient, who SignIn, ask Asked, from caller.Caller) (string, error) {
	code, err := s.issueCode(ctx, now, to, Code{
		UserID: who.UserID, Epoch: who.Epoch, AuthTime: who.AuthTime, Methods: who.Methods, Device: from.Device(), WithoutLogin: true,
	}, time.Time{}, ask)
	if errors.Is(err, ErrUnknown) {
		err = ErrUserGone
	}
	return code, err
}

// issueCode writes c as a new code for what a client asks.
func (s *Service) issueCode(ctx context.Context, now time.Time, to oauth.Recipient, c Code, loginExpires time.Time, ask Asked) (code string, err error) {
	if c.Scopes, err = s.Granted(to, ask.Scopes, ask.Details.Resources); err != nil {
		return "", err
	}
	if !c.Methods.Reaches(to.RequireACR) {
		return "", ErrClass
	}
	code = newCode()
	c.ID, c.ClientID, c.ExpiresAt = sha256.Sum256([]byte(code)), to.ClientID, now.Add(codeTTL)
	c.RedirectURI, c.Nonce, c.Challenge, c.Details, c.WithoutConsent = ask.RedirectURI, ask.Nonce, ask.Challenge, ask.Details, ask.WithoutConsent
	if err := s.store.CreateCode(ctx, c, loginExpires, now); err != nil {
		return "", fmt.Errorf("create code: %w", err)
	}
	return code, nil
}

// newCode returns 256 random bits.
func newCode() string {
	var b [32]byte
	rand.Read(b[:])
	return codePrefix + base64.RawURLEncoding.EncodeToString(b[:])
}

// Exchange is a client's request to exchange a code (RFC 6749 section 4.1.3).
type Exchange struct {
	Code        string
	RedirectURI string   // empty: none
	Verifier    string   // code_verifier (RFC 7636); empty: none
	Resources   []string // the requested resources that the access token is for; empty: all
}

// Redeem exchanges a code for the tokens of a new session. It returns ErrUnknown for a
// bad code or another client's, ErrNoRedirectURI, ErrVerifier for a verifier that does not
// match, and ErrClass if the client requires more of its users by now. None of them spends
// the code, or an attacker who saw it could keep its client from using it.
// A used code is ErrCodeUsed and ends the session of its first use: one of the two
// callers stole the code, and we can't know which (RFC 6749 section 4.1.2).
func (s *Service) Redeem(ctx context.Context, now time.Time, to oauth.Recipient, x Exchange, from caller.Caller) (Issued, error) {
	if !strings.HasPrefix(x.Code, codePrefix) {
		return Issued{}, ErrUnknown
	}
	code, err := s.store.Code(ctx, sha256.Sum256([]byte(x.Code)))
	if err != nil {
		return Issued{}, fmt.Errorf("find code: %w", err)
	}
	switch {
	case code.ClientID != to.ClientID:
		return Issued{}, ErrUnknown
	case x.RedirectURI == "" && code.RedirectURI != "":
		return Issued{}, ErrNoRedirectURI
	case code.RedirectURI != x.RedirectURI:
		return Issued{}, ErrUnknown
	case !code.verifies(x.Verifier):
		return Issued{}, ErrVerifier
	case !code.SessionID.IsZero():
		return Issued{}, s.endCodeUsed(ctx, now, &code, from)
	case !now.Before(code.ExpiresAt):
		return Issued{}, ErrUnknown
	}
	if !code.Methods.Reaches(to.RequireACR) { // the client requires more since
		return Issued{}, ErrClass
	}
	may, err := entitled(to, code.Consent) // the client may have lost some since
	if err != nil {
		return Issued{}, err
	}
	holds := code.Scopes.And(may)
	scopes, audience, err := s.aim(to, holds, holds, code.Details.Resources, x.Resources)
	if err != nil {
		return Issued{}, err
	}
	session := s.newSession(now, to, SignIn{
		UserID: code.UserID, Epoch: code.Epoch, Roles: code.Roles, AuthTime: code.AuthTime, Methods: code.Methods,
	}, holds, code.Device)
	session.LoginID, session.Details, session.Consent = code.LoginID, code.Details, code.Consent
	issued, err := s.issue(ctx, now, to, &session, scopes, audience, code.Nonce)
	if err != nil {
		return Issued{}, err
	}
	err = s.store.RedeemCode(ctx, code, session, now, sessionEvent(audit.SessionCreated, now, &session, from))
	if errors.Is(err, ErrCodeUsed) { // a moment ago
		if code, err = s.store.Code(ctx, code.ID); err == nil {
			err = s.endCodeUsed(ctx, now, &code, from)
		}
	}
	if err != nil {
		return Issued{}, fmt.Errorf("redeem code: %w", err)
	}
	return issued, nil
}

// verifies reports whether the verifier matches the code's S256 challenge (RFC 7636
// section 4.6). A verifier without a challenge means that an attacker removed the
// challenge from the request (RFC 9700 section 4.8.2).
func (c *Code) verifies(verifier string) bool {
	if c.Challenge == "" {
		return verifier == ""
	}
	sum := sha256.Sum256([]byte(verifier))
	return subtle.ConstantTimeCompare([]byte(base64.RawURLEncoding.EncodeToString(sum[:])), []byte(c.Challenge)) == 1
}

// endCodeUsed ends the session of a code that is presented a second time.
func (s *Service) endCodeUsed(ctx context.Context, now time.Time, code *Code, from caller.Caller) error {
	ev := from.Event(now, audit.CodeReused)
	ev.UserID, ev.ClientID, ev.SessionID = code.UserID, code.ClientID, code.SessionID
	err := s.store.EndSession(ctx, code.SessionID, ev)
	if err != nil && !errors.Is(err, ErrUnknown) { // unknown: it has ended
		return fmt.Errorf("end session of a code used twice: %w", err)
	}
	s.log.WarnContext(ctx, "authorization code used twice, session revoked",
		"subject", code.UserID, "client_id", code.ClientID, "sid", code.SessionID)
	return ErrCodeUsed
}

// PurgeCodes removes at most limit codes that are no longer needed and returns how many.
func (s *Service) PurgeCodes(ctx context.Context, now time.Time, limit int) (int64, error) {
	return s.store.PurgeCodes(ctx, now.Add(-codesKept), limit)
}
