package signin

import (
	"cmp"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"slices"
	"time"

	"countersign/accounts"
	"countersign/factors"
	"countersign/ids"
	"countersign/limits"
	"countersign/oauth"
)

var (
	// ErrFactorDue means that a second factor is due. The error itself is a *FactorDueError.
	ErrFactorDue = errors.New("a second factor is due")
	// ErrBadChallenge means that a challenge is unknown, used, expired or another browser's,
	// or that its account has changed since.
	ErrBadChallenge = errors.New("bad challenge")
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

// SecondFactor proves a user by a code, and by the challenge that came of the password. Its
// errors are ErrBadChallenge, factors.ErrBadCode, a *limits.WaitError, and those of an
// account that may not sign in. After a wrong code the challenge is as good as before.
type SecondFactor struct {
	Challenge string
	Method    factors.Method
	Code      string
}

// A challenge is a seal.Keys.Token of
//
//	binding(32) nonce(16) expires(8) epoch(8) account(16) [first]
//
// with times in milliseconds since 1970. The last is the method that came first, if that
// is not the password.
const (
	challengePrefix  = "cs_ch_"
	challengePurpose = "challenge for a second factor"
	challengeLife    = 5 * time.Minute
	challengeSize    = 32 + 16 + 8 + 8 + 16
)

type challenge struct {
	binding [32]byte
	nonce   [16]byte
	expires int64
	epoch   int64
	user    ids.User
	first   string // the method that the user has proven
}

// askFactor makes o FactorDue if the user has a second factor.
func (s *Service) askFactor(ctx context.Context, o *Outcome, a attempt) error {
	methods, err := s.factors.Due(ctx, o.User.ID)
	if err != nil || len(methods) == 0 {
		return err
	}
	ch := challenge{binding: bound(a), expires: a.now.Add(challengeLife).UnixMilli(), epoch: o.User.Epoch, user: o.User.ID, first: oauth.MethodPassword}
	if !slices.Contains(o.Methods, oauth.MethodPassword) {
		ch.first = o.Methods[0]
	}
	rand.Read(ch.nonce[:])
	o.State, o.due = FactorDue, &FactorDueError{Challenge: s.write(&ch), Methods: methods}
	return nil
}

func bound(a attempt) [32]byte { return sha256.Sum256([]byte(a.from.Binding)) }

func (s *Service) write(ch *challenge) string {
	b := append(ch.binding[:], ch.nonce[:]...)
	b = binary.BigEndian.AppendUint64(b, uint64(ch.expires))
	b = binary.BigEndian.AppendUint64(b, uint64(ch.epoch))
	b = append(b, ch.user[:]...)
	if ch.first != oauth.MethodPassword {
		b = append(b, ch.first...)
	}
	return s.seal.Token(challengePrefix, challengePurpose, b)
}

// read returns a challenge that is the caller's and has not expired.
func (s *Service) read(text string, a attempt) (ch challenge, ok bool) {
	b, ok := s.seal.OpenToken(challengePrefix, challengePurpose, text)
	if !ok || len(b) < challengeSize {
		return ch, false
	}
	ch = challenge{
		binding: [32]byte(b), nonce: [16]byte(b[32:]), expires: int64(binary.BigEndian.Uint64(b[48:])),
		epoch: int64(binary.BigEndian.Uint64(b[56:])), user: ids.User(b[64:80]), first: cmp.Or(string(b[80:]), oauth.MethodPassword),
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
	return settled(a.now, user, oauth.WithCode(ch.first)...), nil
}
