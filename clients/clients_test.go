package clients_test

import (
	"context"
	"errors"
	"log/slog"
	"testing"
	"time"

	"countersign/clients"
	"countersign/hashing"
	"countersign/ids"
	"countersign/limits"
	"countersign/store"
	"countersign/store/storetest"
)

const home = "192.0.2.1"

// cheap makes hashes that cost nothing worth waiting for.
var cheap = hashing.Argon2{MemoryKiB: 8, Iterations: 1, Parallelism: 1}

func newRegistry(t testing.TB, db *store.DB, change ...func(*clients.Options)) *clients.Registry {
	t.Helper()
	o := clients.Options{
		Store:    db,
		Rules:    clients.Rules{AnyLoopback: true, Algorithms: []string{"ES256", "RS256", "PS256", "EdDSA"}},
		Argon2:   cheap,
		Slots:    limits.NewSlots(2, 100),
		Throttle: storetest.Throttle(t, db),
		Log:      slog.New(slog.NewTextHandler(t.Output(), nil)),
	}
	for _, c := range change {
		c(&o)
	}
	registry, err := clients.New(o)
	if err != nil {
		t.Fatal(err)
	}
	return registry
}

func open(t testing.TB) *store.DB { return storetest.Open(t) }

// failing is a database with one method that fails before its write.
type failing struct {
	*store.DB
	find, record bool
}

var errAway = errors.New("database is away")

func (f *failing) RecordFailure(ctx context.Context, key [32]byte, at ids.User, now time.Time, window time.Duration) (limits.Failures, error) {
	if f.record {
		return limits.Failures{}, errAway
	}
	return f.DB.RecordFailure(ctx, key, at, now, window)
}

func (f *failing) Client(ctx context.Context, id ids.Client) (clients.Client, error) {
	if f.find {
		return clients.Client{}, errAway
	}
	return f.DB.Client(ctx, id)
}
