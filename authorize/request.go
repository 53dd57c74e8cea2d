package authorize

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"countersign/clients"
	"countersign/ids"
	"countersign/oauth"
	"countersign/refusals"
	"countersign/tokens"
)

// Request is an authorization request that has been checked. Its JSON is the content of
// a ticket.
type Request struct {
	ClientID    ids.Client   `json:"client_id"`
	RedirectURI string       `json:"redirect_uri"`
	FormPost    bool         `json:"form_post,omitempty"`
	State       string       `json:"state,omitempty"`
	Scopes      oauth.Scopes `json:"scopes"` // what the client gets
	Nonce       string       `json:"nonce,omitempty"`
	Challenge   string       `json:"challenge,omitempty"`
	Resources   []string     `json:"resources,omitempty"`

	Prompt    []string `json:"prompt,omitempty"`
	MaxAge    *int64   `json:"max_age,omitempty"` // seconds
	Subject   string   `json:"subject,omitempty"` // the user that the client means
	LoginHint string   `json:"login_hint,omitempty"`
	UILocales string   `json:"ui_locales,omitempty"`

	IDTokenClaims  []string `json:"id_token_claims,omitempty"`
	UserInfoClaims []string `json:"userinfo_claims,omitempty"`

	AskedAt int64    `json:"asked_at"`             // Unix milliseconds
	Classes []string `json:"acr,omitempty"`        // one of which the sign-in must come to; none: any will do
	Wants   []string `json:"acr_values,omitempty"` // the first of these that the user can reach, if any
	Chosen  bool     `json:"chosen,omitempty"`     // the user chose to continue without a new proof

	client  clients.Client
	implied []string // scopes that open the claims
}

// Client is the application that asks, as it is now.
func (r *Request) Client() *clients.Client { return &r.client }

// Silent reports whether the client wants an answer at once, without any page
// (prompt=none).
func (r *Request) Silent() bool { return r.prompts("none") }

// Choose returns the request with the user's choice to continue without a new proof.
func (r *Request) Choose() *Request {
	chosen := *r
	chosen.Chosen = true
	return &chosen
}

// For returns the request limited to the user of a login.
func (r *Request) For(l *tokens.Login) *Request {
	theirs := *r
	theirs.Subject = l.UserID.String()
	return &theirs
}

func (r *Request) prompts(value string) bool { return slices.Contains(r.Prompt, value) }

// maxRequest bounds a request's parameters, in bytes as encoded: they must also fit
// into an address as a ticket.
const maxRequest = 8 << 10

// ErrMalformed is the error of a request that is too large, or whose parameters can't be
// read.
var ErrMalformed = &PageError{Code: "invalid_request", Detail: "the authorization request is larger than 8 KiB, or not a form"}

// Read reads a request from its parameters, encoded as a form. With an *oauth.Error it
// also returns a request, to which that error can be answered. With any other error, such
// as a *PageError, it returns none.
func (s *Service) Read(ctx context.Context, now time.Time, encoded string) (*Request, error) {
	if len(encoded) > maxRequest {
		return nil, ErrMalformed
	}
	form, err := url.ParseQuery(encoded)
	if err != nil {
		return nil, ErrMalformed
	}
	r := &Request{ClientID: ids.Client(form.Get("client_id")), RedirectURI: form.Get("redirect_uri"), AskedAt: now.UnixMilli()}
	for _, name := range []string{"client_id", "redirect_uri"} {
		if values := form[name]; len(values) != 1 || values[0] == "" {
			return nil, &PageError{"invalid_request", name + " is missing or repeated"}
		}
	}
	if err := s.identify(ctx, r); err != nil {
		return nil, err
	}
	err = s.read(r, form)
	if !s.answerable(r) {
		return nil, errStateTooLong
	}
	if err == nil && len(s.Ticket(r)) > maxTicket {
		err = oauth.Refuse(oauth.InvalidRequest, "the request is too large")
	}
	if err != nil {
		if refusal, ok := refusals.InRedirect(err); ok {
			return r, refusal
		}
		return nil, err
	}
	return r, nil
}

var errStateTooLong = &PageError{Code: "invalid_request", Detail: "state is too long: with the redirect_uri it doesn't fit into a redirect"}

// maxAnswer bounds what the values of a response take beside its state: a code, or an
// error with its description.
const maxAnswer = 512

// answerable reports whether any response to the request fits into a redirect.
func (s *Service) answerable(r *Request) bool {
	empty := s.respond(r)
	return r.FormPost || len(empty.Location())+maxAnswer <= MaxLocation
}

