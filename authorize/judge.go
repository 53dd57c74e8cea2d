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
	"countersign/tokens"
)

// Step is what has to happen next with a request. The zero Step is none: it leads
// nowhere and is answered with nothing.
type Step int

// The steps, in the order in which a request takes them.
const (
	SignIn  Step = iota + 1 // the user proves who they are, or goes on as who they are
	SignUp                  // the same, for a user who has yet to make an account
	Consent                 // the user lets the client have what it asks for, or does not
	Answer                  // the client gets its code
	Refuse                  // the client is told why it gets none
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
	names := []string{"none", "sign in", "sign up", "consent", "answer", "refuse"}
	if s < 0 || int(s) >= len(names) {
		return fmt.Sprintf("step %d", int(s))
	}
	return names[s]
}

// Judgment says what has to happen next with a request, given the login of the browser
// that brings it. Only Judge makes one that leads anywhere.
type Judgment struct {
	Step Step
	// MayContinue says that the user, who is signed in, may go on as who they are
	// without a new proof, if they choose to ([Request.Choose]).
	MayContinue bool

	request *Request
	login   *tokens.Login
	refusal *oauth.Error // of Refuse
}

// Judge says what has to happen before the client gets its code, given the browser's
// login, nil if no user is signed in to it.
func (s *Service) Judge(ctx context.Context, r *Request, l *tokens.Login) (Judgment, error) {
	j := Judgment{request: r, login: l}
	if l != nil {
		chosen, refusal := r.Choose().identify(l)
		j.MayContinue = refusal == nil && chosen == Consent
	}
	if j.Step, j.refusal = r.identify(l); j.refusal == nil && j.Step == Consent {
		var err error
		if j.Step, j.refusal, err = s.settle(ctx, r, l); err != nil {
			return Judgment{}, err
		}
	}
	if j.refusal != nil {
		j.Step = Refuse
	}
	return j, nil
}

// identify says whether the request takes a proof of who the user is first, SignIn or
// SignUp, or goes on to Consent with the user of the login.
func (r *Request) identify(l *tokens.Login) (Step, *oauth.Error) {
	asked := time.UnixMilli(r.AskedAt)
	switch {
	case l == nil,
		r.prompts("login") && l.AuthTime.Before(asked),
		r.MaxAge != nil && l.AuthTime.Add(time.Duration(*r.MaxAge)*time.Second).Before(asked):
		return r.signIn()
	case r.Subject != "" && r.Subject != l.UserID.String():
		// Another user than the client means. One who has just signed in for this
		// request won't become the other by being asked again.
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

// settle says whether the user has to consent first, or the client gets its answer.
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
		return 0, oauth.Refuse(oauth.ConsentRequired, "the user has not let the client have what it asks for"), nil
	default:
		return Consent, nil, nil
	}
}

// Permissions are the scopes that a request is about: those it asks for, and those that
// open the claims it asks for by name.
func (r *Request) Permissions() []string {
	all := slices.Clone([]string(r.Scopes))
	for _, scope := range r.implied {
		if !slices.Contains(all, scope) {
			all = append(all, scope)
		}
	}
	return all
}

// errNotDue says that the caller answers at a step that has no answer. It is a
// programmer's mistake.
var errNotDue = errors.New("the request is not to be answered at this step")

// Answer returns what the client gets at the steps Answer and Refuse: a code, or why
// there is none. At any other step it is an error.
func (s *Service) Answer(ctx context.Context, now time.Time, j Judgment) (Response, error) {
	switch j.Step {
	case Answer:
		return s.issue(ctx, now, j)
	case Refuse:
		return s.Refuse(j.request, j.refusal), nil
	default:
		return Response{}, fmt.Errorf("%w: %v", errNotDue, j.Step)
	}
}

// Allow records, at the step Consent, that the user lets the client have what it asks
// for, and answers. At any other step it is an error.
func (s *Service) Allow(ctx context.Context, now time.Time, j Judgment, from caller.Caller) (Response, error) {
	if j.Step != Consent {
		return Response{}, fmt.Errorf("%w: %v", errNotDue, j.Step)
	}
	if err := s.o.Consents.Give(ctx, now, j.login.UserID, j.request.ClientID, j.request.Permissions(), from); err != nil {
		return Response{}, err
	}
	return s.issue(ctx, now, j)
}

// Deny is the response, at the step Consent, to a client that the user does not let
// have what it asks for. At any other step it is an error.
func (s *Service) Deny(j Judgment) (Response, error) {
	if j.Step != Consent {
		return Response{}, fmt.Errorf("%w: %v", errNotDue, j.Step)
	}
	return s.Refuse(j.request, oauth.Refuse(oauth.AccessDenied, "the user or the server denied the request")), nil
}

// issue gives the client its code.
func (s *Service) issue(ctx context.Context, now time.Time, j Judgment) (Response, error) {
	r := j.request
	code, err := s.o.Tokens.IssueCode(ctx, now, r.client.Recipient(), j.login, tokens.Asked{
		Scopes: r.Scopes, RedirectURI: r.RedirectURI, Nonce: r.Nonce, Challenge: r.Challenge,
		Details:        tokens.Details{Resources: r.Resources, IDTokenClaims: r.IDTokenClaims, UserInfoClaims: r.UserInfoClaims},
		WithoutConsent: r.client.FirstParty,
	})
	if refusal, ok := refusals.InRedirect(err); ok { // the user signed out, or took the consent back, a moment ago
		return s.Refuse(r, refusal), nil
	}
	if err != nil {
		return Response{}, err
	}
	return s.respond(r, Value{"code", code}), nil
}

// Unavailable is the response to a client that waits where no page is shown
// ([Request.Silent]), while the database is away.
func (s *Service) Unavailable(r *Request) Response { return s.Refuse(r, refusals.Unavailable) }
