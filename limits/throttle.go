package limits

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"errors"
	"fmt"
	"time"

	"countersign/ids"
)

// ErrThrottled says that a caller guessed wrong too often and has to wait. The error
// itself is a *WaitError, which says how long.
var ErrThrottled = errors.New("too many failed attempts")

// A WaitError is an ErrThrottled that says when the caller may try again.
type WaitError struct{ RetryAfter time.Duration }

func (e *WaitError) Error() string {
	return fmt.Sprintf("%v: retry in %v", ErrThrottled, e.RetryAfter)
}

// Is makes a WaitError an ErrThrottled.
func (e *WaitError) Is(target error) bool { return target == ErrThrottled }

// Failures counts the recent wrong guesses at a key.
type Failures struct {
	Count  int
	LastAt time.Time
}

// A Store holds the budgets of a Throttle for all replicas. Every method is atomic
// and safe for concurrent use.
type Store interface {
	// Failures returns the record of key, or the zero value if there is none.
	Failures(ctx context.Context, key [32]byte) (Failures, error)
	// RecordFailure counts one more failure at now, at an account of a user or of none, and
	// returns the new record.
	// If the last failure was window or more before now (to the millisecond), the
	// count starts again at 1. LastAt never moves back: a caller that queued records
	// its failure late, with an earlier now.
	RecordFailure(ctx context.Context, key [32]byte, at ids.User, now time.Time, window time.Duration) (Failures, error)
	// RecordSpread moves LastAt of key to step after it, or after now if that is later. So
	// LastAt says when all of the failures have had their step, one after another.
	RecordSpread(ctx context.Context, key [32]byte, now time.Time, step time.Duration) error
	// ClearFailures forgets key.
	ClearFailures(ctx context.Context, key [32]byte) error
	// PurgeFailures forgets at most limit keys whose last failure is before
	// the given time and returns how many it forgot.
	PurgeFailures(ctx context.Context, before time.Time, limit int) (int64, error)
}

// Options configure a Throttle. All but Secret are required.
type Options struct {
	Store   Store
	Budgets Budgets

	// Secret keys the digests written to the Store. All replicas need the same one.
	// Users type passwords into username fields: without a secret, an attacker who
	// reads the database could search for them at the speed of SHA-256.
	Secret []byte
}

// A Throttle gives each key a budget of wrong guesses (RFC 6749 section 10.10). The
// first failures are free, because users mistype; after each further one the caller
// waits twice as long as after the one before. Every wait ends: no attacker can lock
// a user out for good.
type Throttle struct {
	store   Store
	budgets Budgets
	secret  []byte
}

// NewThrottle returns a Throttle. It refuses budgets that don't pass their Check.
func NewThrottle(o Options) (*Throttle, error) {
	if err := o.Budgets.Check(); err != nil {
		return nil, fmt.Errorf("guess budgets: %w", err)
	}
	return &Throttle{store: o.Store, budgets: o.Budgets, secret: o.Secret}, nil
}

// StrangersPerAccount is how many failures callers unknown to an account share: see
// CheckShared.
func (t *Throttle) StrangersPerAccount() int { return t.budgets.StrangersPerAccount }

// Check returns a *WaitError if the next guess at key may not come yet, and otherwise
// the failures so far, for Succeeded and Charge.
//
// Between a Check and its Failed, other callers may check too. So check again in the
// slot that bounds the work, right before the work, and record the outcome there: then
// a burst exceeds the budget by no more than the number of slots. Where no slots bound
// the work, use Charge, which finds the callers that raced.
func (t *Throttle) Check(ctx context.Context, now time.Time, key [32]byte) (Failures, error) {
	f, err := t.store.Failures(ctx, t.seal(key))
	if err != nil {
		return Failures{}, fmt.Errorf("check guess budget: %w", err)
	}
	if now.After(f.LastAt.Add(t.budgets.Window)) {
		return f, nil // refilled: the next failure starts again at 1
	}
	wait := t.wait(f.Count)
	if wait == 0 {
		return f, nil // even if another caller failed after this one began to queue
	}
	if rest := f.LastAt.Add(wait).Sub(now); rest > 0 {
		return Failures{}, &WaitError{RetryAfter: rest}
	}
	return f, nil
}

