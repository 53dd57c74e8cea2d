// Package authorize is the authorization endpoint's protocol (RFC 6749 section 4.1,
// OpenID Connect Core section 3.1.2): it reads a request, says what has to happen next,
// and answers the client through the browser. It knows no HTTP and shows no page.
//
// A request is read once ([Service.Read]) and then judged as often as the person comes
// a step further ([Service.Next]): from nobody signed in, to signed in, to consent, to
// the answer ([Service.Advance]). What is judged is the request and the browser's login,
// nothing else, so no step can be skipped by calling the next. In between the request
// travels with the browser as a ticket ([Service.Ticket]); the server keeps nothing for
// strangers.
//
// A mistake that may be the work of somebody else than the client, which is that of
// client_id and redirect_uri, is told to the person (*[PageError]). All others go to
// the client (*[oauth.Error]).
package authorize

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"countersign/audit"
	"countersign/clients"
	"countersign/consents"
	"countersign/oauth"
	"countersign/seal"
	"countersign/tokens"
)

// Options are what a Service is made of. All are required.
type Options struct {
	Clients  *clients.Registry
	Consents consents.Service
	Tokens   *tokens.Service
	Seal     *seal.Keys
	Issuer   string // said in every answer (RFC 9207)
	// Claims are the scopes that open each claim that can be asked for by name.
	Claims map[string]string
	// AlwaysPKCE asks for it also of clients registered without (RFC 9700 section 2.1.1).
	AlwaysPKCE bool
}

// Service answers authorization requests. It is safe for concurrent use.
type Service struct{ o Options }

// New returns a Service.
func New(o Options) *Service { return &Service{o} }

// PageError is a request that is answered with a page: nobody may be sent to the
// redirect URI that it names (RFC 6749 section 4.1.2.1).
type PageError struct {
	Code   string // for the page's words: unknown_client, invalid_redirect_uri, invalid_request, expired
	Detail string // for the developer
}

func (e *PageError) Error() string { return e.Code + ": " + e.Detail }

// The refusals that more than one place has.
var (
	ErrDenied        = oauth.Refuse(oauth.AccessDenied, "the user or the server denied the request")
	ErrUnavailable   = oauth.Refuse(oauth.TemporarilyUnavailable, "the service is not able to answer now, try again shortly")
	errLoginRequired = oauth.Refuse(oauth.LoginRequired, "nobody is signed in whom the request would do for")
)

// Step is what has to happen next.
type Step int

// The steps.
const (
	Answer  Step = iota // nothing: the client gets its code
	SignIn              // somebody proves who they are, or goes on as who they are
	SignUp              // the same, by somebody new
	Consent             // the user lets the client have what it asks for
)

// Next says what has to happen before the client gets its code, given who is signed in
// to the browser: nil for nobody. A *oauth.Error says that it can't get one.
func (s *Service) Next(ctx context.Context, r *Request, l *tokens.Login) (Step, error) {
	asked := time.UnixMilli(r.AskedAt)
	switch {
	case l == nil,
		r.prompts("login") && l.AuthTime.Before(asked),
		r.MaxAge != nil && l.AuthTime.Add(time.Duration(*r.MaxAge)*time.Second).Before(asked):
		return s.signIn(r)
	case r.Subject != "" && r.Subject != l.UserID.String():
		// Somebody else than the client means. Who has just signed in for this
		// request won't become the other by being asked again.
		if !l.AuthTime.Before(asked) {
			return 0, errLoginRequired
		}
		return s.signIn(r)
	case r.prompts("select_account") && !r.Chosen && l.AuthTime.Before(asked):
		return SignIn, nil
	case r.prompts("create") && !r.Chosen && l.AuthTime.Before(asked):
		return SignUp, nil
	}
	agreed := r.client.FirstParty && !r.prompts("consent")
	if !agreed && !r.prompts("consent") {
		var err error
		if agreed, err = s.o.Consents.Covers(ctx, l.UserID, r.ClientID, r.Permissions()); err != nil {
			return 0, err
		}
	}
	switch {
	case agreed:
		return Answer, nil
	case r.prompts("none"):
		return 0, oauth.Refuse(oauth.ConsentRequired, "the user has not let the client have what it asks for")
	default:
		return Consent, nil
	}
}

