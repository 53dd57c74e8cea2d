// Package signin turns a proof into a sign-in. A caller brings a [Proof] of who a user
// is; [Service.Prove] answers with an [Outcome]: the user is signed in, or has something
// left to do, such as a second factor to prove, or the proof is refused. Only the Outcome of
// a user who is signed in opens a session ([Service.Start]) or a login ([Service.Enter]), or
// gets a code ([Service.Code]).
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
	"countersign/browser"
	"countersign/caller"
	"countersign/factors"
	"countersign/limits"
	"countersign/oauth"
	"countersign/seal"
	"countersign/tokens"
	"countersign/upstreams"
)

// ErrIncomplete means that the caller uses an Outcome as a sign-in although a step is
// still due, or the Outcome is the zero value. The caller must check its State.
var ErrIncomplete = errors.New("the user is not signed in")

// ErrLoginRequired means that no user is signed in: there is no session or login, or it
// has ended.
var ErrLoginRequired = errors.New("no user is signed in")

// Proof shows who a user is: a [Password], a [Passkey], an [OwnPassword], an [OwnFactor], a
// [Code], a [SignUp], a [Reset], a [SecondFactor], a [FirstFactor], a [Federated], a
// [FederatedSignUp] or a [Remembered] login. A nil Proof proves nothing.
type Proof interface {
	prove(context.Context, *Service, attempt) (Outcome, error)
}

// attempt is the context of a proof.
type attempt struct {
	now  time.Time
	to   oauth.Recipient // the client of the sign-in; the zero Recipient for none
	from caller.Caller
}

// State is the result of a proof. The zero State is Refused.
type State int

// The states of an Outcome.
const (
	Refused      State = iota // the user is not signed in
	SignedIn                  // no step is due
	AddressDue                // the user must first prove the address that a letter went to
	FactorDue                 // the user must prove a second factor, by a SecondFactor
	EnrolmentDue              // the user must set up a second factor, by a FirstFactor
)

func (s State) String() string {
	switch s {
	case Refused:
		return "refused"
	case SignedIn:
		return "signed in"
	case AddressDue:
		return "address due"
	case FactorDue:
		return "factor due"
	case EnrolmentDue:
		return "enrolment due"
	default:
		return fmt.Sprintf("state %d", int(s))
	}
}

// Outcome is the result of a proof. Only an Outcome whose State is SignedIn opens a
// session or a login.
type Outcome struct {
	State State
	// User is the account: as it was before a password was checked, after a Code was
	// redeemed, or as a SignUp created it. Of a Remembered login only the ID, the
	// Username and the Epoch are known.
	User     accounts.User
	Methods  oauth.Methods // what the user has proven at AuthTime
	AuthTime time.Time
	// Repeated says of a Reset that the token had set this password before.
	Repeated bool
	// Login is the browser's login that a Remembered proof found; otherwise nil.
	Login *tokens.Login
	// RecoveryCodes are those of a FirstFactor, which the user must see now.
	RecoveryCodes []string
	// Keep is what a browser has to keep that is not asked for the second factor in future;
	// nil: it will be. See caller.Caller.Remembers.
	Keep *browser.Proof

	// settled says that no second factor is asked for: the proof is one, or goes on with a
	// sign-in that has passed that step. A new Proof that doesn't say so is asked for one.
	settled bool
	due     error          // of FactorDue and EnrolmentDue: what Proven returns
	issued  *tokens.Issued // the tokens that a Code was exchanged for; Start returns them
	told    bool           // the user knows from another letter
}

// Proven returns the user of an Outcome that leaves nothing due. Its error is a
// *FactorDueError where a second factor is, an *EnrolmentDueError where one has to be set up,
// and otherwise ErrIncomplete.
func (o *Outcome) Proven() (accounts.User, error) {
	if (o.State == FactorDue || o.State == EnrolmentDue) && o.due != nil {
		return accounts.User{}, o.due
	}
	if o.State != SignedIn {
		return accounts.User{}, fmt.Errorf("%w: %v", ErrIncomplete, o.State)
	}
	return o.User, nil
}

// Service turns proofs into sign-ins. It is safe for concurrent use.
type Service struct {
	users    *accounts.Users
	tokens   *tokens.Service
	factors  *factors.Service
	seal     *seal.Keys
	throttle *limits.Throttle

	upstreams *upstreams.Service
}

// Options configure a Service. All are required.
type Options struct {
	Users    *accounts.Users
	Tokens   *tokens.Service
	Factors  *factors.Service
	Seal     *seal.Keys
	Throttle *limits.Throttle

	Upstreams *upstreams.Service
}

// New returns a Service.
func New(o Options) *Service {
	return &Service{users: o.Users, tokens: o.Tokens, factors: o.Factors, seal: o.Seal, throttle: o.Throttle, upstreams: o.Upstreams}
}

