// Package api has the JSON forms of records, which the command line and the HTTP API
// print.
//
// A record has one type, one constructor and one set of JSON members wherever it is
// printed. A constructor copies field by field, so a new field of the domain, which may
// be a secret, is not printed until a view names it. Two types of the domain are printed
// whole, and so may never have a secret: clients.Settings and accounts.Profile. Lists are
// never null. Times are RFC 3339 in UTC.
package api

import "time"

// List describes all records. Its result is never nil, so that it is [] in JSON.
func List[R, V any](records []R, describe func(R) V) []V {
	views := make([]V, len(records))
	for i, r := range records {
		views[i] = describe(r)
	}
	return views
}

// at formats an instant in whole seconds.
func at(t time.Time) string { return t.UTC().Format(time.RFC3339) }

// exactly formats an instant as precisely as it is stored, for times that servers obey.
func exactly(t time.Time) string { return t.UTC().Format(time.RFC3339Nano) }

// texts copies a list of strings; an absent one becomes empty.
func texts(list []string) []string { return append([]string{}, list...) }
