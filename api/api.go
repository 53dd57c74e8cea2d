// Package api is how records look to a program outside: the command line and the HTTP API
// print these types.
//
// It promises that a record has one type, one constructor and one set of JSON members,
// wherever it is printed. A constructor copies member by member, so a new field of the
// domain, which may be a secret, stays inside until a view names it. Lists are never
// null. Times are RFC 3339 in UTC.
package api

import "time"

// List describes all of records. It is never nil, so that it is [] in JSON.
func List[R, V any](records []R, describe func(R) V) []V {
	views := make([]V, len(records))
	for i, r := range records {
		views[i] = describe(r)
	}
	return views
}

// at writes an instant in whole seconds.
func at(t time.Time) string { return t.UTC().Format(time.RFC3339) }

// exactly writes an instant as exactly as it is kept, for what happens by the clock.
func exactly(t time.Time) string { return t.UTC().Format(time.RFC3339Nano) }

// texts copies a list of strings; an absent one becomes empty.
func texts(list []string) []string { return append([]string{}, list...) }
