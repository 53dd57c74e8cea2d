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
// 800-63B-4 section 3.1.1.2 it asks for length and for not being the first
// guess, and for no mixture of character classes. Passwords in use aren't held
// to it.
type PasswordPolicy struct {
	MinLength    int      // in code points; 0: 8
	ServiceNames []string // words people would use here: our name, the host's
}

// The least is that of NIST SP 800-63B-4 section 3.1.1.2.
const (
	leastMinLength = 8
	mostMinLength  = 256
)

// Check says what is wrong with the policy, as an *input.Error, or returns nil.
func (p PasswordPolicy) Check() error {
	var bad input.Error
	if p.MinLength != 0 && (p.MinLength < leastMinLength || p.MinLength > mostMinLength) {
		bad.Add("min_length", input.Invalid, "min_length must be %d (the least by NIST SP 800-63B) to %d, not %d.", leastMinLength, mostMinLength, p.MinLength)
	}
	return bad.Err()
}

var (
	errPasswordBytes  = errors.New("password must be UTF-8 text without control characters")
	errPasswordLength = errors.New("password is too long")
)

// preparePassword maps a password to the form that is hashed, so that one typed
// on another keyboard or system is the same: all spaces are U+0020, and
// composition is NFC. These are the mappings of PRECIS OpaqueString (RFC 8265
// section 4.2), and for what that profile accepts the result is the same.
//
// Unlike the profile we let pass what is neither invalid nor a control. Its
// base class (RFC 8264 section 4.3) leaves out the joiners and selectors inside
// many emoji, and characters younger than the tables: those who use them would
// be turned away, and no account be safer for it.
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
		bad.Add(field, input.TooCommon, "%s is among those that are guessed first: choose one that others don't.", field)
	}
	if len(email) > maxEmail { // refused for that: not worth folding
		email = ""
	}
	local, _, _ := strings.Cut(email, "@")
	if containsAny(prepared, append([]string{username, email, local}, p.ServiceNames...)) {
		bad.Add(field, input.ContainsPersonal, "%s must not contain the username, the e-mail address or the name of this service.", field)
	}
	return prepared
}

// containsAny reports whether the password contains one of the words, or is one
// that is too short to hold against a longer password.
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
// common_passwords.LICENSE. We sorted them by bytes. This list was chosen
// because it is about what can be guessed online within our guess budget;
// longer ones turn away people without stopping an attacker. All is lower case.
//
//go:embed common_passwords.txt
var commonPasswords string

// isCommon looks the password up without regard to case, by binary search over
// the text itself: a map would take memory many times the list's, always.
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
