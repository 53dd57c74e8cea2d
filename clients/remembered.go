package clients

import (
	"context"
	"sync"
	"time"

	"countersign/ids"
)

const (
	// rememberedFor is how long after a change by another process, such as another server or
	// a command, a server may still go by what a client was. An operator's change waits as
	// long (settle), so keep it short.
	rememberedFor = 100 * time.Millisecond
	// mostRemembered bounds the clients that are remembered.
	mostRemembered = 10_000
)

// remembered holds clients that were read a moment ago, because every request of an
// application needs its client. It forgets at once what this process changes.
type remembered struct {
	mu      sync.RWMutex
	clients map[ids.Client]reading
	changes uint64 // so far, by this process
}

// reading is a client as of a time.
type reading struct {
	client Client
	at     time.Time
}

// get returns a client from memory, or from a store. ErrUnknown, which is never remembered.
func (r *remembered) get(ctx context.Context, store Store, id ids.Client) (Client, error) {
	begun := time.Now()
	r.mu.RLock()
	known, ok := r.clients[id]
	changes := r.changes
	r.mu.RUnlock()
	if ok && begun.Sub(known.at) < rememberedFor {
		return known.client, nil
	}
	c, err := store.Client(ctx, id)
	if err != nil {
		return c, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.changes == changes { // else c may be from before the change
		if r.clients == nil || len(r.clients) >= mostRemembered {
			r.clients = map[ids.Client]reading{}
		}
		r.clients[id] = reading{c, begun}
	}
	return c, nil
}

// settle waits after a change until every server has forgotten what the client was. So
// what an operator is told is done, such as a new secret, is done on all of them.
func settle() { time.Sleep(rememberedFor) }

// forget forgets a client that has changed, or may have.
func (r *remembered) forget(id ids.Client) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.clients, id)
	r.changes++
}
