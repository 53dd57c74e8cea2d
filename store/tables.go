package store

import (
	"slices"
	"strings"
)

// table describes a table. Reads, inserts and moves use its columns in this order, so that
// a record's list of columns stands once.
type table struct {
	name    string
	columns []column // the first is the primary key
	where   string   // which rows are moved; empty for all
}

// column is a column of a table.
type column struct {
	name string
	kind kind
	null bool
}

// kind is the kind of values in a column. Whatever the column's type in a dialect, the
// database returns the same integer, text or bytes that was stored.
type kind string

const (
	kindInt  kind = "int"
	kindText kind = "text"
	kindBlob kind = "blob"
)

// columns parses "NAME KIND, NAME KIND null".
func columns(text string) (all []column) {
	for one := range strings.SplitSeq(text, ", ") {
		words := strings.Fields(one)
		all = append(all, column{name: words[0], kind: kind(words[1]), null: len(words) == 3})
	}
	return all
}

// key returns the primary key's column.
func (t table) key() string { return t.columns[0].name }

// list returns the columns for SQL, each after a prefix such as "s.". They are quoted,
// because lead is a reserved word in MySQL.
func (t table) list(prefix string) string {
	names := make([]string, len(t.columns))
	for i, c := range t.columns {
		names[i] = prefix + "`" + c.name + "`"
	}
	return strings.Join(names, ", ")
}

// into returns the beginning of an INSERT of all columns.
func (t table) into() string { return "INSERT INTO " + t.name + " (" + t.list("") + ") " }

// insert returns an INSERT of one row, with values in the order of the columns.
func (t table) insert() string { return t.into() + "VALUES " + t.places() }

// places returns the placeholders of a row.
func (t table) places() string { return "(?" + strings.Repeat(", ?", len(t.columns)-1) + ")" }

// set returns the assignments of an UPDATE of all columns except those in keep, and their
// arguments. The values of r are in the order of the columns.
func (t table) set(r row, keep ...string) (assignments string, args []any) {
	var all []string
	for i, c := range t.columns {
		if !slices.Contains(keep, c.name) {
			all, args = append(all, "`"+c.name+"` = ?"), append(args, r[i])
		}
	}
	return strings.Join(all, ", "), args
}
