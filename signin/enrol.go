package signin

import (
	"cmp"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"strings"
	"time"

	"countersign/accounts"
	"countersign/caller"
	"countersign/factors"
	"countersign/ids"
	"countersign/oauth"
	"countersign/tokens"
)

// ErrEnrolmentDue means that the user must set up a second factor first. The error itself is
// an *EnrolmentDueError.
var ErrEnrolmentDue = errors.New("a second factor has to be set up")

// EnrolmentDueError is an ErrEnrolmentDue with what the caller needs to go on.
type EnrolmentDueError struct {
	// Challenge stands for what the user has proven so far, to the caller that got it. A
	// FirstFactor answers it once, within fifteen minutes.
	Challenge string
}

func (e *EnrolmentDueError) Error() string { return ErrEnrolmentDue.Error() }

// Is makes an EnrolmentDueError an ErrEnrolmentDue.
func (e *EnrolmentDueError) Is(target error) bool { return target == ErrEnrolmentDue }

// FirstFactor proves a user who must have a second factor and sets one up: by a code of the
// app that the challenge proposes, or a new passkey, see Enrolment. It ends all other sign-ins
// of the user. Its errors are ErrBadChallenge, factors.ErrBadCode, factors.ErrBadPasskey,
// factors.ErrNotOffered, a *limits.WaitError, and those of an account that may not sign in.
// After a wrong answer the challenge is as good as before.
type FirstFactor struct {
	Challenge string
	Code      string
	Passkey   []byte // in place of Code: what navigator.credentials.create gave, as WebAuthn JSON
	Remember  bool   // as in SecondFactor
}

// Enrolment is what a user may set up for a FirstFactor.
type Enrolment struct {
	Account string             // the user's name
	App     *factors.Enrolment // nil: no app
	Passkey json.RawMessage    // what a page hands to navigator.credentials.create, as WebAuthn JSON; nil: no passkey
}

// An enrolment's challenge is a seal.Keys.Token of
//
//	binding(32) expires(8) epoch(8) account(16) factor(16) length(1) methods secret
//
// with times in milliseconds since 1970, and the methods that the user has proven with spaces
// between their names, in so many bytes. The secret is sealed. A server that dies while the
// user sets up the app has stored nothing; the account's epoch, which the first factor moves,
// makes the challenge good for one sign-in.
const (
	enrolmentPrefix  = "cs_ce_"
	enrolmentPurpose = "challenge for a first factor"
	enrolmentLife    = 15 * time.Minute
	enrolmentHead    = 32 + 8 + 8 + 16 + 16 + 1
)

type enrolment struct {
	binding  [32]byte
	expires  int64
	epoch    int64
	user     ids.User
	methods  oauth.Methods
	proposal factors.Proposal // the zero Proposal where users may set up no app
}

// askEnrolment makes o EnrolmentDue.
func (s *Service) askEnrolment(o *Outcome, a attempt) {
	e := enrolment{
		binding: bound(a), expires: a.now.Add(enrolmentLife).UnixMilli(), epoch: o.User.Epoch, user: o.User.ID, proposal: s.factors.Propose(),
	}
	b := binary.BigEndian.AppendUint64(e.binding[:], uint64(e.expires))
	b = binary.BigEndian.AppendUint64(b, uint64(e.epoch))
	b = append(append(b, e.user[:]...), e.proposal.ID[:]...)
	proven := strings.Join(o.Methods, " ")
	b = append(append(b, byte(len(proven))), proven...)
	o.State = EnrolmentDue
	o.due = &EnrolmentDueError{Challenge: s.seal.Token(enrolmentPrefix, enrolmentPurpose, append(b, e.proposal.Sealed...))}
}

