package pages

import (
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode"
)

// Every sentence exists in both languages, with the same placeholders.
func TestWordsAreTranslated(t *testing.T) {
	braces := regexp.MustCompile(`\{[a-z]*\}`)
	hangul := func(s string) bool {
		return strings.ContainsFunc(s, func(r rune) bool { return unicode.Is(unicode.Hangul, r) })
	}
	for key, s := range words {
		if s.en == "" || hangul(s.en) || !hangul(s.ko) {
			t.Errorf("%s: %+v", key, s)
		}
		en, ko := braces.FindAllString(s.en, -1), braces.FindAllString(s.ko, -1)
		slices.Sort(en)
		slices.Sort(ko)
		if !slices.Equal(en, ko) {
			t.Errorf("%s: %v in English, %v in Korean", key, en, ko)
		}
	}
}
