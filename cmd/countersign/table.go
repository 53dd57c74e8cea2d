package main

import (
	"strings"
	"unicode"

	"golang.org/x/text/width"
)

// tableWidth is how many columns of a terminal a table takes at most.
const tableWidth = 100

// Whether the cells of a column are cut where the table would be too wide.
const (
	cut   = false
	whole = true // unless the table is too wide without all that may be cut
)

const (
	gap   = 2 // between columns
	least = 8 // what a column that is cut keeps
)

// fit returns widths of columns that a table has room for: cells of the widest columns are
// cut first, of those that stay whole last.
func fit(wanted []int, kept []bool) []int {
	widths := append([]int(nil), wanted...)
	room := tableWidth - gap*(len(widths)-1)
	for _, w := range widths {
		room -= w
	}
	for _, also := range []bool{cut, whole} {
		for room < 0 {
			widest := -1
			for i, w := range widths {
				if (!kept[i] || also) && w > least && (widest < 0 || w > widths[widest]) {
					widest = i
				}
			}
			if widest < 0 {
				break
			}
			widths[widest]--
			room++
		}
	}
	return widths
}

// terminalWidth returns how many columns of a terminal a text takes.
func terminalWidth(s string) (n int) {
	for _, r := range s {
		n += runeWidth(r)
	}
	return n
}

func runeWidth(r rune) int {
	if unicode.In(r, unicode.Mn, unicode.Me, unicode.Cf) {
		return 0
	}
	switch width.LookupRune(r).Kind() {
	case width.EastAsianWide, width.EastAsianFullwidth:
		return 2
	}
	return 1
}

// shorten cuts a text to a width, and shows that it did.
func shorten(s string, most int) string {
	if terminalWidth(s) <= most {
		return s
	}
	const mark = "..."
	head, _ := split(s, max(most-len(mark), 0))
	return head + mark
}

// split splits a text where it gets wider than most columns.
func split(s string, most int) (head, rest string) {
	n := 0
	for i, r := range s {
		if n += runeWidth(r); n > most {
			return s[:i], s[i:]
		}
	}
	return s, ""
}

// wrap breaks a text into lines of at most so many columns: after spaces and commas where
// there are some.
func wrap(s string, most int) (lines []string) {
	for {
		head, rest := split(s, most)
		if rest == "" {
			return append(lines, head)
		}
		if i := strings.LastIndexAny(head, " ,"); i > 0 && !strings.HasPrefix(rest, " ") {
			head, rest = s[:i+1], s[i+1:]
		}
		lines = append(lines, strings.TrimRight(head, " "))
		s = strings.TrimLeft(rest, " ")
	}
}
