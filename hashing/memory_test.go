package hashing_test

import (
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"sync"
	"testing"

	"countersign/hashing"
	"countersign/limits"
)

// Hashes leave their memory to those after them, even where the collector would not run by
// itself for long.
func TestHashesTakeNoMoreMemoryThanTheirSlots(t *testing.T) {
	defer debug.SetGCPercent(debug.SetGCPercent(-1))
	runtime.GC()
	const slots, mib = 2, 8
	hasher, err := hashing.New(hashing.Argon2{MemoryKiB: mib << 10, Iterations: 1, Parallelism: 1}, limits.NewSlots(slots, 100))
	if err != nil {
		t.Fatal(err)
	}
	heap := func() uint64 {
		facts := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}}
		metrics.Read(facts)
		return facts[0].Value.Uint64()
	}
	before := heap()
	var mu sync.Mutex
	var most uint64
	var all sync.WaitGroup
	for range 20 {
		all.Go(func() {
			err := hasher.Do(t.Context(), limits.Party{Known: true}, func() {
				hasher.Hash("a password of an ordinary length")
				mu.Lock()
				defer mu.Unlock()
				most = max(most, heap())
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	const block = mib << 20
	if grown := most - before; grown > slots*block*7/4 {
		t.Errorf("twenty hashes in %d slots took %d MiB, want %d at most", slots, grown>>20, slots*mib*3/2)
	}
}