// Prove checks a proof. A failed proof is an error; the type of the proof documents
// which. Without an error the caller must check the State of the Outcome.
func (s *Service) Prove(ctx context.Context, now time.Time, p Proof, from caller.Caller) (Outcome, error) {
	return s.prove(ctx, p, attempt{now: now, from: from})
}

// ProveAt is Prove at a client, which may require more of its users than others do. Its errors
// are also ErrUnmet.
func (s *Service) ProveAt(ctx context.Context, now time.Time, to oauth.Recipient, p Proof, from caller.Caller) (Outcome, error) {
	return s.prove(ctx, p, attempt{now, to, from})
}

// prove is Prove at a client. Every proof runs here, so checks for all sign-ins belong
// here. The exception is an authorization code at the token endpoint: package grants
// redeems it by itself. The login that the code was issued for began with a proof.
func (s *Service) prove(ctx context.Context, p Proof, a attempt) (Outcome, error) {
	if p == nil {
		return Outcome{}, ErrIncomplete
	}
	o, err := p.prove(ctx, s, a)
	if err == nil && !o.settled && o.State == SignedIn {
		err = s.askFactor(ctx, &o, p, a)
	}
	if err == nil && o.State == SignedIn {
		err = s.reach(ctx, &o, a)
	}
	if err != nil {
		return Outcome{}, err
	}
	return o, nil
}

// proven returns the Outcome of a user who has just given a proof.
func proven(now time.Time, user accounts.User, methods ...string) Outcome {
	return Outcome{State: SignedIn, User: user, Methods: methods, AuthTime: now}
}

// settled returns the Outcome of a user who has just given a proof after which no second
// factor is due.
func settled(now time.Time, user accounts.User, methods ...string) Outcome {
	o := proven(now, user, methods...)
	o.settled = true
	return o
}

// signIn returns the sign-in of an Outcome.
func (o *Outcome) signIn() (tokens.SignIn, error) {
	user, err := o.Proven()
	return tokens.SignIn{UserID: user.ID, Epoch: user.Epoch, Roles: user.Roles, AuthTime: o.AuthTime, Methods: o.Methods}, err
}

// Start opens a session at a client for a user who is signed in. Its errors are those
// of tokens.Service.Start, except that it returns accounts.ErrBadCredentials if the
// account changed since the proof; and ErrIncomplete.
func (s *Service) Start(ctx context.Context, now time.Time, to oauth.Recipient, o *Outcome, ask oauth.Scopes, resources []string, from caller.Caller) (tokens.Issued, error) {
	who, err := o.signIn()
	if err != nil {
		return tokens.Issued{}, err
	}
	if o.issued != nil {
		return *o.issued, nil
	}
	issued, err := s.tokens.Start(ctx, now, to, who, ask, resources, from)
	if err == nil {
		s.tell(ctx, now, o, from)
	}
	return issued, changed(err)
}

// Code returns an authorization code for a user who has signed in at a client without a
// browser. Its errors are those of tokens.Service.IssueCodeWithoutLogin, except that it returns
// accounts.ErrBadCredentials if the account changed since the proof; and ErrIncomplete.
func (s *Service) Code(ctx context.Context, now time.Time, to oauth.Recipient, o *Outcome, ask tokens.Asked, from caller.Caller) (string, error) {
	who, err := o.signIn()
	if err != nil {
		return "", err
	}
	code, err := s.tokens.IssueCodeWithoutLogin(ctx, now, to, who, ask, from)
	if err == nil {
		s.tell(ctx, now, o, from)
	}
	return code, changed(err)
}

// Enter starts a new login in a browser for a user who is signed in, replacing had,
// which may be nil. It returns accounts.ErrBadCredentials if the account changed since
// the proof, and ErrIncomplete.
func (s *Service) Enter(ctx context.Context, now time.Time, o *Outcome, had *tokens.Login, from caller.Caller) (tokens.Login, error) {
	who, err := o.signIn()
	if err != nil {
		return tokens.Login{}, err
	}
	l, err := s.tokens.SignInBrowser(ctx, now, who, had, from)
	if err == nil {
		s.tell(ctx, now, o, from)
	}
	return l, changed(err)
}

// tell lets the owner of the account learn of a sign-in from a new browser. What comes of
// a login or of its code is none.
func (s *Service) tell(ctx context.Context, now time.Time, o *Outcome, from caller.Caller) {
	if o.Login == nil && !o.told {
		s.users.SignedIn(ctx, now, &o.User, from)
	}
}

// changed turns the error for an account that changed between proof and sign-in into
// that of a wrong proof: the proof no longer counts.
func changed(err error) error {
	if errors.Is(err, tokens.ErrUserGone) {
		return accounts.ErrBadCredentials
	}
	return err
}
