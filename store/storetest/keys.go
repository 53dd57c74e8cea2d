package storetest

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"testing"
	"time"

	"countersign/audit"
	"countersign/keys"
	"countersign/store"
)

// key returns a key that signs for a day. Its kid is any name, not a thumbprint.
func key(kid, alg string, generation int64) keys.Key {
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	return keys.Key{
		KID: kid, Alg: alg, Generation: generation, PublishedFrom: at, SignsFrom: at.Add(15 * time.Minute),
		SignsUntil: at.Add(24 * time.Hour), PublishedUntil: at.Add(25 * time.Hour), Lead: 15*time.Minute + 31*time.Second + time.Millisecond,
		Public: private.Public(), Sealed: []byte("sealed " + kid),
	}
}

func addKey(t testing.TB, db *store.DB, kid, alg string, generation int64) keys.Key {
	t.Helper()
	k := key(kid, alg, generation)
	succeeds(t, db.InsertKey(t.Context(), k, event(audit.KeyCreated)))
	return k
}

var keyPromises = []promise{
	{"InsertKey/every field comes back", func(t *testing.T, db *store.DB) {
		rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
		succeeds(t, err)
		edKey, _, err := ed25519.GenerateKey(rand.Reader)
		succeeds(t, err)
		var want []keys.Key
		for i, public := range []crypto.PublicKey{key("", "", 0).Public, edKey, rsaKey.Public()} {
			k := key(string(rune('a'+i))+"-Ab_9", []string{"ES256", "EdDSA", "RS256"}[i], int64(1+i))
			k.Public = public
			k.Sealed = make([]byte, 2000) // as large as a sealed RSA key, with every byte value
			for j := range k.Sealed {
				k.Sealed[j] = byte(j)
			}
			k.RevokedAt = []time.Time{{}, at, at.Add(time.Millisecond)}[i]
			created := event(audit.KeyCreated)
			created.KeyID = k.KID
			leaves(t, db, func(ctx context.Context) {
				succeeds(t, db.InsertKey(ctx, k, created))
			}, created)
			want = append(want, k)
		}
		areKeys(t, db, want...)
	}},
	{"InsertKey/a generation of an algorithm is taken once", func(t *testing.T, db *store.DB) {
		first := addKey(t, db, "first", "ES256", 3)
		leaves(t, db, func(ctx context.Context) {
			fails(t, "same generation", db.InsertKey(ctx, key("second", "ES256", 3), event(audit.KeyCreated)), keys.ErrTaken)
		})
		areKeys(t, db, first)
		areKeys(t, db, first, addKey(t, db, "second", "RS256", 3))
	}},
	{"InsertKey/kids that differ by case are two keys", func(t *testing.T, db *store.DB) {
		areKeys(t, db, addKey(t, db, "kid", "ES256", 1), addKey(t, db, "KID", "ES256", 2), addKey(t, db, "Kid", "ES256", 3))
	}},
	{"InsertKey/a public key of no known kind is an error", func(t *testing.T, db *store.DB) {
		k := key("kid", "ES256", 1)
		k.Public = "not a key"
		leaves(t, db, func(ctx context.Context) {
			if err := db.InsertKey(ctx, k, event(audit.KeyCreated)); err == nil {
				t.Error("got no error")
			}
		})
		areKeys(t, db)
	}},

	{"Keys/by algorithm and generation", func(t *testing.T, db *store.DB) {
		r1 := addKey(t, db, "1", "RS256", 1)
		e10 := addKey(t, db, "2", "ES256", 10)
		e9 := addKey(t, db, "3", "ES256", 9)
		d := addKey(t, db, "4", "EdDSA", 11)
		areKeys(t, db, e9, e10, d, r1) // in byte order: S before d
	}},

	{"RevokeKey/marks that key", func(t *testing.T, db *store.DB) {
		k, other := addKey(t, db, "kid", "ES256", 1), addKey(t, db, "KID", "ES256", 2)
		leaves(t, db, func(ctx context.Context) {
			succeeds(t, db.RevokeKey(ctx, "kid", at.Add(time.Millisecond), event(audit.KeyRevoked)))
		}, event(audit.KeyRevoked))
		k.RevokedAt = at.Add(time.Millisecond)
		areKeys(t, db, k, other)
	}},
	{"RevokeKey/a revoked one stays as it is", func(t *testing.T, db *store.DB) {
		k := addKey(t, db, "kid", "ES256", 1)
		succeeds(t, db.RevokeKey(t.Context(), "kid", at, event(audit.KeyRevoked)))
		leaves(t, db, func(ctx context.Context) {
			succeeds(t, db.RevokeKey(ctx, "kid", at.Add(time.Hour), event(audit.KeyRevoked)))
		})
		k.RevokedAt = at
		areKeys(t, db, k)
	}},
	{"RevokeKey/an unknown one is ErrUnknownKey", func(t *testing.T, db *store.DB) {
		addKey(t, db, "kid", "ES256", 1)
		leaves(t, db, func(ctx context.Context) {
			fails(t, "revoke", db.RevokeKey(ctx, "KID", at, event(audit.KeyRevoked)), keys.ErrUnknownKey)
		})
	}},

	{"ResealKey/replaces the sealed key alone", func(t *testing.T, db *store.DB) {
		k, other := addKey(t, db, "kid", "ES256", 1), addKey(t, db, "other", "ES256", 2)
		sealed := []byte{0, 1, 0xff, 0}
		succeeds(t, db.ResealKey(t.Context(), "kid", k.Sealed, sealed))
		k.Sealed = sealed
		areKeys(t, db, k, other)
	}},
	{"ResealKey/not if it is no longer the old one", func(t *testing.T, db *store.DB) {
		k := addKey(t, db, "kid", "ES256", 1)
		for _, old := range [][]byte{[]byte("older"), bytes.ToUpper(k.Sealed), append(bytes.Clone(k.Sealed), ' '), {}, nil} {
			succeeds(t, db.ResealKey(t.Context(), "kid", old, []byte("new")))
		}
		succeeds(t, db.ResealKey(t.Context(), "unknown", k.Sealed, []byte("new")))
		areKeys(t, db, k)
	}},

	{"DeleteKeys/removes what has not been published for long", func(t *testing.T, db *store.DB) {
		var all []keys.Key
		for i, until := range []time.Duration{-2, -1, 0, 1, 2} { // times around the limit
			k := key(numbered("kid", 5)[i], "ES256", int64(i+1))
			k.PublishedUntil = at.Add(until * time.Millisecond)
			succeeds(t, db.InsertKey(t.Context(), k, event(audit.KeyCreated)))
			all = append(all, k)
		}
		leaves(t, db, func(ctx context.Context) { succeeds(t, db.DeleteKeys(ctx, at)) })
		areKeys(t, db, all[2:]...)
	}},
	{"DeleteKeys/never the newest generation of an algorithm", func(t *testing.T, db *store.DB) {
		addKey(t, db, "e1", "ES256", 1)
		e2 := addKey(t, db, "e2", "ES256", 2)
		r1 := addKey(t, db, "r1", "RS256", 1)
		succeeds(t, db.RevokeKey(t.Context(), "e2", at, event(audit.KeyRevoked))) // the newest key stays, though it is revoked
		e2.RevokedAt = at
		for range 2 {
			succeeds(t, db.DeleteKeys(t.Context(), at.Add(10000*time.Hour)))
			areKeys(t, db, e2, r1)
		}
	}},
	{"DeleteKeys/there may be none", func(t *testing.T, db *store.DB) {
		succeeds(t, db.DeleteKeys(t.Context(), at))
		areKeys(t, db)
	}},
}

// areKeys fails the test unless the store has exactly these keys, in this order.
func areKeys(t testing.TB, db *store.DB, want ...keys.Key) {
	t.Helper()
	got, err := db.Keys(t.Context())
	succeeds(t, err)
	same(t, "keys", got, want)
}
