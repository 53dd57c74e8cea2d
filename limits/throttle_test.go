package limits_test

import (
	"context"
	"errors"
	"path/filepath"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"countersign/limits"
	"countersign/store/storetest"
)

// A guesser makes wrong guesses at one key, through one of several replicas.
type guesser struct {
	*limits.Throttle
	t   *testing.T
	key [32]byte
}

// inBubble runs test in a bubble with a guesser over a fresh database.
func inBubble(t *testing.T, b limits.Budgets, test func(t *testing.T, g guesser)) {
	path := filepath.Join(t.TempDir(), "countersign.db")
	synctest.Test(t, func(t *testing.T) {
		db := storetest.OpenFile(t, path)
		defer db.Close()
		test(t, guesser{throttle(t, db, b), t, limits.Key("test", "alice")})
	})
}

// usual are the budgets where a test doesn't say otherwise.
var usual = limits.Budgets{FreeFailures: 10, MaxWait: 15 * time.Minute, StrangersPerAccount: 100, FailuresPerNetwork: 200, Window: time.Hour}

func free(failures int) limits.Budgets {
	b := usual
	b.FreeFailures = failures
	return b
}

func throttle(t testing.TB, db limits.Store, b limits.Budgets) *limits.Throttle {
	t.Helper()
	throttle, err := limits.NewThrottle(limits.Options{Store: db, Budgets: b})
	if err != nil {
		t.Fatal(err)
	}
	return throttle
}

func (g guesser) fail(times int) {
	g.t.Helper()
	for range times {
		if err := g.Failed(g.t.Context(), time.Now(), g.key); err != nil {
			g.t.Fatalf("Failed: %v", err)
		}
	}
}

// wait returns the wait that Check demands.
func (g guesser) wait() time.Duration {
	g.t.Helper()
	_, err := g.Check(g.t.Context(), time.Now(), g.key)
	wait, throttled := errors.AsType[*limits.WaitError](err)
	switch {
	case err == nil:
		return 0
	case !throttled || !errors.Is(err, limits.ErrThrottled):
		g.t.Fatalf("Check: %v, want a *WaitError that is ErrThrottled", err)
	}
	return wait.RetryAfter
}

func TestFreeFailuresThenWaitsThatDouble(t *testing.T) {
	inBubble(t, usual, func(t *testing.T, g guesser) {
		for n := range 10 {
			if got := g.wait(); got != 0 {
				t.Errorf("after %d failures: wait %v, want none", n, got)
			}
			g.fail(1)
		}
		for _, want := range []time.Duration{0, 1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 900, 900} {
			want *= time.Second
			if got := g.wait(); got != want {
				t.Errorf("wait %v, want %v", got, want)
			}
			time.Sleep(want)
			if got := g.wait(); got != 0 {
				t.Errorf("having waited %v: wait %v more", want, got)
			}
			g.fail(1)
		}
		g.fail(100) // doubling must not overflow
		if got := g.wait(); got != 15*time.Minute {
			t.Errorf("after 120 failures: wait %v, want 15m", got)
		}
	})
}

// A caller that waited in a queue reports an earlier time than callers that failed
// meanwhile. So does a caller of a replica whose clock is behind.
func TestLatecomersNeitherWaitForFreeNorShortenAWait(t *testing.T) {
	inBubble(t, usual, func(t *testing.T, g guesser) {
		began := time.Now()
		time.Sleep(3 * time.Second)
		g.fail(5)
		if _, err := g.Check(t.Context(), began, g.key); err != nil {
			t.Errorf("within the free failures: %v", err)
		}
		g.fail(9) // 14: eight seconds
		if got := g.wait(); got != 8*time.Second {
			t.Fatalf("wait %v, want 8s", got)
		}
		if err := g.Failed(t.Context(), began, g.key); err != nil { // 15
			t.Fatal(err)
		}
		if got := g.wait(); got != 16*time.Second {
			t.Errorf("wait %v after a latecomer's failure, want 16s", got)
		}
	})
}

