package main

import (
	"context"
	"fmt"

	"countersign/configs"
	"countersign/store"
)

type migrateCmd struct{}

func (m *migrateCmd) Run(ctx context.Context, c *cli, std stdio) error {
	cfg, err := c.load(configs.Source{})
	if err != nil {
		return err
	}
	db, err := store.Open(ctx, cfg.Database.URL, store.Options{})
	if err != nil {
		return err
	}
	defer db.Close()
	v, err := db.SchemaVersion(ctx)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(std.out, "the schema is at version %d\n", v)
	return err
}
