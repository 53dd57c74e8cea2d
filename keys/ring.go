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
// The lead covers the time the JWKS may be cached, and the tail the life of a
// token, each with an allowance for clocks and polling. So a verifier that
// obeys the cache headers has a key before the first token that names it, and
// keeps it until the last such token expires.
//
// The times are stored with the key, so the clock alone says which key signs,
// and all replicas agree without talking. A replica that sees the next
// generation missing inserts it; a unique constraint lets one replica win, and
// the others take the winner's key. No replica has to be the leader, and none has
// to be up at a given instant: the next key is made a quarter of a period early.
//
// If no key can sign (first start, a long downtime, all keys revoked), a replica
// makes an emergency key that signs at once.
//
// A replica that cannot reach the store goes on from memory. Its JWKS may then
// lack keys, and must not be cached: see [Ring.JWKSMaxAge].
package keys

import (
	"cmp"
	"context"
	"encoding/base64"
	"encoding/json"
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

// ErrNoSigningKey says that no key of an algorithm can sign: the algorithm is not
// configured, or its first key is still being made.
var ErrNoSigningKey = errors.New("no signing key")

// Options configure a Ring.
type Options struct {
	Store Store
	Seal  *seal.Keys
	Log   *slog.Logger // nil: no log

	// Algorithms to sign with, from ES256, RS256, PS256 and EdDSA. The first is
	// the default. If empty, the ring is for administration: it lists, rotates
	// and revokes the keys in the store, but does not sign, and makes a key only
	// when Rotate or Revoke needs one.
	Algorithms []string
	Policy     Policy // may be zero for administration
}

// A Ring holds the signing keys of one replica. It is safe for concurrent use.
type Ring struct {
	store      Store
	seal       *seal.Keys
	log        *slog.Logger
	algorithms []string
	policy     Policy

	view    atomic.Pointer[view]
	signed  signedTokens
	reading sync.Mutex // one reload at a time, so that an older answer never replaces a newer one
}

// Open reads the ring from the store and makes the keys that are missing, so that
// every algorithm can sign. It refuses algorithms and a policy that don't pass
// CheckAlgorithms and Policy.Check, and fails if the given master keys cannot open a
// key that signs now or later.
func Open(ctx context.Context, opts Options) (*Ring, error) {
	if len(opts.Algorithms) > 0 {
		if err := errors.Join(CheckAlgorithms(opts.Algorithms), opts.Policy.Check()); err != nil {
			return nil, fmt.Errorf("signing keys: %w", err)
		}
	}
	return open(ctx, opts)
}

// open is Open without the checks. A ring has to cope with keys that are shorter than
// their lead, for another version or policy may have made them, so tests open one like
// that.
func open(ctx context.Context, opts Options) (*Ring, error) {
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

// Algorithms returns the algorithms the ring signs with; the first is the default.
func (r *Ring) Algorithms() []string { return slices.Clone(r.algorithms) }

// IDTokenAlg returns the algorithm of ID tokens for a client that chose none: RS256,
// the default of OpenID Connect (Registration section 2), or the ring's first
// algorithm if RS256 is not among them.
func (r *Ring) IDTokenAlg() string {
	const standard = "RS256"
	if len(r.algorithms) == 0 || slices.Contains(r.algorithms, standard) {
		return standard
	}
	return r.algorithms[0]
}

// Ready returns nil if the ring can sign with each of its algorithms, and
// ErrNoSigningKey otherwise.
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

// signing returns the key that signs with alg now. An empty alg means the first.
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

// Sign returns a JWT of claims, signed with the key of alg that signs now. An empty
// alg means the first. The header has typ, alg and kid. The claims must expire while
// that key is published; a life of at most Policy.AccessTTL does.
func (r *Ring) Sign(now time.Time, alg, typ string, claims jwt.Claims) (string, error) {
	m, err := r.signing(alg, now)
	if err != nil {
		return "", err
	}
	exp, err := claims.GetExpirationTime()
	if err != nil || exp == nil || exp.After(m.PublishedUntil.Add(-r.policy.ClockSkew)) {
		return "", fmt.Errorf("sign %s: the token must expire while its key is published", typ)
	}
	return encode(m, typ, claims)
}

// encode returns a JWT in the compact serialization (RFC 7515 section 7.1), signed by m. The
// library does the same by way of a map and a text for each part, at half of the cost of an
// ES256 signature.
func encode(m *member, typ string, claims jwt.Claims) (string, error) {
	header, err := json.Marshal(struct {
		Alg string `json:"alg"`
		KID string `json:"kid"`
		Typ string `json:"typ"`
	}{m.Alg, m.KID, typ})
	if err != nil {
		return "", fmt.Errorf("encode the header: %w", err)
	}
	payload, err := json.Marshal(claims)
	if err != nil {
		return "", fmt.Errorf("encode the claims: %w", err)
	}
	const longest = 512 // bytes of a signature in base64, with room to spare
	base64url := base64.RawURLEncoding
	token := make([]byte, 0, base64url.EncodedLen(len(header))+base64url.EncodedLen(len(payload))+longest)
	token = base64url.AppendEncode(token, header)
	token = append(token, '.')
	token = base64url.AppendEncode(token, payload)
	signature, err := algorithms[m.Alg].method.Sign(string(token), m.signer)
	if err != nil {
		return "", err
	}
	token = append(token, '.')
	return string(base64url.AppendEncode(token, signature)), nil
}

// JWKS returns the public keys as a JSON Web Key Set (RFC 7517), the same on every replica.
// Callers share the bytes, which never change.
func (r *Ring) JWKS(now time.Time) []byte { return r.view.Load().jwks(now).body }

// JWKSMaxAge returns how long the JWKS of this instant may be cached. That is as
// long as the policy says, or 0 if a key that the JWKS lacks may sign before then:
// the store has not answered lately, or an algorithm waits for an emergency key.
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

// A State says what a key does at a given time.
type State string

// The states, in the order a key goes through them.
const (
	StateNext      State = "next"      // published, signs later
	StateSigning   State = "signing"   //
	StateVerifying State = "verifying" // signs no more; its last tokens may still be valid
	StateRevoked   State = "revoked"   // off the JWKS, its tokens refused
)

// Info is what an operator may know of a key.
type Info struct {
	KID            string
	Alg            string
	State          State
	PublishedFrom  time.Time
	SignsFrom      time.Time
	SignsUntil     time.Time
	PublishedUntil time.Time
}

// List reads from the store the keys whose publication has not ended, by algorithm
// and generation.
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

// A Count is how many keys of an algorithm this ring knows, by state.
type Count struct {
	Alg     string
	ByState map[State]int // has every state
	// Late says that the next key is due and doesn't exist. It is so for a moment each time
	// before a key is made.
	Late bool
}

// Counts counts the keys that are published at now, for each algorithm that the ring signs
// with. It doesn't ask the store.
func (r *Ring) Counts(now time.Time) []Count {
	v := r.view.Load()
	counts := make([]Count, 0, len(r.algorithms))
	for _, alg := range r.algorithms {
		c := Count{Alg: alg, ByState: map[State]int{StateNext: 0, StateSigning: 0, StateVerifying: 0, StateRevoked: 0}}
		for _, m := range v.keys[alg] {
			if now.Before(m.PublishedUntil) {
				c.ByState[v.state(m, now)]++
			}
		}
		_, c.Late = v.next(alg, now)
		counts = append(counts, c)
	}
	return counts
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
