package server_test

import "countersign/test/soak"

var (
	raceRounds     = soak.Size(1000, 50)        // how often a race is run
	modelSequences = soak.Size[uint64](200, 20) // how many random walks are compared with the model
)
