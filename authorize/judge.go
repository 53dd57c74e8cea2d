package authorize

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"countersign/caller"
	"countersign/oauth"
	"countersign/refusals"
	"countersign/signin"
	"countersign/tokens"
)

// Step is what must happen next with a request. The zero Step is invalid: it leads to
// no page and gets no answer.
type Step int

// The steps, in the order in which a request takes them.
const (
	SignIn  Step = iota + 1 // the user gives a proof, or continues without a new one
	SignUp                  // the same, for a visitor without an account
	StepUp                  // the user, who is signed in, proves one more factor
	Consent                 // the user allows or denies what the client asks for
	Answer                  // the client gets its code
	Refuse                  // the client gets an error instead
	end
)

// Steps are all steps.
func Steps() (all []Step) {
	for step := SignIn; step < end; step++ {
		all = append(all, step)
	}
	return all
}

func (s Step) String() string {
	names := []string{"none", "sign in", "sign up", "step up", "consent", "answer", "refuse"}
	if s < 0 || int(s) >= len(names) {
		return fmt.Sprintf("step %d", int(s))
	}
	return names[s]
}

// Judgment says what must happen next with a request, given the login of the browser
// that brings it. Only Judge makes a Judgment with a valid step.
type Judgment struct {
	// MayContinue says that the user, who is signed in, may continue without a new
	// proof after choosing to ([Request.Choose]).
	MayContinue bool

	step    Step
	class   string // of StepUp: what the user has to reach
	request *Request
	login   *tokens.Login
	refusal *oauth.Error // of Refuse
}

// Step returns what must happen next. Only Judge decides it.
func (j Judgment) Step() Step { return j.step }

// Judge decides what must happen before the client gets its code. l is the browser's
// login, nil if no user is signed in.
func (s *Service) Judge(ctx context.Context, r *Request, l *tokens.Login) (Judgment, error) {
	l, err := s.counting(ctx, l)
	if err != nil {
		return Judgment{}, err
	}
	j := Judgment{request: r, login: l}
	if l != nil {
		chosen, refusal := r.Choose().identify(l)
		j.MayContinue = refusal == nil && chosen == Consent
	}
	if j.step, j.refusal = r.identify(l); j.refusal == nil && j.step == Consent {
		j.step, j.class, j.refusal, err = s.reach(ctx, r, l)
	}
	if err == nil && j.refusal == nil && j.step == Consent {
		j.step, j.refusal, err = s.settle(ctx, r, l)
	}
	if err != nil {
		return Judgment{}, err
	}
	if j.refusal != nil {
		j.step = Refuse
	}
	return j, nil
}

// counting returns the login of a browser if it counts, and else nil: its user signs in first.
func (s *Service) counting(ctx context.Context, l *tokens.Login) (*tokens.Login, error) {
	if l == nil {
		return nil, nil
	}
	if must, err := s.o.SignIns.MustEnrol(ctx, l); err != nil || must {
		return nil, err
	}
	return l, nil
}

// WantsMore reports whether a password alone is less than the request wants.
func (r *Request) WantsMore() bool { return !oauth.Methods{oauth.MethodPassword}.Reaches(r.needs()) }

// needs returns the class that the request never gets less than, empty for any.
func (r *Request) needs() string {
	return oauth.Stronger(oauth.Weakest(r.Classes), r.client.RequireACR)
}

// identify decides whether the user must give a proof first (SignIn or SignUp), or the
// request goes on to Consent with the user of the login.
func (r *Request) identify(l *tokens.Login) (Step, *oauth.Error) {
	asked := time.UnixMilli(r.AskedAt)
	switch {
	case l == nil,
		r.prompts("login") && l.AuthTime.Before(asked),
		r.MaxAge != nil && l.AuthTime.Add(time.Duration(*r.MaxAge)*time.Second).Before(asked):
		return r.signIn()
	case r.Subject != "" && r.Subject != l.UserID.String():
		// The client means another user. If this user has just signed in for this
		// request, asking again doesn't help.
		if !l.AuthTime.Before(asked) {
			return 0, refusals.LoginRequired
		}
		return r.signIn()
	case r.prompts("select_account") && !r.Chosen && l.AuthTime.Before(asked):
		return SignIn, nil
	case r.prompts("create") && !r.Chosen && l.AuthTime.Before(asked):
		return SignUp, nil
	}
	return Consent, nil
}

// reach decides whether the user must prove one more factor first (StepUp, and the class to
// reach), or the request goes on to Consent. What an essential claim or the client's settings
// ask for is never left out; what acr_values ask for (OpenID Connect Core section 5.5.1.1) is
// asked only of users who have it.
func (s *Service) reach(ctx context.Context, r *Request, l *tokens.Login) (Step, string, *oauth.Error, error) {
	step := func(class string) (Step, string, *oauth.Error, error) {
		if r.Silent() {
			return 0, "", refusals.LoginRequired, nil // asking the user would help
		}
		return StepUp, class, nil, nil
	}
	if class := r.needs(); !l.Methods.Reaches(class) {
		can, err := s.o.SignIns.CanStepUp(ctx, l, class)
		switch {
		case err != nil:
			return 0, "", nil, err
		case can:
			return step(class)
		case l.Methods.Class() == "" && l.AuthTime.Before(time.UnixMilli(r.AskedAt)): // by another provider: the user may have a password, too
			next, refusal := r.signIn()
			return next, "", refusal, nil
		}
		return 0, "", oauth.Refuse(oauth.UnmetAuthentication, "the user has not set up a factor that this request asks for"), nil
	}
	for _, class := range r.Wants {
		if l.Methods.Reaches(class) {
			break
		}
		can, err := s.o.SignIns.CanStepUp(ctx, l, class)
		if err != nil {
			return 0, "", nil, err
		}
		if can {
			return step(class)
		}
	}
	return Consent, "", nil, nil
}

