package accounts_test

import (
	"errors"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"countersign/accounts"
	"countersign/audit"
	"countersign/limits"
	"countersign/store/storetest"
)

func TestClientAuthentication(t *testing.T) {
	clients := newClients(t, open(t))
	generated := accounts.GenerateSecret()
	register(t, clients, spa, "")
	register(t, clients, api, chosen)
	machine := api
	machine.ID = "machine"
	register(t, clients, machine, generated)

	for name, c := range map[string]struct {
		id, secret string
		want       error
	}{
		"public without secret":         {"spa", "", nil},
		"public with secret":            {"spa", chosen, accounts.ErrBadClient},
		"chosen secret":                 {"api", chosen, nil},
		"chosen secret, again":          {"api", chosen, nil},
		"wrong secret":                  {"api", chosen + "!", accounts.ErrBadClient},
		"another client's secret":       {"api", generated, accounts.ErrBadClient},
		"confidential without secret":   {"api", "", accounts.ErrBadClient},
		"the hash as secret":            {"machine", "$sha256$", accounts.ErrBadClient},
		"generated secret":              {"machine", generated, nil},
		"wrong generated secret":        {"machine", accounts.GenerateSecret(), accounts.ErrBadClient},
		"generated secret, cut":         {"machine", generated[:len(generated)-1], accounts.ErrBadClient},
		"generated, without its secret": {"machine", "", accounts.ErrBadClient},
		"unknown client":                {"nobody", chosen, accounts.ErrBadClient},
		"unknown without secret":        {"nobody", "", accounts.ErrBadClient},
		"id in another case":            {"SPA", "", accounts.ErrBadClient},
		"no id":                         {"", "", accounts.ErrBadClient},
		"endless id and secret":         {strings.Repeat("a", 50_000), strings.Repeat("a", 50_000), accounts.ErrBadClient},
		"id not UTF-8":                  {"\xff", chosen, accounts.ErrBadClient},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := clients.Authenticate(t.Context(), time.Now(), accounts.Credentials{ID: c.id, Secret: c.secret}, home)
			if err != c.want {
				t.Errorf("error %v, want %v itself", err, c.want)
			}
			if want := map[bool]string{true: c.id}[c.want == nil]; got.ID != want {
				t.Errorf("client %q, want %q", got.ID, want)
			}
		})
	}
}

func TestUnknownClientCostsWhatAWrongSecretCosts(t *testing.T) {
	clients := newClients(t, open(t))
	register(t, clients, api, chosen)
	work := clients.Watch()
	for _, id := range []string{"api", "nobody"} {
		clients.Authenticate(t.Context(), time.Now(), accounts.Credentials{ID: id, Secret: "wrong"}, home)
		if got := work.Take(); len(got) != 1 || got[0] != cheap {
			t.Errorf("%s: hashes %v, want one", id, got)
		}
	}
}

func TestRightSecretIsHashedOnce(t *testing.T) {
	clients := newClients(t, open(t))
	generated := accounts.GenerateSecret()
	register(t, clients, api, chosen)
	machine := api
	machine.ID = "machine"
	register(t, clients, machine, generated)
	work := clients.Watch()
	for range 3 {
		for _, cred := range []accounts.Credentials{{ID: "api", Secret: chosen}, {ID: "machine", Secret: generated}} {
			if _, err := clients.Authenticate(t.Context(), time.Now(), cred, home); err != nil {
				t.Fatal(err)
			}
		}
	}
	if got := work.Take(); len(got) != 1 {
		t.Errorf("%d hashes for the chosen secret and none for the other, want 1", len(got))
	}
	for range 2 { // what failed isn't remembered
		clients.Authenticate(t.Context(), time.Now(), accounts.Credentials{ID: "api", Secret: "wrong"}, home)
	}
	if got := work.Take(); len(got) != 2 {
		t.Errorf("%d hashes for two wrong secrets, want 2", len(got))
	}
}

func TestWhatIsRememberedOfSecretsIsBounded(t *testing.T) {
	clients := newClients(t, open(t))
	remembered := 0
	for n := range 2 * accounts.MaxProven {
		remembered = clients.Prove("api"+strconv.Itoa(n), chosen)
	}
	if remembered != accounts.MaxProven {
		t.Errorf("%d are remembered, want %d", remembered, accounts.MaxProven)
	}
}

func TestClientsWhileTheDatabaseFails(t *testing.T) {
	db := &failing{DB: open(t)}
	register(t, newClients(t, db.DB), api, chosen)
	clients := newClients(t, db.DB, func(o *accounts.ClientsOptions) {
		o.Store, o.Throttle = db, limits.NewThrottle(limits.Options{Store: db})
	})
	try := func(secret string) error {
		_, err := clients.Authenticate(t.Context(), time.Now(), accounts.Credentials{ID: "api", Secret: secret}, home)
		return err
	}
	db.record = true
	if err := try("wrong"); !errors.Is(err, errAway) {
		t.Errorf("a guess that can't be counted must not be answered: %v", err)
	}
	db.find = true
	if err := try(chosen); !errors.Is(err, errAway) {
		t.Errorf("the database's failure is not the client's: %v", err)
	}
	if _, err := clients.Put(t.Context(), time.Now(), spa, "", audit.Origin{}); !errors.Is(err, errAway) {
		t.Errorf("declaring a client without a database: %v", err)
	}
}

