package limits

import (
	"context"
	"fmt"
	"time"
)

// sitesWorth is how many networks' failures a whole site has, see Site: providers that
// give one site to many subscribers need more than one network's.
const sitesWorth = 4

// CheckNetwork returns a *WaitError if no caller from the network of an address may
// guess now, at whatever account: an attacker who tries one password at a thousand
// accounts meets no other budget. purpose names what is guessed.
//
// A network has Budgets.FailuresPerNetwork failures, and gets each back after an equal
// part of the window: many users may share a network, so none of them waits long for
// another's failures. A success gives nothing back: an attacker with an account of their
// own has as many successes as they want.
//
// As with Check, check again in the slot that bounds the work.
func (t *Throttle) CheckNetwork(ctx context.Context, now time.Time, purpose, address string) error {
	for _, n := range t.networks(purpose, address) {
		f, err := t.store.Failures(ctx, t.seal(n.key))
		if err != nil {
			return fmt.Errorf("check guess budget of a network: %w", err)
		}
		// LastAt is when the network has all its failures again.
		if rest := f.LastAt.Add(-n.step * time.Duration(n.most-1)).Sub(now); rest > 0 {
			return &WaitError{RetryAfter: rest}
		}
	}
	return nil
}

// FailedNetwork counts a wrong guess from the network of an address, even if the caller
// has hung up.
func (t *Throttle) FailedNetwork(ctx context.Context, now time.Time, purpose, address string) error {
	for _, n := range t.networks(purpose, address) {
		if err := t.store.RecordSpread(context.WithoutCancel(ctx), t.seal(n.key), now, n.step); err != nil {
			return fmt.Errorf("count wrong guess from a network: %w", err)
		}
	}
	return nil
}

// networkBudget is most failures, of which each is given back after step.
type networkBudget struct {
	key  [32]byte
	most int
	step time.Duration
}

func (t *Throttle) networks(purpose, address string) []networkBudget {
	of := func(kind, name string, most int) networkBudget {
		return networkBudget{Key(purpose+" from one "+kind, name), most, max(t.budgets.Window/time.Duration(most), time.Millisecond)}
	}
	network, site := Network(address), Site(address)
	budgets := []networkBudget{of("network", network, t.budgets.FailuresPerNetwork)}
	if site != network {
		budgets = append(budgets, of("site", site, sitesWorth*t.budgets.FailuresPerNetwork))
	}
	return budgets
}
