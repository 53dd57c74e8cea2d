package accounts

import (
	"errors"
	"regexp"
	"strings"
	"unicode"

	"golang.org/x/text/unicode/norm"
)

// maxRawPhone bounds, in bytes, the phone numbers that we normalise.
const maxRawPhone = 256

var (
	phoneNumber = regexp.MustCompile(`^\+[1-9][0-9]{1,14}(;ext=[0-9]{1,10})?$`)
	// bracketed is a number whose only separators are brackets around digits.
	bracketed = regexp.MustCompile(`^\+[0-9]*(\([0-9]+\)[0-9]*)*$`)
	// trunkZero is the digit that callers within the country dial, as in "+44 (0)20".
	trunkZero = regexp.MustCompile(`^(\+[1-9][0-9]{0,2})\(0\)`)
)

// validPhone returns what is wrong with a phone number in its normal form.
func validPhone(number string) error {
	if !phoneNumber.MatchString(number) {
		return errors.New("must be a + and at most 15 digits, with spaces, dots, dashes or brackets between them, and after that ;ext= and digits if there is an extension")
	}
	return nil
}

// normalizePhone returns a phone number in the form that is stored: E.164 (+ and digits),
// and the extension as in RFC 3966, which E.164 doesn't know (OpenID Connect Core section
// 5.1, "phone_number"). It takes the separators that people type, and full-width digits.
// It returns false if the text is no such number.
//
// Whether a number is in use, only a letter to it could tell, so we need no table of the
// world's numbering plans (libphonenumber), which would be out of date within months.
func normalizePhone(text string) (string, bool) {
	if len(text) > maxRawPhone {
		return "", false
	}
	number, extension, extended := strings.Cut(strings.ToLower(norm.NFKC.String(trim(text))), ";ext=")
	number = withoutSeparators(number)
	if !bracketed.MatchString(number) {
		return "", false
	}
	// Only Italian numbers keep the zero after the country code.
	if !strings.HasPrefix(number, "+39(") {
		number = trunkZero.ReplaceAllString(number, "$1")
	}
	number = strings.NewReplacer("(", "", ")", "").Replace(number)
	if extended {
		number += ";ext=" + withoutSeparators(extension)
	}
	return number, validPhone(number) == nil
}

// withoutSeparators removes spaces, dots and dashes.
func withoutSeparators(s string) string {
	return strings.Map(func(r rune) rune {
		if r == '.' || r == '\u2212' || unicode.In(r, unicode.Zs, unicode.Pd) {
			return -1
		}
		return r
	}, s)
}
