// Package signin is where a proof becomes a sign-in. A caller brings a [Proof] of who a
// user is; [Service.Prove] answers with an [Outcome]: the user is signed in, or has
// something left to do, or the proof is refused. Only the Outcome of a user who is
// signed in opens a session ([Service.Start]) or a login ([Service.Enter]).
//
// Each way to prove something is a file with a type of its own, which implements Proof.
// [Browser] adds what /session does for our own applications. The package knows no HTTP.
package signin

import (
	"context"
	"errors"
	"fmt"
	"time"

	"countersign/accounts"
	"countersign/caller"
	"countersign/oauth"
	"countersign/tokens"
)

// ErrIncomplete says that an Outcome is used as a sign-in that is none: something is
// still due, or the Outcome is the zero value. The caller has to look at its State.
var ErrIncomplete = errors.New("the user is not signed in")

// ErrLoginRequired says that no user is signed in: there is no session or login, or it
// has ended.
var ErrLoginRequired = errors.New("no user is signed in")

// Proof is what shows who a user is: a [Password], an [OwnPassword], a [Code], a
// [SignUp] or a [Remembered] login. A nil Proof proves nothing.
type Proof interface {
	prove(context.Context, *Service, attempt) (Outcome, error)
}

// attempt is what surrounds a proof.
type attempt struct {
	now  time.Time
	to   oauth.Recipient // the client that the sign-in is at; the zero Recipient is none
	from caller.Caller
}

// State says what a proof comes to. The zero State is Refused.
type State int

// The states.
const (
	Refused    State = iota // the user is not signed in
	SignedIn                // nothing is due any more
	AddressDue              // the user first proves the address that a letter went to
)

func (s State) String() string {
	switch s {
	case Refused:
		return "refused"
	case SignedIn:
		return "signed in"
	case AddressDue:
		return "address due"
	default:
		return fmt.Sprintf("state %d", int(s))
	}
}

// Method names what a user has proven, as RFC 8176 does.
type Method string

// MethodPassword is a password.
const MethodPassword Method = "pwd"

// Outcome is what a proof comes to. The zero Outcome refuses, and so does every Outcome
// of a State but SignedIn.
type Outcome struct {
	State State
	// User is the account as it was before the proof was checked. Of a Remembered login
	// only the ID, the Username and the Epoch are known.
	User     accounts.User
	Methods  []Method // what the user has proven now; a Code and a login don't tell
	AuthTime time.Time
	// Login is the browser's login that a Remembered proof found; otherwise nil.
	Login *tokens.Login

	issued *tokens.Issued // what a Code was exchanged for, which Start returns
}

// Service turns proofs into sign-ins. It is safe for concurrent use.
type Service struct {
	users  *accounts.Users
	tokens *tokens.Service
}

// New returns a Service. Both parts are required.
func New(users *accounts.Users, issuer *tokens.Service) *Service {
	return &Service{users: users, tokens: issuer}
}

// Prove checks a proof. A proof that is no good is an error, which the type of the proof
// names. Without an error the caller looks at the State of the Outcome.
func (s *Service) Prove(ctx context.Context, now time.Time, p Proof, from caller.Caller) (Outcome, error) {
	return s.prove(ctx, p, attempt{now: now, from: from})
}

// prove is Prove at a client. It alone runs a proof, so that what every sign-in has to
// pass stands here.
func (s *Service) prove(ctx context.Context, p Proof, a attempt) (Outcome, error) {
	if p == nil {
		return Outcome{}, ErrIncomplete
	}
	o, err := p.prove(ctx, s, a)
	if err != nil {
		return Outcome{}, err
	}
	return o, nil
}

// proven is the Outcome of a user who has just proven who they are.
func proven(now time.Time, user accounts.User, methods ...Method) Outcome {
	return Outcome{State: SignedIn, User: user, Methods: methods, AuthTime: now}
}

// Start opens a session at a client for a user who is signed in. It returns what
// tokens.Service.Start does, but accounts.ErrBadCredentials if the account changed since
// the proof; and ErrIncomplete.
func (s *Service) Start(ctx context.Context, now time.Time, to oauth.Recipient, o *Outcome, ask oauth.Scopes, resources []string, from caller.Caller) (tokens.Issued, error) {
	if o.State != SignedIn {
		return tokens.Issued{}, fmt.Errorf("%w: %v", ErrIncomplete, o.State)
	}
	if o.issued != nil {
		return *o.issued, nil
	}
	issued, err := s.tokens.Start(ctx, now, to, tokens.SignIn{
		UserID: o.User.ID, Epoch: o.User.Epoch, Roles: o.User.Roles, AuthTime: o.AuthTime,
	}, ask, resources, from)
	return issued, changed(err)
}

// Enter starts a new login in a browser for a user who is signed in, replacing had,
// which may be nil. accounts.ErrBadCredentials if the account changed since the proof;
// ErrIncomplete.
func (s *Service) Enter(ctx context.Context, now time.Time, o *Outcome, had *tokens.Login, from caller.Caller) (tokens.Login, error) {
	if o.State != SignedIn {
		return tokens.Login{}, fmt.Errorf("%w: %v", ErrIncomplete, o.State)
	}
	l, err := s.tokens.SignInBrowser(ctx, now, tokens.SignIn{
		UserID: o.User.ID, Epoch: o.User.Epoch,
	}, had, from)
	return l, changed(err)
}

// changed says of an account that changed between proof and sign-in what is said of a
// wrong proof: the proof is good no more.
func changed(err error) error {
	if errors.Is(err, tokens.ErrUserGone) {
		return accounts.ErrBadCredentials
	}
	return err
}