// CheckShared is Check for a budget that many independent callers share. The first
// most failures are free; after them no caller may guess until the window has passed
// without a failure. With waits that grow, callers that don't wait would starve those
// that do.
func (t *Throttle) CheckShared(ctx context.Context, now time.Time, key [32]byte, most int) error {
	f, err := t.store.Failures(ctx, t.seal(key))
	if err != nil {
		return fmt.Errorf("check shared guess budget: %w", err)
	}
	if rest := f.LastAt.Add(t.budgets.Window).Sub(now); f.Count >= most && rest > 0 {
		return &WaitError{RetryAfter: rest}
	}
	return nil
}

// Failed counts a wrong guess, even if the caller has hung up (ctx has ended): not
// waiting for the answer must not make a guess free.
func (t *Throttle) Failed(ctx context.Context, now time.Time, key [32]byte) error {
	return t.FailedAt(ctx, now, key, ids.User{})
}

// FailedAt is Failed for a guess at a user's account, by which the operator can have it
// forgotten. The zero id is no user's.
func (t *Throttle) FailedAt(ctx context.Context, now time.Time, key [32]byte, at ids.User) error {
	_, err := t.record(ctx, now, key, at)
	return err
}

func (t *Throttle) record(ctx context.Context, now time.Time, key [32]byte, at ids.User) (Failures, error) {
	f, err := t.store.RecordFailure(context.WithoutCancel(ctx), t.seal(key), at, now, t.budgets.Window)
	if err != nil {
		return Failures{}, fmt.Errorf("count wrong guess: %w", err)
	}
	return f, nil
}

// Charge is FailedAt for work that no slots bound. seen is what Check returned. If other
// callers passed Check at the same time and this one should have waited for them, Charge
// returns a *WaitError, and the caller must not learn whether its guess was right.
func (t *Throttle) Charge(ctx context.Context, now time.Time, key [32]byte, seen Failures, at ids.User) error {
	f, err := t.record(ctx, now, key, at)
	if err != nil {
		return err
	}
	if wait := t.wait(f.Count - 1); f.Count > seen.Count+1 && wait > 0 {
		return &WaitError{RetryAfter: wait}
	}
	return nil
}

// ChargeShared is Charge for a budget that CheckShared checks.
func (t *Throttle) ChargeShared(ctx context.Context, now time.Time, key [32]byte, most int, at ids.User) error {
	f, err := t.record(ctx, now, key, at)
	if err == nil && f.Count > most {
		err = &WaitError{RetryAfter: t.budgets.Window}
	}
	return err
}

// Succeeded refills the budget after a right guess. f is what Check returned; if it
// has no failures, Succeeded does nothing.
func (t *Throttle) Succeeded(ctx context.Context, key [32]byte, f Failures) error {
	if f.Count == 0 {
		return nil
	}
	if err := t.store.ClearFailures(ctx, t.seal(key)); err != nil {
		return fmt.Errorf("refill guess budget: %w", err)
	}
	return nil
}

// Purge forgets at most limit budgets that the window has refilled and returns how
// many it forgot.
func (t *Throttle) Purge(ctx context.Context, now time.Time, limit int) (int64, error) {
	return t.store.PurgeFailures(ctx, now.Add(-t.budgets.Window), limit)
}

// wait returns how long after the last of count failures the next guess may come.
func (t *Throttle) wait(count int) time.Duration {
	if count <= t.budgets.FreeFailures {
		return 0
	}
	wait := time.Second
	for range count - t.budgets.FreeFailures - 1 {
		if wait *= 2; wait >= t.budgets.MaxWait {
			return t.budgets.MaxWait
		}
	}
	return min(wait, t.budgets.MaxWait)
}

func (t *Throttle) seal(key [32]byte) [32]byte {
	mac := hmac.New(sha256.New, t.secret)
	mac.Write(key[:])
	return [32]byte(mac.Sum(nil))
}