// identify finds the client and checks its redirect URI. *PageError.
func (s *Service) identify(ctx context.Context, r *Request) error {
	client, err := s.o.Clients.ByID(ctx, r.ClientID)
	switch {
	case errors.Is(err, clients.ErrUnknown):
		return &PageError{"unknown_client", "no client has this client_id"}
	case err != nil:
		return fmt.Errorf("find client: %w", err)
	case !client.AllowsRedirectURI(r.RedirectURI):
		return &PageError{"invalid_redirect_uri", "redirect_uri is not registered for this client, byte for byte"}
	}
	r.client = client
	return nil
}

// repeatable are the parameters that may occur more than once.
var repeatable = []string{"resource"}

// read reads all parameters but the client's. It reads state and response_mode first,
// because an error before that would be answered wrongly.
func (s *Service) read(r *Request, form url.Values) error {
	if len(form["state"]) == 1 {
		r.State = form.Get("state")
	}
	if mode := form["response_mode"]; len(mode) == 1 && mode[0] == "form_post" {
		r.FormPost = true
	}
	for name, values := range form {
		if len(values) > 1 && !slices.Contains(repeatable, name) {
			return oauth.Refuse(oauth.InvalidRequest, "a parameter is repeated")
		}
		for _, v := range values {
			if !utf8.ValidString(v) {
				return oauth.Refuse(oauth.InvalidRequest, "a parameter is not UTF-8")
			}
		}
	}
	switch mode := form.Get("response_mode"); mode {
	case "", "query", "form_post":
	default:
		return oauth.Refuse(oauth.InvalidRequest, "response_mode must be query or form_post")
	}
	if r.FormPost && !strings.HasPrefix(r.RedirectURI, "https://") && !strings.HasPrefix(r.RedirectURI, "http://") {
		r.FormPost = false
		return oauth.Refuse(oauth.InvalidRequest, "response_mode form_post needs an http or https redirect_uri")
	}
	for _, name := range []string{"request", "request_uri", "registration"} { // OpenID Connect Core sections 6 and 7.2
		if form.Get(name) != "" {
			return oauth.Refuse(name+"_not_supported", name+" is not supported")
		}
	}
	switch form.Get("response_type") {
	case "code":
	case "":
		return oauth.Refuse(oauth.InvalidRequest, "response_type is missing")
	default:
		return oauth.Refuse(oauth.UnsupportedResponseType, "response_type must be code")
	}
	if !r.client.AllowsGrant(oauth.GrantAuthorizationCode) {
		return oauth.Refuse(oauth.UnauthorizedClient, "the client may not use authorization codes")
	}
	for _, part := range []func(*Request, url.Values) error{s.readScope, s.readChallenge, s.readPrompt, s.readHints, s.readClaims} {
		if err := part(r, form); err != nil {
			return err
		}
	}
	return nil
}

func (s *Service) readScope(r *Request, form url.Values) error {
	ask, err := oauth.ParseScopes(form.Get("scope"))
	if err != nil {
		return oauth.Refuse(oauth.InvalidScope, err.Error())
	}
	if r.Resources, err = oauth.ParseResources(slices.DeleteFunc(slices.Clone(form["resource"]), func(v string) bool { return v == "" })); err != nil {
		return err
	}
	r.Scopes, err = s.o.Tokens.Granted(r.client.Recipient(), ask, r.Resources)
	return err
}

// readChallenge reads PKCE (RFC 7636 section 4.3).
func (s *Service) readChallenge(r *Request, form url.Values) error {
	r.Challenge = form.Get("code_challenge")
	return oauth.CheckPKCE(r.Challenge, form.Get("code_challenge_method"), s.needsPKCE(r))
}

// needsPKCE reports whether the client must use PKCE. A confidential client may go
// without: a stolen code is of no use without its secret, and the client notices a code
// that an attacker injects by the nonce that comes back in the ID token (RFC 9700
// sections 2.1.1 and 4.5.3.2). A challenge that it does send is held to.
func (s *Service) needsPKCE(r *Request) bool {
	return s.o.RFC9700 || r.client.NeedsPKCE()
}

// Prompts returns the supported values of prompt (OpenID Connect Core section 3.1.2.1;
// create is of Initiating User Registration).
func (s *Service) Prompts() []string {
	values := []string{"none", "login", "consent", "select_account"}
	if s.o.SignupEnabled {
		values = append(values, "create")
	}
	return values
}

