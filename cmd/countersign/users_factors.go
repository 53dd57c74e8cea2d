package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"countersign/accounts"
	"countersign/api"
	"countersign/caller"
	"countersign/configs"
	"countersign/factors"
	"countersign/server"
	"countersign/store"
)

type usersResetFactorsCmd struct {
	User string `arg:"" help:"Username, id or e-mail address."`
}

func (u *usersResetFactorsCmd) Run(ctx context.Context, c *cli, std stdio) error {
	// The server sends the letter to the user, if it sends mail.
	users, db, err := c.openUsersFor(ctx, nil, func(cfg *configs.Config, o *accounts.Options) { o.Mail = cfg.SMTP.Host != "" })
	if err != nil {
		return err
	}
	defer db.Close()
	user, err := findUser(ctx, users, u.User)
	if err != nil {
		return err
	}
	second, err := factors.New(factors.Options{Store: db, Notices: server.FactorNotices(users)})
	if err != nil {
		return err
	}
	n, err := second.Reset(ctx, time.Now(), user.ID, caller.Operator())
	if err == nil && n == 0 {
		std.note("Nothing changes: %s has no second factor.", u.User)
	}
	return err
}

// describeFactors describes a user's second factors in force.
func describeFactors(ctx context.Context, db *store.DB, user accounts.User) ([]api.Factor, error) {
	second, err := factors.New(factors.Options{Store: db})
	if err != nil {
		return nil, err
	}
	all, err := second.Of(ctx, user.ID)
	return api.List(all, api.DescribeFactor), err
}

// factorsText lists factors in a line.
func factorsText(all []api.Factor) string {
	var items []string
	for _, f := range all {
		item := f.Kind
		switch {
		case f.Remaining != nil:
			item += fmt.Sprintf(" (%d left)", *f.Remaining)
		case f.Name != "":
			item += " (" + f.Name + ")"
		}
		items = append(items, item)
	}
	return strings.Join(items, ", ")
}
