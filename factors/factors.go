// Package factors keeps what users prove besides their password, or in its place: the codes of
// an authenticator app (TOTP, RFC 6238), passkeys (WebAuthn) and recovery codes.
//
// A user who has a factor in force signs in with it as well as with the password, or with a
// passkey alone; package signin asks for it. The package knows no HTTP.
package factors

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"countersign/audit"
	"countersign/caller"
	"countersign/ids"
	"countersign/input"
	"countersign/limits"
	"countersign/seal"
)

// The errors of this package.
var (
	// ErrUnknown means that the user has no such factor.
	ErrUnknown = errors.New("no such factor")
	// ErrBadCode means that a code is wrong, malformed or used, or that the user has no factor
	// that makes such codes.
	ErrBadCode = errors.New("wrong code")
	// ErrSignedOut means that the place that asks has ended.
	ErrSignedOut = errors.New("the user has been signed out")
	// ErrNotOffered means that the operator lets users set up no factors of this kind.
	ErrNotOffered = errors.New("such factors are not offered")
	// ErrRequired means that the user must have a second factor, and that this is the last.
	ErrRequired = errors.New("the user must have a second factor")
	// ErrTooMany means that the user has as many factors as one may have.
	ErrTooMany = errors.New("too many factors")
	// ErrTaken means that a credential is a factor already.
	ErrTaken = errors.New("the credential is in use")
	// ErrNoPasskeys means that this server takes no passkeys.
	ErrNoPasskeys = errors.New("passkeys are off")
	// ErrBadPasskey means that a passkey's answer is not for this challenge, this server, a page
	// of ours, or not by a passkey of the user.
	ErrBadPasskey = errors.New("bad passkey")
)

// Kind is a kind of factor.
type Kind string

// The kinds.
const (
	TOTP          Kind = "totp"
	KindPasskey   Kind = "passkey"
	RecoveryCodes Kind = "recovery_codes" // ten of them, each good once
)

// Method is a way to prove a factor, as callers name it.
type Method string

// The methods.
const (
	ByTOTP         Method = "totp"
	ByPasskey      Method = "passkey"
	ByRecoveryCode Method = "recovery_code"
)

// Factor is one that a user has set up.
type Factor struct {
	ID         ids.Factor
	UserID     ids.User
	Kind       Kind
	Name       string // that the user gave it
	CreatedAt  time.Time
	LastUsedAt time.Time // zero: never
	// InForce says that sign-ins ask for it: a TOTP is in force when the user has confirmed it
	// by a code.
	InForce   bool
	Remaining int // of RecoveryCodes: how many are left
}

// Secret is a TOTP with what its codes are made of.
type Secret struct {
	Factor
	Sealed []byte
}

// InForce are the factors of a user that sign-ins ask for, each kind oldest first.
type InForce struct {
	TOTPs    []Secret
	Passkeys []Passkey
	Codes    int // recovery codes that are left
}

// MaxFactors is how many factors a user may have, those not in force included.
const MaxFactors = 20

