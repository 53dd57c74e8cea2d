package factors

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/base32"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/pquerna/otp"
	"github.com/pquerna/otp/hotp"

	"countersign/audit"
	"countersign/caller"
	"countersign/ids"
)

// What authenticator apps know how to read: SHA-1, six digits, a step of 30 seconds. SHA-1
// is no weakness here (RFC 6238 section 1.2); many apps ignore any other choice.
const (
	period     = 30 * time.Second
	secretSize = 20 // bytes: RFC 4226 section 4 recommends 160 bits
	drift      = 1  // steps that a clock may be off, each way (RFC 6238 section 5.2)
)

var (
	code6   = hotp.ValidateOpts{Digits: otp.DigitsSix, Algorithm: otp.AlgorithmSHA1}
	base32s = base32.StdEncoding.WithPadding(base32.NoPadding)
)

// sealPurpose is what secrets of TOTPs are sealed for.
const sealPurpose = "totp secret"

// Enrolment is a TOTP that is not in force yet, with what an authenticator app needs.
type Enrolment struct {
	ID     ids.Factor
	Secret string // base32
	URI    string // otpauth://totp/...
}

// Enrol begins a TOTP, in place of one that the user has begun before. account is the name
// that the app shows for it. It is in force once the user has confirmed it. ErrNotOffered,
// ErrTooMany, ErrSignedOut, or an *input.Error.
func (s *Service) Enrol(ctx context.Context, now time.Time, user ids.User, account, name string, at ids.Place) (Enrolment, error) {
	if !s.Offers(TOTP) {
		return Enrolment{}, ErrNotOffered
	}
	if err := checkName(name); err != nil {
		return Enrolment{}, err
	}
	begun, secret := s.newTOTP()
	begun.UserID, begun.Name, begun.CreatedAt = user, name, now
	if err := s.o.Store.AddTOTP(ctx, begun, at); err != nil {
		return Enrolment{}, fmt.Errorf("begin a TOTP: %w", err)
	}
	return s.enrolment(begun.ID, account, secret), nil
}

// newTOTP makes a TOTP of no user.
func (s *Service) newTOTP() (made Secret, secret []byte) {
	secret = make([]byte, secretSize)
	rand.Read(secret)
	made.ID, made.Kind = ids.New[ids.Factor](), TOTP
	made.Sealed = s.o.Seal.Seal(sealPurpose, secret, made.ID[:])
	return made, secret
}

func (s *Service) enrolment(id ids.Factor, account string, secret []byte) Enrolment {
	text := base32s.EncodeToString(secret)
	return Enrolment{ID: id, Secret: text, URI: uri(s.o.Issuer, account, text)}
}

// Pending returns what Enrol did, for a TOTP that is not in force yet. ErrUnknown.
func (s *Service) Pending(ctx context.Context, user ids.User, id ids.Factor, account string) (Enrolment, error) {
	pending, err := s.o.Store.Pending(ctx, user, id)
	if err != nil {
		return Enrolment{}, err
	}
	return s.shown(&pending, account)
}

// shown returns what an authenticator app needs for a TOTP.
func (s *Service) shown(of *Secret, account string) (Enrolment, error) {
	secret, err := s.o.Seal.Open(sealPurpose, of.Sealed, of.ID[:])
	if err != nil {
		return Enrolment{}, fmt.Errorf("open the secret of a TOTP: %w", err)
	}
	return s.enrolment(of.ID, account, secret), nil
}

// uri returns the address that authenticator apps read from a QR code. They expect %20 for a
// space.
func uri(issuer, account, secret string) string {
	label := url.PathEscape(strings.ReplaceAll(issuer, ":", " ")) + ":" + url.PathEscape(account)
	query := url.Values{"secret": {secret}, "issuer": {issuer}, "algorithm": {"SHA1"}, "digits": {"6"}, "period": {"30"}}
	return "otpauth://totp/" + label + "?" + strings.ReplaceAll(query.Encode(), "+", "%20")
}

