package keys

import (
	"bytes"
	"context"
	"crypto"
	"crypto/x509"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"countersign/audit"
)

const (
	// sealPurpose separates private keys from everything else that the master keys seal.
	sealPurpose = "signing key"
)

// Run keeps the ring up to date until ctx ends. It watches the store and makes
// keys concurrently: making an RSA key may take longer than another replica's
// change may wait.
func (r *Ring) Run(ctx context.Context) {
	var wg sync.WaitGroup
	wg.Go(func() { r.repeat(ctx, "watch", r.watch) })
	wg.Go(func() { r.repeat(ctx, "upkeep", r.upkeep) })
	wg.Wait()
}

// patience is how long a task may take. A database that hangs must not stop the
// ring from asking it, or another of its hosts, again.
const patience = 4 * time.Second

// repeat runs a task at every poll. It logs an error that persists once.
func (r *Ring) repeat(ctx context.Context, task string, run func(context.Context) error) {
	tick := time.NewTicker(poll)
	defer tick.Stop()
	said := ""
	for {
		attempt, cancel := context.WithTimeout(ctx, patience)
		err := run(attempt)
		cancel()
		switch {
		case ctx.Err() != nil:
			return
		case err != nil && err.Error() != said:
			said = err.Error()
			r.log.ErrorContext(ctx, "signing keys: task fails, using the keys in memory", "task", task, "err", err)
		case err == nil && said != "":
			said = ""
			r.log.InfoContext(ctx, "signing keys: task succeeds again", "task", task)
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// Maintain does once, for all algorithms, what Run does repeatedly. It is for
// programs that do not live long enough for Run.
func (r *Ring) Maintain(ctx context.Context) error {
	if err := r.watch(ctx); err != nil {
		return err
	}
	return r.upkeep(ctx)
}

// watch reads the store. It returns an error if a key that should sign cannot be opened.
func (r *Ring) watch(ctx context.Context) error {
	if err := r.reload(ctx); err != nil {
		return err
	}
	return r.view.Load().lockedOut(r.algorithms)
}

func (r *Ring) reload(ctx context.Context) error {
	r.reading.Lock()
	defer r.reading.Unlock()
	now := time.Now()
	stored, err := r.store.Keys(ctx)
	if err != nil {
		return fmt.Errorf("read signing keys: %w", err)
	}
	old := r.view.Load()
	v := &view{policy: r.policy, read: now, keys: map[string][]*member{}, byKID: map[string]*member{}}
	for _, k := range stored {
		if _, ok := algorithms[k.Alg]; !ok {
			continue // another version of this program made it
		}
		m := &member{Key: k}
		v.keys[k.Alg] = append(v.keys[k.Alg], m)
		v.byKID[k.KID] = m
		signs := slices.Contains(r.algorithms, k.Alg) && k.RevokedAt.IsZero() && now.Before(r.policy.signsUntil(k))
		switch known := old.byKID[k.KID]; {
		case !signs:
		case known != nil && known.signer != nil:
			m.signer = known.signer
		case known != nil && known.locked != nil && bytes.Equal(known.Sealed, k.Sealed):
			m.locked = known.locked
		default:
			m.signer, m.locked = r.unseal(k)
		}
	}
	r.view.Store(v)
	return nil
}

// unseal returns the private key of k. It must match the public key: verifiers would
// refuse every token that a mismatched key signs, which is worse than no key.
func (r *Ring) unseal(k Key) (crypto.Signer, error) {
	der, err := r.seal.Open(sealPurpose, k.Sealed, []byte(k.KID))
	if err != nil {
		return nil, fmt.Errorf("signing key %s: %w, or, if that is lost, give up the signing key: countersign keys revoke %[1]s", k.KID, err)
	}
	private, err := x509.ParsePKCS8PrivateKey(der)
	if err != nil {
		return nil, fmt.Errorf("signing key %s: %w", k.KID, err)
	}
	signer, ok := private.(crypto.Signer)
	if !ok {
		return nil, fmt.Errorf("signing key %s: a %T cannot sign", k.KID, private)
	}
	public, ok := signer.Public().(interface{ Equal(crypto.PublicKey) bool })
	if !ok || !public.Equal(k.Public) {
		return nil, fmt.Errorf("signing key %s: its private and public halves differ", k.KID)
	}
	return signer, nil
}

// upkeep makes the keys that are due, moves private keys to the first master
// key, so that the others can be retired, and deletes keys long out of use.
func (r *Ring) upkeep(ctx context.Context) error {
	errs := make([]error, len(r.algorithms))
	var wg sync.WaitGroup
	for i, alg := range r.algorithms { // at once: an RSA key may take longer than another algorithm can wait
		wg.Go(func() { errs[i] = r.ensure(ctx, alg) })
	}
	wg.Wait()
	return errors.Join(append(errs, r.reseal(ctx), r.clean(ctx))...)
}

// ensure makes the next key of alg if it is due and no other replica made it first.
func (r *Ring) ensure(ctx context.Context, alg string) error {
	p, due := r.view.Load().next(alg, time.Now())
	if !due {
		return nil
	}
	if _, err := r.create(ctx, p); err != nil && !errors.Is(err, ErrTaken) {
		return err
	}
	return nil
}

// create makes the planned key. It returns ErrTaken if another replica's key of the
// same generation won. In both cases the ring has the winner's key when create returns.
func (r *Ring) create(ctx context.Context, p plan) (Key, error) {
	fail := func(err error) (Key, error) { return Key{}, fmt.Errorf("create %s signing key: %w", p.alg, err) }
	signer, err := algorithms[p.alg].generate()
	if err != nil {
		return fail(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(signer)
	if err != nil {
		return fail(err)
	}
	jwk, err := newPublicJWK(signer.Public())
	if err != nil {
		return fail(err)
	}
	kid := jwk.thumbprint()

	now := time.Now().UTC().Truncate(time.Millisecond) // taken here because making the key may take long
	k := Key{
		KID: kid, Alg: p.alg, Generation: p.generation, Lead: p.lead,
		PublishedFrom: now,
		SignsFrom:     later(p.notBefore, now.Add(p.lead)),
		Public:        signer.Public(),
		Sealed:        r.seal.Seal(sealPurpose, private, []byte(kid)),
	}
	if p.atOnce {
		k.SignsFrom = now
		p.period = max(p.period, 2*p.lead) // leaves its successor time for a full lead
	}
	k.SignsUntil = k.SignsFrom.Add(p.period)
	k.PublishedUntil = k.SignsUntil.Add(p.tail)

	err = r.store.InsertKey(ctx, k, audit.Event{Time: now, Kind: audit.KeyCreated, KeyID: kid})
	if err == nil {
		r.log.InfoContext(ctx, "signing key created", "kid", kid, "alg", k.Alg, "signs_from", k.SignsFrom)
	} else if !errors.Is(err, ErrTaken) {
		return fail(err)
	}
	if err := r.reload(ctx); err != nil {
		return fail(err)
	}
	return k, err
}

func (r *Ring) reseal(ctx context.Context) error {
	resealed := false
	for _, m := range r.view.Load().sorted() {
		if !r.seal.Stale(m.Sealed) {
			continue
		}
		private, err := r.seal.Open(sealPurpose, m.Sealed, []byte(m.KID))
		if err != nil {
			continue // if the key matters, watch reports it
		}
		if err := r.store.ResealKey(ctx, m.KID, m.Sealed, r.seal.Seal(sealPurpose, private, []byte(m.KID))); err != nil {
			return fmt.Errorf("reseal signing key %s: %w", m.KID, err)
		}
		resealed = true
		r.log.InfoContext(ctx, "signing key sealed under the first master key", "kid", m.KID)
	}
	if !resealed {
		return nil
	}
	return r.reload(ctx)
}

func (r *Ring) clean(ctx context.Context) error {
	before := time.Now().Add(-r.policy.keepFor())
	v := r.view.Load()
	for _, m := range v.sorted() {
		if m.PublishedUntil.Before(before) && m.Generation < v.generation(m.Alg) {
			if err := r.store.DeleteKeys(ctx, before); err != nil {
				return fmt.Errorf("delete old signing keys: %w", err)
			}
			return r.reload(ctx)
		}
	}
	return nil
}

// Rotate starts the next key of every algorithm in the store as early as the rules
// allow, and returns these keys. A next key that already signs within its lead is
// returned as it is. New keys take the durations of the newest key, so Rotate needs
// no configuration.
func (r *Ring) Rotate(ctx context.Context) ([]Key, error) {
	if err := r.reload(ctx); err != nil {
		return nil, err
	}
	algs := slices.Sorted(maps.Keys(r.view.Load().keys))
	if len(algs) == 0 {
		return nil, fmt.Errorf("%w yet: the server makes the first ones when it starts", ErrNoSigningKey)
	}
	next := make([]Key, 0, len(algs))
	for _, alg := range algs {
		k, err := r.rotate(ctx, alg)
		if err != nil {
			return next, err
		}
		next = append(next, k)
	}
	return next, nil
}

func (r *Ring) rotate(ctx context.Context, alg string) (Key, error) {
	for {
		v, now := r.view.Load(), time.Now()
		newest := v.newest(alg, func(*member) bool { return true })
		p := plan{alg: alg, generation: newest.Generation + 1, terms: r.policy.successor(newest.Key)}

		if signing := v.signing(alg, now); signing == nil {
			p.atOnce = true
		} else if _, err := r.unseal(signing.Key); err != nil {
			return Key{}, err // the servers could not open a key that we seal
		} else if then := v.signing(alg, now.Add(p.lead)); then != nil && then.Generation > signing.Generation {
			return then.Key, nil
		}
		k, err := r.create(ctx, p)
		if !errors.Is(err, ErrTaken) {
			return k, err
		}
	}
}

// Revoke takes a leaked key out of use. Within seconds every replica drops it from
// the JWKS and refuses the tokens it signed. If no other key of its algorithm can
// sign, Revoke makes one that signs at once. It returns ErrUnknownKey if there is no
// such key.
func (r *Ring) Revoke(ctx context.Context, kid string) error {
	now := time.Now()
	err := r.store.RevokeKey(ctx, kid, now, audit.Event{Time: now, Kind: audit.KeyRevoked, KeyID: kid})
	if err != nil {
		return fmt.Errorf("revoke signing key %q: %w", kid, err)
	}
	r.log.InfoContext(ctx, "signing key revoked", "kid", kid)
	if err := r.reload(ctx); err != nil {
		return err
	}
	revoked := r.view.Load().byKID[kid]
	for revoked != nil {
		v := r.view.Load()
		if v.signing(revoked.Alg, time.Now()) != nil {
			break
		}
		p := plan{alg: revoked.Alg, generation: v.generation(revoked.Alg) + 1, terms: r.policy.successor(revoked.Key), atOnce: true}
		if _, err := r.create(ctx, p); err != nil && !errors.Is(err, ErrTaken) {
			return fmt.Errorf("signing key %s is revoked, but nothing can sign in its place: %w", kid, err)
		}
	}
	return nil
}
