package main

import (
	"context"
	"strings"

	"countersign/api"
)

type usersShowCmd struct {
	printing
	User string `arg:"" help:"Username, id or e-mail address."`
}

func (u *usersShowCmd) Run(ctx context.Context, c *cli, std stdio) error {
	users, db, err := c.openUsers(ctx, nil)
	if err != nil {
		return err
	}
	defer db.Close()
	user, err := findUser(ctx, users, u.User)
	if err != nil {
		return err
	}
	profile, err := users.Profile(ctx, user.ID)
	if err != nil {
		return err
	}
	has, err := describeFactors(ctx, db, user)
	if err != nil {
		return err
	}
	identities, err := users.Identities(ctx, user.ID)
	if err != nil {
		return err
	}
	columns := recordColumns(profile)
	for _, i := range identities {
		text := i.Provider + " " + i.Email
		columns = append(columns, column[api.UserWithProfile]{"identity", func(api.UserWithProfile) string { return strings.TrimSpace(text) }, cut})
	}
	return printOne(u.printing, std.out, api.UserWithProfile{
		User: api.DescribeUser(user), Factors: has, Profile: profile, Identities: api.List(identities, api.DescribeIdentity),
	}, columns)
}
