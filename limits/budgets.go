package limits

import (
	"time"

	"countersign/input"
)

// Budgets say how many wrong guesses callers have. They are the section throttle of the
// configuration, which reads the defaults from the tags; NewThrottle has none.
type Budgets struct {
	// FreeFailures is how many failures one network has at one account before each
	// further one doubles the wait for the next try. Default 10.
	FreeFailures int `yaml:"free_failures" default:"10"`
	// MaxWait is the longest such wait. Default 15m.
	MaxWait time.Duration `yaml:"max_wait" default:"15m"`
	// StrangersPerAccount is how many failures per account and Window all callers
	// have together whose browser never signed in to the account. Default 100.
	StrangersPerAccount int `yaml:"strangers_per_account" default:"100"`
	// FailuresPerNetwork is how many failures per Window callers of one network have at
	// all accounts together whose browsers never signed in to the account. The network
	// of an IPv6 address is its first 64 bits; the first 48 have four times as many.
	// Default 200.
	FailuresPerNetwork int `yaml:"failures_per_network" default:"200"`
	// Window is how long failures are remembered: a budget refills when this long
	// passes without a failure. Default 1h; at least MaxWait.
	Window time.Duration `yaml:"window" default:"1h"`
}

const (
	mostFailures = 1_000_000
	leastTime    = time.Second
)

// Check returns all that is wrong with the budgets, an *input.Error, or nil.
func (b Budgets) Check() error {
	var bad input.Error
	for _, n := range []struct {
		field string
		value int
	}{{"free_failures", b.FreeFailures}, {"strangers_per_account", b.StrangersPerAccount}, {"failures_per_network", b.FailuresPerNetwork}} {
		if n.value < 1 || n.value > mostFailures {
			bad.Add(n.field, input.Invalid, "%s must be 1 to %d, not %d.", n.field, mostFailures, n.value)
		}
	}
	for _, d := range []struct {
		field string
		value time.Duration
	}{{"max_wait", b.MaxWait}, {"window", b.Window}} {
		if d.value < leastTime {
			bad.Add(d.field, input.TooShort, "%s must be at least %s, not %s.", d.field, leastTime, input.Duration(d.value))
		}
	}
	if b.Window < b.MaxWait {
		bad.AddTogether("window", []string{"max_wait"}, "window: %s is shorter than max_wait (%s), so no wait can last that long: raise the first or lower the second.",
			input.Duration(b.Window), input.Duration(b.MaxWait))
	}
	return bad.Err()
}
