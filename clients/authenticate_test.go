package clients_test

import (
	"errors"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"countersign/caller"
	"countersign/clients"
	"countersign/hashing"
	"countersign/ids"
	"countersign/limits"
	"countersign/secrecy"
	"countersign/store/storetest"
)

func TestClientAuthentication(t *testing.T) {
	registry := newRegistry(t, open(t))
	generated := clients.GenerateSecret()
	register(t, registry, spa, "")
	register(t, registry, api, chosen)
	machine := api
	machine.ID = "machine"
	register(t, registry, machine, generated)

	for name, c := range map[string]struct {
		id     ids.Client
		secret secrecy.Text
		want   error
	}{
		"public without secret":         {"spa", "", nil},
		"public with secret":            {"spa", chosen, clients.ErrBadCredentials},
		"chosen secret":                 {"api", chosen, nil},
		"chosen secret, again":          {"api", chosen, nil},
		"wrong secret":                  {"api", chosen + "!", clients.ErrBadCredentials},
		"another client's secret":       {"api", generated, clients.ErrBadCredentials},
		"confidential without secret":   {"api", "", clients.ErrBadCredentials},
		"the hash as secret":            {"machine", "$sha256$", clients.ErrBadCredentials},
		"generated secret":              {"machine", generated, nil},
		"wrong generated secret":        {"machine", clients.GenerateSecret(), clients.ErrBadCredentials},
		"generated secret, cut":         {"machine", generated[:len(generated)-1], clients.ErrBadCredentials},
		"generated, without its secret": {"machine", "", clients.ErrBadCredentials},
		"unknown client":                {"nobody", chosen, clients.ErrBadCredentials},
		"unknown without secret":        {"nobody", "", clients.ErrBadCredentials},
		"id in another case":            {"SPA", "", clients.ErrBadCredentials},
		"no id":                         {"", "", clients.ErrBadCredentials},
		"endless id and secret":         {ids.Client(strings.Repeat("a", 50_000)), secrecy.Text(strings.Repeat("a", 50_000)), clients.ErrBadCredentials},
		"id not UTF-8":                  {"\xff", chosen, clients.ErrBadCredentials},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := registry.Authenticate(t.Context(), time.Now(), clients.Credentials{ID: c.id, Secret: c.secret}, caller.Caller{Address: home})
			if !errors.Is(err, c.want) {
				t.Errorf("error %v, want %v itself", err, c.want)
			}
			if want := map[bool]ids.Client{true: c.id}[c.want == nil]; got.ID != want {
				t.Errorf("client %q, want %q", got.ID, want)
			}
		})
	}
}

func TestUnknownClientCostsWhatAWrongSecretCosts(t *testing.T) {
	registry := newRegistry(t, open(t))
	register(t, registry, api, chosen)
	work := registry.Watch()
	for _, id := range []ids.Client{"api", "nobody"} {
		registry.Authenticate(t.Context(), time.Now(), clients.Credentials{ID: id, Secret: "wrong"}, caller.Caller{Address: home})
		if got := work.Take(); len(got) != 1 || got[0] != cheap {
			t.Errorf("%s: hashes %v, want one", id, got)
		}
	}
}

func TestRightSecretIsHashedOnce(t *testing.T) {
	registry := newRegistry(t, open(t))
	generated := clients.GenerateSecret()
	register(t, registry, api, chosen)
	machine := api
	machine.ID = "machine"
	register(t, registry, machine, generated)
	work := registry.Watch()
	for range 3 {
		for _, cred := range []clients.Credentials{{ID: "api", Secret: chosen}, {ID: "machine", Secret: generated}} {
			if _, err := registry.Authenticate(t.Context(), time.Now(), cred, caller.Caller{Address: home}); err != nil {
				t.Fatal(err)
			}
		}
	}
	if got := work.Take(); len(got) != 1 {
		t.Errorf("%d hashes for the chosen secret and none for the other, want 1", len(got))
	}
	for range 2 { // what failed isn't remembered
		registry.Authenticate(t.Context(), time.Now(), clients.Credentials{ID: "api", Secret: "wrong"}, caller.Caller{Address: home})
	}
	if got := work.Take(); len(got) != 2 {
		t.Errorf("%d hashes for two wrong secrets, want 2", len(got))
	}
}