// StepUp returns, at the step StepUp, the challenge that the user answers next. nil: the user
// has just lost the factor, so the request must be judged again. At any other step it returns
// an error.
func (s *Service) StepUp(ctx context.Context, now time.Time, j Judgment, from caller.Caller) (*signin.FactorDueError, error) {
	if j.step != StepUp {
		return nil, fmt.Errorf("%w: %v", errNotDue, j.step)
	}
	return s.o.SignIns.StepUp(ctx, now, j.login, j.class, from)
}

func (r *Request) signIn() (Step, *oauth.Error) {
	switch {
	case r.prompts("none"):
		return 0, refusals.LoginRequired
	case r.prompts("create"):
		return SignUp, nil
	default:
		return SignIn, nil
	}
}

// settle decides whether the user must consent first, or the client gets its answer.
func (s *Service) settle(ctx context.Context, r *Request, l *tokens.Login) (Step, *oauth.Error, error) {
	switch {
	case r.prompts("consent"):
		return Consent, nil, nil
	case r.client.FirstParty:
		return Answer, nil, nil
	}
	covered, err := s.o.Consents.Covers(ctx, l.UserID, r.ClientID, r.Permissions())
	switch {
	case err != nil:
		return 0, nil, err
	case covered:
		return Answer, nil, nil
	case r.prompts("none"):
		return 0, oauth.Refuse(oauth.ConsentRequired, "the user has not allowed what the client asks for"), nil
	default:
		return Consent, nil, nil
	}
}

// Permissions returns the scopes that the user must allow: those that the request asks
// for, and those that open the claims it names.
func (r *Request) Permissions() []string {
	all := slices.Clone([]string(r.Scopes))
	for _, scope := range r.implied {
		if !slices.Contains(all, scope) {
			all = append(all, scope)
		}
	}
	return all
}

// errNotDue means that the caller answers a request at a step that has no answer. It is
// a programmer's mistake.
var errNotDue = errors.New("the request can't be answered at this step")

// Answer returns what the client gets at the steps Answer and Refuse: a code, or an
// OAuth error. At any other step Answer returns an error.
func (s *Service) Answer(ctx context.Context, now time.Time, j Judgment) (Response, error) {
	switch j.step {
	case Answer:
		return s.issue(ctx, now, j)
	case Refuse:
		return s.Refuse(j.request, j.refusal), nil
	default:
		return Response{}, fmt.Errorf("%w: %v", errNotDue, j.step)
	}
}

// Allow records, at the step Consent, that the user allows what the client asks for,
// and answers with a code. At any other step it returns an error.
func (s *Service) Allow(ctx context.Context, now time.Time, j Judgment, from caller.Caller) (Response, error) {
	if j.step != Consent {
		return Response{}, fmt.Errorf("%w: %v", errNotDue, j.step)
	}
	err := s.o.Consents.Give(ctx, now, j.login.UserID, j.login.Epoch, j.request.ClientID, j.request.Permissions(), from)
	if refusal, ok := refusals.InRedirect(err); ok { // the account has just got a new password
		return s.Refuse(j.request, refusal), nil
	}
	if err != nil {
		return Response{}, err
	}
	return s.issue(ctx, now, j)
}

// Deny returns the response to a client that the user does not let have what it asks for.
// It is for the step Consent, and for Answer: the user may have allowed the same on
// another page meanwhile, and denies it here. At any other step it returns an error.
func (s *Service) Deny(j Judgment) (Response, error) {
	if j.step != Consent && j.step != Answer {
		return Response{}, fmt.Errorf("%w: %v", errNotDue, j.step)
	}
	return s.Refuse(j.request, oauth.Refuse(oauth.AccessDenied, "the user or the server denied the request")), nil
}

// issue answers with a code.
func (s *Service) issue(ctx context.Context, now time.Time, j Judgment) (Response, error) {
	r := j.request
	code, err := s.o.Tokens.IssueCode(ctx, now, r.client.Recipient(), j.login, tokens.Asked{
		Scopes: r.Scopes, RedirectURI: r.RedirectURI, Nonce: r.Nonce, Challenge: r.Challenge,
		Details:        tokens.Details{Resources: r.Resources, IDTokenClaims: r.IDTokenClaims, UserInfoClaims: r.UserInfoClaims},
		WithoutConsent: r.client.FirstParty,
	})
	if refusal, ok := refusals.InRedirect(err); ok { // the user has just signed out or withdrawn the consent
		return s.Refuse(r, refusal), nil
	}
	if err != nil {
		return Response{}, err
	}
	return s.respond(r, Value{"code", code}), nil
}

// Unavailable returns the response to a silent request ([Request.Silent]) while the
// database is away.
func (s *Service) Unavailable(r *Request) Response { return s.Refuse(r, refusals.Unavailable) }
