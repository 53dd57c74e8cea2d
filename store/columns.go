package store

import (
	"database/sql"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"time"

	"countersign/oauth"
)

// These types read what a column has straight into a field, as in
// row.Scan((*timeColumn)(&session.CreatedAt)). NULL is the field's zero value.
type (
	timeColumn   time.Time    // milliseconds since 1970
	textColumn   string       // a text that may be NULL
	listColumn   []string     // a JSON array of texts
	scopesColumn oauth.Scopes // a scope parameter
	timesColumn  []time.Time  // packed, see packTimes
)

// Scan implements [sql.Scanner].
func (t *timeColumn) Scan(src any) error {
	switch ms := src.(type) {
	case nil:
		*t = timeColumn{}
		return nil
	case int64:
		*t = timeColumn(time.UnixMilli(ms).UTC())
		return nil
	}
	var ms sql.NullInt64 // whatever else the driver may use for a number
	if err := ms.Scan(src); err != nil {
		return err
	}
	*t = timeColumn(time.UnixMilli(ms.Int64).UTC())
	return nil
}

// Scan implements [sql.Scanner].
func (t *textColumn) Scan(src any) error {
	text, err := textOf(src)
	*t = textColumn(text)
	return err
}

// Scan implements [sql.Scanner].
func (l *listColumn) Scan(src any) error {
	switch text, err := textOf(src); {
	case err != nil:
		return err
	case src == nil:
		*l = nil
		return nil
	case text == "[]":
		*l = listColumn{}
		return nil
	default:
		return json.Unmarshal([]byte(text), (*[]string)(l))
	}
}

// Scan implements [sql.Scanner].
func (s *scopesColumn) Scan(src any) error {
	text, err := textOf(src)
	if err != nil {
		return err
	}
	scopes, err := oauth.ParseScopes(text)
	*s = scopesColumn(scopes)
	return err
}

// Scan implements [sql.Scanner].
func (t *timesColumn) Scan(src any) error {
	b, ok := src.([]byte)
	if !ok {
		return fmt.Errorf("a column of times has a %T", src)
	}
	*t = unpackTimes(b)
	return nil
}

// textOf returns a column's text, empty for NULL.
func textOf(src any) (string, error) {
	switch text := src.(type) {
	case nil:
		return "", nil
	case string:
		return text, nil
	case []byte:
		return string(text), nil
	default:
		return "", fmt.Errorf("a column of text has a %T", src)
	}
}

// jsonColumn reads a JSON value into what it points to. NULL leaves that as it is.
type jsonColumn struct{ into any }

// Scan implements [sql.Scanner].
func (j jsonColumn) Scan(src any) error {
	text, err := textOf(src)
	if err != nil || src == nil {
		return err
	}
	return json.Unmarshal([]byte(text), j.into)
}

// packTimes returns a list of times as stored: eight bytes of milliseconds each.
func packTimes(times []time.Time) []byte {
	b := make([]byte, 0, 8*len(times))
	for _, t := range times {
		b = binary.BigEndian.AppendUint64(b, uint64(t.UnixMilli()))
	}
	return b
}

func unpackTimes(b []byte) []time.Time {
	times := make([]time.Time, 0, len(b)/8)
	for ; len(b) >= 8; b = b[8:] {
		times = append(times, time.UnixMilli(int64(binary.BigEndian.Uint64(b))).UTC())
	}
	return times
}
