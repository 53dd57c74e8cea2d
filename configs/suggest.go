package configs

import (
	"strconv"
	"strings"
)

// suggest ends a message about an unknown name with the known one that it
// looks like, if there is one: one misspelt, or one in the wrong section.
func suggest(name string, known []string) string {
	norm := strings.NewReplacer("_", "", "-", "", ".", "").Replace
	name = strings.ToLower(name)
	best, found := 3, "" // more than two slips apart is another word
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

// last is the last part of a dotted key.
func last(key string) string { return key[strings.LastIndexByte(key, '.')+1:] }

// distance counts the letters to add, drop or change to make b from a
// (Levenshtein), or says limit when that many aren't enough.
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

// oneLine makes a stranger's text safe to stand in a line of its own.
func oneLine(text string) string {
	q := strconv.Quote(text)
	if len(text) > 200 || q != `"`+text+`"` {
		return quote(text)
	}
	return text
}
