// Package hashingtest lets tests see the work of a hasher instead of timing it.
package hashingtest

import (
	"slices"
	"sync"

	"countersign/hashing"
)

// Work records the hashes that a hasher computes.
type Work struct {
	mu     sync.Mutex
	prices []hashing.Argon2
	// Before runs before each hash, in its slot.
	Before func()
}

// Watch records the work of h from now on.
func Watch(h *hashing.Hasher) *Work {
	w, derive := &Work{}, h.Derive
	h.Derive = func(password, salt []byte, time, memory uint32, threads uint8, keyLen uint32) []byte {
		if w.Before != nil {
			w.Before()
		}
		w.mu.Lock()
		w.prices = append(w.prices, hashing.Argon2{MemoryKiB: memory, Iterations: time, Parallelism: threads})
		w.mu.Unlock()
		return derive(password, salt, time, memory, threads, keyLen)
	}
	return w
}

// Take returns the prices paid since the last Take.
func (w *Work) Take() []hashing.Argon2 {
	w.mu.Lock()
	defer w.mu.Unlock()
	taken := slices.Clone(w.prices)
	w.prices = nil
	return taken
}
