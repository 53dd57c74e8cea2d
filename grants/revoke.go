package grants

import (
	"errors"
	"net/http"
	"net/url"
	"time"

	"countersign/audit"
	"countersign/clients"
	"countersign/tokens"
)

// Revoke answers a revocation request (RFC 7009 section 2): the session of the
// client's token ends. No error also means that there was nothing to revoke, for
// then the client has what it wants (section 2.2). Every error it returns is an
// *oauth.Error.
func (s *Service) Revoke(r *http.Request, from audit.Origin) (clientID string, err error) {
	now := time.Now()
	form, client, err := s.authenticate(r, now, from)
	if err == nil {
		err = s.revoke(r, now, form, &client, from)
	}
	if err != nil {
		return client.ID, s.say(r, client.ID, from, err)
	}
	return client.ID, nil
}

func (s *Service) revoke(r *http.Request, now time.Time, form url.Values, client *clients.Client, from audit.Origin) error {
	token, err := tokenOf(form)
	if err != nil {
		return err
	}
	err = s.tokens.Revoke(r.Context(), now, client.ID, token, from)
	if errors.Is(err, tokens.ErrUnknown) {
		return nil
	}
	return err
}

// authenticate reads a request about a token and finds out which client sent it,
// before anything else in it is looked at.
func (s *Service) authenticate(r *http.Request, now time.Time, from audit.Origin) (url.Values, clients.Client, error) {
	form, err := readForm(r)
	if err != nil {
		return nil, clients.Client{}, err
	}
	cred, err := credentials(r, form)
	if err != nil {
		return nil, clients.Client{}, err
	}
	client, err := s.clients.Authenticate(r.Context(), now, cred, from.Address)
	return form, client, err
}

// tokenOf is the token that a request is about. What kind it is shows in the token
// itself, so a token_type_hint is never needed (RFC 7009 section 2.1).
func tokenOf(form url.Values) (string, error) {
	token := form.Get("token")
	if token == "" {
		return "", invalidRequest("token is missing")
	}
	return token, nil
}
