//go:build !race

package server_test

// raceRounds is how often a race is run.
const raceRounds = 1000

// modelSequences is how many random walks are compared with the model.
const modelSequences = 200
