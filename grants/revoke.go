package grants

import (
	"context"
	"errors"

	"countersign/tokens"
)

// revoke ends the session of the token that a request is about.
func (s *Service) revoke(ctx context.Context, x *Request) error {
	token, err := tokenOf(x)
	if err != nil {
		return err
	}
	err = s.tokens.Revoke(ctx, x.Now, x.Client.ID, token, x.From)
	if errors.Is(err, tokens.ErrUnknown) {
		return nil
	}
	return err
}

// tokenOf is the token that a request is about. What kind it is shows in the token
// itself, so a token_type_hint is never needed (RFC 7009 section 2.1).
func tokenOf(x *Request) (string, error) {
	token := x.Form.Get("token")
	if token == "" {
		return "", missing("token")
	}
	return token, nil
}
