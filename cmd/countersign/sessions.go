package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"countersign/accounts"
	"countersign/api"
	"countersign/caller"
	"countersign/ids"
	"countersign/tokens"
)

type sessionsCmd struct {
	List   sessionsListCmd   `cmd:"" help:"List a user's sessions."`
	Revoke sessionsRevokeCmd `cmd:"" help:"End one session, or all of a user's."`
}

// sessionColumns are those that a list of one user's has room for.
var sessionColumns = []column[api.Session]{
	{"id", func(s api.Session) string { return s.ID }, whole},
	{"client_id", func(s api.Session) string { return s.ClientID }, cut},
	{"last_used_at", func(s api.Session) string { return s.LastUsedAt }, whole},
	{"device", func(s api.Session) string { return s.Device }, cut},
}

type sessionsListCmd struct {
	printing
	User string `required:"" placeholder:"U" help:"Username, id or e-mail address."`
}

func (l *sessionsListCmd) Run(ctx context.Context, c *cli, std stdio) error {
	return withSessions(ctx, c, func(sessions tokens.Sessions, users *accounts.Users) error {
		user, err := findUser(ctx, users, l.User)
		if err != nil {
			return err
		}
		all, err := sessions.OfUser(ctx, time.Now(), user.ID)
		if err != nil {
			return err
		}
		return printList(l.printing, std.out, api.List(all, api.DescribeSession), sessionColumns)
	})
}

type sessionsRevokeCmd struct {
	ID   string `arg:"" optional:"" help:"The session's id."`
	User string `placeholder:"U" help:"End all sessions of this user (name, id or e-mail address)."`
}

func (r *sessionsRevokeCmd) Run(ctx context.Context, c *cli, std stdio) error {
	if (r.ID == "") == (r.User == "") {
		return fmt.Errorf("name one session, or a user with --user: %w", errUsage)
	}
	return withSessions(ctx, c, func(sessions tokens.Sessions, users *accounts.Users) error {
		if r.User != "" {
			user, err := findUser(ctx, users, r.User)
			if err != nil {
				return err
			}
			n, err := sessions.EndUserSessions(ctx, time.Now(), user.ID, caller.Operator())
			if err != nil {
				return err
			}
			std.note("ended %d sessions", n)
			return nil
		}
		id, err := ids.Parse[ids.Session](r.ID)
		if err == nil {
			err = sessions.EndSession(ctx, time.Now(), id, caller.Operator())
		}
		if err != nil && (id.IsZero() || errors.Is(err, tokens.ErrUnknown)) {
			return fmt.Errorf("no live session has the id %q: 'countersign sessions list --user U' shows them", r.ID)
		}
		return err
	})
}

// withSessions opens the sessions and users for do.
func withSessions(ctx context.Context, c *cli, do func(tokens.Sessions, *accounts.Users) error) error {
	users, db, err := c.openUsers(ctx, nil)
	if err != nil {
		return err
	}
	defer db.Close()
	return do(tokens.NewSessions(db), users)
}
