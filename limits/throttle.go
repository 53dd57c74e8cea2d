package limits

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"errors"
	"fmt"
	"time"
)

// ErrThrottled says that somebody guessed too often and has to wait. The error
// itself is a *WaitError, which says how long.
var ErrThrottled = errors.New("too many failed attempts")

// WaitError is an ErrThrottled that knows when to come back.
type WaitError struct{ RetryAfter time.Duration }

func (e *WaitError) Error() string {
	return fmt.Sprintf("%v: retry in %v", ErrThrottled, e.RetryAfter)
}

// Is makes a WaitError an ErrThrottled.
func (e *WaitError) Is(target error) bool { return target == ErrThrottled }

// Failures is how often somebody has guessed wrong of late.
type Failures struct {
	Count  int
	LastAt time.Time
}

// Store is the memory of a Throttle, shared by all replicas. Every method is
// atomic and safe for concurrent use.
type Store interface {
	// Failures returns what is recorded for key; the zero value if nothing is.
	Failures(ctx context.Context, key [32]byte) (Failures, error)
	// RecordFailure counts one more failure at now and returns the new count.
	// A count whose last failure is window ago or more starts again at 1, to the
	// millisecond. The last failure never moves back: callers that queued come late
	// with theirs.
	RecordFailure(ctx context.Context, key [32]byte, now time.Time, window time.Duration) (Failures, error)
	// ClearFailures forgets key.
	ClearFailures(ctx context.Context, key [32]byte) error
	// PurgeFailures forgets at most limit keys whose last failure is before
	// the given time and returns how many it forgot.
	PurgeFailures(ctx context.Context, before time.Time, limit int) (int64, error)
}

// Options are the parts of a Throttle. What is zero takes its default.
type Options struct {
	Store   Store
	Free    int           // failures that cost no wait; 10
	MaxWait time.Duration // the longest wait; 15 minutes
	Window  time.Duration // without failures for this long, all is forgiven; 1 hour

	// Secret keys what is written to the Store, the same on all replicas.
	// People type passwords into username fields: without it, somebody who
	// reads the database could search for them as fast as SHA-256 goes.
	Secret []byte
}

// Throttle gives everybody who proves something a budget of wrong guesses (RFC
// 6749 section 10.10). Some failures are free, for people mistype; each after
// that has to be waited for twice as long as the one before. Waiting is never
// an end: no one can lock a person out for good.
type Throttle struct{ o Options }

// NewThrottle returns a Throttle.
func NewThrottle(o Options) *Throttle {
	if o.Free <= 0 {
		o.Free = 10
	}
	if o.MaxWait <= 0 {
		o.MaxWait = 15 * time.Minute
	}
	if o.Window <= 0 {
		o.Window = time.Hour
	}
	return &Throttle{o}
}

// Check returns a *WaitError if whoever key stands for may not guess yet, and
// otherwise the failures so far, for Succeeded.
//
// Between a Check and its Failed others may check too. So check again where
// the work is bounded, right before it, and record the outcome there: then a
// burst exceeds the budget by no more than the number of slots. Where nothing
// bounds the work, Charge tells those apart that raced.
func (t *Throttle) Check(ctx context.Context, now time.Time, key [32]byte) (Failures, error) {
	f, err := t.o.Store.Failures(ctx, t.seal(key))
	if err != nil {
		return Failures{}, fmt.Errorf("check guess budget: %w", err)
	}
	if now.After(f.LastAt.Add(t.o.Window)) {
		return f, nil // forgiven: the next failure starts again at 1
	}
	wait := t.wait(f.Count)
	if wait == 0 {
		return f, nil // also if somebody failed after this caller began to queue
	}
	if rest := f.LastAt.Add(wait).Sub(now); rest > 0 {
		return Failures{}, &WaitError{RetryAfter: rest}
	}
	return f, nil
}

// CheckShared is Check for a budget that many share who don't know each other:
// most failures are free, after them nobody may guess until there was none for the
// window. Waits that grow would let those who don't wait starve those who do.
func (t *Throttle) CheckShared(ctx context.Context, now time.Time, key [32]byte, most int) error {
	f, err := t.o.Store.Failures(ctx, t.seal(key))
	if err != nil {
		return fmt.Errorf("check shared guess budget: %w", err)
	}
	if rest := f.LastAt.Add(t.o.Window).Sub(now); f.Count >= most && rest > 0 {
		return &WaitError{RetryAfter: rest}
	}
	return nil
}

// Failed counts a wrong guess. It counts also when the caller has hung up:
// not waiting for the answer must not make a guess free.
func (t *Throttle) Failed(ctx context.Context, now time.Time, key [32]byte) error {
	_, err := t.record(ctx, now, key)
	return err
}

func (t *Throttle) record(ctx context.Context, now time.Time, key [32]byte) (Failures, error) {
	f, err := t.o.Store.RecordFailure(context.WithoutCancel(ctx), t.seal(key), now, t.o.Window)
	if err != nil {
		return Failures{}, fmt.Errorf("count wrong guess: %w", err)
	}
	return f, nil
}

// Charge is Failed for work that nothing bounds. Of callers that passed Check side by
// side, those that would have had to wait for the others get a *WaitError, and may not
// be told how it went. seen is what Check returned.
func (t *Throttle) Charge(ctx context.Context, now time.Time, key [32]byte, seen Failures) error {
	f, err := t.record(ctx, now, key)
	if err != nil {
		return err
	}
	if wait := t.wait(f.Count - 1); f.Count > seen.Count+1 && wait > 0 {
		return &WaitError{RetryAfter: wait}
	}
	return nil
}

// ChargeShared is Charge for a budget of CheckShared.
func (t *Throttle) ChargeShared(ctx context.Context, now time.Time, key [32]byte, most int) error {
	f, err := t.record(ctx, now, key)
	if err == nil && f.Count > most {
		err = &WaitError{RetryAfter: t.o.Window}
	}
	return err
}

// Succeeded refills the budget, where Check found it tapped.
func (t *Throttle) Succeeded(ctx context.Context, key [32]byte, f Failures) error {
	if f.Count == 0 {
		return nil
	}
	if err := t.o.Store.ClearFailures(ctx, t.seal(key)); err != nil {
		return fmt.Errorf("refill guess budget: %w", err)
	}
	return nil
}

// Purge forgets at most limit budgets that have refilled by themselves and
// returns how many it forgot.
func (t *Throttle) Purge(ctx context.Context, now time.Time, limit int) (int64, error) {
	return t.o.Store.PurgeFailures(ctx, now.Add(-t.o.Window), limit)
}

// wait is how long after the last of count failures the next guess may come.
func (t *Throttle) wait(count int) time.Duration {
	if count <= t.o.Free {
		return 0
	}
	wait := time.Second
	for range count - t.o.Free - 1 {
		if wait *= 2; wait >= t.o.MaxWait {
			return t.o.MaxWait
		}
	}
	return min(wait, t.o.MaxWait)
}

func (t *Throttle) seal(key [32]byte) [32]byte {
	mac := hmac.New(sha256.New, t.o.Secret)
	mac.Write(key[:])
	return [32]byte(mac.Sum(nil))
}
