package limits_test

import (
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"countersign/limits"
)

func TestSlotsRunNoMoreAtOnceThanThereAre(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		slots := limits.NewSlots(3, 100)
		var now, most atomic.Int32
		var wg sync.WaitGroup
		for range 50 {
			wg.Go(func() {
				err := slots.Do(t.Context(), limits.Party{}, func() {
					if n := now.Add(1); n > most.Load() {
						most.Store(n)
					}
					time.Sleep(100 * time.Millisecond)
					now.Add(-1)
				})
				if err != nil {
					t.Errorf("Do: %v", err)
				}
			})
		}
		wg.Wait()
		if got := most.Load(); got != 3 {
			t.Errorf("%d ran at once, want 3", got)
		}
	})
}

func TestFullQueueIsBusyAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		slots := limits.NewSlots(1, 2)
		release := make(chan struct{})
		var ran atomic.Int32
		for range 3 { // one call runs, two wait
			go slots.Do(t.Context(), limits.Party{}, func() { <-release; ran.Add(1) })
		}
		synctest.Wait()

		start := time.Now()
		if err := slots.Do(t.Context(), limits.Party{}, func() { t.Error("ran") }); !errors.Is(err, limits.ErrBusy) {
			t.Errorf("Do with a full queue: %v, want ErrBusy", err)
		}
		if waited := time.Since(start); waited != 0 {
			t.Errorf("waited %v for ErrBusy", waited)
		}
		close(release)
		synctest.Wait()
		if got := ran.Load(); got != 3 {
			t.Errorf("%d of the admitted ran, want 3", got)
		}
		if err := slots.Do(t.Context(), limits.Party{}, func() {}); err != nil {
			t.Errorf("Do after the flood: %v", err)
		}
	})
}

func TestEachCallIsObserved(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		slots := limits.NewSlots(1, 1)
		var mu sync.Mutex
		var waited []time.Duration
		slots.Observe = func(_ context.Context, asked, got time.Time) {
			mu.Lock()
			defer mu.Unlock()
			if got.IsZero() {
				waited = append(waited, -time.Since(asked))
			} else {
				waited = append(waited, got.Sub(asked))
			}
		}
		work := func() { time.Sleep(2 * time.Second) }
		var wg sync.WaitGroup
		wg.Go(func() { slots.Do(t.Context(), limits.Party{}, work) })
		synctest.Wait()
		wg.Go(func() { slots.Do(t.Context(), limits.Party{}, work) })
		synctest.Wait()
		if n := slots.Waiting(); n != 1 {
			t.Errorf("%d wait, want 1", n)
		}
		brief, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		wg.Go(func() { slots.Do(brief, limits.Party{Group: "x"}, work) }) // takes no place: the queue is full
		wg.Wait()
		if want := []time.Duration{0, 0, 2 * time.Second}; !slices.Equal(waited, want) {
			t.Errorf("waited %v, want %v", waited, want)
		}
		if n := slots.Waiting(); n != 0 {
			t.Errorf("%d wait at the end", n)
		}
	})
}

func TestNoCallerWaitsLongerThanIsUseful(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		slots := limits.NewSlots(1, 1)
		release := make(chan struct{})
		go slots.Do(t.Context(), limits.Party{}, func() { <-release })
		synctest.Wait()
		start := time.Now()
		if err := slots.Do(t.Context(), limits.Party{}, func() { t.Error("ran") }); !errors.Is(err, limits.ErrBusy) {
			t.Errorf("Do: %v, want ErrBusy", err)
		}
		if waited := time.Since(start); waited != 5*time.Second {
			t.Errorf("waited %v, want 5s", waited)
		}
		close(release)
	})
}

func TestCallerThatGivesUpWaitingMakesRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		slots := limits.NewSlots(1, 1)
		release := make(chan struct{})
		go slots.Do(t.Context(), limits.Party{}, func() { <-release })
		synctest.Wait()

		for range 5 {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			if err := slots.Do(ctx, limits.Party{}, func() { t.Error("ran") }); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("Do: %v, want the context's error", err)
			}
			cancel()
		}
		close(release)
	})
}

func TestNothingRunsForACallerThatHasHungUp(t *testing.T) {
	slots := limits.NewSlots(1, 1)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for range 100 {
		if err := slots.Do(ctx, limits.Party{}, func() { t.Error("ran") }); !errors.Is(err, context.Canceled) {
			t.Fatalf("Do: %v, want context.Canceled", err)
		}
	}
}

func TestPanicFreesItsSlot(t *testing.T) {
	slots := limits.NewSlots(1, 0)
	func() {
		defer func() { recover() }()
		slots.Do(t.Context(), limits.Party{}, func() { panic("boom") })
	}()
	if err := slots.Do(t.Context(), limits.Party{}, func() {}); err != nil {
		t.Errorf("Do after a panic: %v", err)
	}
}
