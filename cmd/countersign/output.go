package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"unicode/utf8"
)

// printing is for commands that print records.
type printing struct {
	JSON bool `name:"json" help:"Print one JSON document instead of a table."`
}

// column is one column of a table of records.
type column[T any] struct {
	name string
	text func(T) string
}

// printList prints records as a JSON array or an aligned table.
func printList[T any](p printing, w io.Writer, records []T, columns []column[T]) error {
	l := newListPrinter(p, w, columns)
	if err := l.print(records); err != nil {
		return err
	}
	return l.close()
}

// listPrinter prints a list page by page, in the memory of a page. The columns of a table
// get wider where a later page needs it.
type listPrinter[T any] struct {
	printing
	w       *bufio.Writer
	columns []column[T]
	widths  []int
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
	for _, r := range records {
		cells := make([]string, len(l.columns))
		for i, c := range l.columns {
			cells[i] = visible(c.text(r), "")
		}
		rows = append(rows, cells)
	}
	last := len(l.columns) - 1
	for _, cells := range rows {
		for i := range last {
			l.widths[i] = max(l.widths[i], utf8.RuneCountInString(cells[i]))
		}
	}
	for _, cells := range rows {
		for i := range last {
			fmt.Fprintf(l.w, "%-*s  ", l.widths[i], cells[i])
		}
		fmt.Fprintln(l.w, cells[last])
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
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, c := range columns {
		fmt.Fprintf(t, "%s\t%s\n", c.name, visible(c.text(record), ""))
	}
	return t.Flush()
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
