package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"countersign/accounts"
	"countersign/api"
	"countersign/caller"
	"countersign/ids"
	"countersign/secrecy"
)

type usersCmd struct {
	Create       usersCreateCmd       `cmd:"" help:"Create an account."`
	List         usersListCmd         `cmd:"" help:"List accounts, page by page."`
	Search       usersSearchCmd       `cmd:"" help:"Find accounts by the beginning of a name, an address or an id."`
	Show         usersShowCmd         `cmd:"" help:"Show one account."`
	Disable      usersDisableCmd      `cmd:"" help:"Disable a user and end all their sessions."`
	Enable       usersEnableCmd       `cmd:"" help:"Let a disabled user sign in again."`
	SetEmail     usersSetEmailCmd     `cmd:"" help:"Give a user another e-mail address."`
	VerifyEmail  usersVerifyEmailCmd  `cmd:"" help:"Mark a user's e-mail address as proven."`
	AddRole      usersAddRoleCmd      `cmd:"" help:"Give a user a role."`
	RemoveRole   usersRemoveRoleCmd   `cmd:"" help:"Take a role from a user."`
	Unlock       usersUnlockCmd       `cmd:"" help:"Forget the wrong passwords tried at an account, so that its user need not wait."`
	ResetFactors usersResetFactorsCmd `cmd:"" help:"Remove a user's authenticator apps, passkeys and recovery codes, if they are lost."`
	SetPassword  usersSetPasswordCmd  `cmd:"" help:"Replace a user's password and end all their sessions."`
	SetProfile   usersSetProfileCmd   `cmd:"" help:"Change a user's profile: name, address and so on."`
	Delete       usersDeleteCmd       `cmd:"" help:"Delete an account and its sessions."`
}

var userColumns = []column[api.User]{
	{"id", func(u api.User) string { return u.ID }, whole},
	{"username", func(u api.User) string { return u.Username }, cut},
	{"email", func(u api.User) string { return u.Email }, cut},
	{"email_verified", func(u api.User) string { return yesNo(u.EmailVerified) }, whole},
	{"roles", func(u api.User) string { return strings.Join(u.Roles, ",") }, cut},
	{"disabled", func(u api.User) string { return yesNo(u.Disabled) }, cut},
	{"created_at", func(u api.User) string { return u.CreatedAt }, cut},
}

// userListColumns are those that a list has room for.
var userListColumns = slices.Concat(userColumns[:3], []column[api.User]{
	{"verified", func(u api.User) string { return yesNo(u.EmailVerified) }, whole},
}, userColumns[4:6])

type usersCreateCmd struct {
	printing
	Username      string   `placeholder:"U" help:"Name to sign in with; this or an address is needed."`
	Email         string   `placeholder:"E" help:"E-mail address, to sign in with, too."`
	EmailVerified bool     `help:"The address is proven: no letter has to."`
	Role          []string `placeholder:"R" help:"Role; may be repeated."`
	PasswordStdin bool     `required:"" xor:"password" help:"Read the password from standard input; a terminal is asked for it."`
	NoPassword    bool     `required:"" xor:"password" help:"No password opens the account, until its user or you set one."`
}

func (u *usersCreateCmd) Run(ctx context.Context, c *cli, std stdio) error {
	var password secrecy.Text
	if u.PasswordStdin {
		var err error
		if password, err = std.secret(ctx, "Password"); err != nil {
			return err
		}
	}
	users, db, err := c.openUsers(ctx, std.err)
	if err != nil {
		return err
	}
	defer db.Close()
	user, err := users.Create(ctx, time.Now(), accounts.NewUser{
		Username: u.Username, Email: u.Email, EmailVerified: u.EmailVerified, Password: password, NoPassword: u.NoPassword, Roles: u.Role,
	}, caller.Operator())
	if err != nil {
		return err
	}
	if u.NoPassword {
		std.note("%[1]s has no password: 'countersign users set-password %[1]s' sets one, and so can the user by mail, if the server sends mail and knows an address.", nameOf(user))
	}
	return printOne(u.printing, std.out, api.DescribeUser(user), userColumns)
}

type usersListCmd struct {
	printing
	Limit *int   `placeholder:"N" help:"Print this many at most (100); 0 prints all."`
	After string `placeholder:"U" help:"Begin after this username, or the id of an account without one: the last printed before."`
}