func TestSuccessRefillsTheBudget(t *testing.T) {
	inBubble(t, free(3), func(t *testing.T, g guesser) {
		g.fail(3)
		f, err := g.Check(t.Context(), time.Now(), g.key)
		if err != nil || f.Count != 3 {
			t.Fatalf("Check = %+v, %v, want 3 failures", f, err)
		}
		if err := g.Succeeded(t.Context(), g.key, f); err != nil {
			t.Fatal(err)
		}
		g.fail(3)
		if got := g.wait(); got != 0 {
			t.Errorf("wait %v, want none", got)
		}
	})
}

func TestBudgetRefillsByItselfAfterTheWindow(t *testing.T) {
	inBubble(t, limits.Budgets{FreeFailures: 1, MaxWait: time.Hour, StrangersPerAccount: 1, FailuresPerNetwork: 200, Window: time.Hour}, func(t *testing.T, g guesser) {
		g.fail(50)
		time.Sleep(time.Hour - time.Second)
		if got := g.wait(); got != time.Second {
			t.Errorf("within the window: wait %v, want 1s", got)
		}
		time.Sleep(time.Second)
		if got := g.wait(); got != 0 {
			t.Errorf("after the window: wait %v, want none", got)
		}
		g.fail(1)
		if got := g.wait(); got != 0 {
			t.Errorf("first failure of a new window: wait %v, want none", got)
		}
	})
}

func TestBudgetsAreApart(t *testing.T) {
	inBubble(t, free(1), func(t *testing.T, g guesser) {
		g.fail(5)
		g.key = limits.Key("test", "bob")
		if got := g.wait(); got != 0 {
			t.Errorf("bob waits %v for alice's failures", got)
		}
	})
}

