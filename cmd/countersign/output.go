package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"strings"
)

// printing is for commands that print records.
type printing struct {
	JSON bool `name:"json" help:"Print one JSON document instead of a table."`
}

// column is one column of a table of records.
type column[T any] struct {
	name string
	text func(T) string
	kept bool // cut or whole
}

// printList prints records as a JSON array or an aligned table.
func printList[T any](p printing, w io.Writer, records []T, columns []column[T]) error {
	return newListPrinter(p, w, columns).all(records)
}

// all prints a list that is here as a whole.
func (l *listPrinter[T]) all(records []T) error {
	if err := l.print(records); err != nil {
		return err
	}
	return l.close()
}

// listPrinter prints a list page by page, in the memory of a page. The columns of a table
// get wider where a later page needs it, up to tableWidth in all.
type listPrinter[T any] struct {
	printing
	w       *bufio.Writer
	columns []column[T]
	widths  []int          // that the columns would have without a bound
	below   func(T) string // if set, what stands below a record's row
	begun   bool
}

func newListPrinter[T any](p printing, w io.Writer, columns []column[T]) *listPrinter[T] {
	return &listPrinter[T]{printing: p, w: bufio.NewWriter(w), columns: columns, widths: make([]int, len(columns))}
}

// print prints the next records.
func (l *listPrinter[T]) print(records []T) error {
	if l.JSON {
		for _, r := range records {
			text, err := marshal(r)
			if err != nil {
				return err
			}
			if l.begun {
				l.w.WriteString(",\n  ")
			} else {
				l.w.WriteString("[\n  ")
			}
			l.w.Write(text)
			l.begun = true
		}
		return l.w.Flush()
	}
	var rows [][]string
	if !l.begun {
		head := make([]string, len(l.columns))
		for i, c := range l.columns {
			head[i] = strings.ToUpper(c.name)
		}
		rows, l.begun = append(rows, head), true
	}
	head := len(rows)
	for _, r := range records {
		cells := make([]string, len(l.columns))
		for i, c := range l.columns {
			cells[i] = visible(c.text(r), "")
		}
		rows = append(rows, cells)
	}
	kept := make([]bool, len(l.columns))
	for i, c := range l.columns {
		kept[i] = c.kept
		for _, cells := range rows {
			l.widths[i] = max(l.widths[i], terminalWidth(cells[i]))
		}
	}
	widths := fit(l.widths, kept)
	for n, cells := range rows {
		line := ""
		for i, cell := range cells {
			cell = shorten(cell, widths[i])
			line += cell + strings.Repeat(" ", widths[i]-terminalWidth(cell)+gap)
		}
		fmt.Fprintln(l.w, strings.TrimRight(line, " "))
		if n < head || l.below == nil {
			continue
		}
		if text := visible(l.below(records[n-head]), ""); text != "" {
			for _, line := range wrap(text, tableWidth-gap) {
				fmt.Fprintf(l.w, "%*s%s\n", gap, "", line)
			}
		}
	}
	return l.w.Flush()
}

// close ends the list.
func (l *listPrinter[T]) close() error {
	switch {
	case l.JSON && l.begun:
		l.w.WriteString("\n]\n")
	case l.JSON:
		l.w.WriteString("[]\n")
	}
	return l.w.Flush()
}

// marshal returns a record as JSON for an item of a list.
func marshal(record any) ([]byte, error) {
	var text bytes.Buffer
	enc := encoder(&text)
	enc.SetIndent("  ", "  ")
	err := enc.Encode(record)
	return bytes.TrimSuffix(text.Bytes(), []byte("\n")), err
}

// printOne prints one record as a JSON object or a table of two columns.
func printOne[T any](p printing, w io.Writer, record T, columns []column[T]) error {
	if p.JSON {
		return printJSON(w, record)
	}
	names := 0
	for _, c := range columns {
		names = max(names, len(c.name))
	}
	for _, c := range columns {
		name := c.name
		for _, line := range wrap(visible(c.text(record), ""), tableWidth-names-gap) {
			if _, err := fmt.Fprintln(w, strings.TrimRight(fmt.Sprintf("%-*s%s", names+gap, name, line), " ")); err != nil {
				return err
			}
			name = ""
		}
	}
	return nil
}

func printJSON(w io.Writer, v any) error {
	enc := encoder(w)
	enc.SetIndent("", "  ")
	return enc.Encode(v)
}

// encoder writes JSON for a terminal or a program, not for HTML: & stays &, so that a
// text search finds it.
func encoder(w io.Writer) *json.Encoder {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	return enc
}

func yesNo(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}