func (s *Service) signIn(r *Request) (Step, error) {
	switch {
	case r.prompts("none"):
		return 0, errLoginRequired
	case r.prompts("create"):
		return SignUp, nil
	default:
		return SignIn, nil
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

// Allow records that the user of a login lets the client have what it asks for, and
// answers.
func (s *Service) Allow(ctx context.Context, now time.Time, r *Request, l *tokens.Login, from audit.Origin) (Response, error) {
	if r.prompts("consent") { // asked and answered
		settled := *r
		settled.Prompt = slices.DeleteFunc(slices.Clone(r.Prompt), func(p string) bool { return p == "consent" })
		r = &settled
	}
	if step, err := s.Next(ctx, r, l); err != nil || step != Answer && step != Consent {
		return s.refuseOr(r, err, errLoginRequired) // the login isn't good for it any more
	}
	if err := s.o.Consents.Give(ctx, now, l.UserID, r.ClientID, r.Permissions(), from); err != nil {
		return Response{}, err
	}
	return s.answer(ctx, now, r, l)
}

// Advance says what has to happen next, and if that is nothing, gives the client its
// answer: a code, or why it can't get one.
func (s *Service) Advance(ctx context.Context, now time.Time, r *Request, l *tokens.Login) (Step, Response, error) {
	step, err := s.Next(ctx, r, l)
	if err != nil {
		answer, err := s.refuseOr(r, err, nil)
		return Answer, answer, err
	}
	if step != Answer {
		return step, Response{}, nil
	}
	answer, err := s.answer(ctx, now, r, l)
	return Answer, answer, err
}

// answer gives the client its code. Nothing has to happen before: see Next.
func (s *Service) answer(ctx context.Context, now time.Time, r *Request, l *tokens.Login) (Response, error) {
	code, err := s.o.Tokens.IssueCode(ctx, now, r.client.Recipient(), l, tokens.Asked{
		Scopes: r.Scopes, RedirectURI: r.RedirectURI, Nonce: r.Nonce, Challenge: r.Challenge,
		Details:   tokens.Details{Resources: r.Resources, IDTokenClaims: r.IDTokenClaims, UserInfoClaims: r.UserInfoClaims},
		ByConsent: !r.client.FirstParty,
	})
	if errors.Is(err, tokens.ErrUnknown) { // signed out, or consent taken back, a moment ago
		err = errLoginRequired
	}
	if err != nil {
		return s.refuseOr(r, notGranted(err), nil)
	}
	return s.respond(r, Value{"code", code}), nil
}

// refuseOr tells the client what err or, without one, otherwise says, if that is for
// the client to hear.
func (s *Service) refuseOr(r *Request, err error, otherwise *oauth.Error) (Response, error) {
	if err == nil {
		err = otherwise
	}
	if refusal, ok := errors.AsType[*oauth.Error](err); ok {
		return s.Refuse(r, refusal), nil
	}
	return Response{}, err
}

// Response is what goes to the client through the browser: to its redirect URI, in the
// query or as a form.
type Response struct {
	URI      string
	FormPost bool // as a form (OAuth 2.0 Form Post Response Mode)
	Values   []Value
	Error    string // the code of the refusal that it tells of; empty: none
}

// Value is a parameter of a response.
type Value struct{ Name, Value string }

// Refuse is the response that tells the client of a refusal.
func (s *Service) Refuse(r *Request, refusal *oauth.Error) Response {
	answer := s.respond(r, Value{"error", refusal.Code}, Value{"error_description", refusal.Description})
	answer.Error = refusal.Code
	return answer
}

// respond is a response with the values, and with those that every response has.
func (s *Service) respond(r *Request, values ...Value) Response {
	if r.State != "" {
		values = append(values, Value{"state", r.State})
	}
	return Response{URI: r.RedirectURI, FormPost: r.FormPost, Values: append(values, Value{"iss", s.o.Issuer})}
}

// Location is where to send the browser for a response in the query. The redirect URI
// stays as it is, byte for byte, for the client may compare.
func (a *Response) Location() string {
	var b strings.Builder
	b.WriteString(a.URI)
	separator := "?"
	if strings.Contains(a.URI, "?") {
		separator = "&"
	}
	for _, v := range a.Values {
		b.WriteString(separator + v.Name + "=" + escape(v.Value))
		separator = "&"
	}
	return b.String()
}

// subject is the id of a user as text, empty if it is none.
func subject(id string) string {
	if u, err := uuid.Parse(id); err == nil {
		return u.String()
	}
	return ""
}
