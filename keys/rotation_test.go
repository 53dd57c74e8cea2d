package keys_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"countersign/keys"
	"countersign/store"
)

func TestRunRotates(t *testing.T) {
	inBubble(t, func(t *testing.T, db *store.DB) {
		policy := keys.Policy{RotationPeriod: 2 * time.Minute, JWKSMaxAge: 20 * time.Second, ClockSkew: time.Second, AccessTTL: 20 * time.Second}
		mk := master(t)
		a, b := open(t, db, mk, policy), open(t, db, mk, policy)
		defer run(t, a)()
		time.Sleep(700 * time.Millisecond) // the replicas poll at different times
		defer run(t, b)()
		kids := map[string]bool{}
		for range 50 {
			time.Sleep(12 * time.Second)
			token := sign(t, a, "", policy.AccessTTL)
			kids[kidOf(t, token)] = true
			if err := verify(b, token); err != nil {
				t.Fatal(err)
			}
		}
		if len(kids) < 5 || len(kids) > 6 {
			t.Errorf("%d keys signed in 10 minutes, want one each 2 minutes", len(kids))
		}
		time.Sleep(66 * time.Minute)
		stored, err := db.Keys(t.Context())
		if err != nil || len(stored) > 34 { // the keys of an hour, and those in use
			t.Errorf("%d keys stored after 76 minutes, %v; want old ones deleted", len(stored), err)
		}
	})
}

func TestCountsSayWhenTheNextKeyIsLate(t *testing.T) {
	inBubble(t, func(t *testing.T, db *store.DB) {
		p := keys.Policy{RotationPeriod: 24 * time.Hour, JWKSMaxAge: 15 * time.Minute, ClockSkew: 30 * time.Second, AccessTTL: 10 * time.Minute}
		ring := open(t, db, master(t), p, "ES256")
		counts := func(next, signing, verifying int, late bool) {
			t.Helper()
			got := ring.Counts(time.Now())
			want := []keys.Count{{Alg: "ES256", ByState: map[keys.State]int{
				keys.StateNext: next, keys.StateSigning: signing, keys.StateVerifying: verifying, keys.StateRevoked: 0,
			}, Late: late}}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("at %v: %s", time.Now(), diff)
			}
		}
		counts(0, 1, 0, false)
		time.Sleep(20 * time.Hour) // no replica maintains the ring
		counts(0, 1, 0, true)
		maintain(t, ring)
		counts(1, 1, 0, false)
		time.Sleep(4*time.Hour + time.Minute)
		counts(0, 1, 1, false)
	})
}

func TestRacingReplicasConvergeOnOneKey(t *testing.T) {
	inBubble(t, func(t *testing.T, db *store.DB) {
		mk := master(t)
		rings := make([]*keys.Ring, 8)
		var wg sync.WaitGroup
		for i := range rings {
			wg.Go(func() {
				rings[i] = open(t, db, mk, monthly)
				maintain(t, rings[i])
			})
		}
		wg.Wait()
		want := kidOf(t, sign(t, rings[0], "", time.Minute))
		for _, ring := range rings {
			if got := kidOf(t, sign(t, ring, "", time.Minute)); got != want {
				t.Errorf("replicas sign with %s and %s", got, want)
			}
		}
		wantStates(t, rings[0], "signing")

		time.Sleep(540 * time.Hour) // the next key is due
		for _, ring := range rings {
			wg.Go(func() { maintain(t, ring) })
		}
		wg.Wait()
		wantStates(t, rings[0], "signing next")
	})
}

func TestAQuarterPeriodOfDownTimeLeavesNoGap(t *testing.T) {
	inBubble(t, func(t *testing.T, db *store.DB) {
		mk := master(t)
		start := time.Now()
		w := newWorld(t, monthly, []string{"ES256"}, open(t, db, mk, monthly))
		w.pass(535 * time.Hour) // just before the next key would be made
		time.Sleep(180*time.Hour - time.Hour)
		w.rings = []*keys.Ring{open(t, db, mk, monthly)}
		maintain(t, w.rings...)
		w.pass(48 * time.Hour)
		if len(w.lives) != 2 {
			t.Errorf("%d keys signed in %v, want 2", len(w.lives), time.Since(start))
		}
	})
}

