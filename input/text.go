package input

import (
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// Printable reports whether s has only visible characters: no spaces, no controls,
// nothing invisible.
func Printable(s string) bool {
	return utf8.ValidString(s) && !strings.ContainsFunc(s, func(r rune) bool { return r == ' ' || !unicode.IsPrint(r) })
}

// Size returns the total size of the texts in bytes, with a separator for each.
func Size(texts []string) (n int) {
	for _, s := range texts {
		n += len(s) + 1
	}
	return n
}

// Duration formats a duration as 720h where [time.Duration.String] gives 720h0m0s.
func Duration(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}
