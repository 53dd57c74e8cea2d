package server

import (
	"context"
	"log/slog"
	"time"
)

// The janitor removes what has expired: a batch at a time, with pauses, so that
// nobody who is writing waits for more than one small transaction. Any number
// of replicas may do so at once, each deletes what it finds.
const (
	cleaningPeriod = time.Minute
	batchSize      = 200
	batchPause     = 50 * time.Millisecond
)

// chore removes at most limit things that have expired at now, and returns how
// many.
type chore struct {
	name string
	do   func(ctx context.Context, now time.Time, limit int) (int64, error)
}

// clean does the chores until ctx ends.
func clean(ctx context.Context, log *slog.Logger, chores []chore) {
	for {
		for _, c := range chores {
			if err := finish(ctx, c); err != nil && ctx.Err() == nil {
				log.WarnContext(ctx, "cleaning failed, will try again", "what", c.name, "err", err)
			}
		}
		if !sleep(ctx, cleaningPeriod) {
			return
		}
	}
}

// finish does one chore until nothing is left to do.
func finish(ctx context.Context, c chore) error {
	for {
		n, err := c.do(ctx, time.Now(), batchSize)
		if err != nil || n < batchSize {
			return err
		}
		if !sleep(ctx, batchPause) {
			return nil
		}
	}
}

// sleep waits and reports whether ctx is still live.
func sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}
