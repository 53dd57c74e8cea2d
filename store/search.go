package store

import (
	"context"

	"countersign/accounts"
	"countersign/ids"
)

// lastRune is in no name and no address, and after all that are.
const lastRune = "\U0010ffff"

// SearchUsers implements [accounts.UserStore]. Each query reads its rows in the order of an
// index, at most limit, whatever else begins so.
func (db *DB) SearchUsers(ctx context.Context, of accounts.Beginnings, limit int) (found []accounts.User, err error) {
	type way struct {
		column      string
		first, last any
		open        bool
	}
	seen := map[ids.User]bool{}
	for _, w := range []way{
		{"username", of.Username, of.Username + lastRune, of.Username != ""},
		{"email_key", of.EmailKey, of.EmailKey + lastRune, of.EmailKey != ""},
		{"unclaimed_key", of.EmailKey, of.EmailKey + lastRune, of.EmailKey != "" && !db.older},
		{"id", of.ID[:], of.LastID[:], !of.LastID.IsZero()},
	} {
		if !w.open || len(found) >= limit {
			continue
		}
		// Of these, those found before are fewer than limit, so what is left fills it up if there is more.
		rows, err := all(ctx, db, scanUser, userQuery+` WHERE `+w.column+` >= ? AND `+w.column+` <= ? ORDER BY `+w.column+` LIMIT ?`, w.first, w.last, limit)
		if err != nil {
			return nil, err
		}
		for _, u := range rows {
			// Servers of older versions leave the key of an address that was claimed since.
			if !seen[u.ID] && (w.column != "unclaimed_key" || u.EmailUnclaimed) {
				found, seen[u.ID] = append(found, u), true
			}
		}
	}
	return found[:min(limit, len(found))], nil
}
