package signin

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"time"

	"countersign/accounts"
	"countersign/caller"
	"countersign/factors"
	"countersign/ids"
	"countersign/oauth"
	"countersign/tokens"
)

var (
	// ErrFactorDue means that a second factor is due. The error itself is a *FactorDueError.
	ErrFactorDue = errors.New("a second factor is due")
	// ErrBadChallenge means that a challenge is unknown, used, expired or another browser's,
	// or that its account or its login has changed since.
	ErrBadChallenge = errors.New("bad challenge")
	// ErrUnmet means that the client requires more than the user can prove.
	ErrUnmet = errors.New("the user has no factor that the client requires")
)

// FactorDueError is an ErrFactorDue with what the caller needs to go on.
type FactorDueError struct {
	// Challenge stands for what the user has proven so far, to the caller that got it. A
	// SecondFactor answers it once, within five minutes.
	Challenge string
	Methods   []factors.Method // in which the user may answer, the usual one first
	// Passkey is what a page hands to navigator.credentials.get, as WebAuthn JSON; nil without
	// factors.ByPasskey.
	Passkey json.RawMessage
}

func (e *FactorDueError) Error() string { return ErrFactorDue.Error() }

// Is makes a FactorDueError an ErrFactorDue.
func (e *FactorDueError) Is(target error) bool { return target == ErrFactorDue }

// SecondFactor proves a user by a code or a passkey, and by the challenge that came of the
// first factor, or of StepUp. Its errors are ErrBadChallenge, factors.ErrBadCode,
// factors.ErrNoPasskeys, a *limits.WaitError, and those of an account that may not sign in.
// After a wrong answer the challenge is as good as before.
type SecondFactor struct {
	Challenge string
	Method    factors.Method
	Code      string // of other methods than ByPasskey
	Passkey   []byte // of ByPasskey: what navigator.credentials.get gave, as WebAuthn JSON
	// Remember asks for no second factor at the next sign-ins in this browser: see
	// Outcome.Keep. It has no effect with a recovery code, which the user has come to
	// because the app is lost, and perhaps not lost alone.
	Remember bool
}

// proves says what a user has proven by one of the ways to prove a second factor. Of a passkey
// it is the least: see factors.Passkey.Methods.
func proves(by factors.Method) oauth.Methods {
	if by == factors.ByPasskey {
		return (&factors.Passkey{BackupEligible: true}).Methods()
	}
	return factors.CodeMethods
}

// reaching returns those of the methods by which a user who has proven had reaches a class.
func reaching(methods []factors.Method, had oauth.Methods, class string) []factors.Method {
	return slices.DeleteFunc(slices.Clone(methods), func(by factors.Method) bool { return !had.And(proves(by)).Reaches(class) })
}

// due returns what a user who has proven had has to prove to reach a class, nil if the user has
// no second factor. challenge makes the challenge. ErrUnmet if none of the user's factors
// reaches the class.
func (s *Service) due(ctx context.Context, user ids.User, had oauth.Methods, class string, challenge func() string) (*FactorDueError, error) {
	asked, err := s.factors.Due(ctx, user)
	if err != nil || len(asked.Methods) == 0 {
		return nil, err
	}
	due := &FactorDueError{Methods: reaching(s.answerable(asked.Methods), had, class)}
	if len(due.Methods) == 0 && class != "" {
		return nil, ErrUnmet
	}
	due.Challenge = challenge()
	if slices.Contains(due.Methods, factors.ByPasskey) {
		due.Passkey, err = s.factors.RequestOptions(due.Challenge, asked.Passkeys)
	}
	return due, err
}

// StillDue returns what the caller needs to go on from a challenge that it has: the same as
// came with it, as things are now. Its error is ErrBadChallenge, or another.
func (s *Service) StillDue(ctx context.Context, now time.Time, text string, from caller.Caller) (*FactorDueError, error) {
	ch, ok := s.read(factorChallenge, text, attempt{now: now, from: from})
	if !ok {
		return nil, ErrBadChallenge
	}
	due, err := s.due(ctx, ch.user, ch.methods, ch.class, func() string { return text })
	if err == nil && due == nil || errors.Is(err, ErrUnmet) {
		err = ErrBadChallenge
	}
	return due, err
}

// askFactor makes o FactorDue if the user has a second factor, unless the browser is one that
// the user has told us to remember; and EnrolmentDue if the user must have one and has none.
func (s *Service) askFactor(ctx context.Context, o *Outcome, p Proof, a attempt) error {
	due, err := s.dueOf(ctx, o, a)
	if err != nil {
		return err
	}
	if due == nil {
		if s.factors.MustHave(o.User.Roles) {
			s.askEnrolment(o, a)
		}
		return nil
	}
	known, err := s.remembered(ctx, o, p, a)
	if err == nil && !known {
		o.State, o.due = FactorDue, due
	}
	return err
}

