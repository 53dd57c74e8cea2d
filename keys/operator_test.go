package keys_test

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"countersign/audit"
	"countersign/keys"
	"countersign/store"
)

func TestRotateIsNoticedByOtherReplicasAndSignsAfterItsLead(t *testing.T) {
	inBubble(t, func(t *testing.T, db *store.DB) {
		mk := master(t)
		ring := open(t, db, mk, monthly, "ES256", "EdDSA")
		maintain(t, ring)
		defer run(t, ring)()
		before := kidOf(t, sign(t, ring, "", time.Minute))
		time.Sleep(time.Minute + time.Millisecond)

		next, err := openAdmin(t, db, mk).Rotate(t.Context())
		if err != nil || len(next) != 2 {
			t.Fatalf("Rotate = %d keys, %v; want one for each algorithm", len(next), err)
		}
		es := next[0]
		if got, want := es.SignsFrom.Sub(es.PublishedFrom), lead(monthly); got != want {
			t.Errorf("lead = %v, want %v", got, want)
		}
		if got, want := es.SignsUntil.Sub(es.SignsFrom), monthly.RotationPeriod; got != want {
			t.Errorf("period = %v, want %v", got, want)
		}
		if got, want := es.PublishedUntil.Sub(es.SignsUntil), monthly.AccessTTL+monthly.ClockSkew; got != want {
			t.Errorf("tail = %v, want %v", got, want)
		}
		time.Sleep(5 * time.Second)
		if !slices.Contains(published(t, ring), es.KID) {
			t.Error("another replica has not noticed the next key in 5 s")
		}
		again, err := openAdmin(t, db, mk).Rotate(t.Context())
		if err != nil || again[0].KID != es.KID {
			t.Errorf("Rotate again = %v, %v; want the key that is on its way", again, err)
		}
		time.Sleep(time.Until(es.SignsFrom) - time.Millisecond)
		if got := kidOf(t, sign(t, ring, "", time.Minute)); got != before {
			t.Error("the next key signs before its lead is over")
		}
		time.Sleep(time.Millisecond)
		if got := kidOf(t, sign(t, ring, "", time.Minute)); got != es.KID {
			t.Error("the next key does not sign after its lead")
		}
		wantStates(t, ring, "verifying signing verifying signing")
	})
}

// The lead covers this worst case: the verifier cached the JWKS for as long as it may.
func TestVerifierThatFetchedJustBeforeARotationIsNotSurprised(t *testing.T) {
	inBubble(t, func(t *testing.T, db *store.DB) {
		mk := master(t)
		ring := open(t, db, mk, monthly)
		if _, err := openAdmin(t, db, mk).Rotate(t.Context()); err != nil {
			t.Fatal(err)
		}
		time.Sleep(5 * time.Second) // the longest time until a replica polls
		known, until := published(t, ring), time.Now().Add(ring.JWKSMaxAge(time.Now())+monthly.ClockSkew)
		if time.Until(until) < monthly.JWKSMaxAge {
			t.Fatal("the JWKS may not be cached in full")
		}
		time.Sleep(time.Until(until) - time.Millisecond)
		maintain(t, ring)
		if kid := kidOf(t, sign(t, ring, "", time.Minute)); !slices.Contains(known, kid) {
			t.Errorf("%s signs while a JWKS without it is cached", kid)
		}
	})
}

func TestRotateGoesBeforeANextKeyThatIsFarOff(t *testing.T) {
	inBubble(t, func(t *testing.T, db *store.DB) {
		mk := master(t)
		ring := open(t, db, mk, monthly)
		time.Sleep(600 * time.Hour)
		maintain(t, ring)
		wantStates(t, ring, "signing next")

		next, err := openAdmin(t, db, mk).Rotate(t.Context())
		if err != nil || next[0].Generation != 3 {
			t.Fatalf("Rotate = %v, %v", next, err)
		}
		w := newWorld(t, monthly, []string{"ES256"}, ring)
		w.pass(2 * lead(monthly))
		if got := kidOf(t, sign(t, ring, "", time.Minute)); got != next[0].KID {
			t.Errorf("%s signs, want the rotated key %s", got, next[0].KID)
		}
		w.pass(1500 * time.Hour)
	})
}