func TestWhatIsRememberedOfSecretsIsBounded(t *testing.T) {
	registry := newRegistry(t, open(t))
	remembered := 0
	for n := range 2 * clients.MaxProven {
		remembered = registry.Prove(ids.Client("api"+strconv.Itoa(n)), chosen)
	}
	if remembered != clients.MaxProven {
		t.Errorf("%d are remembered, want %d", remembered, clients.MaxProven)
	}
}

func TestClientsWhileTheDatabaseFails(t *testing.T) {
	db := &failing{DB: open(t)}
	register(t, newRegistry(t, db.DB), api, chosen)
	registry := newRegistry(t, db.DB, func(o *clients.Options) {
		o.Store, o.Throttle = db, storetest.Throttle(t, db)
	})
	try := func(secret secrecy.Text) error {
		_, err := registry.Authenticate(t.Context(), time.Now(), clients.Credentials{ID: "api", Secret: secret}, caller.Caller{Address: home})
		return err
	}
	db.record = true
	if err := try("wrong"); !errors.Is(err, errAway) {
		t.Errorf("a guess that can't be counted must not be answered: %v", err)
	}
	db.find = true
	registry = newRegistry(t, db.DB, func(o *clients.Options) { o.Store, o.Throttle = db, storetest.Throttle(t, db) }) // remembers no client
	if err := try(chosen); !errors.Is(err, errAway) {
		t.Errorf("the database's failure is not the client's: %v", err)
	}
	if _, err := registry.Put(t.Context(), time.Now(), spa, "", caller.Operator()); !errors.Is(err, errAway) {
		t.Errorf("declaring a client without a database: %v", err)
	}
}

func TestWrongSecretsAreThrottled(t *testing.T) {
	for name, id := range map[string]ids.Client{"chosen secret": "api", "generated secret": "machine", "unknown client": "nobody"} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "countersign.db")
			synctest.Test(t, func(t *testing.T) {
				db := storetest.OpenFile(t, path)
				defer db.Close()
				registry := newRegistry(t, db)
				register(t, registry, api, chosen)
				machine := api
				machine.ID = "machine"
				register(t, registry, machine, clients.GenerateSecret())
				work := registry.Watch()
				try := func(address string) error {
					_, err := registry.Authenticate(t.Context(), time.Now(), clients.Credentials{ID: id, Secret: "wrong secret"}, caller.Caller{Address: address})
					return err
				}
				for n := range 11 {
					if err := try(home); !errors.Is(err, clients.ErrBadCredentials) {
						t.Fatalf("guess %d: %v, want ErrBadClient", n+1, err)
					}
				}
				work.Take()
				if wait, ok := errors.AsType[*limits.WaitError](try(home)); !ok || wait.RetryAfter != time.Second {
					t.Errorf("guess 12: %v, want to wait a second", try(home))
				}
				if got := work.Take(); got != nil {
					t.Errorf("a throttled guess cost %d hashes", len(got))
				}
				if err := try("198.51.100.1"); !errors.Is(err, clients.ErrBadCredentials) {
					t.Errorf("from elsewhere: %v, want ErrBadClient", err)
				}
				time.Sleep(time.Second)
				if err := try(home); !errors.Is(err, clients.ErrBadCredentials) {
					t.Errorf("having waited: %v, want ErrBadClient", err)
				}
			})
		})
	}
}

func TestThrottledGuesserCannotTellARightSecret(t *testing.T) {
	registry := newRegistry(t, open(t))
	register(t, registry, api, chosen)
	now := time.Now()
	try := func(secret, address string) error {
		_, err := registry.Authenticate(t.Context(), now, clients.Credentials{ID: "api", Secret: secrecy.Text(secret)}, caller.Caller{Address: address})
		return err
	}
	if err := try(chosen, home); err != nil { // remembered: would cost nothing
		t.Fatal(err)
	}
	for range 11 {
		try("wrong", home)
	}
	if err := try(chosen, home); !errors.Is(err, limits.ErrThrottled) {
		t.Errorf("right secret in a throttled network: %v, want ErrThrottled", err)
	}
	if err := try(chosen, "198.51.100.1"); err != nil {
		t.Errorf("right secret from elsewhere: %v", err)
	}
}

