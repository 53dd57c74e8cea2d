// Package input says what is wrong with what a caller filled in: all of it at once,
// each problem with its field and a stable code.
package input

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
	Repeated          = "repeated"   // a member of a JSON object occurs twice
	Unknown           = "unknown"    // there is no such member
	WrongType         = "wrong_type" // the member's value has another JSON type
)

// Problem is one thing that is wrong with an input. It never quotes a password or a
// secret.
type Problem struct {
	Field  string   `json:"field"` // as the caller knows it: a JSON member, a flag in snake_case
	Item   int      `json:"-"`     // which one of a list it is about, counted from 1; 0: all of the field
	With   []string `json:"-"`     // the other fields it is about, where each value is fine by itself; code NotAllowed
	Code   string   `json:"code"`
	Detail string   `json:"detail"` // a sentence for people that names the field and the rule
}

// Error lists all that is wrong with an input. The zero Error has no problem yet; see
// [Error.Add] and [Error.Err].
type Error struct {
	Problems []Problem
	cause    error // what the store found, such as accounts.ErrUsernameTaken; see Conflict
}

func (e *Error) Error() string {
	details := make([]string, len(e.Problems))
	for i, p := range e.Problems {
		details[i] = p.Detail
	}
	return strings.Join(details, " ")
}

// Unwrap returns the cause that [Conflict] was given, and nil for any other input.
func (e *Error) Unwrap() error { return e.cause }

// Add notes a problem of a field. The format and its arguments are the detail.
func (e *Error) Add(field, code, format string, args ...any) {
	e.Problems = append(e.Problems, Problem{Field: field, Code: code, Detail: fmt.Sprintf(format, args...)})
}

// AddItem is Add for the item of a list with the index i.
func (e *Error) AddItem(field string, i int, code, format string, args ...any) {
	e.Problems = append(e.Problems, Problem{Field: field, Item: i + 1, Code: code, Detail: fmt.Sprintf(format, args...)})
}

// AddTogether notes that the values of a field and of those in with don't go together,
// although each is fine by itself.
func (e *Error) AddTogether(field string, with []string, format string, args ...any) {
	e.Problems = append(e.Problems, Problem{Field: field, With: with, Code: NotAllowed, Detail: fmt.Sprintf(format, args...)})
}

// Err returns e if it has any problems, else nil. (A nil *Error in an error isn't nil.)
func (e *Error) Err() error {
	if len(e.Problems) == 0 {
		return nil
	}
	return e
}

// Conflict is the error of a value that must be unique and is taken; it wraps cause.
func Conflict(field, detail string, cause error) error {
	return &Error{Problems: []Problem{{Field: field, Code: Taken, Detail: detail}}, cause: cause}
}