// Confirm puts a TOTP in force by one of its codes. If it is the first factor, the user is
// signed out everywhere else, and Confirm returns the recovery codes. ErrNotOffered,
// ErrUnknown, ErrBadCode, ErrSignedOut, or a *limits.WaitError.
func (s *Service) Confirm(ctx context.Context, now time.Time, user ids.User, id ids.Factor, code string, at ids.Place, from caller.Caller) ([]string, error) {
	if !s.Offers(TOTP) {
		return nil, ErrNotOffered
	}
	pending, err := s.o.Store.Pending(ctx, user, id)
	if err != nil {
		return nil, err
	}
	// The page shows the user the secret: a budget is only for those who try without end.
	guess, err := s.begin(ctx, now, setUpBudget(id, user))
	if err != nil {
		return nil, err
	}
	step, err := s.match(now, &pending, code)
	if err != nil {
		return nil, err
	}
	with, err := s.newCodes(ctx, now, user, audit.FactorAdded, from)
	if err != nil {
		return nil, err
	}
	first, err := s.o.Store.ConfirmTOTP(ctx, user, id, step, with.stored, now, at, with.ev, with.letters...)
	if err != nil {
		return nil, fmt.Errorf("confirm a TOTP: %w", err)
	}
	if !first {
		with.shown = nil
	}
	return with.shown, guess.right(ctx)
}

// match returns the time step, of those around now, whose code this is. ErrBadCode.
func (s *Service) match(now time.Time, of *Secret, code string) (int64, error) {
	secret, err := s.o.Seal.Open(sealPurpose, of.Sealed, of.ID[:])
	if err != nil {
		return 0, fmt.Errorf("open the secret of a TOTP: %w", err)
	}
	code = strings.Join(strings.Fields(code), "") // apps show 123 456
	step, found := now.Unix()/int64(period/time.Second), int64(-1)
	for at := step - drift; at <= step+drift; at++ {
		want, err := hotp.GenerateCodeCustom(base32s.EncodeToString(secret), uint64(at), code6)
		if err != nil {
			return 0, fmt.Errorf("make a code: %w", err)
		}
		if subtle.ConstantTimeCompare([]byte(code), []byte(want)) == 1 {
			found = at // the latest: it spends those before, too
		}
	}
	if found < 0 {
		return 0, ErrBadCode
	}
	return found, nil
}

// Reseal seals at most limit secrets anew that another master key than the first has sealed,
// and returns how many, so that the operator can remove that key.
func (s *Service) Reseal(ctx context.Context, _ time.Time, limit int) (int64, error) {
	all, err := s.o.Store.FormerlySealed(ctx, s.o.Seal.Prefix(), limit)
	if err != nil {
		return 0, err
	}
	for _, of := range all {
		secret, err := s.o.Seal.Open(sealPurpose, of.Sealed, of.ID[:])
		if err != nil {
			return 0, fmt.Errorf("open the secret of the factor %s: %w", of.ID, err)
		}
		if err := s.o.Store.Reseal(ctx, of.ID, of.Sealed, s.o.Seal.Seal(sealPurpose, secret, of.ID[:])); err != nil {
			return 0, fmt.Errorf("seal the secret of the factor %s anew: %w", of.ID, err)
		}
	}
	return int64(len(all)), nil
}

// proveTOTP spends a code of one of a user's TOTPs. ErrBadCode.
func (s *Service) proveTOTP(ctx context.Context, now time.Time, user ids.User, code string) error {
	in, err := s.o.Store.InForce(ctx, user)
	if err != nil {
		return err
	}
	for i := range in.TOTPs {
		step, err := s.match(now, &in.TOTPs[i], code)
		if err == nil {
			err = s.o.Store.SpendStep(ctx, user, in.TOTPs[i].ID, step, now)
		}
		if !errors.Is(err, ErrBadCode) {
			return err
		}
	}
	return ErrBadCode
}
