package grants

import (
	"context"
	"errors"

	"countersign/tokens"
)

// revoke ends the session of the token in the request.
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

// tokenOf returns the token in the request. The token itself shows its kind, so we
// ignore token_type_hint (RFC 7009 section 2.1).
func tokenOf(x *Request) (string, error) {
	token := x.Form.Get("token")
	if token == "" {
		return "", missing("token")
	}
	return token, nil
}
