package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"countersign/api"
	"countersign/keys"
)

type keysCmd struct {
	List   keysListCmd   `cmd:"" help:"List the signing keys."`
	Rotate keysRotateCmd `cmd:"" help:"Start the next keys as early as verifiers' caches allow."`
	Revoke keysRevokeCmd `cmd:"" help:"Take a leaked key out of use at once; access tokens it signed become invalid."`
}

// keyColumns are those that a list has room for.
var keyColumns = []column[api.Key]{
	{"kid", func(k api.Key) string { return k.KID }, whole},
	{"alg", func(k api.Key) string { return k.Alg }, whole},
	{"state", func(k api.Key) string { return k.State }, whole},
	{"signs_from", func(k api.Key) string { return toMinute(k.SignsFrom) }, whole},
	{"signs_until", func(k api.Key) string { return toMinute(k.SignsUntil) }, whole},
}

// toMinute leaves the seconds out of a time.
func toMinute(at string) string {
	t, err := time.Parse(time.RFC3339Nano, at)
	if err != nil {
		return at
	}
	return t.Format("2006-01-02T15:04Z07:00")
}

type keysListCmd struct{ printing }

func (l *keysListCmd) Run(ctx context.Context, c *cli, std stdio) error {
	ring, db, err := c.openKeys(ctx, false)
	if err != nil {
		return err
	}
	defer db.Close()
	return listKeys(ctx, ring, l.printing, std)
}

type keysRotateCmd struct{ printing }

func (r *keysRotateCmd) Run(ctx context.Context, c *cli, std stdio) error {
	ring, db, err := c.openKeys(ctx, true)
	if err != nil {
		return err
	}
	defer db.Close()
	if _, err := ring.Rotate(ctx); err != nil {
		return err
	}
	return listKeys(ctx, ring, r.printing, std)
}

type keysRevokeCmd struct {
	printing
	KID string `arg:"" name:"kid" help:"The key's id. Put -- before one that begins with a hyphen."`
}

func (r *keysRevokeCmd) Run(ctx context.Context, c *cli, std stdio) error {
	ring, db, err := c.openKeys(ctx, true)
	if err != nil {
		return err
	}
	defer db.Close()
	err = ring.Revoke(ctx, r.KID)
	if errors.Is(err, keys.ErrUnknownKey) {
		return fmt.Errorf("no signing key has the id %q: 'countersign keys list' shows all", r.KID)
	}
	if err != nil {
		return err
	}
	return listKeys(ctx, ring, r.printing, std)
}

// listKeys prints the keys as they are now.
func listKeys(ctx context.Context, ring *keys.Ring, p printing, std stdio) error {
	all, err := ring.List(ctx, time.Now())
	if err != nil {
		return err
	}
	return printList(p, std.out, api.List(all, api.DescribeKey), keyColumns)
}
