// Package authorize is the authorization endpoint's protocol (RFC 6749 section 4.1,
// OpenID Connect Core section 3.1.2): it reads a request, decides what must happen
// next, and answers the client through the browser. It knows no HTTP and shows no page.
//
// A request is read once ([Service.Read]) and judged whenever the caller must know which
// [Step] comes next ([Service.Judge]). The judgment depends on the request, its client,
// the browser's login and the user's consent, and never on a page that says it is done.
// Only a judgment gets an answer ([Service.Answer]), so a caller can't skip a step by
// calling the next. Between pages the browser carries the request as a ticket
// ([Service.Ticket]); the server stores nothing for strangers.
//
// An error in client_id or redirect_uri may be an attacker's doing and not the
// client's, so the user sees it on a page (*[PageError]). All other errors go to the
// client (*[oauth.Error]).
package authorize

import (
	"strings"

	"countersign/clients"
	"countersign/consents"
	"countersign/ids"
	"countersign/oauth"
	"countersign/seal"
	"countersign/signin"
	"countersign/tokens"
)

// Options are what a Service is made of. Clients, Consents, Tokens, SignIns, Seal and Issuer
// are required.
type Options struct {
	Clients  *clients.Registry
	Consents consents.Service
	Tokens   *tokens.Service
	SignIns  *signin.Service // asks users for one more factor, or for the first
	Seal     *seal.Keys
	Issuer   string // sent in every answer (RFC 9207)
	// Claims maps each claim that a client can ask for by name to the scope that opens
	// it.
	Claims map[string]string
	// RFC9700 requires PKCE of every client (RFC 9700 section 2.1.1).
	RFC9700 bool
	// SignupEnabled lets a client ask for the page that makes an account (prompt=create).
	SignupEnabled bool
}

// Service answers authorization requests. It is safe for concurrent use.
type Service struct{ o Options }

// New returns a Service.
func New(o Options) *Service { return &Service{o} }

// PageError is an error that a page shows, because the browser must not be sent to the
// redirect URI of the request (RFC 6749 section 4.1.2.1).
type PageError struct {
	Code   string // selects the page's text: unknown_client, invalid_redirect_uri, invalid_request, expired
	Detail string // for the developer
}

func (e *PageError) Error() string { return e.Code + ": " + e.Detail }

// Response is an answer to the client through the browser: to its redirect URI, in the
// query or as a form.
type Response struct {
	URI      string
	FormPost bool // as a form (OAuth 2.0 Form Post Response Mode)
	Values   []Value
	Error    string // the error code, if it is an error
	// Description is the error's description. It has none of what the caller sent.
	Description string
}

// Value is a parameter of a response.
type Value struct{ Name, Value string }

// Refuse returns the response that sends an OAuth error to the client.
func (s *Service) Refuse(r *Request, refusal *oauth.Error) Response {
	answer := s.respond(r, Value{"error", refusal.Code}, Value{"error_description", refusal.Description})
	answer.Error, answer.Description = refusal.Code, refusal.Description
	return answer
}

// respond returns a response with the values and those that every response has.
func (s *Service) respond(r *Request, values ...Value) Response {
	if r.State != "" {
		values = append(values, Value{"state", r.State})
	}
	return Response{URI: r.RedirectURI, FormPost: r.FormPost, Values: append(values, Value{"iss", s.o.Issuer})}
}

// Location returns the address of a response in the query. It keeps the redirect URI
// byte for byte, because the client may compare it.
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

// subject returns a user's id in canonical form, or "" if id is not valid.
func subject(id string) string {
	if u, err := ids.Parse[ids.User](id); err == nil {
		return u.String()
	}
	return ""
}
