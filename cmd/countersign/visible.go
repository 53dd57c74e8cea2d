package main

import (
	"fmt"
	"io"
	"strings"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"
)

// visible returns s with every control and every invisible format character as \uXXXX: ends
// of lines that would forge a row, what a terminal obeys, and what turns the direction of a
// text (U+202E). JSON reads these escapes as the same characters. keep lists exceptions; the
// joiners that some scripts need stay.
func visible(s, keep string) string {
	var b strings.Builder
	for _, r := range s {
		switch hidden := unicode.In(r, unicode.Cc, unicode.Cf, unicode.Zl, unicode.Zp) || r == unicode.ReplacementChar; {
		case !hidden, r == '\u200c', r == '\u200d', strings.ContainsRune(keep, r):
			b.WriteRune(r)
		case r > 0xffff:
			high, low := utf16.EncodeRune(r)
			fmt.Fprintf(&b, `\u%04x\u%04x`, high, low)
		default:
			fmt.Fprintf(&b, `\u%04x`, r)
		}
	}
	return b.String()
}

// visibleWriter is what commands print to: text in lines, or JSON.
type visibleWriter struct {
	w    io.Writer
	rest []byte // the beginning of a character whose end comes with the next write
}

// Write implements [io.Writer].
func (v *visibleWriter) Write(p []byte) (int, error) {
	text := append(v.rest, p...)
	whole := len(text)
	for n := 1; n < utf8.UTFMax && n <= len(text); n++ {
		if i := len(text) - n; utf8.RuneStart(text[i]) {
			if !utf8.FullRune(text[i:]) {
				whole = i
			}
			break
		}
	}
	v.rest = append([]byte(nil), text[whole:]...)
	if _, err := io.WriteString(v.w, visible(string(text[:whole]), "\n")); err != nil {
		return 0, err
	}
	return len(p), nil
}
