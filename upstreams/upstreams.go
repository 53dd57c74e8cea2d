// Package upstreams lets users sign in with an account that they have elsewhere: with any
// OpenID provider, found by discovery, and with a few that have a protocol of their own.
//
// It knows what is spoken with a provider, and promises that what it returns is what that
// provider says of the user in this browser, about the request that this browser began
// (RFC 9700 section 4): the state is the browser's, good once and for one provider, the code
// is bound to the request by PKCE and the nonce, and the ID token is checked in full. No
// provider can keep a caller waiting longer than [Patience].
//
// [Service.Begin] says where to lead a browser, and [Service.Finish] reads what it brings
// back. Which account the user has here is not decided here: see package signin.
package upstreams

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"time"

	"golang.org/x/oauth2"

	"countersign/limits"
	"countersign/seal"
	"countersign/secrecy"
)

// The errors of a round trip to a provider.
var (
	// ErrUnknown means that there is no such provider.
	ErrUnknown = errors.New("no such provider")
	// ErrState means that the answer is not to a request of this browser at this provider, or
	// comes too late or a second time.
	ErrState = errors.New("the answer belongs to no request of this browser")
	// ErrDenied means that the user, or the provider for the user, has said no.
	ErrDenied = errors.New("the provider did not sign the user in")
	// ErrNotAnew means that the provider has not had its user give a proof anew, which we have
	// asked for. It is an ErrDenied.
	ErrNotAnew = fmt.Errorf("%w anew", ErrDenied)
	// ErrAway means that the provider can't be reached, is too slow or does not work.
	ErrAway = errors.New("the provider does not answer")
	// ErrAnswer means that the provider's answer is not good: it is an attacker's, or the
	// settings of one side are wrong.
	ErrAnswer = errors.New("the provider's answer is not valid")
)

// Patience is how long a caller waits at most for all calls to a provider together.
const Patience = 8 * time.Second

// Claims are what a provider says about a user. All of it may be any text that an account
// there has, except that Subject and Email are printable.
type Claims struct {
	Provider string `json:"provider"` // its id in the settings
	Issuer   string `json:"issuer"`   // who has named the subject
	Subject  string `json:"subject"`  // never another user's there

	Email string `json:"email,omitempty"`
	// EmailVerified means that the provider says that the user has proven the address.
	EmailVerified bool `json:"email_verified,omitempty"`

	Name       string `json:"name,omitempty"`
	GivenName  string `json:"given_name,omitempty"`
	FamilyName string `json:"family_name,omitempty"`
	Picture    string `json:"picture,omitempty"`
	Locale     string `json:"locale,omitempty"`
}

// Key stands for the account at the provider. A provider of the settings that gets another
// issuer names other accounts, whatever their subjects.
func (c *Claims) Key() [32]byte {
	var b []byte
	for _, part := range []string{c.Provider, c.Issuer, c.Subject} {
		b = append(binary.BigEndian.AppendUint32(b, uint32(len(part))), part...)
	}
	return sha256.Sum256(b)
}

// A Declared is a provider of the settings, with its secret: a client secret, or at Apple
// the key that signs them.
type Declared struct {
	Settings
	Secret secrecy.Text
}

// Options configure a Service. All are required but Providers and Dev.
type Options struct {
	Providers []Declared
	Seal      *seal.Keys
	Throttle  *limits.Throttle
	// Callback is the URL to which a provider leads back, without the provider's id at its end.
	Callback string
	Dev      bool // providers may be on localhost without TLS
	Log      *slog.Logger
}

// Service signs users in at providers. It is safe for concurrent use.
type Service struct {
	providers []*provider // in the order of the settings
	seal      *seal.Keys
	throttle  *limits.Throttle
	client    *http.Client
	callback  string
	log       *slog.Logger
}

