package server_test

import "os"

// soak reports whether there is time (COUNTERSIGN_SOAK=1): what is long is longer.
var soak = os.Getenv("COUNTERSIGN_SOAK") == "1"

// size is that of a test, whole or reduced.
func size[T any](whole, reduced T) T {
	if soak {
		return whole
	}
	return reduced
}

var (
	raceRounds     = size(1000, 50)        // how often a race is run
	modelSequences = size[uint64](200, 20) // how many random walks are compared with the model
)