func TestGeneratedSecretNeverHasToWait(t *testing.T) {
	registry := newRegistry(t, open(t))
	generated := clients.GenerateSecret()
	register(t, registry, api, generated)
	now := time.Now()
	for range 20 {
		registry.Authenticate(t.Context(), now, clients.Credentials{ID: "api", Secret: "wrong"}, caller.Caller{Address: home})
	}
	if _, err := registry.Authenticate(t.Context(), now, clients.Credentials{ID: "api", Secret: generated}, caller.Caller{Address: home}); err != nil {
		t.Errorf("right secret after many wrong ones: %v", err)
	}
}

func TestPublicClientsHaveNothingToGuess(t *testing.T) {
	registry := newRegistry(t, open(t))
	register(t, registry, spa, "")
	now := time.Now()
	for range 20 {
		if _, err := registry.Authenticate(t.Context(), now, clients.Credentials{ID: "spa", Secret: "x"}, caller.Caller{Address: home}); !errors.Is(err, clients.ErrBadCredentials) {
			t.Fatalf("secret for a public client: %v, want ErrBadClient", err)
		}
	}
	if _, err := registry.Authenticate(t.Context(), now, clients.Credentials{ID: "spa"}, caller.Caller{Address: home}); err != nil {
		t.Errorf("without: %v", err)
	}
}

func TestKnownClientsGetThroughAFlood(t *testing.T) {
	registry := newRegistry(t, open(t), func(o *clients.Options) { o.Slots = limits.NewSlots(1, 0) })
	generated := clients.GenerateSecret()
	register(t, registry, spa, "")
	register(t, registry, api, chosen)
	machine := api
	machine.ID = "machine"
	register(t, registry, machine, generated)
	try := func(id ids.Client, secret secrecy.Text) error {
		_, err := registry.Authenticate(t.Context(), time.Now(), clients.Credentials{ID: id, Secret: secret}, caller.Caller{Address: home})
		return err
	}
	if err := try("api", chosen); err != nil {
		t.Fatal(err)
	}

	work, hashing, release := registry.Watch(), make(chan struct{}, 9), make(chan struct{})
	work.Before = func() { hashing <- struct{}{}; <-release }
	var flood sync.WaitGroup
	flood.Go(func() { try("nobody", "guess") })
	<-hashing
	if err := try("nobody", "guess"); !errors.Is(err, limits.ErrBusy) {
		t.Errorf("another stranger: %v, want ErrBusy", err)
	}
	for id, secret := range map[ids.Client]secrecy.Text{"spa": "", "api": chosen, "machine": generated} {
		if err := try(id, secret); err != nil {
			t.Errorf("%s: %v", id, err)
		}
	}
	close(release)
	flood.Wait()
}

func BenchmarkClientSecret(b *testing.B) {
	db := open(b)
	generated := clients.GenerateSecret()
	newest := func() *clients.Registry {
		return newRegistry(b, db, func(o *clients.Options) {
			o.Argon2 = hashing.Argon2{MemoryKiB: 19 << 10, Iterations: 2, Parallelism: 1}
		})
	}
	registry := newest()
	register(b, registry, api, chosen)
	machine := api
	machine.ID = "machine"
	register(b, registry, machine, generated)
	bench := func(name string, cred clients.Credentials, each func() *clients.Registry) {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := each().Authenticate(b.Context(), time.Now(), cred, caller.Caller{Address: home}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
	bench("generated", clients.Credentials{ID: "machine", Secret: generated}, func() *clients.Registry { return registry })
	bench("chosen", clients.Credentials{ID: "api", Secret: chosen}, func() *clients.Registry { return registry })
	bench("chosen for the first time", clients.Credentials{ID: "api", Secret: chosen}, newest)
}
