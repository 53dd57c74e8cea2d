package store

import (
	"context"

	"countersign/accounts"
)

// The claims by which an account may be the one that a caller names, as byClaim marks its rows.
const (
	claimName = iota + 1
	claimAddress
	claimUnclaimed
)

// formerByClaim selects a user by name and one by a claimed address; byClaim also one by an
// address that is held unclaimed, which the schema before this one can't find.
var (
	formerByClaim = `SELECT named.*, 1 FROM (` + byUsername + `) AS named UNION ALL SELECT claimed.*, 2 FROM (` + byEmail + `) AS claimed`
	byClaim       = formerByClaim + ` UNION ALL SELECT unclaimed.*, 3 FROM (` + namedQuery("unclaimed_key") + `) AS unclaimed`
)

// Claimants implements [accounts.UserStore].
func (db *DB) Claimants(ctx context.Context, username, key string) (c accounts.Claimants, err error) {
	type claimant struct {
		accounts.User
		found bool // it isn't a neighbour
		by    int
	}
	query, args := byClaim, []any{username, username, key, key, key, key}
	if db.older {
		query, args = formerByClaim, args[:4]
	}
	rows, err := all(ctx, db, func(row scanner) (one claimant, err error) {
		one.User, err = scanUserAnd(row, &one.found, &one.by)
		return one, err
	}, query, args...)
	for _, one := range rows {
		switch {
		case !one.found:
		case one.by == claimName && one.Username != "":
			c.ByUsername = one.User
		case one.by == claimAddress:
			c.ByEmail = one.User
		case one.by == claimUnclaimed && one.EmailUnclaimed: // servers of older versions leave the key of an address that was claimed since
			c.Unclaimed = one.User
		}
	}
	return c, err
}

// UnclaimedUser implements [accounts.UserStore].
func (db *DB) UnclaimedUser(ctx context.Context, key, hash string) (accounts.User, error) {
	if db.older {
		return accounts.User{}, accounts.ErrUnknownUser
	}
	return one(ctx, db, scanUser, userQuery+` WHERE unclaimed_key = ? AND password_hash = ? AND email_key IS NULL ORDER BY created_at LIMIT 1`, key, hash)
}

// claimed is the assignment that goes with a claim of an address.
func (db *DB) claimed() string {
	if db.older {
		return ""
	}
	return `, unclaimed_key = NULL`
}
