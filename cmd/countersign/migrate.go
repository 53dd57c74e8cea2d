package main

import (
	"context"
	"encoding/json"
	"fmt"

	"countersign/configs"
	"countersign/store"
)

type migrateCmd struct {
	Status bool `help:"Only print the schema's version; change nothing."`
	JSON   bool `help:"With --status, print one JSON document." name:"json"`
}

func (m *migrateCmd) Run(ctx context.Context, c *cli, std stdio) error {
	cfg, err := c.load(configs.Source{})
	if err != nil {
		return err
	}
	if m.Status {
		return m.status(ctx, cfg, std)
	}
	db, err := openStore(ctx, cfg, func(*store.Options) {})
	if err != nil {
		return err
	}
	defer db.Close()
	status, err := db.SchemaStatus(ctx)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(std.out, "the schema is at version %d\n", status.Version)
	return err
}

// schemaRecord is the status of a schema, as operators see it.
type schemaRecord struct {
	Version int64             `json:"version"` // of the database; 0: it has no schema
	Target  int64             `json:"target"`  // of this binary
	Oldest  int64             `json:"oldest"`  // binaries with an older schema can't use the database
	State   store.SchemaState `json:"state"`
	Advice  string            `json:"advice"`
}

func (m *migrateCmd) status(ctx context.Context, cfg *configs.Config, std stdio) error {
	opts, err := storeOptions(cfg)
	if err != nil {
		return err
	}
	opts.MustExist = true
	s, err := store.ReadSchemaStatus(ctx, cfg.Database.URL, opts)
	if err != nil {
		return err
	}
	r := schemaRecord{Version: s.Version, Target: s.Target, Oldest: s.Oldest, State: s.State()}
	switch r.State {
	case store.SchemaTooNew:
		r.Advice = "this binary can't use it: run a newer one"
	case store.SchemaNewer:
		r.Advice = "a newer binary migrated it; this one can still use it"
	case store.SchemaCurrent:
		r.Advice = "nothing to do"
	default:
		r.Advice = "run 'countersign migrate', or start a server with database.auto_migrate"
	}
	if m.JSON {
		return json.NewEncoder(std.out).Encode(r)
	}
	_, err = fmt.Fprintf(std.out, "the database's schema is at version %d, this binary's is %d: %s\n", r.Version, r.Target, r.Advice)
	return err
}
