package signin_test

import (
	"errors"
	"testing"
	"time"

	"countersign/accounts"
	"countersign/caller"
	"countersign/signin"
	"countersign/upstreams"
)

// The form that makes an account for a provider's user may be sent twice, and opens that account
// once more. Its claims are no way to sign in later: the user may have left the provider since.
func TestAFederatedSignUpSentTwice(t *testing.T) {
	r := newRig(t)
	sent := signin.FederatedSignUp{Claims: upstreams.Claims{Provider: "a", Issuer: "https://idp.example", Subject: "1"}, Username: "bob"}
	first, err := r.Prove(t.Context(), r.now, sent, caller.Caller{})
	noError(t, err)
	second, err := r.Prove(t.Context(), r.now.Add(59*time.Second), sent, caller.Caller{})
	noError(t, err)
	if first.State != signin.SignedIn || second.State != signin.SignedIn || second.User.ID != first.User.ID {
		t.Errorf("%v and %v", first, second)
	}
	if _, err := r.Prove(t.Context(), r.now.Add(time.Minute), sent, caller.Caller{}); !errors.Is(err, accounts.ErrIdentityTaken) && !errors.Is(err, accounts.ErrUsernameTaken) {
		t.Errorf("later: %v", err)
	}
}
