// Package keys is the signing key ring: it makes the keys, rotates them by the
// clock, signs and verifies with them, and publishes them as a JWKS.
//
// # Rotation without a leader
//
// The keys of an algorithm form a line of generations. All times of a key are
// fixed when it is made:
//
//	published from   signs from                 signs until     published until
//	      |--- lead ---|--------- period ----------|---- tail ----|
//
// The lead is the time the JWKS may be cached, and the tail the life of a
// token, each with an allowance for clocks and polling. So a verifier that
// obeys the cache headers has a key before the first token that names it, and
// keeps it until the last one has expired.
//
// Since the times are stored with the key, the clock alone says which key
// signs, and all replicas agree without talking. Any of them inserts the next
// generation when it sees it missing; a unique constraint lets one win, and
// the others take the winner's. None has to be the leader, and none has to be
// up at a given instant: the next key is made a quarter of a period early.
//
// If no key can sign (first start, a long down time, all revoked) an emergency
// key is made that signs at once.
//
// A replica that cannot reach the store goes on from memory. Its JWKS may lack
// keys by then, and must not be cached: see [Ring.JWKSMaxAge].
package keys

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"countersign/seal"
)

// ErrNoSigningKey says that no key of an algorithm can sign: it is not
// configured, or its first key is still being made.
var ErrNoSigningKey = errors.New("no signing key")

// Options are what a Ring is made of.
type Options struct {
	Store Store
	Seal  *seal.Keys
	Log   *slog.Logger // nil: no log

	// Algorithms to sign with, of ES256, RS256, PS256 and EdDSA; the first is
	// the default. Without any, the ring is for administration: it lists, rotates
	// and revokes what is in the store, but makes no key of its own accord and
	// does not sign.
	Algorithms []string
	Policy     Policy // may be zero for administration
}

// Ring is the signing keys of one replica. It is safe for concurrent use.
type Ring struct {
	store      Store
	seal       *seal.Keys
	log        *slog.Logger
	algorithms []string
	policy     Policy

	view    atomic.Pointer[view]
	reading sync.Mutex // one reload at a time, so that an older answer never replaces a newer one
}

// Open reads the ring from the store and makes sure that every algorithm can
// sign. It fails if a key that signs now or later cannot be opened with the
// master keys given.
func Open(ctx context.Context, opts Options) (*Ring, error) {
	for i, alg := range opts.Algorithms {
		if _, ok := algorithms[alg]; !ok || slices.Contains(opts.Algorithms[:i], alg) {
			return nil, fmt.Errorf("signing algorithm %q is unknown or given twice", alg)
		}
	}
	r := &Ring{
		store: opts.Store, seal: opts.Seal, log: cmp.Or(opts.Log, slog.New(slog.DiscardHandler)),
		algorithms: slices.Clone(opts.Algorithms), policy: opts.Policy,
	}
	r.view.Store(&view{})
	if err := r.start(ctx); err != nil {
		return nil, err
	}
	return r, nil
}

func (r *Ring) start(ctx context.Context) error {
	if len(r.algorithms) == 0 {
		return r.reload(ctx)
	}
	if err := r.policy.check(); err != nil {
		return fmt.Errorf("signing keys: %w", err)
	}
	if err := r.watch(ctx); err != nil {
		return err
	}
	for _, alg := range r.algorithms {
		if err := r.ensure(ctx, alg); err != nil {
			return err
		}
	}
	return r.Ready(time.Now())
}

// Algorithms are those the ring signs with; the first is the default.
func (r *Ring) Algorithms() []string { return slices.Clone(r.algorithms) }

// IDTokenAlg is the algorithm of ID tokens whose client chose none: RS256, the
// default of OpenID Connect (Registration section 2), or the first if RS256 is
// not among them.
func (r *Ring) IDTokenAlg() string {
	const standard = "RS256"
	if len(r.algorithms) == 0 || slices.Contains(r.algorithms, standard) {
		return standard
	}
	return r.algorithms[0]
}

// Ready returns nil if the ring can sign, with each of its algorithms.
func (r *Ring) Ready(now time.Time) error {
	if len(r.algorithms) == 0 {
		return ErrNoSigningKey
	}
	for _, alg := range r.algorithms {
		if _, err := r.signing(alg, now); err != nil {
			return err
		}
	}
	return nil
}