func TestParallelFailuresAllCount(t *testing.T) {
	db := storetest.Open(t)
	throttle := throttle(t, db, free(20))
	key, now := limits.Key("test", "alice"), time.Now()
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() {
			if err := throttle.Failed(t.Context(), now, key); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if f, err := throttle.Check(t.Context(), now, key); err != nil || f.Count != 20 {
		t.Errorf("Check = %+v, %v, want 20 failures", f, err)
	}
}

func TestHangingUpDoesNotMakeAGuessFree(t *testing.T) {
	throttle := throttle(t, storetest.Open(t), usual)
	key, now := limits.Key("test", "alice"), time.Now()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := throttle.Failed(ctx, now, key); err != nil {
		t.Fatal(err)
	}
	if f, err := throttle.Check(t.Context(), now, key); err != nil || f.Count != 1 {
		t.Errorf("Check = %+v, %v, want 1 failure", f, err)
	}
}

func TestPurgeForgetsOnlyWhatTheWindowRefilled(t *testing.T) {
	throttle := throttle(t, storetest.Open(t), usual)
	old, fresh, now := limits.Key("test", "old"), limits.Key("test", "fresh"), time.Now()
	throttle.Failed(t.Context(), now.Add(-2*time.Hour), old)
	throttle.Failed(t.Context(), now, fresh)
	if n, err := throttle.Purge(t.Context(), now, 100); n != 1 || err != nil {
		t.Errorf("Purge = %d, %v, want 1", n, err)
	}
	if f, _ := throttle.Check(t.Context(), now, fresh); f.Count != 1 {
		t.Errorf("fresh budget has %d failures, want 1", f.Count)
	}
}

func TestDatabaseHoldsKeysOnlyUnderTheSecret(t *testing.T) {
	db := storetest.Open(t)
	key, now := limits.Key("test", "hunter2 typed as a name"), time.Now()
	secret := func(text string) *limits.Throttle {
		throttle, err := limits.NewThrottle(limits.Options{Store: db, Budgets: usual, Secret: []byte(text)})
		if err != nil {
			t.Fatal(err)
		}
		return throttle
	}
	one := secret("one")
	if err := one.Failed(t.Context(), now, key); err != nil {
		t.Fatal(err)
	}
	if f, err := db.Failures(t.Context(), key); err != nil || f.Count != 0 {
		t.Errorf("found under the plain digest: %+v, %v", f, err)
	}
	other := secret("other")
	if f, err := other.Check(t.Context(), now, key); err != nil || f.Count != 0 {
		t.Errorf("found under another secret: %+v, %v", f, err)
	}
}

func TestKeysNeverCollideByCutting(t *testing.T) {
	seen := map[[32]byte]string{}
	for name, key := range map[string][32]byte{
		"a|bc":  limits.Key("p", "a", "bc"),
		"ab|c":  limits.Key("p", "ab", "c"),
		"abc":   limits.Key("p", "abc"),
		"abc|":  limits.Key("p", "abc", ""),
		"pa|bc": limits.Key("pa", "bc"),
		"other": limits.Key("q", "a", "bc"),
	} {
		if other, ok := seen[key]; ok {
			t.Errorf("%q and %q have one key", name, other)
		}
		seen[key] = name
	}
}

func TestNetwork(t *testing.T) {
	for address, want := range map[string]string{
		"192.0.2.7":                "192.0.2.7",
		"::ffff:192.0.2.7":         "192.0.2.7",
		"2001:db8:1:2:3:4:5:6":     "2001:db8:1:2::/64",
		"2001:db8:1:2::9":          "2001:db8:1:2::/64",
		"2001:db8:1:3::9":          "2001:db8:1:3::/64",
		"fe80::1%eth0":             "fe80::/64",
		"":                         "",
		"not an address":           "not an address",
		"192.0.2.7:443":            "192.0.2.7:443",
		"2001:DB8:1:2:0:0:0:1":     "2001:db8:1:2::/64",
		"::1":                      "::/64",
		"2001:db8:1:2:3:4:5:6:7:8": "2001:db8:1:2:3:4:5:6:7:8",
	} {
		if got := limits.Network(address); got != want {
			t.Errorf("Network(%q) = %q, want %q", address, got, want)
		}
	}
}

// A caller that waits exactly as long as Check demands gets the whole budget.
func TestSharedBudgetRefillsByItselfAfterTheWindow(t *testing.T) {
	inBubble(t, usual, func(t *testing.T, g guesser) {
		for range 3 {
			for n := range 5 {
				if err := g.CheckShared(t.Context(), time.Now(), g.key, 5); err != nil {
					t.Fatalf("after %d failures: %v", n, err)
				}
				g.fail(1)
			}
			wait, _ := errors.AsType[*limits.WaitError](g.CheckShared(t.Context(), time.Now(), g.key, 5))
			if wait == nil || wait.RetryAfter < time.Hour-time.Millisecond {
				t.Fatalf("after 5 failures: %v, want to wait an hour", wait)
			}
			time.Sleep(wait.RetryAfter)
		}
	})
}

func TestAThrottleRefusesBudgetsThatCantBe(t *testing.T) {
	for name, change := range map[string]func(*limits.Budgets){
		"no free failures":        func(b *limits.Budgets) { b.FreeFailures = 0 },
		"endless free failures":   func(b *limits.Budgets) { b.FreeFailures = 1_000_001 },
		"no strangers":            func(b *limits.Budgets) { b.StrangersPerAccount = 0 },
		"no wait":                 func(b *limits.Budgets) { b.MaxWait = 0 },
		"a window below a second": func(b *limits.Budgets) { b.MaxWait, b.Window = time.Second, time.Second-1 },
		"a wait that never ends":  func(b *limits.Budgets) { b.MaxWait = b.Window + 1 },
	} {
		b := usual
		change(&b)
		if _, err := limits.NewThrottle(limits.Options{Store: storetest.Open(t), Budgets: b}); err == nil {
			t.Errorf("%s: not refused", name)
		}
	}
}
