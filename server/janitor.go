package server

import (
	"context"
	"log/slog"
	"time"
)

// The janitor removes expired rows in batches, with pauses, so that a writer waits for
// one small statement at most. Replicas take turns: each minute one of them cleans. No
// replica is the leader; if one dies halfway, the next turn does the rest.
const (
	cleaningPeriod = time.Minute
	batchSize      = 500
	batchPause     = 50 * time.Millisecond
)

// chore removes at most limit rows that have expired at now, and returns how many.
type chore struct {
	name string
	do   func(ctx context.Context, now time.Time, limit int) (int64, error)
}

// turns gives work to one replica at a time.
type turns interface {
	// TakeTurn claims the named work from now until a later time, and reports
	// whether it was free.
	TakeTurn(ctx context.Context, name string, now, until time.Time) (bool, error)
}

// clean does the chores whenever it is this replica's turn, until ctx ends.
func clean(ctx context.Context, log *slog.Logger, turns turns, chores []chore) {
	for {
		now := time.Now()
		until := now.Add(cleaningPeriod)
		mine, err := turns.TakeTurn(ctx, "cleaning", now, until)
		if mine {
			turn, end := context.WithDeadline(ctx, until)
			for _, c := range chores {
				if err := finish(turn, c); err != nil && turn.Err() == nil {
					log.WarnContext(ctx, "cleaning failed, will try again", "what", c.name, "err", err)
				}
			}
			end()
		} else if err != nil && ctx.Err() == nil {
			log.WarnContext(ctx, "cleaning failed, will try again", "err", err)
		}
		if !sleep(ctx, time.Until(until)) {
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

// sleep waits for d, or until ctx ends, and reports whether ctx is still live.
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
