package limits

import (
	"context"
	"fmt"
	"time"

	"countersign/ids"
)

// Note remembers key for a time from now on, and reports whether it was remembered already.
// Of several calls at once, one hears that it was not.
func (t *Throttle) Note(ctx context.Context, now time.Time, key [32]byte, lasting time.Duration) (known bool, err error) {
	// A failure that lies in the future outlives the throttle's own window, after which
	// Purge forgets it.
	f, err := t.store.RecordFailure(ctx, t.seal(key), ids.User{}, now.Add(lasting), lasting)
	if err != nil {
		return false, fmt.Errorf("take a note: %w", err)
	}
	return f.Count > 1, nil
}

// Noted reports whether key is remembered.
func (t *Throttle) Noted(ctx context.Context, now time.Time, key [32]byte) (known bool, err error) {
	f, err := t.store.Failures(ctx, t.seal(key))
	if err != nil {
		return false, fmt.Errorf("look for a note: %w", err)
	}
	return f.LastAt.After(now), nil
}

// TakeNote forgets what Note remembers, and reports whether it was remembered.
func (t *Throttle) TakeNote(ctx context.Context, now time.Time, key [32]byte) (known bool, err error) {
	if known, err = t.Noted(ctx, now, key); known && err == nil {
		err = t.store.ClearFailures(ctx, t.seal(key))
	}
	if err != nil {
		return false, fmt.Errorf("take a note back: %w", err)
	}
	return known, nil
}
