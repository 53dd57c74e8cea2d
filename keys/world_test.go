package keys_test

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"countersign/keys"
	"countersign/store"
)

// A world has replicas on one store, and verifiers that cache the JWKS for as long as they
// may and never fetch it again for an unknown kid.
type world struct {
	t         *testing.T
	policy    keys.Policy
	algs      []string
	rings     []*keys.Ring
	verifiers []verifier
	lives     map[string]time.Time // by kid: when the key's last token has expired by the slowest clock
	rng       *rand.Rand
	tokens    int
}

type verifier struct {
	kids  []string
	until time.Time
}

func newWorld(t *testing.T, policy keys.Policy, algs []string, rings ...*keys.Ring) *world {
	maintain(t, rings...)
	return &world{
		t: t, policy: policy, algs: algs, rings: rings, verifiers: make([]verifier, 12),
		lives: map[string]time.Time{}, rng: rand.New(rand.NewPCG(1, 2)),
	}
}

func (w *world) random(d time.Duration) time.Duration {
	return time.Duration(w.rng.Int64N(int64(d) + 1))
}

// pass lets the time d pass, and observes more often around the instants at which keys
// change their state.
func (w *world) pass(d time.Duration) {
	for end := time.Now().Add(d); time.Now().Before(end); {
		time.Sleep(w.pause())
		for _, ring := range w.rings { // every replica polls between two observations, each at its own time
			maintain(w.t, ring)
			time.Sleep(w.random(4900 * time.Millisecond / time.Duration(len(w.rings))))
		}
		w.observe()
		if w.t.Failed() {
			w.t.Fatalf("at %v: %+v", time.Now(), list(w.t, w.rings[0]))
		}
	}
}

func (w *world) pause() time.Duration {
	lead, tail := lead(w.policy), w.policy.AccessTTL+w.policy.ClockSkew
	pause := w.policy.RotationPeriod / 10
	look := func(instant time.Time, near time.Duration) {
		switch distance := time.Until(instant); {
		case distance > near:
			pause = min(pause, distance-near)
		case distance > -near:
			pause = min(pause, near/8)
		}
	}
	for _, k := range list(w.t, w.rings[0]) {
		look(k.SignsUntil.Add(-lead-w.policy.RotationPeriod/4), lead) // the server makes the key's successor
		look(k.PublishedFrom, lead)
		look(k.SignsFrom, lead)
		look(k.SignsUntil, lead)
		look(k.PublishedUntil, tail)
	}
	return pause/2 + w.random(pause/2)
}

func (w *world) observe() {
	now := time.Now()
	for i := range w.verifiers {
		if v := &w.verifiers[i]; !now.Before(v.until) {
			ring := w.rings[w.rng.IntN(len(w.rings))]
			v.kids = published(w.t, ring)
			life := ring.JWKSMaxAge(now) + w.policy.ClockSkew // the verifier's clock may be slow
			if v.until.IsZero() {
				life = w.random(life) // so that verifiers fetch at different times
			}
			v.until = now.Add(life)
		}
	}
	for _, ring := range w.rings {
		if got := ring.JWKSMaxAge(now); got != w.policy.JWKSMaxAge {
			w.t.Errorf("JWKSMaxAge = %v, want %v", got, w.policy.JWKSMaxAge)
		}
		for _, alg := range w.algs {
			token := sign(w.t, ring, alg, w.policy.AccessTTL)
			w.tokens++
			kid := kidOf(w.t, token)
			w.lives[kid] = now.Add(w.policy.AccessTTL + w.policy.ClockSkew)
			for i, v := range w.verifiers {
				if !slices.Contains(v.kids, kid) {
					w.t.Errorf("verifier %d does not know %s, which signs", i, kid)
				}
			}
			for _, other := range w.rings {
				if err := verify(other, token); err != nil {
					w.t.Errorf("another replica refuses a token: %v", err)
				}
			}
		}
	}
	for _, ring := range w.rings {
		kids := published(w.t, ring)
		for kid, until := range w.lives {
			if now.Before(until) && !slices.Contains(kids, kid) {
				w.t.Errorf("%s is not published although tokens of it live", kid)
			}
		}
	}
}

func TestNoVerifierIsEverSurprised(t *testing.T) {
	const year = 365 * 24 * time.Hour
	tests := []struct {
		name        string
		policy      keys.Policy
		replicas    int
		span        time.Duration
		rotateAfter time.Duration // how often an operator rotates by hand; 0: never
	}{
		{"a year of the default policy", monthly, 1, year, 0},
		{"replicas and an operator", monthly, 2, year / 3, 500 * time.Hour},
		{"long tokens", keys.Policy{RotationPeriod: 24 * time.Hour, JWKSMaxAge: time.Hour, ClockSkew: time.Minute, AccessTTL: 20 * time.Hour}, 2, 6 * 24 * time.Hour, 0},
		{"no skew", keys.Policy{RotationPeriod: time.Hour, JWKSMaxAge: time.Minute, AccessTTL: time.Minute}, 2, 6 * time.Hour, 0},
		{"keys shorter than their lead", keys.Policy{RotationPeriod: 2 * time.Minute, JWKSMaxAge: 10 * time.Minute, ClockSkew: 5 * time.Second, AccessTTL: 5 * time.Minute}, 2, time.Hour, 0},
		{"the same and an operator", keys.Policy{RotationPeriod: 2 * time.Minute, JWKSMaxAge: 10 * time.Minute, ClockSkew: 5 * time.Second, AccessTTL: 5 * time.Minute}, 2, time.Hour, 25 * time.Minute},
		{"tests of other people", keys.Policy{RotationPeriod: 10 * time.Second, JWKSMaxAge: 2 * time.Second, AccessTTL: 4 * time.Second}, 2, 5 * time.Minute, time.Minute},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, db *store.DB) {
				mk, algs := master(t), []string{"EdDSA"}
				var rings []*keys.Ring
				for range test.replicas {
					rings = append(rings, openUnchecked(t, db, mk, test.policy))
				}
				w := newWorld(t, test.policy, algs, rings...)
				if test.rotateAfter == 0 {
					w.pass(test.span)
				} else {
					for range test.span / test.rotateAfter {
						w.pass(test.rotateAfter)
						if _, err := openAdmin(t, db, mk).Rotate(t.Context()); err != nil {
							t.Fatal(err)
						}
					}
				}
				if want := int(test.span/test.policy.RotationPeriod) / 2; len(w.lives) < len(algs)*want {
					t.Errorf("%d keys signed, want at least %d of each algorithm", len(w.lives), want)
				}
				t.Logf("%d tokens under %d keys", w.tokens, len(w.lives))
			})
		})
	}
}
