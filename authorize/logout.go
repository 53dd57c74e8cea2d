package authorize

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"time"

	"countersign/caller"
	"countersign/clients"
	"countersign/ids"
	"countersign/tokens"
)

// Logout is a request to sign the user out (OpenID Connect RP-Initiated Logout section
// 2) that has been checked. Its JSON is the content of a ticket.
type Logout struct {
	ClientID    ids.Client  `json:"client_id,omitempty"`    // empty: not given
	RedirectURI string      `json:"redirect_uri,omitempty"` // post_logout_redirect_uri, only with a ClientID
	State       string      `json:"state,omitempty"`
	UILocales   string      `json:"ui_locales,omitempty"`
	Subject     string      `json:"subject,omitempty"` // the user that the client means
	Session     ids.Session `json:"session"`           // the client's session; zero: not given
	AskedAt     int64       `json:"asked_at"`          // Unix milliseconds

	// ClientName is the client's name for users, empty if the client is unknown.
	ClientName string `json:"-"`
}

// GoTo returns the address that the browser goes to afterwards; empty: a page of ours.
func (r *Logout) GoTo() string {
	if r.RedirectURI == "" {
		return ""
	}
	answer := Response{URI: r.RedirectURI}
	if r.State != "" {
		answer.Values = []Value{{"state", r.State}}
	}
	return answer.Location()
}

// ReadLogout reads a request to sign out. With a *PageError the browser must not be
// sent to the client.
func (s *Service) ReadLogout(ctx context.Context, now time.Time, form url.Values) (*Logout, error) {
	for _, values := range form {
		if len(values) > 1 {
			return nil, &PageError{"invalid_request", "a parameter is repeated"}
		}
	}
	r := &Logout{ClientID: ids.Client(form.Get("client_id")), UILocales: form.Get("ui_locales"), AskedAt: now.UnixMilli()}
	if token := form.Get("id_token_hint"); token != "" {
		hint, err := s.o.Tokens.ReadHint(token)
		if err != nil || len(hint.ClientID) == 0 || r.ClientID != "" && !slices.Contains(hint.ClientID, r.ClientID) {
			return nil, &PageError{"invalid_request", "id_token_hint is not an ID token that this server issued to this client"}
		}
		r.ClientID, r.Subject, r.Session = hint.ClientID[0], hint.Subject, hint.Session
	}
	if r.ClientID != "" { // without a client we can't check a post_logout_redirect_uri
		r.RedirectURI, r.State = form.Get("post_logout_redirect_uri"), form.Get("state")
		if err := s.identifyLogout(ctx, r); err != nil {
			return nil, err
		}
	}
	if len(s.LogoutTicket(r)) > maxTicket || len(r.GoTo()) > MaxLocation {
		return nil, &PageError{"invalid_request", "the request is too large"}
	}
	return r, nil
}

// identifyLogout finds the client and checks the redirect URI. *PageError.
func (s *Service) identifyLogout(ctx context.Context, r *Logout) error {
	client, err := s.o.Clients.ByID(ctx, r.ClientID)
	switch {
	case errors.Is(err, clients.ErrUnknown):
		return &PageError{"unknown_client", "no client has this client_id"}
	case err != nil:
		return fmt.Errorf("find client: %w", err)
	case r.RedirectURI != "" && !client.AllowsPostLogoutRedirectURI(r.RedirectURI):
		return &PageError{"invalid_redirect_uri", "post_logout_redirect_uri is not registered for this client, byte for byte"}
	}
	r.ClientName = client.Name
	return nil
}

// Agreed reports whether the user need not be asked: the client's ID token names the
// user who is signed in, or the client is known and no user is signed in.
func (r *Logout) Agreed(l *tokens.Login) bool {
	if l == nil {
		return r.ClientID != ""
	}
	return r.Subject == l.UserID.String()
}

// ResumeLogout reads a ticket of a request to sign out. *PageError.
func (s *Service) ResumeLogout(ctx context.Context, now time.Time, ticket string) (*Logout, error) {
	var r Logout
	if err := s.open(now, logoutPurpose, ticket, &r, &r.AskedAt); err != nil {
		return nil, err
	}
	if r.ClientID == "" {
		return &r, nil
	}
	if err := s.identifyLogout(ctx, &r); err != nil {
		return nil, err
	}
	return &r, nil
}

// SignOut ends the login of a browser, if any, and the sessions that came of it. It
// also ends the session that the client's ID token names, if it is the same user's,
// from whatever login. Sessions with offline_access live on. An ID token alone ends
// nothing, because it is no proof.
func (s *Service) SignOut(ctx context.Context, now time.Time, r *Logout, l *tokens.Login, from caller.Caller) error {
	if l == nil {
		return nil
	}
	if err := s.o.Tokens.SignOutBrowser(ctx, now, l, from); err != nil {
		return err
	}
	if r.Session.IsZero() || r.Subject != l.UserID.String() {
		return nil
	}
	err := s.o.Tokens.EndClientSession(ctx, now, r.ClientID, l.UserID, r.Session, from)
	if errors.Is(err, tokens.ErrUnknown) { // it has ended
		return nil
	}
	return err
}
