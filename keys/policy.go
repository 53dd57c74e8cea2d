package keys

import (
	"errors"
	"time"
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

func (p Policy) check() error {
	switch {
	case p.RotationPeriod < propagation:
		return errors.New("rotation period must be at least " + propagation.String())
	case p.JWKSMaxAge < 0 || p.ClockSkew < 0:
		return errors.New("JWKS max age and clock skew must not be negative")
	case p.AccessTTL <= 0:
		return errors.New("access token TTL must be positive")
	}
	return nil
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
