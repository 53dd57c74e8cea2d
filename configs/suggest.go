package configs

import (
	"strconv"
	"strings"

	"countersign/spelling"
)

// suggest returns the end of a message about an unknown name: the known name that it
// resembles, if any, misspelt or in the wrong section.
func suggest(name string, known []string) string {
	norm := strings.NewReplacer("_", "", "-", "", ".", "").Replace
	name = strings.ToLower(name)
	best, found := 3, "" // with more than two edits it is another word
	for _, k := range known {
		d := spelling.Distance(norm(name), norm(strings.ToLower(k)))
		if found == "" && d >= best && last(name) == last(k) {
			d = best - 1
		}
		if d < best {
			best, found = d, k
		}
	}
	if found == "" {
		return ""
	}
	return "; did you mean " + found + "?"
}

// last returns the last part of a dotted key.
func last(key string) string { return key[strings.LastIndexByte(key, '.')+1:] }

// oneLine makes untrusted text safe to print in one line.
func oneLine(text string) string {
	q := strconv.Quote(text)
	if len(text) > 200 || q != `"`+text+`"` {
		return quote(text)
	}
	return text
}
