package configs

import (
	"strconv"
	"strings"
)

// suggest returns the end of a message about an unknown name: the known name that it
// resembles, if any, misspelt or in the wrong section.
func suggest(name string, known []string) string {
	norm := strings.NewReplacer("_", "", "-", "", ".", "").Replace
	name = strings.ToLower(name)
	best, found := 3, "" // with more than two edits it is another word
	for _, k := range known {
		d := distance(norm(name), norm(strings.ToLower(k)), best)
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

// distance returns how many letters to add, drop or change to get from a to b
// (Levenshtein), but at most limit.
func distance(a, b string, limit int) int {
	if len(a) > len(b)+limit || len(b) > len(a)+limit {
		return limit
	}
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			change := diagonal
			if a[i] != b[j] {
				change++
			}
			diagonal = row[j+1]
			row[j+1] = min(change, row[j]+1, row[j+1]+1)
		}
	}
	return min(row[len(b)], limit)
}

// oneLine makes untrusted text safe to print in one line.
func oneLine(text string) string {
	q := strconv.Quote(text)
	if len(text) > 200 || q != `"`+text+`"` {
		return quote(text)
	}
	return text
}
