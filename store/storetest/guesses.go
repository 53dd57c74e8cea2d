package storetest

import (
	"context"
	"testing"
	"time"

	"countersign/ids"
	"countersign/limits"
	"countersign/store"
)

// The keys of two budgets. They differ only in the case of one letter.
var budget, otherBudget = [32]byte{0: 0xff, 30: 'a'}, [32]byte{0: 0xff, 30: 'A'}

var guessPromises = []promise{
	{"Failures/nothing recorded is the zero value", func(t *testing.T, db *store.DB) {
		haveFailed(t, db, budget, limits.Failures{})
	}},
	{"RecordFailure/counts each budget by itself", func(t *testing.T, db *store.DB) {
		leaves(t, db, func(ctx context.Context) {
			for i := range 5 {
				now := at.Add(time.Duration(i) * time.Millisecond)
				want := limits.Failures{Count: i + 1, LastAt: now}
				got, err := db.RecordFailure(ctx, budget, ids.User{}, now, time.Hour)
				succeeds(t, err)
				same(t, "failures", got, want)
				haveFailed(t, db, budget, want)
			}
		})
		haveFailed(t, db, otherBudget, limits.Failures{})
		got, err := db.RecordFailure(t.Context(), otherBudget, ids.User{}, at, time.Hour)
		succeeds(t, err)
		same(t, "failures of the other", got, limits.Failures{Count: 1, LastAt: at})
	}},
	{"RecordFailure/starts again after a window without any", func(t *testing.T, db *store.DB) {
		const window = time.Hour
		now, latest := at, at
		for _, step := range []struct {
			after time.Duration
			count int
		}{
			{0, 1}, {0, 2},
			{window - time.Millisecond, 3},
			{window, 1}, {window + time.Millisecond, 1}, {time.Millisecond, 2},
			{-time.Minute, 3}, // from another replica's clock, or a caller that queued: LastAt doesn't go back
		} {
			now = now.Add(step.after)
			if now.After(latest) {
				latest = now
			}
			got, err := db.RecordFailure(t.Context(), budget, ids.User{}, now, window)
			succeeds(t, err)
			same(t, "failures", got, limits.Failures{Count: step.count, LastAt: latest})
		}
	}},
	{"RecordSpread/gives each failure its step, one after another", func(t *testing.T, db *store.DB) {
		const step = time.Minute
		now, end := at, at
		for i, after := range []time.Duration{0, 0, time.Second, 10 * time.Minute, -time.Second} {
			now = now.Add(after)
			if now.After(end) {
				end = now
			}
			end = end.Add(step)
			succeeds(t, db.RecordSpread(t.Context(), budget, now, step))
			haveFailed(t, db, budget, limits.Failures{Count: i + 1, LastAt: end})
		}
		haveFailed(t, db, otherBudget, limits.Failures{})
	}},
	{"ClearFailures/forgets that budget", func(t *testing.T, db *store.DB) {
		for _, key := range [][32]byte{budget, budget, otherBudget} {
			_, err := db.RecordFailure(t.Context(), key, ids.User{}, at, time.Hour)
			succeeds(t, err)
		}
		succeeds(t, db.ClearFailures(t.Context(), budget))
		haveFailed(t, db, budget, limits.Failures{})
		haveFailed(t, db, otherBudget, limits.Failures{Count: 1, LastAt: at})
		succeeds(t, db.ClearFailures(t.Context(), budget)) // there is nothing left to clear
	}},
	{"PurgeFailures/forgets what is old, a batch at a time", func(t *testing.T, db *store.DB) {
		keys := make([][32]byte, 6)
		for i := range keys {
			keys[i][31] = byte(i)
			_, err := db.RecordFailure(t.Context(), keys[i], ids.User{}, at.Add(time.Duration(i)*time.Millisecond), time.Hour)
			succeeds(t, err)
		}
		before := at.Add(5 * time.Millisecond) // the instant of the last failure, which must stay
		for _, want := range []int64{2, 2, 1, 0} {
			n, err := db.PurgeFailures(t.Context(), before, 2)
			succeeds(t, err)
			same(t, "budgets purged", n, want)
		}
		for _, key := range keys[:5] {
			haveFailed(t, db, key, limits.Failures{})
		}
		haveFailed(t, db, keys[5], limits.Failures{Count: 1, LastAt: before})
	}},
}

// haveFailed fails the test unless the budget has these failures.
func haveFailed(t testing.TB, db *store.DB, key [32]byte, want limits.Failures) {
	t.Helper()
	got, err := db.Failures(t.Context(), key)
	succeeds(t, err)
	same(t, "failures recorded", got, want)
}

// Throttle returns a throttle over a store with budgets like those of a server without
// configuration, for the tests of other packages.
func Throttle(t testing.TB, db limits.Store) *limits.Throttle {
	t.Helper()
	throttle, err := limits.NewThrottle(limits.Options{
		Store: db, Budgets: limits.Budgets{FreeFailures: 10, MaxWait: 15 * time.Minute, StrangersPerAccount: 100, FailuresPerNetwork: 200, Window: time.Hour},
	})
	if err != nil {
		t.Fatal(err)
	}
	return throttle
}
