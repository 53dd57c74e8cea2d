package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"countersign/accounts"
	"countersign/api"
	"countersign/caller"
	"countersign/ids"
)

type usersCmd struct {
	Create      usersCreateCmd      `cmd:"" help:"Create an account."`
	List        usersListCmd        `cmd:"" help:"List all accounts."`
	Show        usersShowCmd        `cmd:"" help:"Show one account."`
	Disable     usersDisableCmd     `cmd:"" help:"Disable a user and end all their sessions."`
	Enable      usersEnableCmd      `cmd:"" help:"Let a disabled user sign in again."`
	SetPassword usersSetPasswordCmd `cmd:"" help:"Replace a user's password and end all their sessions."`
	SetProfile  usersSetProfileCmd  `cmd:"" help:"Change a user's profile: name, address and so on."`
	Delete      usersDeleteCmd      `cmd:"" help:"Delete an account and its sessions."`
}

var userColumns = []column[api.User]{
	{"id", func(u api.User) string { return u.ID }},
	{"username", func(u api.User) string { return u.Username }},
	{"email", func(u api.User) string { return u.Email }},
	{"email_verified", func(u api.User) string { return yesNo(u.EmailVerified) }},
	{"roles", func(u api.User) string { return strings.Join(u.Roles, ",") }},
	{"disabled", func(u api.User) string { return yesNo(u.Disabled) }},
	{"created_at", func(u api.User) string { return u.CreatedAt }},
}

type usersCreateCmd struct {
	printing
	Username      string   `required:"" placeholder:"U" help:"Name to sign in with."`
	Email         string   `placeholder:"E" help:"E-mail address."`
	Role          []string `placeholder:"R" help:"Role; may be repeated."`
	PasswordStdin bool     `required:"" help:"Read the password from standard input."`
}

func (u *usersCreateCmd) Run(ctx context.Context, c *cli, std stdio) error {
	password, err := readSecret(std.in)
	if err != nil {
		return err
	}
	users, db, err := c.openUsers(ctx, std.err)
	if err != nil {
		return err
	}
	defer db.Close()
	user, err := users.Create(ctx, time.Now(), accounts.NewUser{
		Username: u.Username, Email: u.Email, Password: password, Roles: u.Role,
	}, caller.Operator())
	if err != nil {
		return err
	}
	return printOne(u.printing, std.out, api.DescribeUser(user), userColumns)
}

type usersListCmd struct {
	printing
	Limit int    `placeholder:"N" help:"Print this many at most."`
	After string `placeholder:"U" help:"Begin after this username: the last one printed before."`
}

func (u *usersListCmd) Run(ctx context.Context, c *cli, std stdio) error {
	users, db, err := c.openUsers(ctx, nil)
	if err != nil {
		return err
	}
	defer db.Close()
	after, err := accounts.NormalizeUsername(u.After)
	if err != nil {
		after = u.After // names may be listed after what is no name, such as a prefix of one
	}
	out, left := newListPrinter(u.printing, std.out, userColumns), u.Limit
	for {
		page := 1000 // bounds the memory
		if u.Limit > 0 {
			page = min(page, left)
		}
		batch, err := users.List(ctx, after, page)
		if err != nil {
			return err
		}
		if err := out.print(api.List(batch, api.DescribeUser)); err != nil {
			return err
		}
		if left -= len(batch); len(batch) < page || u.Limit > 0 && left == 0 {
			return out.close()
		}
		after = batch[page-1].Username
	}
}

// Validate is called by kong.
func (u *usersListCmd) Validate() error {
	if u.Limit < 0 {
		return errors.New("--limit must not be negative")
	}
	return nil
}

type usersShowCmd struct {
	printing
	User string `arg:"" help:"Username or id."`
}

func (u *usersShowCmd) Run(ctx context.Context, c *cli, std stdio) error {
	return withUser(ctx, c, u.User, func(users *accounts.Users, user accounts.User) error {
		profile, err := users.Profile(ctx, user.ID)
		if err != nil {
			return err
		}
		return printOne(u.printing, std.out, api.UserWithProfile{User: api.DescribeUser(user), Profile: profile}, recordColumns(profile))
	})
}

type usersDisableCmd struct {
	User string `arg:"" help:"Username or id."`
}

func (u *usersDisableCmd) Run(ctx context.Context, c *cli) error {
	return withUser(ctx, c, u.User, func(users *accounts.Users, user accounts.User) error {
		return users.Disable(ctx, time.Now(), user.ID, caller.Operator())
	})
}

type usersEnableCmd struct {
	User string `arg:"" help:"Username or id."`
}

func (u *usersEnableCmd) Run(ctx context.Context, c *cli) error {
	return withUser(ctx, c, u.User, func(users *accounts.Users, user accounts.User) error {
		return users.Enable(ctx, time.Now(), user.ID, caller.Operator())
	})
}

type usersSetPasswordCmd struct {
	User          string `arg:"" help:"Username or id."`
	PasswordStdin bool   `required:"" help:"Read the password from standard input."`
}

func (u *usersSetPasswordCmd) Run(ctx context.Context, c *cli, std stdio) error {
	password, err := readSecret(std.in)
	if err != nil {
		return err
	}
	return withUser(ctx, c, u.User, func(users *accounts.Users, user accounts.User) error {
		return users.SetPassword(ctx, time.Now(), user.ID, password, caller.Operator())
	})
}

type usersDeleteCmd struct {
	User string `arg:"" help:"Username or id."`
}

func (u *usersDeleteCmd) Run(ctx context.Context, c *cli) error {
	return withUser(ctx, c, u.User, func(users *accounts.Users, user accounts.User) error {
		return users.Delete(ctx, time.Now(), user.ID, caller.Operator())
	})
}

// withUser calls do with the user of that name or id.
func withUser(ctx context.Context, c *cli, name string, do func(*accounts.Users, accounts.User) error) error {
	users, db, err := c.openUsers(ctx, nil)
	if err != nil {
		return err
	}
	defer db.Close()
	user, err := findUser(ctx, users, name)
	if err != nil {
		return err
	}
	return do(users, user)
}

// findUser returns a user by id or name. No name has the form of an id.
func findUser(ctx context.Context, users *accounts.Users, name string) (user accounts.User, err error) {
	if id, parseErr := ids.Parse[ids.User](name); parseErr == nil {
		user, err = users.ByID(ctx, id)
	} else {
		user, err = users.ByUsername(ctx, name)
	}
	if errors.Is(err, accounts.ErrUnknownUser) {
		return user, fmt.Errorf("no user is called %q: 'countersign users list' shows all", name)
	}
	return user, err
}
