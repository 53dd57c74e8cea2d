package keys

import (
	"slices"
	"strings"
	"time"

	"countersign/input"
)

const (
	// poll is how often a replica reads the store.
	poll = 2 * time.Second
	// propagation is the time by which every replica has noticed a change:
	// one poll, plus time for a slow one.
	propagation = 5 * time.Second
)

// Policy says how long keys, and what depends on them, live.
type Policy struct {
	RotationPeriod time.Duration // how long one key signs
	JWKSMaxAge     time.Duration // how long verifiers may cache the JWKS
	ClockSkew      time.Duration // the most that two clocks differ, of replicas and verifiers
	AccessTTL      time.Duration // the longest life of a token signed here
}

// Check says what keeps the times from being met, as an *input.Error, or returns nil:
// verifiers have to know a key before it signs, and no token may outlive the publication
// of its key.
func (p Policy) Check() error {
	var bad input.Error
	in := input.Duration
	if p.RotationPeriod < propagation {
		bad.Add("rotation_period", input.TooShort, "rotation_period must be at least %s, not %s.", in(propagation), in(p.RotationPeriod))
	}
	if p.JWKSMaxAge < time.Second { // the unit of max-age (RFC 9111 section 5.2.2.1)
		bad.Add("jwks_max_age", input.TooShort, "jwks_max_age must be at least 1s, not %s.", in(p.JWKSMaxAge))
	}
	if p.ClockSkew < 0 {
		bad.Add("clock_skew", input.Invalid, "clock_skew must not be negative, but is %s.", in(p.ClockSkew))
	}
	if p.AccessTTL <= 0 {
		bad.Add("access_ttl", input.TooShort, "access_ttl must be positive, not %s.", in(p.AccessTTL))
	}
	if err := bad.Err(); err != nil {
		return err // what follows counts with these
	}
	// The next key is made while a quarter of the period is left for whatever goes wrong.
	if lead, room := p.lead(), p.RotationPeriod-p.RotationPeriod/4; lead > room {
		least := (lead + lead/3 + time.Second).Truncate(time.Second)
		bad.AddTogether("rotation_period", []string{"jwks_max_age", "clock_skew"},
			"rotation_period: %s is too short, a key would sign before caches can know it: it is published jwks_max_age + clock_skew + %s = %s + %s + %s = %s before it signs, which must fit in 3/4 of this (%s); raise it to %s or more, or lower jwks_max_age.",
			in(p.RotationPeriod), in(propagation), in(p.JWKSMaxAge), in(p.ClockSkew), in(propagation), in(lead), in(room), in(least))
	}
	if tail := p.tail(); bad.Err() == nil && tail > p.RotationPeriod {
		bad.AddTogether("access_ttl", []string{"clock_skew", "rotation_period"},
			"access_ttl: %s is too long, a token could outlive its key's publication: access_ttl + clock_skew = %s + %s = %s must be at most rotation_period (%s); lower it or raise that.",
			in(p.AccessTTL), in(p.AccessTTL), in(p.ClockSkew), in(tail), in(p.RotationPeriod))
	}
	return bad.Err()
}

// CheckAlgorithms says what keeps a ring from signing with these, as an *input.Error with
// all of it, or returns nil.
func CheckAlgorithms(algs []string) error {
	var bad input.Error
	if len(algs) == 0 {
		bad.Add("algorithms", input.Required, "algorithms: name at least one of %s.", strings.Join(algorithmNames, ", "))
	}
	for i, alg := range algs {
		switch {
		case !slices.Contains(algorithmNames, alg):
			bad.AddItem("algorithms", i, input.Invalid, "algorithms: %q is none of %s.", alg, strings.Join(algorithmNames, ", "))
		case slices.Contains(algs[:i], alg):
			bad.AddItem("algorithms", i, input.Invalid, "algorithms: %q is repeated.", alg)
		}
	}
	return bad.Err()
}

// lead is how long a key must be published before it signs: every replica must
// notice it, and then every cached JWKS without it must expire.
func (p Policy) lead() time.Duration { return p.JWKSMaxAge + p.ClockSkew + propagation }

// tail is how long a key stays published after it signed its last token.
func (p Policy) tail() time.Duration { return p.AccessTTL + p.ClockSkew }

// keepFor is how long a key stays in the store after its publication ends: clients
// send back the ID tokens it signed long after these expire (see VerifyHint).
func (p Policy) keepFor() time.Duration { return max(time.Hour, 8*p.RotationPeriod) }

// signsUntil is when k stops signing: at k.SignsUntil, or earlier if tokens live
// longer now than when k was made. No token may outlive the publication of its key.
func (p Policy) signsUntil(k Key) time.Time {
	return earlier(k.SignsUntil, k.PublishedUntil.Add(-p.tail()))
}

func (p Policy) terms() terms {
	return terms{lead: p.lead(), period: p.RotationPeriod, tail: p.tail()}
}

// successor is the terms for the key after k: those of k, so that it needs no
// configuration, but with a lead and tail no shorter than p asks for.
func (p Policy) successor(k Key) terms {
	return terms{
		lead:   max(k.Lead, p.lead()),
		period: k.SignsUntil.Sub(k.SignsFrom),
		tail:   max(k.PublishedUntil.Sub(k.SignsUntil), p.tail()),
	}
}

// terms are the durations that one key is made with.
type terms struct{ lead, period, tail time.Duration }

// emergency reports whether k was made to sign at once because no other key could.
func (k Key) emergency() bool { return k.SignsFrom.Equal(k.PublishedFrom) }

// published reports whether k is in the JWKS. There is no lower bound: every key
// in the store is published, even if the replica that made it has a clock ahead
// of ours.
func (k Key) published(now time.Time) bool {
	return k.unrevoked() && now.Before(k.PublishedUntil)
}

// unrevoked reports whether k was never revoked.
func (k Key) unrevoked() bool { return k.RevokedAt.IsZero() }

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