func (s *Service) readPrompt(r *Request, form url.Values) error {
	supported := s.Prompts()
	for value := range strings.FieldsSeq(form.Get("prompt")) {
		if !slices.Contains(supported, value) {
			return oauth.Refuse(oauth.InvalidRequest, "prompt must only have "+strings.Join(supported, ", "))
		}
		if !r.prompts(value) {
			r.Prompt = append(r.Prompt, value)
		}
	}
	if r.prompts("none") && len(r.Prompt) > 1 {
		return oauth.Refuse(oauth.InvalidRequest, "prompt none must be the only value")
	}
	if text := form.Get("max_age"); text != "" {
		age, err := strconv.ParseInt(text, 10, 32)
		if err != nil || text[0] < '0' || text[0] > '9' {
			return oauth.Refuse(oauth.InvalidRequest, "max_age must be a number of seconds")
		}
		r.MaxAge = &age
	}
	return nil
}

func (s *Service) readHints(r *Request, form url.Values) error {
	r.Nonce = form.Get("nonce")
	r.LoginHint = form.Get("login_hint")
	r.UILocales = form.Get("ui_locales")
	for class := range strings.FieldsSeq(form.Get("acr_values")) {
		if slices.Contains(oauth.Classes, class) && !slices.Contains(r.Wants, class) {
			r.Wants = append(r.Wants, class)
		}
	}
	token := form.Get("id_token_hint")
	if token == "" {
		return nil
	}
	hint, err := s.o.Tokens.ReadHint(token)
	if err != nil || !slices.Contains(hint.ClientID, r.ClientID) {
		return oauth.Refuse(oauth.InvalidRequest, "id_token_hint is not an ID token that this server issued to this client")
	}
	r.Subject = hint.Subject
	return nil
}

// claimRequest is the request for one claim (OpenID Connect Core section 5.5.1).
type claimRequest struct {
	Essential bool  `json:"essential"`
	Value     any   `json:"value"`
	Values    []any `json:"values"`
}

// among returns those of the values that would do. Without a value asked for all do.
func (c *claimRequest) among(values []string) []string {
	asked := c.Values
	if c.Value != nil {
		asked = append(asked, c.Value)
	}
	return slices.DeleteFunc(slices.Clone(values), func(v string) bool { return len(asked) > 0 && !slices.Contains(asked, any(v)) })
}

// readClaims reads the claims parameter (OpenID Connect Core section 5.5). It ignores
// claims that we don't know, or that no scope of the client would open.
func (s *Service) readClaims(r *Request, form url.Values) error {
	text := form.Get("claims")
	if text == "" {
		return nil
	}
	var asked struct {
		UserInfo map[string]*claimRequest `json:"userinfo"`
		IDToken  map[string]*claimRequest `json:"id_token"`
	}
	if err := json.Unmarshal([]byte(text), &asked); err != nil {
		return oauth.Refuse(oauth.InvalidRequest, "claims must be a JSON object as in OpenID Connect Core section 5.5")
	}
	if acr := asked.IDToken["acr"]; acr != nil && acr.Essential {
		if r.Classes = acr.among(oauth.Classes); len(r.Classes) == 0 {
			return oauth.Refuse(oauth.UnmetAuthentication, "this server reaches none of these acr values, but "+strings.Join(oauth.Classes, ", "))
		}
	}
	for _, claims := range []map[string]*claimRequest{asked.UserInfo, asked.IDToken} {
		sub := claims["sub"]
		if sub == nil || sub.Value == nil && len(sub.Values) != 1 {
			continue
		}
		if sub.Value == nil {
			sub.Value = sub.Values[0]
		}
		means, _ := sub.Value.(string)
		means = subject(means)
		if means == "" || r.Subject != "" && r.Subject != means {
			return refusals.LoginRequired // no user has such an id
		}
		r.Subject = means
	}
	r.UserInfoClaims = s.claims(r, asked.UserInfo)
	r.IDTokenClaims = s.claims(r, asked.IDToken)
	s.imply(r)
	return nil
}

func (s *Service) claims(r *Request, asked map[string]*claimRequest) (names []string) {
	for name := range asked {
		if scope := s.o.Claims[name]; scope != "" && slices.Contains(r.client.Scopes, scope) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// imply finds the scopes that open the requested claims.
func (s *Service) imply(r *Request) {
	for _, name := range slices.Concat(r.UserInfoClaims, r.IDTokenClaims) {
		if scope := s.o.Claims[name]; !slices.Contains(r.implied, scope) {
			r.implied = append(r.implied, scope)
		}
	}
}

// escape encodes a value for a query. A space becomes %20, because some readers take +
// for a plus sign.
func escape(value string) string { return strings.ReplaceAll(url.QueryEscape(value), "+", "%20") }
