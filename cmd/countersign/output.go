package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"countersign/secrecy"
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
	if p.JSON {
		if records == nil {
			records = []T{}
		}
		return printJSON(w, records)
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	cells := make([]string, len(columns))
	for i, c := range columns {
		cells[i] = strings.ToUpper(c.name)
	}
	fmt.Fprintln(t, strings.Join(cells, "\t"))
	for _, r := range records {
		for i, c := range columns {
			cells[i] = c.text(r)
		}
		fmt.Fprintln(t, strings.Join(cells, "\t"))
	}
	return t.Flush()
}

// printOne prints one record as a JSON object or a table of two columns.
func printOne[T any](p printing, w io.Writer, record T, columns []column[T]) error {
	if p.JSON {
		return printJSON(w, record)
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, c := range columns {
		fmt.Fprintf(t, "%s\t%s\n", c.name, c.text(record))
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

// readSecret reads a password or secret from standard input: all of it, less
// one line ending.
func readSecret(r io.Reader) (secrecy.Text, error) {
	const most = 64 << 10
	b, err := io.ReadAll(io.LimitReader(r, most))
	if err != nil {
		return "", fmt.Errorf("read standard input: %w", err)
	}
	text := strings.TrimSuffix(strings.TrimSuffix(string(b), "\n"), "\r")
	if text == "" {
		return "", fmt.Errorf("standard input is empty: pipe the password or secret into the command")
	}
	return secrecy.Text(text), nil
}
