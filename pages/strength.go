package pages

import (
	"bytes"
	_ "embed"
	"encoding/json"
	"slices"
	"strings"
)

// What says how strong a new password is: a script, and the worker that it starts, which
// package strength builds from a library and its dictionaries.
var (
	//go:embed strength.js
	StrengthScript []byte
	//go:embed strength-worker.js
	StrengthWorker []byte
)

// StrengthVersion is a digest of StrengthWorker, which its first line begins with. With it in
// the query, caches may keep the worker for good.
var StrengthVersion = func() string {
	line, _, _ := bytes.Cut(StrengthWorker, []byte("\n"))
	return strings.Fields(string(line))[1]
}()

// strength is what strength.js says, in the reader's language.
type strength struct {
	Levels []string          `json:"levels"` // from the weakest to the strongest
	Advice map[string]string `json:"advice"` // by the key of the worker's warning
	Least  int               `json:"least"`  // characters that the server asks for
	Names  []string          `json:"names"`  // words of this service, which the server refuses
}

// advice are the sentences for the worker's warnings, and for what strength.js finds.
var advice = map[string]string{
	"short": "short", "more": "more", "userInputs": "personal",
	"straightRow": "keys", "keyPattern": "keys", "simpleRepeat": "repeat", "extendedRepeat": "repeat", "sequences": "sequence",
	"recentYears": "date", "dates": "date", "topTen": "common", "topHundred": "common", "common": "common", "pwned": "common",
	"similarToCommon": "similar", "wordByItself": "word", "namesByThemselves": "name", "commonNames": "name",
}

// Strength returns, as JSON, what strength.js says of a new password.
func (v view) Strength() (string, error) {
	s := strength{Advice: map[string]string{}, Least: v.MinLength, Names: []string{v.Service}}
	for _, level := range []string{"0", "1", "2", "3", "4"} {
		text, err := v.Say("strength." + level)
		if err != nil {
			return "", err
		}
		s.Levels = append(s.Levels, text)
	}
	for warning, key := range advice {
		text, err := v.Say("strength." + key)
		if err != nil {
			return "", err
		}
		s.Advice[warning] = text
	}
	text, err := json.Marshal(s)
	return string(text), err
}

// StrengthWorker returns the address of the worker.
func (v view) StrengthWorker() string {
	return v.Root() + "/assets/strength-worker.js?v=" + StrengthVersion
}

// SetsPassword reports whether the page has a field for a new password.
func (v view) SetsPassword() bool {
	return slices.ContainsFunc(v.Inputs(), func(f field) bool { return f.Complete == newPassword })
}
