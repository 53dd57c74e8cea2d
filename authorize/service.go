// Package authorize is the authorization endpoint's protocol (RFC 6749 section 4.1,
// OpenID Connect Core section 3.1.2): it reads a request, says what has to happen next,
// and answers the client through the browser. It knows no HTTP and shows no page.
//
// A request is read once ([Service.Read]) and then judged once for each page that the
// user comes by ([Service.Judge]): the judgment says which [Step] comes next. What is
// judged is the request and the browser's login, nothing else, and only a judgment gets
// an answer ([Service.Answer]), so no step can be skipped by calling the next. In between
// the request travels with the browser as a ticket ([Service.Ticket]); the server keeps
// nothing for strangers.
//
// A mistake that may be an attacker's and not the client's, which is that of
// client_id and redirect_uri, is told to the person (*[PageError]). All others go to
// the client (*[oauth.Error]).
package authorize

import (
	"strings"

	"github.com/google/uuid"

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

// PageError is a request that is answered with a page: no browser may be sent to the
// redirect URI that it names (RFC 6749 section 4.1.2.1).
type PageError struct {
	Code   string // for the page's words: unknown_client, invalid_redirect_uri, invalid_request, expired
	Detail string // for the developer
}

func (e *PageError) Error() string { return e.Code + ": " + e.Detail }

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
