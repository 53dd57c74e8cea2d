package hashing

import (
	"runtime"
	"runtime/metrics"
	"sync"
)

// collector has the garbage collector free the memory of hashes before much of it has
// gathered. A hash leaves a block of megabytes, and by itself the collector would let the heap
// grow to more than twice of what all slots use.
type collector struct {
	used int64 // bytes, by all slots at once

	mu    sync.Mutex
	left  int64 // bytes of blocks since the collector last ran
	cycle uint64
}

// newCollector returns a collector for hashes of one size, so many at a time. What gathers is
// at most half of what they use, and one block more.
func newCollector(blockKiB uint32, slots int) *collector {
	return &collector{used: (int64(blockKiB) << 10) * int64(slots)}
}

// leave notes that a hash is done with its block, and collects when it is time. With a large
// heap that is later, since collecting costs in proportion to what lives.
func (c *collector) leave(blockKiB uint32) {
	c.mu.Lock()
	defer c.mu.Unlock()
	facts := []metrics.Sample{{Name: "/gc/cycles/total:gc-cycles"}, {Name: "/gc/heap/live:bytes"}}
	metrics.Read(facts)
	cycle, live := facts[0].Value.Uint64(), int64(facts[1].Value.Uint64())
	if cycle != c.cycle {
		c.cycle, c.left = cycle, 0
	}
	c.left += int64(blockKiB) << 10
	if c.left >= max(c.used, live-c.used)/2 {
		runtime.GC()
		c.left = 0
	}
}