// Store stores factors. Every method is atomic, safe for concurrent use across all replicas,
// and writes ev, and posts letters, with its change. A place must be alive and the user's, or
// the method returns ErrSignedOut.
type Store interface {
	// Factors lists a user's factors, oldest first.
	Factors(ctx context.Context, user ids.User) ([]Factor, error)
	// InForce returns the factors of a user that are in force.
	InForce(ctx context.Context, user ids.User) (InForce, error)
	// Pending returns a TOTP that is not in force yet. ErrUnknown.
	Pending(ctx context.Context, user ids.User, id ids.Factor) (Secret, error)
	// AddTOTP adds a TOTP that is not in force, in place of all others of the user that are
	// not. ErrTooMany.
	AddTOTP(ctx context.Context, s Secret, at ids.Place) error
	// ConfirmTOTP puts a TOTP in force, and spends the step of the code that confirmed it. If
	// it is the user's first factor, it adds these recovery codes, signs the user out
	// everywhere but at the place, and reports so: no sign-in that a password alone has
	// opened is left. At the place the user has proven more than one factor from then on.
	// ErrUnknown if the TOTP is gone, or in force already.
	ConfirmTOTP(ctx context.Context, user ids.User, id ids.Factor, step int64, codes Codes, now time.Time, at ids.Place, ev audit.Event, letters ...Notice) (first bool, err error)
	// EstablishTOTP adds a TOTP in force as the first factor of a user who isn't signed in
	// yet, with recovery codes, and spends the step of the code that confirmed it. The account
	// must be in that epoch and have no other factor in force (ErrUnknown): so of several
	// calls for one sign-in, on whichever replicas, one succeeds. It moves the epoch, and the
	// user is signed out everywhere: see ConfirmTOTP.
	EstablishTOTP(ctx context.Context, s Secret, step int64, codes Codes, epoch int64, now time.Time, ev audit.Event, letters ...Notice) error
	// AddPasskey adds a passkey, in force, as ConfirmTOTP does a TOTP. ErrTooMany, or ErrTaken if
	// the credential is any user's.
	AddPasskey(ctx context.Context, p Passkey, codes Codes, at ids.Place, ev audit.Event, letters ...Notice) (first bool, err error)
	// PasskeyOf returns the passkey with a credential's id, whose ever it is. ErrUnknown.
	PasskeyOf(ctx context.Context, credential []byte) (Passkey, error)
	// UsePasskey notes that p was used, with the SignCount and BackedUp that it has said. It
	// reports whether the counter has Regressed; it then writes ev, and notes nothing else
	// unless the passkey may be on several devices. ErrUnknown.
	UsePasskey(ctx context.Context, p Passkey, now time.Time, ev audit.Event) (regressed bool, err error)
	// EstablishPasskey is EstablishTOTP for a passkey. ErrTaken, too.
	EstablishPasskey(ctx context.Context, p Passkey, codes Codes, epoch int64, ev audit.Event, letters ...Notice) error
	// SpendStep marks a time step of a TOTP in force as used, and all before it. Of several
	// calls, on whichever replicas, one succeeds; the others get ErrBadCode.
	SpendStep(ctx context.Context, user ids.User, id ids.Factor, step int64, now time.Time) error
	// SpendCode removes one of the recovery codes. Of several calls one succeeds; the others
	// get ErrBadCode.
	SpendCode(ctx context.Context, user ids.User, digest [32]byte, now time.Time, ev audit.Event, letters ...Notice) error
	// ReplaceCodes gives the user these recovery codes in place of all others. ErrUnknown if
	// the user has no other factor in force.
	ReplaceCodes(ctx context.Context, user ids.User, codes Codes, now time.Time, at ids.Place, ev audit.Event, letters ...Notice) error
	// RenameFactor gives a factor a name. ErrUnknown.
	RenameFactor(ctx context.Context, user ids.User, id ids.Factor, name string, now time.Time, at ids.Place) error
	// RemoveFactor removes a factor, and the recovery codes if it was the last other one in
	// force; that one stays if must says so of the user's roles (ErrRequired). A passkey stays if
	// nothing else opens the account: no password, and no identity at one of the providers
	// (accounts.ErrLastWayIn). One that goes signs the user out everywhere but at the place: who
	// has lost a device means the sign-ins there, too. ErrUnknown.
	RemoveFactor(ctx context.Context, user ids.User, id ids.Factor, must func(roles []string) bool, providers []string, now time.Time, at ids.Place, ev audit.Event, letters ...Notice) error
	// FormerlySealed lists at most limit factors whose secret doesn't begin with a prefix.
	FormerlySealed(ctx context.Context, prefix []byte, limit int) ([]Secret, error)
	// Reseal puts another sealed secret in the place of one.
	Reseal(ctx context.Context, id ids.Factor, was, is []byte) error
	// ResetFactors removes all of a user's factors and returns how many were in force. It
	// writes ev if any was.
	ResetFactors(ctx context.Context, user ids.User, ev audit.Event, letters ...Notice) (int, error)
}

// Codes are new recovery codes, as they are stored.
type Codes struct {
	ID      ids.Factor // of the factor that they are together
	Digests [][32]byte
}

// A Notice is a letter to the owner of an account. Another package makes it, and the Store
// posts it: those two agree on its type, and this package only carries it.
type Notice any

// Options configure a Service. All but Notices and RelyingParty are required.
type Options struct {
	Settings Settings
	// Notices returns the letters to a user about a change that a caller makes, by the kind
	// of its event. nil: there are none.
	Notices  func(ctx context.Context, now time.Time, user ids.User, about audit.Kind, from caller.Caller) ([]Notice, error)
	Store    Store
	Seal     *seal.Keys
	Throttle *limits.Throttle
	// Providers are the ids of the providers whose identities open accounts, too.
	Providers []string
	Issuer    string // the name that authenticator apps and passkeys' devices show, such as "Acme"
	// RelyingParty is whom passkeys are for. The zero value takes none.
	RelyingParty RelyingParty
}

