// Package soak says how large tests are: as large as CI has time for, or at full size
// (make soak).
package soak

import "os"

// On reports whether there is time for full size: COUNTERSIGN_SOAK=1.
func On() bool { return os.Getenv("COUNTERSIGN_SOAK") == "1" }

// Size returns whole at full size, and reduced otherwise.
func Size[T any](whole, reduced T) T {
	if On() {
		return whole
	}
	return reduced
}
