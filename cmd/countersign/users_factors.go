package main

import (
	"context"
	"time"

	"countersign/caller"
	"countersign/factors"
)

type usersResetFactorsCmd struct {
	User string `arg:"" help:"Username, id or e-mail address."`
}

func (u *usersResetFactorsCmd) Run(ctx context.Context, c *cli, std stdio) error {
	users, db, err := c.openUsers(ctx, nil)
	if err != nil {
		return err
	}
	defer db.Close()
	user, err := findUser(ctx, users, u.User)
	if err != nil {
		return err
	}
	second, err := factors.New(factors.Options{Store: db})
	if err != nil {
		return err
	}
	n, err := second.Reset(ctx, time.Now(), user.ID, caller.Operator())
	if err == nil && n == 0 {
		std.note("Nothing changes: %s has no second factor.", u.User)
	}
	return err
}