func (u *usersListCmd) Run(ctx context.Context, c *cli, std stdio) error {
	users, db, err := c.openUsers(ctx, nil)
	if err != nil {
		return err
	}
	defer db.Close()
	after := accounts.User{Username: u.After} // names may be listed after what is no name, such as a prefix of one
	if name, err := accounts.NormalizeUsername(u.After); err == nil {
		after.Username = name
	}
	if id, err := ids.Parse[ids.User](u.After); err == nil {
		after = accounts.User{ID: id}
	}
	left := listedAtOnce
	if u.Limit != nil {
		left = cmp.Or(*u.Limit, math.MaxInt)
	}
	out := newListPrinter(u.printing, std.out, userListColumns)
	for {
		page := min(left, 1000) // bounds the memory
		batch, err := users.List(ctx, after, page+1)
		if err != nil {
			return err
		}
		more := len(batch) > page
		batch = batch[:min(len(batch), page)]
		if err := out.print(api.List(batch, api.DescribeUser)); err != nil {
			return err
		}
		if len(batch) == 0 && u.After == "" {
			std.note("There is no account: 'countersign users create --help' says how to add one.")
		}
		if left -= len(batch); !more || left == 0 {
			if more && u.Limit == nil {
				last := batch[page-1]
				std.note("There are more than these %d: '--after %s' goes on, '--limit 0' prints all, and 'countersign users search TEXT' finds one.",
					listedAtOnce, cmp.Or(last.Username, last.ID.String()))
			}
			return out.close()
		}
		after = batch[page-1]
	}
}

// listedAtOnce is how many accounts a list without a --limit has.
const listedAtOnce = 100

// Validate is called by kong.
func (u *usersListCmd) Validate() error {
	if u.Limit != nil && *u.Limit < 0 {
		return errors.New("--limit must not be negative")
	}
	return nil
}

type usersSearchCmd struct {
	printing
	Text  string `arg:"" help:"The beginning of a username, an e-mail address or an id."`
	Limit int    `placeholder:"N" default:"100" help:"Print this many at most (${default})."`
}

func (u *usersSearchCmd) Run(ctx context.Context, c *cli, std stdio) error {
	users, db, err := c.openUsers(ctx, nil)
	if err != nil {
		return err
	}
	defer db.Close()
	found, more, err := users.Search(ctx, u.Text, u.Limit)
	if err != nil {
		return err
	}
	switch {
	case more:
		std.note("There are more than these %d: give more of the text, or a larger --limit.", u.Limit)
	case len(found) == 0:
		std.note("No username, address or id begins with %q.", u.Text)
	}
	return printList(u.printing, std.out, api.List(found, api.DescribeUser), userListColumns)
}

// Validate is called by kong.
func (u *usersSearchCmd) Validate() error {
	if u.Limit < 1 {
		return errors.New("--limit must be at least 1")
	}
	return nil
}

type usersDisableCmd struct {
	User string `arg:"" help:"Username, id or e-mail address."`
}

func (u *usersDisableCmd) Run(ctx context.Context, c *cli) error {
	return withUser(ctx, c, u.User, func(users *accounts.Users, user accounts.User) error {
		return users.Disable(ctx, time.Now(), user.ID, caller.Operator())
	})
}

type usersEnableCmd struct {
	User string `arg:"" help:"Username, id or e-mail address."`
}

func (u *usersEnableCmd) Run(ctx context.Context, c *cli) error {
	return withUser(ctx, c, u.User, func(users *accounts.Users, user accounts.User) error {
		return users.Enable(ctx, time.Now(), user.ID, caller.Operator())
	})
}

type usersSetEmailCmd struct {
	printing
	User     string `arg:"" help:"Username, id or e-mail address."`
	Email    string `arg:"" help:"The new address."`
	Verified bool   `help:"The address is proven: no letter has to."`
}

func (u *usersSetEmailCmd) Run(ctx context.Context, c *cli, std stdio) error {
	return withUser(ctx, c, u.User, func(users *accounts.Users, user accounts.User) error {
		changed, err := users.SetEmail(ctx, time.Now(), user, u.Email, u.Verified, caller.Operator())
		if errors.Is(err, accounts.ErrEmailTaken) {
			return fmt.Errorf("%s belongs to another account, which 'countersign users show %[1]s' shows", u.Email)
		}
		if err != nil {
			return err
		}
		return printOne(u.printing, std.out, api.DescribeUser(changed), userColumns)
	})
}

type usersVerifyEmailCmd struct {
	printing
	User string `arg:"" help:"Username, id or e-mail address."`
}

func (u *usersVerifyEmailCmd) Run(ctx context.Context, c *cli, std stdio) error {
	return withUser(ctx, c, u.User, func(users *accounts.Users, user accounts.User) error {
		proven, err := users.VerifyEmail(ctx, time.Now(), user, caller.Operator())
		switch {
		case errors.Is(err, accounts.ErrNoEmail) && user.Email == "":
			return fmt.Errorf("%s has no e-mail address: the user has to add one first", nameOf(user))
		case errors.Is(err, accounts.ErrNoEmail):
			return fmt.Errorf("%s no longer has the address %s: see 'countersign users show'", nameOf(user), user.Email)
		case errors.Is(err, accounts.ErrEmailTaken):
			return fmt.Errorf("%s belongs to another account, which 'countersign users show %[1]s' shows: an address is one account's alone; delete the other account, or have its user change the address", user.Email)
		case err != nil:
			return err
		}
		return printOne(u.printing, std.out, api.DescribeUser(proven), userColumns)
	})
}

