package store

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"

	"github.com/pressly/goose/v3"
)

//go:embed sqlite/*.sql
var schemas embed.FS

// migrate brings the schema to this binary's version. Two processes may do so
// at once: each step is a transaction, so one of them finds it done.
func (db *DB) migrate(ctx context.Context, apply bool) error {
	fsys, err := fs.Sub(schemas, db.dialect.migrations)
	if err != nil {
		return err
	}
	p, err := goose.NewProvider(goose.Dialect(db.dialect.gooseName), db.write, fsys,
		goose.WithLogger(goose.NopLogger()), goose.WithDisableGlobalRegistry(true))
	if err != nil {
		return fmt.Errorf("load schema: %w", err)
	}
	for attempt := 1; ; attempt++ {
		current, target, err := p.GetVersions(ctx)
		if err != nil {
			if attempt < 5 && ctx.Err() == nil { // another process is creating the version table
				continue
			}
			return fmt.Errorf("read schema version: %w", err)
		}
		switch {
		case current > target:
			return fmt.Errorf("%w (it has %d, this one knows %d)", ErrSchemaNewer, current, target)
		case current == target:
			return nil
		case !apply:
			return fmt.Errorf("%w (it has %d, this one needs %d)", ErrSchemaOlder, current, target)
		}
		if _, err := p.Up(ctx); err != nil && (attempt == 5 || ctx.Err() != nil) {
			return fmt.Errorf("migrate schema from %d to %d: %w", current, target, err)
		}
	}
}

// SchemaVersion is the version of the database's schema.
func (db *DB) SchemaVersion(ctx context.Context) (int64, error) {
	var v sql.NullInt64
	err := db.read.QueryRowContext(ctx, `SELECT MAX(version_id) FROM goose_db_version WHERE is_applied = 1`).Scan(&v)
	if err == nil && !v.Valid {
		err = errors.New("no schema version recorded")
	}
	return v.Int64, err
}
