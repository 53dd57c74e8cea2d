package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"countersign/accounts"
	"countersign/api"
	"countersign/caller"
	"countersign/ids"
)

// recordColumns are a user's columns and one for each claim of the profile.
func recordColumns(p accounts.Profile) []column[api.UserWithProfile] {
	var all []column[api.UserWithProfile]
	for _, c := range userColumns {
		all = append(all, column[api.UserWithProfile]{c.name, func(u api.UserWithProfile) string { return c.text(u.User) }, cut})
	}
	all = append(all, column[api.UserWithProfile]{"factors", func(u api.UserWithProfile) string { return factorsText(u.Factors) }, cut})
	inOneLine := strings.NewReplacer("\r\n", ", ", "\n", ", ")
	for claim, value := range p.All() {
		all = append(all, column[api.UserWithProfile]{"profile." + claim, func(api.UserWithProfile) string { return inOneLine.Replace(value) }, cut})
	}
	return all
}

type usersSetProfileCmd struct {
	User  string   `arg:"" help:"Username, id or e-mail address."`
	Claim []string `required:"" placeholder:"CLAIM=VALUE" sep:"none" help:"A claim of OpenID Connect, such as name, birthdate or address.locality; may be repeated. Without a value it is removed."`
}

func (u *usersSetProfileCmd) Run(ctx context.Context, c *cli) error {
	if err := u.change(new(accounts.Profile)); err != nil {
		return err // wrong usage is reported before the database opens
	}
	return withUser(ctx, c, u.User, func(users *accounts.Users, user accounts.User) error {
		profile, err := users.Profile(ctx, user.ID)
		if err != nil {
			return err
		}
		if err := u.change(&profile); err != nil {
			return err
		}
		_, err = users.SetProfile(ctx, time.Now(), user.ID, ids.Place{}, profile, caller.Operator())
		return err
	})
}

// change applies the flags to p.
func (u *usersSetProfileCmd) change(p *accounts.Profile) error {
	for _, claim := range u.Claim {
		name, value, ok := strings.Cut(claim, "=")
		if !ok {
			return fmt.Errorf("--claim must be CLAIM=VALUE: %w", errUsage)
		}
		if !p.Set(name, value) {
			return fmt.Errorf("--claim can't set %q, only %s: %w", name, strings.Join(accounts.ProfileClaims(), ", "), errUsage)
		}
	}
	return nil
}
