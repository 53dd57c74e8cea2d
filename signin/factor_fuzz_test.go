package signin_test

import (
	"errors"
	"testing"
	"time"

	"countersign/caller"
	"countersign/factors"
	"countersign/oauth"
	"countersign/signin"
)

// FuzzChallenge: no text is a challenge but ours, whatever the content of one that we have
// made, and none proves a user without a code.
func FuzzChallenge(f *testing.F) {
	r := newRig(f)
	from := caller.Caller{Binding: "this browser"}
	o := r.signedIn(signin.Password{Username: "alice", Password: password})
	l, err := r.Enter(f.Context(), r.now, &o, nil, from)
	noError(f, err)
	if due, err := r.StepUp(f.Context(), r.now, &l, oauth.ClassMultiple, from); due != nil || err != nil {
		f.Fatalf("a step-up of a user without a factor: %v, %v", due, err)
	}
	for _, content := range []string{"", "short", string(make([]byte, 111)), string(make([]byte, 112)), string(make([]byte, 112)) + "pwd  otp \x00"} {
		f.Add("", []byte(content))
	}
	for _, text := range []string{"", "cs_ch_", "cs_ch_AAAA", "cs_as_AAAA", "\x00"} {
		f.Add(text, []byte(nil))
	}
	f.Fuzz(func(t *testing.T, text string, content []byte) {
		for _, one := range []string{text, r.seal.Token("cs_ch_", "challenge for a second factor", content)} {
			o, err := r.Prove(t.Context(), time.Now(), signin.SecondFactor{Challenge: one, Method: factors.ByTOTP, Code: "000000"}, from)
			if !errors.Is(err, signin.ErrBadChallenge) || o.State != signin.Refused {
				t.Errorf("%q: %v, %v", one, o.State, err)
			}
		}
	})
}
