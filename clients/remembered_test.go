package clients_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"countersign/caller"
	"countersign/clients"
	"countersign/ids"
	"countersign/store"
	"countersign/store/storetest"
)

// A server knows a client as it is, if it changes it itself, and otherwise as it was a
// moment ago at most. What an operator is told is done is done at all servers.
func TestChangedClientsAreForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		db := open(t)
		register(t, newRegistry(t, db), api, chosen)
		ours, others := newRegistry(t, db), newRegistry(t, db)
		name := func(r *clients.Registry) string {
			t.Helper()
			c, err := r.ByID(t.Context(), api.ID)
			if errors.Is(err, clients.ErrUnknown) {
				return "unknown"
			}
			if err != nil {
				t.Fatal(err)
			}
			return c.Name
		}
		name(ours)
		name(others)
		renamed := api
		for _, n := range []string{"first", "second"} {
			renamed.Name = n
			if _, err := ours.Put(t.Context(), time.Now(), renamed, chosen, caller.Operator()); err != nil {
				t.Fatal(err)
			}
			if got := name(ours); got != n {
				t.Errorf("after a change of its own the server knows %q, want %q", got, n)
			}
			time.Sleep(100 * time.Millisecond)
			if got := name(others); got != n {
				t.Errorf("a moment after another's change a server knows %q, want %q", got, n)
			}
		}
		if _, _, err := ours.Update(t.Context(), time.Now(), api.ID, func(s clients.Settings) (clients.Settings, error) {
			s.Name = "third"
			return s, nil
		}, "", caller.Operator()); err != nil {
			t.Fatal(err)
		}
		if got := []string{name(ours), name(others)}; got[0] != "third" || got[1] != "third" {
			t.Errorf("once an update is done, servers know %q", got)
		}
		secret, err := ours.RotateSecret(t.Context(), time.Now(), api.ID, caller.Operator())
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range []*clients.Registry{ours, others} {
			if _, err := r.Authenticate(t.Context(), time.Now(), clients.Credentials{ID: api.ID, Secret: chosen}, caller.Caller{Address: home}); !errors.Is(err, clients.ErrBadCredentials) {
				t.Errorf("a former secret: %v, want %v", err, clients.ErrBadCredentials)
			}
			if _, err := r.Authenticate(t.Context(), time.Now(), clients.Credentials{ID: api.ID, Secret: secret}, caller.Caller{Address: home}); err != nil {
				t.Errorf("a new secret: %v", err)
			}
		}
		if err := ours.Delete(t.Context(), time.Now(), api.ID, caller.Operator()); err != nil {
			t.Fatal(err)
		}
		if got := name(ours); got != "unknown" {
			t.Errorf("a client that the server deleted is %q to it", got)
		}
		if got := name(others); got != "unknown" {
			t.Errorf("to another server a deleted client is %q", got)
		}
	})
}

// reading lets a test act while a client is being read.
type reading struct {
	*store.DB
	meanwhile func()
}

func (r *reading) Client(ctx context.Context, id ids.Client) (clients.Client, error) {
	c, err := r.DB.Client(ctx, id)
	if r.meanwhile != nil {
		act := r.meanwhile
		r.meanwhile = nil
		act()
	}
	return c, err
}

// What a read finds that a change overtakes is not remembered.
func TestClientsThatChangeWhileTheyAreReadAreForgotten(t *testing.T) {
	db := &reading{DB: open(t)}
	register(t, newRegistry(t, db.DB), api, chosen)
	registry := newRegistry(t, db.DB, func(o *clients.Options) { o.Store, o.Throttle = db, storetest.Throttle(t, db) })
	db.meanwhile = func() {
		if err := registry.Delete(t.Context(), time.Now(), api.ID, caller.Operator()); err != nil {
			t.Fatal(err)
		}
	}
	registry.ByID(t.Context(), api.ID)
	if c, err := registry.ByID(t.Context(), api.ID); !errors.Is(err, clients.ErrUnknown) {
		t.Errorf("a deleted client is %+v, %v", c, err)
	}
}
