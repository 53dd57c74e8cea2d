package accounts

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"countersign/audit"
	"countersign/caller"
	"countersign/ids"
	"countersign/limits"
)

// Notices say of what users get a letter besides changes of their account. They are the
// section notices of the configuration, which reads the defaults from the tags.
type Notices struct {
	// NewBrowser mails a user with a proven address when a browser that is new to the
	// account signs in. It needs SMTP. Default true.
	NewBrowser bool `yaml:"new_browser" default:"true"`
}

const (
	// firstSignIn is how long after a sign-up the first sign-in is no news. The link that
	// confirms the address of a new account works as long.
	firstSignIn = 24 * time.Hour
	// knownPlace is how long a program is known that keeps no device token.
	knownPlace = 90 * 24 * time.Hour
	// sameSignIn is within which time two sign-ins from one place are the same form sent
	// twice.
	sameSignIn = time.Second
)

// SignedIn posts a letter to a user who has just signed in, if the caller's browser is new to
// the account: if no user has signed in to it there since the password last changed, or since
// its sessions were ended everywhere. It does so before the caller has an answer, so that each
// sign-in that a caller knows of has its letter. A failure is logged and takes nothing from
// the sign-in.
//
// A program that keeps no device token (caller.Caller has no Browser) is known by its network
// and its name: a script that signs in all the time is new once. There is no letter about the
// first sign-in after a sign-up, wherever it comes from, and none beyond the rations.
func (u *Users) SignedIn(ctx context.Context, now time.Time, user *User, from caller.Caller) {
	if !u.tellsOfSignIns(user, from) {
		return
	}
	// A caller who hangs up must not keep the owner from learning.
	if err := u.signedIn(context.WithoutCancel(ctx), now, user, from); err != nil {
		u.log.WarnContext(ctx, "no letter about a sign-in from a new browser", "subject", user.ID, "err", err)
	}
}

func (u *Users) tellsOfSignIns(user *User, from caller.Caller) bool {
	return u.notices.NewBrowser && u.mail && user.Email != "" && !from.IsOperator()
}

func (u *Users) signedIn(ctx context.Context, now time.Time, user *User, from caller.Caller) error {
	if now.Sub(user.CreatedAt) < firstSignIn {
		if first, err := u.throttle.TakeNote(ctx, now, firstOf(user)); first || err != nil {
			return err
		}
	}
	if knownBrowser(user, from) != "" {
		return nil
	}
	letters, err := u.notice(ctx, now, NewBrowser, user, from)
	if len(letters) == 0 || err != nil {
		return err
	}
	kind, lasting := "browser", sameSignIn
	if from.Browser == nil {
		kind, lasting = "program", knownPlace
	}
	place := limits.Key("place of a sign-in", user.ID.String(), kind, from.Network(), from.Device())
	if known, err := u.throttle.Note(ctx, now, place, lasting); known || err != nil {
		return err
	}
	l := &letters[0]
	l.Device, l.CallerAddress = from.Device(), from.Address
	if err := u.ration(ctx, now, l, user, "", from); err != nil || l.DueAt.IsZero() {
		return err
	}
	return u.post(ctx, *l, ids.Place{})
}

// signedUp notes that the first sign-in of a new account is no news.
func (u *Users) signedUp(ctx context.Context, now time.Time, user *User, from caller.Caller) {
	if !u.tellsOfSignIns(user, from) {
		return
	}
	if _, err := u.throttle.Note(context.WithoutCancel(ctx), now, firstOf(user), firstSignIn); err != nil {
		u.log.WarnContext(ctx, "the first sign-in will look like one from a new browser", "subject", user.ID, "err", err)
	}
}

// firstOf is the key of the note about an account's first sign-in.
func firstOf(user *User) [32]byte { return limits.Key("first sign-in", user.ID.String()) }

// notice returns a letter to a user's proven address about what a caller does, or none if
// the user has no such address.
func (u *Users) notice(ctx context.Context, now time.Time, kind LetterKind, user *User, from caller.Caller) ([]Letter, error) {
	if !u.mail || user.Email == "" || !user.EmailVerified {
		return nil, nil
	}
	language, err := u.languageOf(ctx, user.ID, from)
	return []Letter{u.letter(now, kind, user, user.Email, language)}, err
}

// aboutFactors are the letters about changes of a user's factors, by the kinds of their events.
var aboutFactors = map[audit.Kind]LetterKind{
	audit.FactorAdded: FactorAdded, audit.FactorRemoved: FactorRemoved, audit.FactorsReset: FactorsReset,
	audit.RecoveryCodesRenewed: RecoveryCodesRenewed, audit.RecoveryCodeUsed: RecoveryCodeUsed,
}

// factorLetters is how many letters about changes of the own factors a user gets, per window
// of the throttle. A user who has read that many knows.
const factorLetters = 20

// FactorNotice returns the letter to a user's proven address about a change of the user's
// factors, which the store posts with the change; none where there is no such address. It
// counts the letters that a caller who is signed in can cause without end.
func (u *Users) FactorNotice(ctx context.Context, now time.Time, id ids.User, about audit.Kind, from caller.Caller) ([]Letter, error) {
	kind, ok := aboutFactors[about]
	if !ok || !u.mail {
		return nil, nil
	}
	user, err := u.store.User(ctx, id)
	if errors.Is(err, ErrUnknownUser) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("write a letter about %s: %w", about, err)
	}
	letters, err := u.notice(ctx, now, kind, &user, from)
	if len(letters) == 0 || err != nil || kind == FactorsReset || kind == RecoveryCodeUsed {
		return letters, err
	}
	left, err := u.spend(ctx, now, limits.Key("letters about factors", id.String()), factorLetters)
	if !left || err != nil {
		return nil, err
	}
	return letters, nil
}

// languageOf returns the language of a letter to a user about what a caller does: that of the
// user's profile, or else the caller's. The caller may not be the user, and would choose one
// that the user can't read.
func (u *Users) languageOf(ctx context.Context, id ids.User, from caller.Caller) (string, error) {
	profile, err := u.store.Profile(ctx, id)
	if err != nil {
		return "", fmt.Errorf("find the language of a letter: %w", err)
	}
	return cmp.Or(profile.Locale, from.Language), nil
}
