package store

import (
	"slices"
	"strings"

	"countersign/oauth"
)

// methodsColumn reads the methods of a sign-in, as names and spaces between them. NULL is the
// password alone: there was nothing else before there was the column, and few rows have more.
type methodsColumn oauth.Methods

// Scan implements [sql.Scanner].
func (m *methodsColumn) Scan(src any) error {
	text, err := textOf(src)
	if src == nil {
		text = oauth.MethodPassword
	}
	*m = strings.Fields(text)
	return err
}

// former returns a table that has the methods, in its last column, as it was before.
func (t table) former() table {
	t.columns = t.columns[:len(t.columns)-1]
	return t
}

// listFormer is list for the schema before there were methods, which had the password alone.
func (t table) listFormer(prefix string) string { return t.former().list(prefix) + ", NULL" }

// intoMethods returns the beginning of an INSERT into a table that has the methods, their
// place at the end of the values, and the value. The former schema does without: its version
// knew no others.
func (db *DB) intoMethods(t table, m oauth.Methods) (into, place string, value []any) {
	switch {
	case db.older:
		return t.former().into(), "", nil
	case slices.Equal(m, oauth.Methods{oauth.MethodPassword}):
		return t.into(), ", ?", []any{nil}
	default:
		return t.into(), ", ?", []any{strings.Join(m, " ")}
	}
}