// signing is the key that signs with alg now. No alg is the first.
func (r *Ring) signing(alg string, now time.Time) (*member, error) {
	if alg == "" && len(r.algorithms) > 0 {
		alg = r.algorithms[0]
	}
	v := r.view.Load()
	if m := v.signing(alg, now); m != nil && m.signer != nil {
		return m, nil
	}
	if err := v.lockedOut([]string{alg}); err != nil {
		return nil, fmt.Errorf("%w for algorithm %q: %w", ErrNoSigningKey, alg, err)
	}
	return nil, fmt.Errorf("%w for algorithm %q", ErrNoSigningKey, alg)
}

// Sign makes a JWT of claims with the key of alg that signs now; no alg is the
// first. Its header has typ, alg and kid. The claims must expire while that
// key is published, which those of at most Policy.AccessTTL do.
func (r *Ring) Sign(now time.Time, alg, typ string, claims jwt.Claims) (string, error) {
	m, err := r.signing(alg, now)
	if err != nil {
		return "", err
	}
	exp, err := claims.GetExpirationTime()
	if err != nil || exp == nil || exp.After(m.PublishedUntil.Add(-r.policy.ClockSkew)) {
		return "", fmt.Errorf("sign %s: the token must expire while its key is published", typ)
	}
	token := jwt.Token{
		Header: map[string]any{"typ": typ, "alg": m.Alg, "kid": m.KID},
		Claims: claims,
		Method: algorithms[m.Alg].method,
	}
	return token.SignedString(m.signer)
}

// JWKS is the public keys as a JSON Web Key Set (RFC 7517), the same bytes
// until it changes, and its strong ETag.
func (r *Ring) JWKS(now time.Time) (body []byte, etag string) {
	set := r.view.Load().jwks(now)
	return set.body, set.etag
}

// JWKSMaxAge is how long the JWKS of this moment may be cached: as long as the
// policy says, but not at all if it may lack a key that signs before its time
// is up, because the store has not answered of late or because an algorithm
// waits for an emergency key.
func (r *Ring) JWKSMaxAge(now time.Time) time.Duration {
	v := r.view.Load()
	if now.Sub(v.read) > propagation {
		return 0
	}
	for _, alg := range r.algorithms {
		if v.signing(alg, now) == nil {
			return 0
		}
	}
	return r.policy.JWKSMaxAge
}

// State is what a key does at a given time.
type State string

// The states, in the order a key goes through them.
const (
	StateNext      State = "next"      // published, signs later
	StateSigning   State = "signing"   //
	StateVerifying State = "verifying" // signs no more; its last tokens may live
	StateRevoked   State = "revoked"   // off the JWKS, its tokens refused
)

// Info is what operators may know of a key.
type Info struct {
	KID            string    `json:"kid"`
	Alg            string    `json:"alg"`
	State          State     `json:"state"`
	PublishedFrom  time.Time `json:"published_from"`
	SignsFrom      time.Time `json:"signs_from"`
	SignsUntil     time.Time `json:"signs_until"`
	PublishedUntil time.Time `json:"published_until"`
}

// List reads the keys from the store, by algorithm and generation, without
// those whose publication has ended.
func (r *Ring) List(ctx context.Context, now time.Time) ([]Info, error) {
	if err := r.reload(ctx); err != nil {
		return nil, err
	}
	v := r.view.Load()
	list := []Info{}
	for _, m := range v.sorted() {
		if now.Before(m.PublishedUntil) {
			list = append(list, Info{
				KID: m.KID, Alg: m.Alg, State: v.state(m, now),
				PublishedFrom: m.PublishedFrom, SignsFrom: m.SignsFrom,
				SignsUntil: m.SignsUntil, PublishedUntil: m.PublishedUntil,
			})
		}
	}
	return list, nil
}

func (v *view) state(m *member, now time.Time) State {
	switch {
	case !m.RevokedAt.IsZero():
		return StateRevoked
	case m == v.signing(m.Alg, now):
		return StateSigning
	case now.Before(m.SignsFrom):
		return StateNext
	}
	return StateVerifying
}
