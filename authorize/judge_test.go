package authorize_test

import (
	"testing"
	"time"

	"countersign/authorize"
	"countersign/caller"
	"countersign/tokens"
)

// A judgment that Judge did not make, or that is at another step, gets no answer.
func TestOnlyTheStepThatIsDueIsAnswered(t *testing.T) {
	s := newRig(t)
	r, err := s.Read(t.Context(), s.now, "response_type=code&client_id=app&redirect_uri=https%3A%2F%2Fapp.example.com%2Fcallback&scope=openid"+
		"&code_challenge=E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM&code_challenge_method=S256")
	noError(t, err)
	signIn, err := s.Judge(t.Context(), r, nil)
	noError(t, err)
	if signIn.Step() != authorize.SignIn || signIn.MayContinue {
		t.Fatalf("without a login: %v, may continue: %v", signIn.Step(), signIn.MayContinue)
	}
	consent, err := s.Judge(t.Context(), r, &tokens.Login{UserID: s.alice, AuthTime: s.now.Add(time.Minute)})
	noError(t, err)
	if consent.Step() != authorize.Consent || !consent.MayContinue {
		t.Fatalf("with a login: %v, may continue: %v", consent.Step(), consent.MayContinue)
	}
	for name, j := range map[string]authorize.Judgment{"the zero judgment": {}, "sign-in": signIn, "consent": consent} {
		if answer, err := s.Answer(t.Context(), s.now, j); err == nil {
			t.Errorf("%s is answered with %+v", name, answer)
		}
		if name == "consent" {
			continue
		}
		if answer, err := s.Allow(t.Context(), s.now, j, caller.Operator()); err == nil {
			t.Errorf("%s is allowed: %+v", name, answer)
		}
		if answer, err := s.Deny(j); err == nil {
			t.Errorf("%s is denied: %+v", name, answer)
		}
	}
}
