package presets

import (
	"strings"
	"unicode"

	"countersign/spelling"
)

// near returns the presets that a name which is none's may mean, by name: those whose name
// or library it resembles, but for case and punctuation.
func near(name string) (names []string) {
	typed := letters(name)
	for _, p := range all() {
		of, library := letters(p.Name), letters(p.Library)
		switch {
		case len(typed) >= 3 && (strings.Contains(of, typed) || strings.HasPrefix(library, typed)),
			len(of) >= 3 && strings.Contains(typed, of),
			len(typed) <= 2*len(of) && spelling.Distance(typed, of) <= min(2, len(of)/3):
			names = append(names, p.Name)
		}
	}
	return names
}

// letters returns the letters and digits of a text in lower case.
func letters(text string) string {
	return strings.Map(func(r rune) rune {
		if !unicode.IsLetter(r) && !unicode.IsDigit(r) {
			return -1
		}
		return unicode.ToLower(r)
	}, text)
}
