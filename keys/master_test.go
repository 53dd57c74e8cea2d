package keys_test

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"errors"
	"strings"
	"testing"
	"time"

	"countersign/keys"
	"countersign/seal"
	"countersign/store"
)

func TestMasterKeyIsRetiredAfterResealing(t *testing.T) {
	inBubble(t, func(t *testing.T, db *store.DB) {
		before, after := seal.Generate(), seal.Generate()
		ring := open(t, db, master(t, before), monthly)
		token := sign(t, ring, "", 10*time.Minute)

		ring = open(t, db, master(t, after, before), monthly)
		stop := run(t, ring)
		time.Sleep(5 * time.Second)
		stop()

		ring = open(t, db, master(t, after), monthly)
		if err := verify(ring, token); err != nil {
			t.Errorf("token from before: %v", err)
		}
		if got := kidOf(t, sign(t, ring, "", time.Minute)); got != kidOf(t, token) {
			t.Errorf("the new master key signs with %s, want the same key %s", got, kidOf(t, token))
		}
		wantStates(t, ring, "signing")
	})
}

func TestWrongMasterKeyIsAClearErrorWithAWayOut(t *testing.T) {
	inBubble(t, func(t *testing.T, db *store.DB) {
		right, wrong := master(t), master(t)
		kid := kidOf(t, sign(t, open(t, db, right, monthly), "", time.Minute))

		_, err := keys.Open(t.Context(), keys.Options{Store: db, Seal: wrong, Algorithms: []string{"ES256"}, Policy: monthly})
		if !errors.Is(err, seal.ErrUnknownKey) {
			t.Fatalf("err = %v, want seal.ErrUnknownKey", err)
		}
		for _, part := range []string{right.Primary().String(), "countersign keys revoke " + kid} {
			if !strings.Contains(err.Error(), part) || strings.Contains(err.Error(), "\n") {
				t.Errorf("err = %q, want one line with %q", err, part)
			}
		}
		admin := openAdmin(t, db, wrong)
		if _, err := admin.Rotate(t.Context()); !errors.Is(err, seal.ErrUnknownKey) {
			t.Errorf("Rotate: err = %v, want seal.ErrUnknownKey", err)
		}
		wantStates(t, admin, "signing")

		if err := admin.Revoke(t.Context(), kid); err != nil { // as when the operator has lost the old master key
			t.Fatal(err)
		}
		sign(t, open(t, db, wrong, monthly), "", time.Minute)
	})
}

// While operators roll out a new master key, an old replica may read keys that it can't
// unseal. It must keep using its own keys and leave the others as they are.
func TestReplicasWithDifferentMasterKeysGoOn(t *testing.T) {
	inBubble(t, func(t *testing.T, db *store.DB) {
		before, after := seal.Generate(), seal.Generate()
		old := open(t, db, master(t, before), monthly)
		defer run(t, old)()
		fresh := open(t, db, master(t, after, before), monthly)
		stop := run(t, fresh)
		defer stop()
		if _, err := openAdmin(t, db, master(t, after, before)).Rotate(t.Context()); err != nil {
			t.Fatal(err)
		}
		time.Sleep(lead(monthly) + time.Minute)
		for _, pair := range [][2]*keys.Ring{{old, fresh}, {fresh, old}} {
			if err := verify(pair[1], sign(t, pair[0], "", time.Minute)); err != nil {
				t.Error(err)
			}
		}
		if got := list(t, fresh); len(got) != 2 {
			t.Errorf("%d keys, want 2", len(got))
		}

		if err := old.Maintain(t.Context()); !errors.Is(err, seal.ErrUnknownKey) {
			t.Errorf("the old replica's complaint = %v, want seal.ErrUnknownKey", err)
		}
		stop()                                                      // otherwise the old replica seals the keys under its own master key again
		maintain(t, open(t, db, master(t, before, after), monthly)) // the operator rolls back
		time.Sleep(5 * time.Second)
		maintain(t, old)
	})
}

func TestKeyWithAnotherPublicHalfDoesNotSign(t *testing.T) {
	inBubble(t, func(t *testing.T, db *store.DB) {
		mk := master(t)
		open(t, db, mk, monthly)
		_, err := keys.Open(t.Context(), keys.Options{Store: swapped{db}, Seal: mk, Algorithms: []string{"ES256"}, Policy: monthly})
		if err == nil || !strings.Contains(err.Error(), "halves differ") {
			t.Errorf("err = %v", err)
		}
	})
}

// swapped is a store in which an attacker has replaced the public halves.
type swapped struct{ keys.Store }

func (s swapped) Keys(ctx context.Context) ([]keys.Key, error) {
	stored, err := s.Store.Keys(ctx)
	for i := range stored {
		private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			return nil, err
		}
		stored[i].Public = crypto.PublicKey(private.Public())
	}
	return stored, err
}
