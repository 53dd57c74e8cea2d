package hashing

import (
	"runtime"

	"countersign/input"
	"countersign/limits"
)

// Settings are what hashing may cost, in time and in memory.
type Settings struct {
	Argon2 Argon2
	// MaxConcurrentHashes bounds the hashes computed at one time, and so the memory
	// they take. 0: the number of CPUs that the process may use.
	MaxConcurrentHashes int
}

const maxConcurrentHashes = 1024

// Check returns all that is wrong with the settings, an *input.Error, or nil.
func (s Settings) Check() error {
	var bad input.Error
	s.Argon2.check(&bad)
	s.checkConcurrent(&bad)
	return bad.Err()
}

// CheckStrong is Check, and also requires the cost that OWASP recommends. It is for
// configurations: tests hash as cheaply as can be.
func (s Settings) CheckStrong() error {
	var bad input.Error
	s.Argon2.checkStrong(&bad)
	s.checkConcurrent(&bad)
	return bad.Err()
}

func (s Settings) checkConcurrent(bad *input.Error) {
	if n := s.MaxConcurrentHashes; n < 0 || n > maxConcurrentHashes {
		bad.Add("max_concurrent_hashes", input.Invalid, "max_concurrent_hashes must be 0 (the number of CPUs) to %d, not %d.", maxConcurrentHashes, n)
	}
}

// queuePerSlot is how many may wait for each hashing slot: about a second's work, which
// is what a user who signs in will wait without trying again.
const queuePerSlot = 32

// Slots returns new slots for that many hashes. Passwords and client secrets take slots
// of their own, so that one kind gets through while the other is flooded.
func (s Settings) Slots() *limits.Slots {
	n := s.MaxConcurrentHashes
	if n == 0 {
		n = runtime.GOMAXPROCS(0) // a container's limit may make it fewer than the machine has
	}
	return limits.NewSlots(n, queuePerSlot*n)
}
