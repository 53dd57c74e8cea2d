package server

import (
	"context"
	"time"

	"countersign/accounts"
	"countersign/audit"
	"countersign/caller"
	"countersign/factors"
	"countersign/ids"
)

// FactorNotices returns the source of the letters about changes of users' factors, for
// factors.Options. The two packages don't know each other; the store knows both.
func FactorNotices(users *accounts.Users) func(context.Context, time.Time, ids.User, audit.Kind, caller.Caller) ([]factors.Notice, error) {
	return func(ctx context.Context, now time.Time, id ids.User, about audit.Kind, from caller.Caller) (all []factors.Notice, err error) {
		letters, err := users.FactorNotice(ctx, now, id, about, from)
		for _, l := range letters {
			all = append(all, l)
		}
		return all, err
	}
}