// readEnrolment returns a challenge that is the caller's, has not expired, and is of the
// account as it is. ErrBadChallenge, and those of an account that may not sign in.
func (s *Service) readEnrolment(ctx context.Context, text string, a attempt) (e enrolment, user accounts.User, err error) {
	b, ok := s.seal.OpenToken(enrolmentPrefix, enrolmentPurpose, text)
	if !ok || len(b) < enrolmentHead {
		return e, user, ErrBadChallenge
	}
	rest := b[enrolmentHead:]
	proven := int(b[enrolmentHead-1])
	if len(rest) < proven {
		return e, user, ErrBadChallenge
	}
	e = enrolment{
		binding: [32]byte(b), expires: int64(binary.BigEndian.Uint64(b[32:])), epoch: int64(binary.BigEndian.Uint64(b[40:])),
		user: ids.User(b[48:64]), proposal: factors.Proposal{ID: ids.Factor(b[64:80]), Sealed: rest[proven:]},
		methods: strings.Fields(string(rest[:proven])),
	}
	if a.from.Binding == "" || e.binding != bound(a) || a.now.UnixMilli() >= e.expires {
		return e, user, ErrBadChallenge
	}
	user, err = s.users.ByID(ctx, e.user)
	if errors.Is(err, accounts.ErrUnknownUser) || err == nil && user.Epoch != e.epoch {
		err = ErrBadChallenge
	}
	if err == nil {
		err = s.users.Barred(&user)
	}
	return e, user, err
}

// Enrolment returns what the user needs for a FirstFactor. ErrBadChallenge,
// factors.ErrNotOffered, and the errors of an account that may not sign in.
func (s *Service) Enrolment(ctx context.Context, now time.Time, challenge string, from caller.Caller) (Enrolment, error) {
	e, user, err := s.readEnrolment(ctx, challenge, attempt{now: now, from: from})
	if err != nil {
		return Enrolment{}, err
	}
	name := cmp.Or(user.Username, user.Email)
	app, none := s.factors.Proposed(e.proposal, name)
	passkey, noPasskey := s.factors.CreationOptions(ctx, now, user.ID, name, ids.Place{})
	switch {
	case noPasskey != nil && !errors.Is(noPasskey, factors.ErrNotOffered):
		return Enrolment{}, noPasskey
	case none == nil:
		return Enrolment{name, &app, passkey}, nil
	case errors.Is(none, factors.ErrNotOffered) && noPasskey == nil:
		return Enrolment{Account: name, Passkey: passkey}, nil
	}
	return Enrolment{}, none
}

// MustEnrol reports whether the user of a browser's login must set up a second factor before
// the login counts for an application: the operator has asked for one since, or has removed
// all. The user then gives the password again, and prove decides what is due.
func (s *Service) MustEnrol(ctx context.Context, l *tokens.Login) (bool, error) {
	if !s.factors.Requires() {
		return false, nil
	}
	has, err := s.factors.Due(ctx, l.UserID)
	if err != nil || len(has.Methods) > 0 {
		return false, err
	}
	user, err := s.users.ByID(ctx, l.UserID)
	if errors.Is(err, accounts.ErrUnknownUser) {
		return true, nil
	}
	return s.factors.MustHave(user.Roles), err
}

func (p FirstFactor) prove(ctx context.Context, s *Service, a attempt) (Outcome, error) {
	e, user, err := s.readEnrolment(ctx, p.Challenge, a)
	if err != nil {
		return Outcome{}, err
	}
	methods, codes := factors.CodeMethods, []string(nil)
	if p.Passkey == nil {
		codes, err = s.factors.Establish(ctx, a.now, user.ID, user.Epoch, e.proposal, p.Code, a.from)
	} else {
		var made factors.Passkey
		made, codes, err = s.factors.EstablishPasskey(ctx, a.now, user.ID, user.Epoch, p.Passkey, a.from)
		methods = made.Methods()
	}
	if errors.Is(err, factors.ErrUnknown) { // of two answers the other was first
		err = ErrBadChallenge
	}
	if err != nil {
		return Outcome{}, err
	}
	user.Epoch++
	o := settled(a.now, user, e.methods.And(methods)...)
	o.RecoveryCodes = codes
	return o, s.keep(ctx, &o, p.Remember)
}
