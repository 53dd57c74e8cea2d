package limits_test

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"countersign/limits"
)

// A crowd calls at a steady rate, and its callers hang up when their patience ends.
type crowd struct {
	rate     int // calls a second
	patience time.Duration
	party    func(i int) limits.Party

	called, served atomic.Int64
	slowest        atomic.Int64 // the longest that a served caller waited
}

// share runs crowds for ten seconds over two slots with work of 50 ms, 40 a second, and a
// queue of 64 places.
func share(t *testing.T, crowds ...*crowd) {
	synctest.Test(t, func(t *testing.T) {
		slots := limits.NewSlots(2, 64)
		for _, c := range crowds {
			for i := range 10 * c.rate {
				time.AfterFunc(time.Duration(i)*time.Second/time.Duration(c.rate), func() {
					c.called.Add(1)
					ctx, hangUp := context.WithTimeout(t.Context(), c.patience)
					defer hangUp()
					began := time.Now()
					err := slots.Do(ctx, c.party(i), func() {
						c.served.Add(1)
						c.slowest.Store(max(c.slowest.Load(), int64(time.Since(began))))
						time.Sleep(50 * time.Millisecond)
					})
					if err != nil && !errors.Is(err, limits.ErrBusy) && !errors.Is(err, context.DeadlineExceeded) {
						t.Errorf("Do: %v", err)
					}
				})
			}
		}
		time.Sleep(20 * time.Second)
		synctest.Wait()
	})
}

// wantServed fails the test unless the slots served at least so many of each hundred
// callers.
func (c *crowd) wantServed(t *testing.T, name string, percent int64, within time.Duration) {
	t.Helper()
	slowest := time.Duration(c.slowest.Load())
	t.Logf("%s: %d of %d served, the slowest after %v", name, c.served.Load(), c.called.Load(), slowest)
	if 100*c.served.Load() < percent*c.called.Load() || slowest > within {
		t.Errorf("%s: %d of %d were served, the slowest after %v; want %d%% within %v", name, c.served.Load(), c.called.Load(), slowest, percent, within)
	}
}

func fromOne(p limits.Party) func(int) limits.Party { return func(int) limits.Party { return p } }

func TestOneNetworkCannotFillTheQueue(t *testing.T) {
	site := func(i int) limits.Party { return limits.Party{Group: "a", Member: fmt.Sprint(i)} }
	for name, attack := range map[string]*crowd{
		"100 a second":                {rate: 100, patience: 10 * time.Second, party: fromOne(limits.Party{Group: "a"})},
		"150 a second":                {rate: 150, patience: 10 * time.Second, party: fromOne(limits.Party{Group: "a"})},
		"400 a second that hang up":   {rate: 400, patience: 100 * time.Millisecond, party: fromOne(limits.Party{Group: "a"})},
		"from all networks of a site": {rate: 150, patience: 10 * time.Second, party: site},
	} {
		t.Run(name, func(t *testing.T) {
			neighbours := &crowd{rate: 2, patience: 10 * time.Second, party: fromOne(limits.Party{Known: true, Group: "a", Member: "alice"})}
			known := &crowd{rate: 5, patience: 10 * time.Second, party: func(i int) limits.Party {
				return limits.Party{Known: true, Group: fmt.Sprint("home ", i), Member: "bob"}
			}}
			strangers := &crowd{rate: 5, patience: 10 * time.Second, party: func(i int) limits.Party { return limits.Party{Group: fmt.Sprint("home ", i)} }}
			share(t, attack, neighbours, known, strangers)
			neighbours.wantServed(t, "known browsers in the attacker's network", 100, 100*time.Millisecond)
			known.wantServed(t, "known browsers", 100, 100*time.Millisecond)
			strangers.wantServed(t, "strangers elsewhere", 100, 200*time.Millisecond)
		})
	}
}

// An attacker with an account has a known browser, too.
func TestKnownBrowserCannotKeepOthersOut(t *testing.T) {
	for name, party := range map[string]func(i int) limits.Party{
		"one account":       fromOne(limits.Party{Known: true, Group: "a", Member: "mallory"}),
		"a hundred of them": func(i int) limits.Party { return limits.Party{Known: true, Group: "a", Member: fmt.Sprint(i % 100)} },
	} {
		t.Run(name, func(t *testing.T) {
			attack := &crowd{rate: 150, patience: 10 * time.Second, party: party}
			known := &crowd{rate: 5, patience: 10 * time.Second, party: func(i int) limits.Party { return limits.Party{Known: true, Group: "home", Member: fmt.Sprint(i)} }}
			strangers := &crowd{rate: 5, patience: 10 * time.Second, party: func(i int) limits.Party { return limits.Party{Group: fmt.Sprint(i)} }}
			share(t, attack, known, strangers)
			known.wantServed(t, "known browsers", 100, 150*time.Millisecond)
			strangers.wantServed(t, "strangers", 100, 400*time.Millisecond)
		})
	}
}

// A botnet has as many networks as it wants. Only what a browser or a session proves helps
// against it.
func TestManyNetworksCannotKeepKnownBrowsersOut(t *testing.T) {
	attack := &crowd{rate: 400, patience: 10 * time.Second, party: func(i int) limits.Party { return limits.Party{Group: fmt.Sprint("bot ", i)} }}
	known := &crowd{rate: 10, patience: 10 * time.Second, party: func(i int) limits.Party { return limits.Party{Known: true, Group: "home", Member: fmt.Sprint(i)} }}
	share(t, attack, known)
	known.wantServed(t, "known browsers", 100, 150*time.Millisecond)
	attack.wantServed(t, "the botnet", 5, 5*time.Second)
}

// A school behind one address has the whole server while no other network wants it.
func TestOneNetworkHasWhatNoOtherWants(t *testing.T) {
	school := &crowd{rate: 40, patience: 10 * time.Second, party: fromOne(limits.Party{Group: "school"})}
	share(t, school)
	school.wantServed(t, "the school", 100, 100*time.Millisecond)
}