// Service is safe for concurrent use.
type Service struct{ o Options }

// New returns a Service. It refuses Settings that break a rule of theirs.
func New(o Options) (*Service, error) {
	if err := o.Settings.Check(); err != nil {
		return nil, fmt.Errorf("factors: %w", err)
	}
	s := &Service{o}
	if o.Settings.someMust() && !s.Offers(TOTP) && !s.Offers(KindPasskey) {
		return nil, errors.New("factors: users must have a second factor and can set up none: set factors.totp to true, because the issuer's host takes no passkeys")
	}
	return s, nil
}

// Offers reports whether users may set up factors of a kind.
func (s *Service) Offers(kind Kind) bool {
	switch kind {
	case TOTP:
		return s.o.Settings.TOTP
	case KindPasskey:
		return s.o.Settings.Passkeys && s.TakesPasskeys()
	}
	return false
}

// Of lists a user's factors in force, oldest first.
func (s *Service) Of(ctx context.Context, user ids.User) ([]Factor, error) {
	all, err := s.o.Store.Factors(ctx, user)
	return slices.DeleteFunc(all, func(f Factor) bool { return !f.InForce }), err
}

// Due says how a user may prove a second factor at a sign-in.
type Due struct {
	Methods  []Method  // the usual one first; none: nothing is due
	Passkeys []Passkey // of ByPasskey
}

// Due returns what is due at a sign-in of a user. A user has the choice.
func (s *Service) Due(ctx context.Context, user ids.User) (Due, error) {
	in, err := s.o.Store.InForce(ctx, user)
	if err != nil || len(in.TOTPs)+len(in.Passkeys) == 0 {
		return Due{}, err
	}
	due := Due{Passkeys: in.Passkeys}
	if len(in.TOTPs) > 0 {
		due.Methods = append(due.Methods, ByTOTP)
	}
	if len(in.Passkeys) > 0 {
		due.Methods = append(due.Methods, ByPasskey)
	}
	if in.Codes > 0 {
		due.Methods = append(due.Methods, ByRecoveryCode)
	}
	return due, nil
}

// maxName is how many bytes the name of a factor may have.
const maxName = 100

func checkName(name string) error {
	var bad input.Error
	if !input.Printable(strings.ReplaceAll(name, " ", "")) || len(name) > maxName {
		bad.Add("name", input.Invalid, "name must be at most %d bytes of printable text.", maxName)
	}
	return bad.Err()
}

// Rename gives a factor a name. ErrUnknown, ErrSignedOut, or an *input.Error.
func (s *Service) Rename(ctx context.Context, now time.Time, user ids.User, id ids.Factor, name string, at ids.Place) error {
	if err := checkName(name); err != nil {
		return err
	}
	return s.o.Store.RenameFactor(ctx, user, id, name, now, at)
}

// Remove removes a factor, and the recovery codes with the last other one. ErrUnknown,
// ErrRequired, ErrSignedOut.
func (s *Service) Remove(ctx context.Context, now time.Time, user ids.User, id ids.Factor, at ids.Place, from caller.Caller) error {
	ev := event(audit.FactorRemoved, now, user, from)
	letters, err := s.notices(ctx, &ev, from)
	if err != nil {
		return err
	}
	return s.o.Store.RemoveFactor(ctx, user, id, s.o.Settings.MustHave, s.o.Providers, now, at, ev, letters...)
}

// Reset removes all factors of a user who has lost them, and returns how many were in force.
// It is the operator's.
func (s *Service) Reset(ctx context.Context, now time.Time, user ids.User, from caller.Caller) (int, error) {
	if err := from.MustBeOperator(); err != nil {
		return 0, err
	}
	ev := event(audit.FactorsReset, now, user, from)
	letters, err := s.notices(ctx, &ev, from)
	if err != nil {
		return 0, err
	}
	return s.o.Store.ResetFactors(ctx, user, ev, letters...)
}

// notices returns the letters about a change that leaves an event.
func (s *Service) notices(ctx context.Context, ev *audit.Event, from caller.Caller) ([]Notice, error) {
	if s.o.Notices == nil {
		return nil, nil
	}
	return s.o.Notices(ctx, ev.Time, ev.UserID, ev.Kind, from)
}

func event(kind audit.Kind, now time.Time, user ids.User, from caller.Caller) audit.Event {
	ev := from.Event(now, kind)
	ev.UserID = user
	return ev
}
