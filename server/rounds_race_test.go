//go:build race

package server_test

// raceRounds is how often a race is run. The race detector makes each many
// times as long, and looks for other things.
const raceRounds = 50

// modelSequences is how many random walks are compared with the model.
const modelSequences = 20
