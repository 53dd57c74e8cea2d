package signin

import (
	"context"
	"errors"

	"countersign/accounts"
	"countersign/oauth"
	"countersign/secrecy"
)

// Reset sets a new password by a mailed token, which proves the user: by the mailbox and by
// the password. A user who sends the same twice is proven again; the Outcome is then
// Repeated. Its errors are those of accounts.Users.ResetPassword.
type Reset struct {
	Token    string
	Password secrecy.Text
}

func (r Reset) prove(ctx context.Context, s *Service, a attempt) (Outcome, error) {
	user, err := s.users.ResetPassword(ctx, a.now, r.Token, r.Password, a.from)
	again := errors.Is(err, accounts.ErrAlreadyDone)
	if err != nil && !again {
		return Outcome{}, err
	}
	o := proven(a.now, user, oauth.MethodPassword)
	o.Repeated, o.told = again, true // the letter says that the password was changed
	return o, nil
}