// New returns a Service. It refuses settings that don't pass their Check, two providers with
// one id, and a key that can't be read. It calls no provider.
func New(o Options) (*Service, error) {
	s := &Service{seal: o.Seal, throttle: o.Throttle, client: newClient(o.Dev), callback: o.Callback, log: o.Log}
	for _, d := range o.Providers {
		if err := d.Check(d.Secret != "", o.Dev); err != nil {
			return nil, fmt.Errorf("provider %s: %w", d.ID, err)
		}
		if s.find(d.ID) != nil {
			return nil, fmt.Errorf("provider %s: there are two", d.ID)
		}
		p, err := newProvider(d, s.client)
		if err != nil {
			return nil, fmt.Errorf("provider %s: %w", d.ID, err)
		}
		s.providers = append(s.providers, p)
	}
	return s, nil
}

// A Choice is a provider as users see it.
type Choice struct{ ID, Name string }

// Choices returns all providers, in the order of the settings.
func (s *Service) Choices() []Choice {
	var all []Choice
	for _, p := range s.providers {
		all = append(all, Choice{p.ID, p.name()})
	}
	return all
}

// IDs returns the ids of all providers.
func (s *Service) IDs() []string {
	var all []string
	for _, p := range s.providers {
		all = append(all, p.ID)
	}
	return all
}

// Name returns what users know a provider as; for one that is not in the settings any more,
// its id.
func (s *Service) Name(id string) string {
	if p := s.find(id); p != nil {
		return p.name()
	}
	return id
}

// MaySignUp reports whether a provider's users get an account here.
func (s *Service) MaySignUp(id string) bool {
	p := s.find(id)
	return p != nil && p.Signup
}

// LinksByEmail reports whether a user of the provider is offered to link the account that
// has the address which the provider has verified.
func (s *Service) LinksByEmail(id string) bool {
	p := s.find(id)
	return p != nil && p.LinkByEmail == LinkVerified
}

func (s *Service) find(id string) *provider {
	if i := slices.IndexFunc(s.providers, func(p *provider) bool { return p.ID == id }); i >= 0 {
		return s.providers[i]
	}
	return nil
}

// A Trip is what a browser is led to a provider for.
type Trip struct {
	// Note comes back with the answer, unchanged and unread.
	Note string
	// Again asks the provider to have the user prove who they are once more. Of a provider
	// without a preset, an answer that doesn't say so is ErrNotAnew.
	Again bool
}

// Begin returns where to lead a browser, and what it has to keep until it comes back, in a
// cookie that no script reads. ErrUnknown, ErrAway.
func (s *Service) Begin(ctx context.Context, now time.Time, id string, t Trip) (location, keep string, err error) {
	p := s.find(id)
	if p == nil {
		return "", "", ErrUnknown
	}
	ctx, cancel := context.WithTimeout(ctx, Patience)
	defer cancel()
	f, err := p.discover(ctx, now)
	if err != nil {
		return "", "", s.failed(ctx, p, err)
	}
	q := newRequest(now, p.ID, t)
	config := s.config(p, f, "")
	options := []oauth2.AuthCodeOption{oauth2.S256ChallengeOption(q.Verifier)}
	if p.openID() {
		options = append(options, oauth2.SetAuthURLParam("nonce", q.Nonce))
	}
	if p.preset.formPost {
		options = append(options, oauth2.SetAuthURLParam("response_mode", "form_post"))
	}
	for _, param := range p.preset.again {
		if t.Again {
			options = append(options, oauth2.SetAuthURLParam(param[0], param[1]))
		}
	}
	return config.AuthCodeURL(q.State, options...), s.wrap(requestPurpose, q), nil
}

// config returns the client that this server is at a provider.
func (s *Service) config(p *provider, f *found, secret string) *oauth2.Config {
	return &oauth2.Config{ClientID: p.ClientID, ClientSecret: secret, Endpoint: f.endpoint, RedirectURL: s.callback + p.ID, Scopes: p.scopes()}
}