func TestWrongSecretsAreThrottled(t *testing.T) {
	for name, id := range map[string]string{"chosen secret": "api", "generated secret": "machine", "unknown client": "nobody"} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "countersign.db")
			synctest.Test(t, func(t *testing.T) {
				db := storetest.OpenFile(t, path)
				defer db.Close()
				clients := newClients(t, db)
				register(t, clients, api, chosen)
				machine := api
				machine.ID = "machine"
				register(t, clients, machine, accounts.GenerateSecret())
				work := clients.Watch()
				try := func(address string) error {
					_, err := clients.Authenticate(t.Context(), time.Now(), accounts.Credentials{ID: id, Secret: "wrong secret"}, address)
					return err
				}
				for n := range 11 {
					if err := try(home); err != accounts.ErrBadClient {
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
				if err := try("198.51.100.1"); err != accounts.ErrBadClient {
					t.Errorf("from elsewhere: %v, want ErrBadClient", err)
				}
				time.Sleep(time.Second)
				if err := try(home); err != accounts.ErrBadClient {
					t.Errorf("having waited: %v, want ErrBadClient", err)
				}
			})
		})
	}
}

func TestThrottledGuesserCannotTellARightSecret(t *testing.T) {
	clients := newClients(t, open(t))
	register(t, clients, api, chosen)
	now := time.Now()
	try := func(secret, address string) error {
		_, err := clients.Authenticate(t.Context(), now, accounts.Credentials{ID: "api", Secret: secret}, address)
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
	clients := newClients(t, open(t))
	generated := accounts.GenerateSecret()
	register(t, clients, api, generated)
	now := time.Now()
	for range 20 {
		clients.Authenticate(t.Context(), now, accounts.Credentials{ID: "api", Secret: "wrong"}, home)
	}
	if _, err := clients.Authenticate(t.Context(), now, accounts.Credentials{ID: "api", Secret: generated}, home); err != nil {
		t.Errorf("right secret after many wrong ones: %v", err)
	}
}

func TestPublicClientsHaveNothingToGuess(t *testing.T) {
	clients := newClients(t, open(t))
	register(t, clients, spa, "")
	now := time.Now()
	for range 20 {
		if _, err := clients.Authenticate(t.Context(), now, accounts.Credentials{ID: "spa", Secret: "x"}, home); err != accounts.ErrBadClient {
			t.Fatalf("secret for a public client: %v, want ErrBadClient", err)
		}
	}
	if _, err := clients.Authenticate(t.Context(), now, accounts.Credentials{ID: "spa"}, home); err != nil {
		t.Errorf("without: %v", err)
	}
}

func TestBudgetsOfSecretsAndPasswordsAreApart(t *testing.T) {
	db := open(t)
	clients, users := newClients(t, db), newUsers(t, db)
	register(t, clients, api, chosen)
	create(t, users, "api", goodPassword)
	now := time.Now()
	for range 11 {
		clients.Authenticate(t.Context(), now, accounts.Credentials{ID: "api", Secret: "wrong"}, home)
	}
	if _, err := users.Authenticate(t.Context(), now, "api", goodPassword, accounts.Caller{Address: home}); err != nil {
		t.Errorf("a user who is called like a client: %v", err)
	}
}

func TestKnownClientsGetThroughAFlood(t *testing.T) {
	clients := newClients(t, open(t), func(o *accounts.ClientsOptions) { o.Slots = limits.NewSlots(1, 0) })
	generated := accounts.GenerateSecret()
	register(t, clients, spa, "")
	register(t, clients, api, chosen)
	machine := api
	machine.ID = "machine"
	register(t, clients, machine, generated)
	try := func(id, secret string) error {
		_, err := clients.Authenticate(t.Context(), time.Now(), accounts.Credentials{ID: id, Secret: secret}, home)
		return err
	}
	if err := try("api", chosen); err != nil {
		t.Fatal(err)
	}

	work, hashing, release := clients.Watch(), make(chan struct{}, 9), make(chan struct{})
	work.Before = func() { hashing <- struct{}{}; <-release }
	var flood sync.WaitGroup
	flood.Go(func() { try("nobody", "guess") })
	<-hashing
	if err := try("nobody", "guess"); !errors.Is(err, limits.ErrBusy) {
		t.Errorf("another stranger: %v, want ErrBusy", err)
	}
	for id, secret := range map[string]string{"spa": "", "api": chosen, "machine": generated} {
		if err := try(id, secret); err != nil {
			t.Errorf("%s: %v", id, err)
		}
	}
	close(release)
	flood.Wait()
}

func BenchmarkClientSecret(b *testing.B) {
	db := open(b)
	generated := accounts.GenerateSecret()
	newest := func() *accounts.Clients {
		return newClients(b, db, func(o *accounts.ClientsOptions) { o.Argon2 = accounts.Argon2{} })
	}
	clients := newest()
	register(b, clients, api, chosen)
	machine := api
	machine.ID = "machine"
	register(b, clients, machine, generated)
	bench := func(name string, cred accounts.Credentials, each func() *accounts.Clients) {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := each().Authenticate(b.Context(), time.Now(), cred, home); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
	bench("generated", accounts.Credentials{ID: "machine", Secret: generated}, func() *accounts.Clients { return clients })
	bench("chosen", accounts.Credentials{ID: "api", Secret: chosen}, func() *accounts.Clients { return clients })
	bench("chosen for the first time", accounts.Credentials{ID: "api", Secret: chosen}, newest)
}
