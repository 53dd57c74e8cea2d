package accounts

import (
	_ "embed"
	"errors"
	"strings"
	"unicode"
	"unicode/utf8"

	"countersign/input"

	"golang.org/x/text/unicode/norm"
)

const (
	maxPassword  = 1024 // bytes
	shortestWord = 4    // code points: shorter words turn up in good passwords by chance
)

// PasswordPolicy says which new passwords are good enough. Following NIST SP
// 800-63B-4 section 3.1.1.2 it requires length and refuses what attackers guess first;
// it requires no mixture of character classes. It doesn't apply to passwords in use.
type PasswordPolicy struct {
	MinLength    int      // in code points
	ServiceNames []string // words that users of this service would choose: its name, its host's
}

// The minimum is that of NIST SP 800-63B-4 section 3.1.1.2.
const (
	leastMinLength = 8
	mostMinLength  = 256
)

// Check returns what is wrong with the policy, an *input.Error, or nil.
func (p PasswordPolicy) Check() error {
	var bad input.Error
	if p.MinLength < leastMinLength || p.MinLength > mostMinLength {
		bad.Add("min_length", input.Invalid, "min_length must be %d (the minimum of NIST SP 800-63B) to %d, not %d.", leastMinLength, mostMinLength, p.MinLength)
	}
	return bad.Err()
}

var (
	errPasswordBytes  = errors.New("password must be UTF-8 text without control characters")
	errPasswordLength = errors.New("password is too long")
)

// preparePassword maps a password to the form that is hashed, so that it is the same
// when typed on another keyboard or system: all spaces become U+0020, and composition
// is NFC. These are the mappings of PRECIS OpaqueString (RFC 8265 section 4.2); for
// passwords that the profile accepts the result is the same.
//
// Unlike the profile we accept every character that is neither invalid nor a control.
// Its base class (RFC 8264 section 4.3) excludes the joiners and selectors inside many
// emoji, and characters newer than the tables. Refusing those would turn users away and
// make no account safer.
func preparePassword(password string) (string, error) {
	if len(password) > 4*maxPassword { // composition can't make it fit
		return "", errPasswordLength
	}
	if !utf8.ValidString(password) {
		return "", errPasswordBytes
	}
	prepared := norm.NFC.String(strings.Map(func(r rune) rune {
		if unicode.Is(unicode.Zs, r) {
			return ' '
		}
		return r
	}, password))
	if strings.ContainsFunc(prepared, unicode.IsControl) {
		return "", errPasswordBytes
	}
	if len(prepared) > maxPassword {
		return "", errPasswordLength
	}
	return prepared, nil
}

// check prepares a new password, given in the named field, of the user with that
// name and e-mail address, and adds what is wrong with it.
func (p PasswordPolicy) check(bad *input.Error, field, password, username, email string) string {
	prepared, err := preparePassword(password)
	switch {
	case password == "":
		bad.Add(field, input.Required, "%s must not be empty.", field)
		return ""
	case errors.Is(err, errPasswordLength):
		bad.Add(field, input.TooLong, "%s must not be longer than %d bytes.", field, maxPassword)
		return ""
	case err != nil:
		bad.Add(field, input.InvalidCharacters, "%s must not have control characters.", field)
		return ""
	}
	if utf8.RuneCountInString(prepared) < p.MinLength {
		bad.Add(field, input.TooShort, "%s must have at least %d characters.", field, p.MinLength)
	}
	if isCommon(prepared) {
		bad.Add(field, input.TooCommon, "%s is one that attackers guess first: choose one that others don't use.", field)
	}
	if len(email) > maxEmail { // refused elsewhere: not worth folding
		email = ""
	}
	local, _, _ := strings.Cut(email, "@")
	if containsAny(prepared, append([]string{username, email, local}, p.ServiceNames...)) {
		bad.Add(field, input.ContainsPersonal, "%s must not contain the username, the e-mail address or the name of this service.", field)
	}
	return prepared
}

// containsAny reports whether the password contains one of the words. A word shorter
// than shortestWord counts only if it is the whole password.
func containsAny(password string, words []string) bool {
	password = fold(password)
	for _, w := range words {
		w = fold(w)
		if w == password || utf8.RuneCountInString(w) >= shortestWord && strings.Contains(password, w) {
			return true
		}
	}
	return false
}

// commonPasswords are the roughly 20,000 passwords that turn up most often in
// breaches, collected by Royce Williams and taken from Django 5.2
// (django/contrib/auth/common-passwords.txt.gz), whose BSD licence is in
// common_passwords.LICENSE. We sorted them by bytes. We chose this list because its
// size is about what an attacker can guess online within our guess budget; a longer
// list refuses more passwords without stopping an attacker. All entries are lower case.
//
//go:embed common_passwords.txt
var commonPasswords string

// isCommon looks the password up without regard to case, by binary search over
// the text itself: a map would permanently take many times the memory.
func isCommon(password string) bool {
	password = strings.ToLower(password)
	rest := commonPasswords
	for rest != "" {
		start := strings.LastIndexByte(rest[:len(rest)/2], '\n') + 1
		line, after, _ := strings.Cut(rest[start:], "\n")
		switch strings.Compare(password, line) {
		case 0:
			return true
		case -1:
			rest = rest[:start]
		default:
			rest = after
		}
	}
	return false
}