// Finish reads the answer that a browser brings from a provider. kept is what Begin had it
// keep. The note is the trip's, also with an error, unless that is ErrUnknown or ErrState.
// ErrUnknown, ErrState, ErrDenied, ErrNotAnew, ErrAway, ErrAnswer.
//
// Of any number of calls with one answer, one reaches the provider.
func (s *Service) Finish(ctx context.Context, now time.Time, id, kept string, answer url.Values) (c Claims, note string, err error) {
	p := s.find(id)
	if p == nil {
		return Claims{}, "", ErrUnknown
	}
	q, ok := s.open(kept)
	// Another browser's request, or an answer of another provider (RFC 9700 section 4.4).
	if !ok || q.Provider != p.ID || !now.Before(q.Expires) || subtle.ConstantTimeCompare([]byte(q.State), []byte(one(answer, "state"))) != 1 {
		return Claims{}, "", ErrState
	}
	used, err := s.throttle.Note(ctx, now, limits.Key("used state of a provider", q.State), Life)
	if err != nil {
		return Claims{}, "", err
	}
	if used {
		return Claims{}, "", ErrState
	}
	ctx, cancel := context.WithTimeout(ctx, Patience)
	defer cancel()
	c, err = s.finish(ctx, now, p, q, answer)
	if err != nil {
		return Claims{}, q.Note, s.failed(ctx, p, err)
	}
	return c, q.Note, nil
}

func (s *Service) finish(ctx context.Context, now time.Time, p *provider, q *request, answer url.Values) (Claims, error) {
	f, err := p.discover(ctx, now)
	if err != nil {
		return Claims{}, err
	}
	done, err := p.call()
	if err != nil {
		return Claims{}, err
	}
	defer done()
	if err := f.checkIssuer(answer); err != nil {
		return Claims{}, err
	}
	if code := one(answer, "error"); code != "" {
		switch code {
		case "server_error", "temporarily_unavailable":
			return Claims{}, fmt.Errorf("%w: it says %.64q", ErrAway, code)
		}
		return Claims{}, fmt.Errorf("%w: it says %.64q", ErrDenied, code)
	}
	code := one(answer, "code")
	if code == "" {
		return Claims{}, fmt.Errorf("%w: there is no code", ErrAnswer)
	}
	secret, err := p.clientSecret(now)
	if err != nil {
		return Claims{}, err
	}
	token, err := s.config(p, f, secret).Exchange(context.WithValue(ctx, oauth2.HTTPClient, s.client), code, oauth2.VerifierOption(q.Verifier))
	if err != nil {
		return Claims{}, exchangeError(err)
	}
	c, err := p.read(ctx, now, p, f, &answered{q, answer, token, s.client})
	if err != nil {
		return Claims{}, err
	}
	c.Provider = p.ID
	return c.checked()
}

// exchangeError says what a failed exchange of the code means.
func exchangeError(err error) error {
	if refused, ok := errors.AsType[*oauth2.RetrieveError](err); ok && refused.Response.StatusCode < 500 {
		// The body may quote the code, so it is in no log.
		return fmt.Errorf("%w: it answered the code with status %d, error %.64q", ErrAnswer, refused.Response.StatusCode, refused.ErrorCode)
	}
	return fmt.Errorf("%w: %w", ErrAway, err)
}

// failed logs an error and returns what callers are told. The provider's operator and ours
// need the reason, the user doesn't.
func (s *Service) failed(ctx context.Context, p *provider, err error) error {
	for _, told := range []error{ErrNotAnew, ErrDenied, ErrAnswer} {
		if errors.Is(err, told) {
			s.log.WarnContext(ctx, "a sign-in at a provider failed", "provider", p.ID, "err", brief(err))
			return told
		}
	}
	if errors.Is(ctx.Err(), context.Canceled) { // the caller has hung up
		return ctx.Err()
	}
	s.log.WarnContext(ctx, "a provider can't be used", "provider", p.ID, "err", brief(err))
	return ErrAway
}

// brief is an error for the log: it may quote all that a provider has answered.
func brief(err error) string { return fmt.Sprintf("%.300s", err.Error()) }

// one returns a parameter that is there once, or nothing (RFC 6749 section 3.1).
func one(v url.Values, name string) string {
	if len(v[name]) == 1 {
		return v[name][0]
	}
	return ""
}