func TestRevokedKeyIsGoneFromOtherReplicasInFiveSeconds(t *testing.T) {
	inBubble(t, func(t *testing.T, db *store.DB) {
		mk := master(t)
		ring := open(t, db, mk, monthly)
		defer run(t, ring)()
		token := sign(t, ring, "", time.Minute)
		leaked := kidOf(t, token)

		if err := openAdmin(t, db, mk).Revoke(t.Context(), leaked); err != nil {
			t.Fatal(err)
		}
		time.Sleep(5 * time.Second)
		if err := verify(ring, token); !errors.Is(err, keys.ErrInvalidToken) {
			t.Errorf("a token of the revoked key: err = %v", err)
		}
		if slices.Contains(published(t, ring), leaked) {
			t.Error("the revoked key is published")
		}
		if err := verify(ring, sign(t, ring, "", time.Minute)); err != nil {
			t.Errorf("a token of the emergency key: %v", err)
		}
		wantStates(t, ring, "revoked signing")
		if err := openAdmin(t, db, mk).Revoke(t.Context(), leaked); err != nil {
			t.Errorf("revoke again: %v", err)
		}
		wantStates(t, ring, "revoked signing")
	})
}

func TestRevokeHandsOverToThePublishedNextKey(t *testing.T) {
	inBubble(t, func(t *testing.T, db *store.DB) {
		mk := master(t)
		ring := open(t, db, mk, monthly)
		time.Sleep(600 * time.Hour)
		maintain(t, ring)
		w := newWorld(t, monthly, []string{"ES256"}, ring)
		w.pass(time.Hour)
		leaked := kidOf(t, sign(t, ring, "", time.Minute))
		if err := openAdmin(t, db, mk).Revoke(t.Context(), leaked); err != nil {
			t.Fatal(err)
		}
		delete(w.lives, leaked)
		w.pass(time.Hour) // observe fails if a verifier doesn't know a key that signs
		wantStates(t, ring, "revoked signing")
	})
}

func TestRevokeDoesNotHandOverToAKeyThatVerifiersCannotKnow(t *testing.T) {
	inBubble(t, func(t *testing.T, db *store.DB) {
		mk := master(t)
		ring := open(t, db, mk, monthly)
		if _, err := ring.Rotate(t.Context()); err != nil {
			t.Fatal(err)
		}
		time.Sleep(lead(monthly) - time.Second)
		if err := ring.Revoke(t.Context(), kidOf(t, sign(t, ring, "", time.Minute))); err != nil {
			t.Fatal(err)
		}
		wantStates(t, ring, "revoked next signing")
	})
}

func TestRotationIsAudited(t *testing.T) {
	inBubble(t, func(t *testing.T, db *store.DB) {
		mk := master(t)
		ring := open(t, db, mk, monthly)
		kid := kidOf(t, sign(t, ring, "", time.Minute))
		if err := ring.Revoke(t.Context(), kid); err != nil {
			t.Fatal(err)
		}
		records, err := db.Events(t.Context(), audit.Filter{})
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, record := range records {
			got = append(got, string(record.Kind)+" "+record.KeyID)
		}
		want := []string{"key.created " + kid, "key.revoked " + kid, "key.created " + kidOf(t, sign(t, ring, "", time.Minute))}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("events (-want +got):\n%s", diff)
		}
	})
}

// The command line doesn't know that the configuration now lets verifiers cache the JWKS
// for longer; Rotate must still leave them enough time.
func TestRotateRespectsARaisedMaxAge(t *testing.T) {
	inBubble(t, func(t *testing.T, db *store.DB) {
		mk := master(t)
		open(t, db, mk, monthly)
		policy := monthly
		policy.JWKSMaxAge = 2 * time.Hour
		w := newWorld(t, policy, []string{"ES256"}, open(t, db, mk, policy))
		w.observe()
		next, err := openAdmin(t, db, mk).Rotate(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		w.pass(5 * time.Hour)
		if got := kidOf(t, sign(t, w.rings[0], "", time.Minute)); got != next[0].KID {
			t.Errorf("%s signs, want the rotated key %s", got, next[0].KID)
		}
	})
}

// A key with times for the former, shorter token life could never sign; Revoke must make
// one for the present life.
func TestRevokeAfterRaisingTheTokenLife(t *testing.T) {
	inBubble(t, func(t *testing.T, db *store.DB) {
		mk := master(t)
		short := keys.Policy{RotationPeriod: time.Minute, JWKSMaxAge: time.Second, AccessTTL: time.Second}
		kid := kidOf(t, sign(t, open(t, db, mk, short, "EdDSA"), "", time.Second))
		long := short
		long.AccessTTL = time.Hour
		ring := openUnchecked(t, db, mk, long)
		other := kidOf(t, sign(t, ring, "", time.Hour)) // another operator revokes it at the same time
		if err := db.RevokeKey(t.Context(), other, time.Now(), audit.Event{Time: time.Now(), Kind: audit.KeyRevoked, KeyID: other}); err != nil {
			t.Fatal(err)
		}
		if err := ring.Revoke(t.Context(), kid); err != nil {
			t.Fatal(err)
		}
		if err := verify(ring, sign(t, ring, "", time.Hour)); err != nil {
			t.Error(err)
		}
	})
}