// dueOf is due for the user of an Outcome, at the client of the sign-in.
func (s *Service) dueOf(ctx context.Context, o *Outcome, a attempt) (*FactorDueError, error) {
	return s.due(ctx, o.User.ID, o.Methods, a.to.RequireACR, func() string {
		return s.write(factorChallenge, challenge{epoch: o.User.Epoch, user: o.User.ID, methods: o.Methods, class: a.to.RequireACR}, a)
	})
}

// reach makes o FactorDue if the client of the sign-in requires more than the user has
// proven, such as where no second factor is asked for otherwise. ErrUnmet.
func (s *Service) reach(ctx context.Context, o *Outcome, a attempt) error {
	if o.Methods.Reaches(a.to.RequireACR) {
		return nil
	}
	due, err := s.dueOf(ctx, o, a)
	if err == nil && due == nil {
		err = ErrUnmet
	}
	if err == nil {
		o.State, o.due = FactorDue, due
	}
	return err
}

// StepUp returns a challenge that the user of a browser's login answers to reach a class that
// the login doesn't reach. The Outcome of that SecondFactor has what the user has proven in
// the login, too. nil: the user has no factor that reaches the class.
func (s *Service) StepUp(ctx context.Context, now time.Time, l *tokens.Login, class string, from caller.Caller) (*FactorDueError, error) {
	due, err := s.due(ctx, l.UserID, l.Methods, class, func() string {
		return s.write(factorChallenge, challenge{epoch: l.Epoch, user: l.UserID, login: l.ID, methods: l.Methods, class: class}, attempt{now: now, from: from})
	})
	if errors.Is(err, ErrUnmet) {
		return nil, nil
	}
	return due, err
}

// CanStepUp reports whether StepUp returns a challenge.
func (s *Service) CanStepUp(ctx context.Context, l *tokens.Login, class string) (bool, error) {
	asked, err := s.factors.Due(ctx, l.UserID)
	return len(reaching(s.answerable(asked.Methods), l.Methods, class)) > 0, err
}

// answerable leaves passkeys out where the server takes none any more. A user who has nothing
// else has no way to go on, and is not let in with less.
func (s *Service) answerable(methods []factors.Method) []factors.Method {
	if s.factors.TakesPasskeys() {
		return methods
	}
	return slices.DeleteFunc(slices.Clone(methods), func(by factors.Method) bool { return by == factors.ByPasskey })
}

func (p SecondFactor) prove(ctx context.Context, s *Service, a attempt) (Outcome, error) {
	ch, ok := s.read(factorChallenge, p.Challenge, a)
	if !ok {
		return Outcome{}, ErrBadChallenge
	}
	user, err := s.users.ByID(ctx, ch.user)
	if errors.Is(err, accounts.ErrUnknownUser) || err == nil && user.Epoch != ch.epoch {
		return Outcome{}, ErrBadChallenge
	}
	if err != nil {
		return Outcome{}, err
	}
	if err := s.users.Barred(&user); err != nil {
		return Outcome{}, err
	}
	if !ch.login.IsZero() { // a step-up ends with the login
		if err := s.tokens.IsLive(ctx, a.now, ch.login); errors.Is(err, tokens.ErrUnknown) {
			return Outcome{}, ErrBadChallenge
		} else if err != nil {
			return Outcome{}, err
		}
	}
	if err := s.unused(ctx, &ch, a); err != nil { // before a code is spent for nothing
		return Outcome{}, err
	}
	if !ch.methods.And(proves(p.Method)).Reaches(ch.class) { // before a code is spent that is not enough
		return Outcome{}, factors.ErrBadCode
	}
	methods := factors.CodeMethods
	if p.Method == factors.ByPasskey {
		used, err := s.factors.ProvePasskey(ctx, a.now, p.Challenge, p.Passkey, user.ID, a.from)
		if err != nil {
			return Outcome{}, wrong(err)
		}
		methods = used.Methods()
	} else if err := s.factors.Prove(ctx, a.now, user.ID, user.Epoch, p.Method, p.Code, a.from); err != nil {
		return Outcome{}, err
	}
	// One code opens one sign-in, and so does one challenge, whatever the number of codes.
	if err := s.use(ctx, &ch, a); err != nil {
		return Outcome{}, err
	}
	o := settled(a.now, user, ch.methods.And(methods)...)
	o.told = !ch.login.IsZero() // the browser is not new to a user who is signed in there
	return o, s.keep(ctx, &o, p.Remember && p.Method != factors.ByRecoveryCode)
}
