package grants

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"slices"

	"countersign/caller"
	"countersign/factors"
	"countersign/ids"
	"countersign/oauth"
	"countersign/refusals"
	"countersign/seal"
	"countersign/secrecy"
	"countersign/signin"
	"countersign/tokens"
)

// Challenged is the answer to an authorization challenge request, as JSON (OAuth 2.0 for
// First-Party Applications, draft).
type Challenged struct {
	Code        string `json:"authorization_code"`
	DeviceToken string `json:"device_token,omitempty"` // ours, as the password grant's
}

// Challenge answers a request to the authorization challenge endpoint, where an application
// of ours signs its user in on its own screens: with a code, which the token endpoint
// exchanges, or with what the user has to prove next. Every error it returns is an
// *oauth.Error.
func (s *Service) Challenge(r *http.Request, from caller.Caller) (answer *Challenged, clientID ids.Client, err error) {
	x, err := s.run(r, from, s.parse, s.authenticate, s.mayChallenge, func(ctx context.Context, x *Request) (err error) {
		answer, err = s.challenge(ctx, x)
		return refusals.AtChallenge(err)
	})
	return answer, x.Client.ID, err
}

// mayChallenge checks that the client may see passwords, which is what the endpoint takes.
func (s *Service) mayChallenge(_ context.Context, x *Request) error {
	if s.passwordsOff || !x.Client.FirstParty || !x.Client.AllowsGrant(oauth.GrantPassword) {
		return errMayNotChallenge
	}
	return nil
}

func (s *Service) challenge(ctx context.Context, x *Request) (*Challenged, error) {
	begun, proof, err := s.continued(x)
	if err != nil {
		return nil, err
	}
	ask, err := s.readAsked(x)
	if err != nil {
		return nil, err
	}
	device, from := appOf(s.seal, x)
	from.Binding = bindingOf(x)
	to := x.Client.Recipient()
	o, err := s.proveChallenge(ctx, x, proof, from)
	if due, ok := errors.AsType[*signin.FactorDueError](err); ok {
		if begun.Methods = typed(due.Methods); len(begun.Methods) == 0 {
			return nil, errNotTyped
		}
		begun.Challenge = due.Challenge
		if otp := x.Form.Get("otp"); otp != "" {
			o, err = s.proveChallenge(ctx, x, signin.SecondFactor{Challenge: due.Challenge, Method: factors.MethodOf(otp), Code: otp}, from)
		}
	}
	if errors.Is(err, signin.ErrFactorDue) || errors.Is(err, factors.ErrBadCode) {
		return nil, begun.due(s.seal, err)
	}
	if err != nil {
		return nil, err
	}
	code, err := s.signIns.Code(ctx, x.Now, to, &o, ask, from)
	if err != nil {
		return nil, err
	}
	return &Challenged{Code: code, DeviceToken: device.DeviceToken(x.Now, o.User.ID, o.User.Epoch)}, nil
}

// proveChallenge checks a proof, and returns a *signin.FactorDueError if it is not enough.
func (s *Service) proveChallenge(ctx context.Context, x *Request, p signin.Proof, from caller.Caller) (signin.Outcome, error) {
	o, err := s.signIns.ProveAt(ctx, x.Now, x.Client.Recipient(), p, from)
	if err == nil {
		_, err = o.Proven()
	}
	return o, err
}

// bindingOf returns what challenges of a client's users are bound to: no browser and no other
// client can answer them.
func bindingOf(x *Request) string { return "client " + string(x.Client.ID) }

// typed returns those of the methods whose code a user can type into an application.
func typed(methods []factors.Method) []factors.Method {
	return slices.DeleteFunc(slices.Clone(methods), func(by factors.Method) bool {
		return by != factors.ByTOTP && by != factors.ByRecoveryCode
	})
}

// authSession is what a client goes on with: the auth_session is a seal.Keys.Token of its
// JSON. Only we can make one, and any holder may read it, so it has no secret. Only the client
// that its challenge is bound to can use it, until the challenge has been answered or expires.
type authSession struct {
	Challenge string           `json:"challenge"`
	Methods   []factors.Method `json:"methods"` // in which the user may answer
	// Asked are the parameters of the first request, those of Binds, which later ones can't
	// change. Binds leaves out what a password grant doesn't have: there the first request to
	// the challenge endpoint adds it.
	Asked url.Values `json:"asked"`
	Binds []string   `json:"binds"`
}

