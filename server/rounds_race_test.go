//go:build race

package server_test

// raceRounds is how often a race is run. The race detector makes each ten
// times as long, and looks for other things.
const raceRounds = 100

// modelSequences is how many random walks are compared with the model.
const modelSequences = 50
