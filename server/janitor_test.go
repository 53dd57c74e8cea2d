package server_test

import (
	"context"
	"path/filepath"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"countersign/keys"
	"countersign/seal"
	"countersign/server"
)

// Replicas take turns, so one of them does the work. When it stops, another does.
func TestAnyReplicaRemovesWhatExpired(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		path, key := filepath.Join(t.TempDir(), "countersign.db"), seal.Generate()
		short := func(o *server.Options, _ *keys.Options) { o.Tokens.RefreshIdleTTL = 2 * time.Minute }
		a, b := openApp(t, path, key, short), openApp(t, path, key, short)
		a.signup("alice")

		ctx, stopBoth := context.WithCancel(t.Context())
		first, stopFirst := context.WithCancel(ctx)
		defer stopFirst()
		var wg sync.WaitGroup
		wg.Go(func() { a.Background(first) })
		wg.Go(func() { b.Background(ctx) })
		left := func() int64 {
			n, err := a.db.PurgeSessions(t.Context(), time.Now(), 1000)
			if err != nil {
				t.Fatal(err)
			}
			return n
		}
		for _, round := range []string{"both", "one"} {
			for range 3 {
				a.login("alice")
			}
			time.Sleep(a.options.Tokens.RefreshIdleTTL + 70*time.Minute)
			if n := left(); n != 0 {
				t.Errorf("with %s of them running, %d sessions are left", round, n)
			}
			stopFirst()
		}
		stopBoth()
		wg.Wait()
		a.login("alice")
		time.Sleep(a.options.Tokens.RefreshIdleTTL + 70*time.Minute)
		if n := left(); n != 1 {
			t.Errorf("with none of them running, %d sessions were left: this test shows nothing", n)
		}
	})
}
