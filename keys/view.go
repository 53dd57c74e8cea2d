package keys

import (
	"crypto"
	"encoding/json"
	"maps"
	"slices"
	"sync/atomic"
	"time"
)

// A view is the ring as last read from the store. It does not change, so requests
// use it without a lock.
type view struct {
	policy Policy
	read   time.Time            // taken just before the store was asked
	keys   map[string][]*member // by algorithm, oldest generation first
	byKID  map[string]*member
	set    atomic.Pointer[keySet] // the JWKS as last built
}

// member is a key in a view.
type member struct {
	Key
	signer crypto.Signer // the private key, if this ring may have to sign with it
	locked error         // why the private key could not be opened
}

// usable reports whether only the clock can keep m from signing here.
func (m *member) usable() bool { return m.unrevoked() && m.locked == nil }

// signing returns the key of alg that signs at now: the newest one between SignsFrom
// and SignsUntil. If there is none (a key was revoked, or tokens now live longer), the
// next key may begin early. But no key signs before it has been published for its
// lead, or for the policy's lead if that is longer by now.
func (v *view) signing(alg string, now time.Time) *member {
	var early *member
	for _, m := range slices.Backward(v.keys[alg]) {
		switch {
		case !m.usable() || !now.Before(v.policy.signsUntil(m.Key)):
		case m.emergency():
			return m // even before SignsFrom: the clock of the replica that made it may be ahead
		case now.Before(m.PublishedFrom.Add(max(m.Lead, v.policy.lead()))):
		case !now.Before(m.SignsFrom):
			return m
		default:
			early = m
		}
	}
	return early
}

// newest returns the newest generation of alg for which ok holds, or nil.
func (v *view) newest(alg string, ok func(*member) bool) *member {
	for _, m := range slices.Backward(v.keys[alg]) {
		if ok(m) {
			return m
		}
	}
	return nil
}

// generation returns the highest generation of alg, whatever the state of its key,
// or 0 if there is none.
func (v *view) generation(alg string) int64 {
	if m := v.newest(alg, func(*member) bool { return true }); m != nil {
		return m.Generation
	}
	return 0
}

// A plan is a key to be made: all of it but the key pair and the time it is made.
type plan struct {
	alg        string
	generation int64
	terms
	notBefore time.Time // signs from here at the earliest
	atOnce    bool      // an emergency key: signs from the moment it is made
}

// next plans the next key of alg and reports whether it is due. It is due a quarter
// of a period before it must be published, so a downtime of that length leaves no gap.
func (v *view) next(alg string, now time.Time) (p plan, due bool) {
	p = plan{alg: alg, generation: v.generation(alg) + 1, terms: v.policy.terms()}
	if v.signing(alg, now) == nil {
		p.atOnce = true
		return p, true
	}
	p.notBefore = v.policy.signsUntil(v.newest(alg, (*member).usable).Key)
	return p, !now.Before(p.notBefore.Add(-p.lead - p.period/4))
}

// lockedOut returns the error of the first key that should sign but cannot be opened,
// or nil.
func (v *view) lockedOut(algs []string) error {
	for _, alg := range algs {
		for _, m := range v.keys[alg] {
			if m.locked != nil {
				return m.locked
			}
		}
	}
	return nil
}

// A keySet is a JWKS ready to be sent.
type keySet struct {
	body  []byte
	until time.Time // a key leaves the set at this instant
}

// jwks returns the JWKS at now. It builds it anew only when a key has left it.
func (v *view) jwks(now time.Time) *keySet {
	set := v.set.Load()
	if set == nil || !now.Before(set.until) {
		set = v.newKeySet(now)
		v.set.Store(set)
	}
	return set
}

func (v *view) newKeySet(now time.Time) *keySet {
	type entry struct {
		publicJWK
		Use string `json:"use"`
		Alg string `json:"alg"`
		KID string `json:"kid"`
	}
	entries := []entry{}
	until := now.Add(24 * time.Hour)
	for _, m := range v.sorted() {
		public, err := newPublicJWK(m.Public)
		if err != nil || !m.published(now) {
			continue
		}
		entries = append(entries, entry{publicJWK: public, Use: "sig", Alg: m.Alg, KID: m.KID})
		until = earlier(until, m.PublishedUntil)
	}
	body, err := json.Marshal(map[string]any{"keys": entries})
	if err != nil {
		panic(err) // strings always marshal
	}
	return &keySet{body: body, until: until}
}

// sorted returns every key, by algorithm and generation: RS256 first, because some
// verifiers take the first key of a JWKS for the only one, and ask for RSA.
func (v *view) sorted() []*member {
	all := slices.Clone(v.keys["RS256"])
	for _, alg := range slices.Backward(slices.Sorted(maps.Keys(v.keys))) { // PS256 before ES256
		if alg != "RS256" {
			all = append(all, v.keys[alg]...)
		}
	}
	return all
}
