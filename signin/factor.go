package signin

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"slices"
	"strings"
	"time"

	"countersign/accounts"
	"countersign/caller"
	"countersign/factors"
	"countersign/ids"
	"countersign/limits"
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
}

func (e *FactorDueError) Error() string { return ErrFactorDue.Error() }

// Is makes a FactorDueError an ErrFactorDue.
func (e *FactorDueError) Is(target error) bool { return target == ErrFactorDue }

// SecondFactor proves a user by a code, and by the challenge that came of the password, or of
// StepUp. Its
// errors are ErrBadChallenge, factors.ErrBadCode, a *limits.WaitError, and those of an
// account that may not sign in. After a wrong code the challenge is as good as before.
type SecondFactor struct {
	Challenge string
	Method    factors.Method
	Code      string
}

// A challenge is a seal.Keys.Token of
//
//	binding(32) nonce(16) expires(8) epoch(8) account(16) login(16) methods
//
// with times in milliseconds since 1970, and the methods as text with spaces.
const (
	challengePrefix  = "cs_ch_"
	challengePurpose = "challenge for a second factor"
	challengeLife    = 5 * time.Minute
	challengeSize    = 32 + 16 + 8 + 8 + 16 + 16 // and the methods
)

type challenge struct {
	binding [32]byte
	nonce   [16]byte
	expires int64
	epoch   int64
	user    ids.User
	login   ids.Login     // the user's, in which the factor is asked for; zero: none
	had     oauth.Methods // what the user has proven so far
}

// proves says what a user has proven by one of the ways to prove a second factor, besides
// what came before it.
func proves(factors.Method) oauth.Methods { return oauth.OneTimeCode }

// reaching returns those of the methods by which a user who has proven had reaches a class.
func reaching(methods []factors.Method, had oauth.Methods, class string) []factors.Method {
	return slices.DeleteFunc(slices.Clone(methods), func(by factors.Method) bool { return !had.With(proves(by)).Reaches(class) })
}

// askFactor makes o FactorDue if the user has a second factor. Its callers decide when one is
// asked for. ErrUnmet if none of the user's factors reaches what the client requires.
func (s *Service) askFactor(ctx context.Context, o *Outcome, a attempt) error {
	methods, err := s.factors.Due(ctx, o.User.ID)
	if err != nil || len(methods) == 0 {
		return err
	}
	if methods = reaching(methods, o.Methods, a.to.RequireACR); len(methods) == 0 {
		return ErrUnmet
	}
	o.State, o.due = FactorDue, s.challenge(a, o.User.Epoch, o.User.ID, ids.Login{}, o.Methods, methods)
	return nil
}

// reach makes o FactorDue if the client of the sign-in requires more than the user has
// proven, such as where no second factor is asked for otherwise. ErrUnmet.
func (s *Service) reach(ctx context.Context, o *Outcome, a attempt) error {
	if o.Methods.Reaches(a.to.RequireACR) {
		return nil
	}
	if err := s.askFactor(ctx, o, a); err != nil {
		return err
	}
	if o.State == SignedIn {
		return ErrUnmet
	}
	return nil
}

// StepUp returns a challenge that the user of a browser's login answers to reach a class that
// the login doesn't reach. The Outcome of that SecondFactor has what the user has proven in
// the login, too. nil: the user has no factor that reaches the class.
func (s *Service) StepUp(ctx context.Context, now time.Time, l *tokens.Login, class string, from caller.Caller) (*FactorDueError, error) {
	methods, err := s.factors.Due(ctx, l.UserID)
	if err != nil {
		return nil, err
	}
	if methods = reaching(methods, l.Methods, class); len(methods) == 0 {
		return nil, nil
	}
	return s.challenge(attempt{now: now, from: from}, l.Epoch, l.UserID, l.ID, l.Methods, methods), nil
}

// CanStepUp reports whether StepUp returns a challenge.
func (s *Service) CanStepUp(ctx context.Context, l *tokens.Login, class string) (bool, error) {
	methods, err := s.factors.Due(ctx, l.UserID)
	return len(reaching(methods, l.Methods, class)) > 0, err
}

// challenge returns what a user has to answer in one of the methods.
func (s *Service) challenge(a attempt, epoch int64, user ids.User, login ids.Login, had oauth.Methods, methods []factors.Method) *FactorDueError {
	ch := challenge{binding: bound(a), expires: a.now.Add(challengeLife).UnixMilli(), epoch: epoch, user: user, login: login, had: had}
	rand.Read(ch.nonce[:])
	return &FactorDueError{Challenge: s.write(&ch), Methods: methods}
}

func bound(a attempt) [32]byte { return sha256.Sum256([]byte(a.from.Binding)) }

func (s *Service) write(ch *challenge) string {
	b := append(ch.binding[:], ch.nonce[:]...)
	b = binary.BigEndian.AppendUint64(b, uint64(ch.expires))
	b = binary.BigEndian.AppendUint64(b, uint64(ch.epoch))
	b = append(append(b, ch.user[:]...), ch.login[:]...)
	return s.seal.Token(challengePrefix, challengePurpose, append(b, strings.Join(ch.had, " ")...))
}

// read returns a challenge that is the caller's and has not expired.
func (s *Service) read(text string, a attempt) (ch challenge, ok bool) {
	b, ok := s.seal.OpenToken(challengePrefix, challengePurpose, text)
	if !ok || len(b) < challengeSize {
		return ch, false
	}
	ch = challenge{
		binding: [32]byte(b), nonce: [16]byte(b[32:]), expires: int64(binary.BigEndian.Uint64(b[48:])),
		epoch: int64(binary.BigEndian.Uint64(b[56:])), user: ids.User(b[64:]), login: ids.Login(b[80:]), had: strings.Fields(string(b[challengeSize:])),
	}
	return ch, a.from.Binding != "" && ch.binding == bound(a) && a.now.UnixMilli() < ch.expires
}

func (p SecondFactor) prove(ctx context.Context, s *Service, a attempt) (Outcome, error) {
	ch, ok := s.read(p.Challenge, a)
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
	answered := limits.Key("used challenge", string(ch.nonce[:]))
	used, err := s.throttle.Noted(ctx, a.now, answered) // before a code is spent for nothing
	if err == nil && used {
		err = ErrBadChallenge
	}
	if err != nil {
		return Outcome{}, err
	}
	if err := s.factors.Prove(ctx, a.now, user.ID, user.Epoch, p.Method, p.Code, a.from); err != nil {
		return Outcome{}, err
	}
	// One code opens one sign-in, and so does one challenge, whatever the number of codes.
	used, err = s.throttle.Note(ctx, a.now, answered, challengeLife)
	if err == nil && used {
		err = ErrBadChallenge
	}
	if err != nil {
		return Outcome{}, err
	}
	o := settled(a.now, user, ch.had.With(proves(p.Method))...)
	o.told = !ch.login.IsZero() // the browser is not new to a user who is signed in there
	return o, nil
}