const (
	sessionPrefix  = "cs_as_"
	sessionPurpose = "auth_session"
)

// The parameters that an auth_session binds.
var (
	askedOfTokens = []string{"scope", "resource"}
	askedOfCodes  = append(slices.Clone(askedOfTokens), "response_type", "nonce", "code_challenge", "code_challenge_method")
)

// begin returns the authSession of a request that is the first.
func begin(x *Request, binds []string) authSession {
	a := authSession{Asked: url.Values{}, Binds: binds}
	for _, name := range binds {
		if x.Form.Has(name) {
			a.Asked[name] = x.Form[name]
		}
	}
	return a
}

// due returns the error that asks the client for a code of the user, because one is due or
// the one that came is wrong: err says which.
func (a *authSession) due(keys *seal.Keys, err error) error {
	say, _ := refusals.ForClient(err, func(error) bool { return false })
	told := *say
	for _, by := range a.Methods {
		told.Methods = append(told.Methods, string(by))
	}
	b, err := json.Marshal(a)
	if err != nil {
		panic(err) // texts always marshal
	}
	told.AuthSession = keys.Token(sessionPrefix, sessionPurpose, b)
	return &told
}

// continued returns what a request goes on with, and its proof: an auth_session and a code,
// or at first the username and the password. It puts the parameters of the first request into
// the form of x, where they may be missing but not differ.
func (s *Service) continued(x *Request) (authSession, signin.Proof, error) {
	form := x.Form
	if !form.Has("auth_session") {
		if !form.Has("username") || !form.Has("password") {
			return authSession{}, nil, missing("username", "password")
		}
		return begin(x, askedOfCodes), signin.Password{Username: form.Get("username"), Password: secrecy.Text(form.Get("password"))}, nil
	}
	switch {
	case form.Has("username") || form.Has("password"):
		return authSession{}, nil, invalidRequest("username and password begin anew: send them without auth_session")
	case !form.Has("otp"):
		return authSession{}, nil, missing("otp")
	}
	var a authSession
	b, ok := s.seal.OpenToken(sessionPrefix, sessionPurpose, form.Get("auth_session"))
	if !ok || json.Unmarshal(b, &a) != nil {
		return authSession{}, nil, signin.ErrBadChallenge
	}
	for _, name := range a.Binds {
		if form.Has(name) && !slices.Equal(form[name], a.Asked[name]) {
			return authSession{}, nil, invalidRequest(name + " differs from the request that the auth_session began with")
		}
		if values, ok := a.Asked[name]; ok {
			form[name] = values
		}
	}
	next := begin(x, askedOfCodes)
	next.Challenge, next.Methods = a.Challenge, a.Methods
	otp := form.Get("otp")
	return next, signin.SecondFactor{Challenge: a.Challenge, Method: factors.MethodOf(otp), Code: otp}, nil
}

// readAsked reads what a client asks for, and checks all of it before the proof: a request
// that can't succeed must cost neither a password hash nor a code.
func (s *Service) readAsked(x *Request) (tokens.Asked, error) {
	form := x.Form
	if form.Has("redirect_uri") {
		return tokens.Asked{}, invalidRequest("redirect_uri does not belong here: nothing is redirected")
	}
	if kind := form.Get("response_type"); kind != "" && kind != "code" {
		return tokens.Asked{}, oauth.Refuse(oauth.UnsupportedResponseType, "response_type must be code")
	}
	if err := x.readScope(); err != nil {
		return tokens.Asked{}, err
	}
	challenge := form.Get("code_challenge")
	if err := oauth.CheckPKCE(challenge, form.Get("code_challenge_method"), x.Client.NeedsPKCE()); err != nil {
		return tokens.Asked{}, err
	}
	if _, err := s.tokens.Granted(x.Client.Recipient(), x.Scopes, x.Resources); err != nil {
		return tokens.Asked{}, err
	}
	return tokens.Asked{
		Scopes: x.Scopes, Nonce: form.Get("nonce"), Challenge: challenge,
		Details: tokens.Details{Resources: x.Resources}, WithoutConsent: x.Client.FirstParty,
	}, nil
}