type usersAddRoleCmd struct {
	printing
	User string `arg:"" help:"Username, id or e-mail address."`
	Role string `arg:"" help:"The role."`
}

func (u *usersAddRoleCmd) Run(ctx context.Context, c *cli, std stdio) error {
	return withUser(ctx, c, u.User, func(users *accounts.Users, user accounts.User) error {
		changed, err := users.AddRole(ctx, time.Now(), user.ID, u.Role, caller.Operator())
		if err != nil {
			return err
		}
		if slices.Contains(user.Roles, u.Role) {
			std.note("Nothing changes: %s has the role %s already.", u.User, u.Role)
		}
		return printOne(u.printing, std.out, api.DescribeUser(changed), userColumns)
	})
}

type usersRemoveRoleCmd struct {
	printing
	User string `arg:"" help:"Username, id or e-mail address."`
	Role string `arg:"" help:"The role."`
}

func (u *usersRemoveRoleCmd) Run(ctx context.Context, c *cli, std stdio) error {
	return withUser(ctx, c, u.User, func(users *accounts.Users, user accounts.User) error {
		changed, err := users.RemoveRole(ctx, time.Now(), user.ID, u.Role, caller.Operator())
		if err != nil {
			return err
		}
		if !slices.Contains(user.Roles, u.Role) {
			std.note("Nothing changes: %s does not have the role %s.", u.User, u.Role)
		}
		return printOne(u.printing, std.out, api.DescribeUser(changed), userColumns)
	})
}

type usersUnlockCmd struct {
	User string `arg:"" help:"Username, id or e-mail address."`
}

func (u *usersUnlockCmd) Run(ctx context.Context, c *cli, std stdio) error {
	return withUser(ctx, c, u.User, func(users *accounts.Users, user accounts.User) error {
		unlocked, err := users.Unlock(ctx, time.Now(), user.ID, caller.Operator())
		if err == nil && !unlocked {
			std.note("Nothing changes: no wrong password of %s counts. A network that tried too many at all accounts waits by itself; 'users show' says whether the account is disabled.", u.User)
		}
		return err
	})
}

type usersSetPasswordCmd struct {
	User          string `arg:"" help:"Username, id or e-mail address."`
	PasswordStdin bool   `required:"" help:"Read the password from standard input; a terminal is asked for it."`
}

func (u *usersSetPasswordCmd) Run(ctx context.Context, c *cli, std stdio) error {
	return withUser(ctx, c, u.User, func(users *accounts.Users, user accounts.User) error {
		password, err := std.secret(ctx, "Password")
		if err != nil {
			return err
		}
		return users.SetPassword(ctx, time.Now(), user.ID, password, caller.Operator())
	})
}

type usersDeleteCmd struct {
	User string `arg:"" help:"Username, id or e-mail address."`
}

func (u *usersDeleteCmd) Run(ctx context.Context, c *cli) error {
	return withUser(ctx, c, u.User, func(users *accounts.Users, user accounts.User) error {
		return users.Delete(ctx, time.Now(), user.ID, caller.Operator())
	})
}

// nameOf returns what a user is called by: the username, the address or the id.
func nameOf(u accounts.User) string { return cmp.Or(u.Username, u.Email, u.ID.String()) }

// withUser calls do with the user of that name, id or address.
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

// findUser returns a user by id, name or address. No name has the form of an id; a name
// with an @, which older versions let users have, goes before an address.
func findUser(ctx context.Context, users *accounts.Users, name string) (user accounts.User, err error) {
	if id, parseErr := ids.Parse[ids.User](name); parseErr == nil {
		user, err = users.ByID(ctx, id)
	} else if user, err = users.ByUsername(ctx, name); errors.Is(err, accounts.ErrUnknownUser) && strings.Contains(name, "@") {
		user, err = users.ByEmail(ctx, name)
	}
	if errors.Is(err, accounts.ErrUnknownUser) && strings.Contains(name, "@") {
		user, err = findHolder(ctx, users, name)
	}
	if errors.Is(err, accounts.ErrUnknownUser) {
		return user, fmt.Errorf("no user is called %q: 'countersign users search TEXT' finds names, addresses and ids that begin so", name)
	}
	return user, err
}

// findHolder returns the user who holds an address that no account claims.
func findHolder(ctx context.Context, users *accounts.Users, address string) (accounts.User, error) {
	found, _, err := users.Search(ctx, address, 100) // in order, so that those with the address itself come first
	if err != nil {
		return accounts.User{}, accounts.ErrUnknownUser // it is none
	}
	key := accounts.EmailKey(strings.TrimSpace(address))
	found = slices.DeleteFunc(found, func(u accounts.User) bool { return accounts.EmailKey(u.Email) != key })
	switch len(found) {
	case 0:
		return accounts.User{}, accounts.ErrUnknownUser
	case 1:
		return found[0], nil
	default:
		return accounts.User{}, fmt.Errorf("%d accounts hold the address %s, unproven: name one by its id, which 'countersign users search %[2]s' shows", len(found), address)
	}
}