func TestLongDownTimeEndsWithAnEmergencyKey(t *testing.T) {
	inBubble(t, func(t *testing.T, db *store.DB) {
		mk := master(t)
		before := kidOf(t, sign(t, open(t, db, mk, monthly), "", time.Minute))
		time.Sleep(2000 * time.Hour)

		ring := open(t, db, mk, monthly)
		token := sign(t, ring, "", time.Minute)
		if err := verify(ring, token); err != nil || kidOf(t, token) == before {
			t.Errorf("after the down time: kid %s, err %v", kidOf(t, token), err)
		}
		if got := published(t, ring); !cmp.Equal(got, []string{kidOf(t, token)}) {
			t.Errorf("published = %v", got)
		}
		wantStates(t, ring, "signing")
		maintain(t, ring)
		w := newWorld(t, monthly, []string{"ES256"}, ring)
		w.pass(1000 * time.Hour)
	})
}

func TestRaisingTheTokenLifeOutlivesNoKey(t *testing.T) {
	inBubble(t, func(t *testing.T, db *store.DB) {
		mk := master(t)
		policy := keys.Policy{RotationPeriod: 100 * time.Hour, JWKSMaxAge: time.Hour, ClockSkew: time.Minute, AccessTTL: 10 * time.Minute}
		w := newWorld(t, policy, []string{"ES256"}, open(t, db, mk, policy))
		w.pass(90 * time.Hour)
		wantStates(t, w.rings[0], "signing next")

		// Tokens now live longer than the server will publish the key.
		w.policy.AccessTTL = 15 * time.Hour
		w.rings = []*keys.Ring{open(t, db, mk, w.policy)}
		w.observe()
		w.pass(300 * time.Hour)
	})
}

// ahead is the store for a replica whose clock is behind the others': to it, keys seem to
// come from the future.
type ahead struct{ keys.Store }

func (s ahead) Keys(ctx context.Context) ([]keys.Key, error) {
	stored, err := s.Store.Keys(ctx)
	for i := range stored {
		k := &stored[i]
		for _, instant := range []*time.Time{&k.PublishedFrom, &k.SignsFrom, &k.SignsUntil, &k.PublishedUntil} {
			*instant = instant.Add(20 * time.Second)
		}
	}
	return stored, err
}

func TestEmergencyKeySignsOnAReplicaWhoseClockIsBehind(t *testing.T) {
	inBubble(t, func(t *testing.T, db *store.DB) {
		mk := master(t)
		want := kidOf(t, sign(t, open(t, db, mk, monthly), "", time.Minute))
		behind := open(t, ahead{db}, mk, monthly)
		if got := kidOf(t, sign(t, behind, "", time.Minute)); got != want {
			t.Errorf("it made %s, want it to sign with %s", got, want)
		}
	})
}

func TestJWKSDropsAKeyOnTime(t *testing.T) {
	inBubble(t, func(t *testing.T, db *store.DB) {
		ring := open(t, db, master(t), monthly)
		token := sign(t, ring, "", time.Minute)
		time.Sleep(time.Until(list(t, ring)[0].PublishedUntil) - time.Millisecond)
		if got := published(t, ring); len(got) != 1 {
			t.Errorf("published = %v to the end, want the key", got)
		}
		time.Sleep(time.Millisecond) // the replica doesn't poll in between
		if got := published(t, ring); len(got) != 0 {
			t.Errorf("published = %v after the end", got)
		}
		if err := verify(ring, token); !errors.Is(err, keys.ErrInvalidToken) {
			t.Errorf("verify = %v", err)
		}
	})
}
