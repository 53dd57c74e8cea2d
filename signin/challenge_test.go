package signin_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"countersign/accounts"
	"countersign/caller"
	"countersign/factors"
	"countersign/signin"
)

// door is a caller whose challenges are bound to it.
var door = caller.Caller{Binding: "a browser"}

// challenges returns one of each kind for alice: of a second factor, and of a first.
func (r *rig) challenges() (second, first string) {
	r.t.Helper()
	ask := func() error {
		o, err := r.Prove(r.t.Context(), r.now, signin.Password{Username: "alice", Password: password}, door)
		noError(r.t, err)
		_, err = o.Proven()
		return err
	}
	enrol, ok := errors.AsType[*signin.EnrolmentDueError](ask())
	if !ok {
		r.t.Fatal("no enrolment is due")
	}
	noError(r.t, r.signedInBy(enrol.Challenge))
	due, ok := errors.AsType[*signin.FactorDueError](ask())
	if !ok {
		r.t.Fatal("no second factor is due")
	}
	// The first factor has moved the epoch, and a new account is asked for one.
	bob, err := r.users.Create(r.t.Context(), r.now, accounts.NewUser{Username: "bob", Password: password}, caller.Operator())
	noError(r.t, err)
	b, err := r.Prove(r.t.Context(), r.now, signin.Password{Username: bob.Username, Password: password}, door)
	noError(r.t, err)
	_, err = b.Proven()
	if enrol, ok = errors.AsType[*signin.EnrolmentDueError](err); !ok {
		r.t.Fatal("no enrolment is due")
	}
	return due.Challenge, enrol.Challenge
}

// signedInBy answers an enrolment's challenge.
func (r *rig) signedInBy(challenge string) error {
	e, err := r.Enrolment(r.t.Context(), r.now, challenge, door)
	if err != nil {
		return err
	}
	o, err := r.Prove(r.t.Context(), r.now, signin.FirstFactor{Challenge: challenge, Code: appCode(r.t, e.App.Secret, r.now)}, door)
	if err == nil && (o.State != signin.SignedIn || len(o.RecoveryCodes) != 10) {
		r.t.Errorf("%v, %d recovery codes", o.State, len(o.RecoveryCodes))
	}
	return err
}

// Only the exact text of a challenge counts, at its own proof, for its door, in its time.
func FuzzChallenges(f *testing.F) {
	r := newRig(f)
	r.factorsAre(factors.Settings{TOTP: true, Required: []string{"all"}, RememberBrowser: time.Hour})
	second, first := r.challenges()
	for _, s := range []string{
		second, first, second + "A", first + "A", second[:len(second)-1], first[:len(first)-1], "cs_ch_" + first[6:], "cs_ce_" + second[6:],
		"cs_ch_", "cs_ce_", "", "cs_ce_" + strings.Repeat("A", 400), "cs_ch_" + strings.Repeat("\n", 100), strings.ToUpper(first),
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		want := func(p signin.Proof, good bool, from caller.Caller, at time.Time) {
			t.Helper()
			o, err := r.Prove(t.Context(), at, p, from)
			if o.State != signin.Refused || err == nil {
				t.Fatalf("%T %q: %v, %v", p, s, o.State, err)
			}
			if bad := errors.Is(err, signin.ErrBadChallenge); bad == good {
				t.Fatalf("%T %q: %v", p, s, err)
			}
		}
		// The wrong code of a good challenge is one, or throttled after many.
		want(signin.SecondFactor{Challenge: s, Method: factors.ByTOTP, Code: "x"}, s == second, door, r.now)
		want(signin.FirstFactor{Challenge: s, Code: "x"}, s == first, door, r.now)
		for _, from := range []caller.Caller{{}, {Binding: "another"}} {
			want(signin.SecondFactor{Challenge: s, Method: factors.ByTOTP, Code: "x"}, false, from, r.now)
			want(signin.FirstFactor{Challenge: s, Code: "x"}, false, from, r.now)
		}
		want(signin.SecondFactor{Challenge: s, Method: factors.ByTOTP, Code: "x"}, false, door, r.now.Add(5*time.Minute))
		want(signin.FirstFactor{Challenge: s, Code: "x"}, false, door, r.now.Add(15*time.Minute))
		if _, err := r.Enrolment(t.Context(), r.now, s, door); errors.Is(err, signin.ErrBadChallenge) == (s == first) {
			t.Fatalf("%q: %v", s, err)
		}
	})
}

// A challenge is good for one sign-in: of two answers at a time, one.
func TestOneEnrolmentOfAChallenge(t *testing.T) {
	r := newRig(t)
	r.factorsAre(factors.Settings{TOTP: true, Required: []string{"all"}})
	o, err := r.Prove(t.Context(), r.now, signin.Password{Username: "alice", Password: password}, door)
	noError(t, err)
	if start, enter := r.use(&o); !errors.Is(start, signin.ErrEnrolmentDue) || !errors.Is(enter, signin.ErrEnrolmentDue) {
		t.Errorf("start %v, enter %v", start, enter)
	}
	_, err = o.Proven()
	due, _ := errors.AsType[*signin.EnrolmentDueError](err)
	for i, want := range []error{nil, signin.ErrBadChallenge} {
		if err := r.signedInBy(due.Challenge); !errors.Is(err, want) {
			t.Errorf("answer %d: %v, want %v", i, err, want)
		}
	}
}
