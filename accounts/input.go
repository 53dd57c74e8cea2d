package accounts

import (
	"fmt"
	"strings"
)

// The codes of a Problem. They are stable: forms choose their own words by them.
const (
	Required          = "required"
	TooShort          = "too_short"
	TooLong           = "too_long"
	InvalidCharacters = "invalid_characters"
	Invalid           = "invalid"
	NotAllowed        = "not_allowed" // fine by itself, but not in this combination
	TooCommon         = "too_common"
	ContainsPersonal  = "contains_personal"
	Taken             = "taken"
)

// Problem is one thing wrong with what somebody filled in. It never quotes a
// password or a secret.
type Problem struct {
	Field  string // as the caller knows it: a JSON member, a flag in snake_case
	Code   string
	Detail string // a sentence for people that names the field and the rule
}

// InputError lists all that is wrong with an input.
type InputError struct {
	Problems []Problem
	cause    error // ErrUsernameTaken and such, if the store found it
}

func (e *InputError) Error() string {
	details := make([]string, len(e.Problems))
	for i, p := range e.Problems {
		details[i] = p.Detail
	}
	return strings.Join(details, " ")
}

// Unwrap returns ErrUsernameTaken, ErrEmailTaken or ErrClientExists if that is
// the problem, and nil otherwise.
func (e *InputError) Unwrap() error { return e.cause }

func (e *InputError) add(field, code, format string, args ...any) {
	e.Problems = append(e.Problems, Problem{field, code, fmt.Sprintf(format, args...)})
}

// err is e if it has any problems. (A nil *InputError in an error isn't nil.)
func (e *InputError) err() error {
	if len(e.Problems) == 0 {
		return nil
	}
	return e
}

// taken is the problem of a value that must be unique and isn't.
func taken(field, detail string, cause error) error {
	return &InputError{Problems: []Problem{{field, Taken, detail}}, cause: cause}
}
