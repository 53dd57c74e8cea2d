package tokens_test

import (
	"testing"

	"countersign/caller"
	"countersign/oauth"
	"countersign/tokens"
)

// Nothing begins or goes on below the class that the client requires, whatever the caller of
// this package has checked.
func TestNothingIsIssuedBelowTheRequiredClass(t *testing.T) {
	onBoth(t, func(t *testing.T, s *service) {
		strict := s.app
		strict.RequireACR = oauth.ClassMultiple
		for _, test := range []struct {
			methods oauth.Methods
			want    error
		}{{nil, tokens.ErrClass}, {oauth.Methods{oauth.MethodPassword}, tokens.ErrClass}, {oauth.Methods{oauth.MethodPassword, oauth.MethodOTP, oauth.MethodMultiple}, nil}} {
			who := tokens.SignIn{UserID: s.alice.ID, Epoch: s.alice.Epoch, AuthTime: s.now, Methods: test.methods}
			_, err := s.Start(t.Context(), s.now, strict, who, nil, nil, caller.Caller{})
			wantError(t, "a session", err, test.want)
			before, err := s.Start(t.Context(), s.now, s.app, who, nil, nil, caller.Caller{})
			noError(t, err)
			_, err = s.Refresh(t.Context(), s.now, strict, before.RefreshToken, nil, nil, caller.Caller{})
			wantError(t, "a refresh", err, test.want)

			ask := tokens.Asked{RedirectURI: callback, WithoutConsent: true}
			l, err := s.SignInBrowser(t.Context(), s.now, who, nil, caller.Caller{})
			noError(t, err)
			_, err = s.IssueCode(t.Context(), s.now, strict, &l, ask)
			wantError(t, "a code", err, test.want)
			_, err = s.IssueCodeWithoutLogin(t.Context(), s.now, strict, who, ask, caller.Caller{})
			wantError(t, "a code without a login", err, test.want)
			code, err := s.IssueCodeWithoutLogin(t.Context(), s.now, s.app, who, ask, caller.Caller{})
			noError(t, err)
			_, err = s.redeem(strict, code)
			wantError(t, "an exchange", err, test.want)
			if test.want != nil { // it has spent nothing
				_, err = s.redeem(s.app, code)
				noError(t, err)
			}
		}
	})
}
