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

var keyColumns = []column[api.Key]{
	{"kid", func(k api.Key) string { return k.KID }},
	{"alg", func(k api.Key) string { return k.Alg }},
	{"state", func(k api.Key) string { return k.State }},
	{"published_from", func(k api.Key) string { return k.PublishedFrom }},
	{"signs_from", func(k api.Key) string { return k.SignsFrom }},
	{"signs_until", func(k api.Key) string { return k.SignsUntil }},
	{"published_until", func(k api.Key) string { return k.PublishedUntil }},
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
