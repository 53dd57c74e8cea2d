package accounts

import (
	"context"
	"errors"
	"strconv"
	"time"

	"countersign/caller"
	"countersign/ids"
	"countersign/limits"
)

// How many letters callers can cause. Each kind has budgets of its own, so letters of one
// kind never use up those of another. Beyond the first budget the caller is told, because
// it is about nothing but the caller. Beyond the others, the letter is silently never
// sent: an answer that changed would tell that the address has got mail.
//
// No caller can keep a user from getting a letter that has a token. A browser that the
// account knows has a budget that strangers can't touch, and each network has some. When
// strangers have used up the mailbox's, one more letter still goes out in each
// letterSpacing, to the next who asks. That is shorter than any token lives: a user who
// gets none then has one in the mailbox that still works.
const (
	// lettersFromNetwork is how many letters of one kind one network can ask for, to all
	// mailboxes, in each networkPeriod. A school or an office may be one network.
	lettersFromNetwork = 30
	networkPeriod      = 30 * time.Minute

	// The next three are for letters of one kind to one mailbox, per window of the
	// throttle.
	mailboxFromBrowser = 5 // for a browser that the account knows
	mailboxFromNetwork = 3
	mailboxInAll       = 5 // for all strangers together

	letterSpacing = 10 * time.Minute
)

// A reason is what a caller's network is counted for: a kind of letter, or signing up.
type reason string

const signingUp reason = "sign-up"

// ofNetwork returns the key of a network's budget, and when the next one begins.
func ofNetwork(now time.Time, why reason, from caller.Caller) (key [32]byte, next time.Duration) {
	period := now.UnixMilli() / networkPeriod.Milliseconds()
	next = time.UnixMilli((period + 1) * networkPeriod.Milliseconds()).Sub(now)
	return limits.Key("letters from a network", string(why), from.Network(), strconv.FormatInt(period, 10)), next
}

// checkNetwork returns a *limits.WaitError if the caller's network has asked for too
// many letters.
func (u *Users) checkNetwork(ctx context.Context, now time.Time, why reason, from caller.Caller) error {
	key, next := ofNetwork(now, why, from)
	return until(next, u.throttle.CheckShared(ctx, now, key, lettersFromNetwork))
}

// chargeNetwork counts a letter that the caller's network asks for. *limits.WaitError.
func (u *Users) chargeNetwork(ctx context.Context, now time.Time, why reason, from caller.Caller) error {
	key, next := ofNetwork(now, why, from)
	return until(next, u.chargeShared(ctx, now, key, lettersFromNetwork))
}

// until has a *limits.WaitError say when to try again.
func until(next time.Duration, err error) error {
	if errors.Is(err, limits.ErrThrottled) {
		return &limits.WaitError{RetryAfter: next}
	}
	return err
}

// chargeShared counts against a budget that many callers share. Once that is spent it
// counts nothing more; otherwise a caller that goes on asking would keep it spent.
// *limits.WaitError.
func (u *Users) chargeShared(ctx context.Context, now time.Time, key [32]byte, most int) error {
	if err := u.throttle.CheckShared(ctx, now, key, most); err != nil {
		return err
	}
	return u.throttle.ChargeShared(ctx, now, key, most, ids.User{})
}

// spend counts against a budget, and reports whether that had something left.
func (u *Users) spend(ctx context.Context, now time.Time, key [32]byte, most int) (left bool, err error) {
	err = u.chargeShared(ctx, now, key, most)
	if errors.Is(err, limits.ErrThrottled) {
		return false, nil
	}
	return err == nil, err
}

// knownBrowser returns the id of the caller's browser if a user has signed in with it
// since the password last changed, and else nothing.
func knownBrowser(user *User, from caller.Caller) string {
	if user.ID.IsZero() || from.Browser == nil {
		return ""
	}
	if id, epoch := from.Browser(user.ID); epoch == user.Epoch {
		return id
	}
	return ""
}

// ration counts a letter to a user against the budgets of its mailbox. If none has
// anything left, the letter is never sent. A letter that is never sent anyway costs no
// user anything: it counts for asked, what the caller has named, with the same work.
func (u *Users) ration(ctx context.Context, now time.Time, l *Letter, user *User, asked string, from caller.Caller) error {
	kind, box := string(l.Kind), []string{"nowhere", asked}
	if l.Address != "" {
		box = []string{"to", EmailKey(l.Address)}
		if user.EmailVerified && user.Email == l.Address {
			// Other accounts may name the address as theirs, unproven. They don't touch
			// the owner's budget, which begins anew with a new password.
			box = append(box, "proven", strconv.FormatInt(user.Epoch, 10))
		}
	}
	key := func(purpose string, more ...string) [32]byte {
		return limits.Key(purpose, append(append([]string{kind}, more...), box...)...)
	}
	if browser := knownBrowser(user, from); browser != "" && l.Address == user.Email && !user.EmailUnclaimed {
		left, err := u.spend(ctx, now, key("letters for a known browser", browser), mailboxFromBrowser)
		if left || err != nil {
			return err
		}
	}
	left, err := u.spend(ctx, now, key("letters for a network", from.Network()), mailboxFromNetwork)
	if left {
		left, err = u.spend(ctx, now, key("letters"), mailboxInAll)
	}
	if !left && err == nil && l.HasToken() {
		slot := strconv.FormatInt(now.UnixMilli()/letterSpacing.Milliseconds(), 10)
		left, err = u.spend(ctx, now, key("spaced letter", slot), 1)
	}
	if !left {
		l.nowhere()
	}
	return err
}
