package store

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"strconv"

	"github.com/pressly/goose/v3"
)

//go:embed sqlite/*.sql mysql/*.sql
var schemas embed.FS

// Schema versions. Within a release line migrations only add, so that replicas
// are upgraded one by one, and back, without stopping: a binary works on its own
// schema, on the one before (which it was told not to migrate), and on any newer
// one that doesn't say otherwise in the setting oldest_schema.
const (
	// Schema is the version of this binary's schema.
	Schema int64 = 5
	// oldestSchema is the oldest version that this binary works on without migrating:
	// the one before Schema, except in the first release, which has none before.
	oldestSchema int64 = 5
)

// build is what a build of countersign knows of schemas.
type build struct {
	migrations     fs.FS // a folder for each dialect
	schema, oldest int64
}

var thisBuild = build{schemas, Schema, oldestSchema}

// ErrSchemaNewer says that the database was written by a newer version.
var ErrSchemaNewer = errors.New("the database's schema is newer than this version of countersign can work on: run the newer version")

// ErrSchemaOlder says that the database needs migrating and Options forbid it.
var ErrSchemaOlder = errors.New("the database's schema is older than this version of countersign can work on: run 'countersign migrate'")

// errOldSchema says that the schema, which this binary was told not to migrate, has
// no room for something yet.
var errOldSchema = errors.New("the database's schema is too old for this: run 'countersign migrate'")

// gate returns errOldSchema, with err, if a statement failed because the schema is the
// one before this binary's and lacks a table or a column. All statements pass here, so
// what is new is unavailable until the schema is migrated, and queries don't ask for
// the version. Only a query that serves what is old, too, must ask db.older.
func (db *DB) gate(err error) error {
	if err != nil && db.older && db.dialect.isUndefined(err) {
		return fmt.Errorf("%w: %w", errOldSchema, err)
	}
	return err
}

// SchemaStatus is where a database's schema stands.
type SchemaStatus struct {
	Version int64 // of the database; 0 is none
	Target  int64 // what migrating brings it to
	Oldest  int64 // binaries of an older schema can't work on it
}

// SchemaState compares the schema of a database with that of this binary.
type SchemaState string

// The states of a schema.
const (
	SchemaCurrent SchemaState = "current"
	SchemaOlder   SchemaState = "older"   // this binary may migrate it; unmigrated, this binary works on the one before only
	SchemaNewer   SchemaState = "newer"   // a newer binary migrated it; this one works on it
	SchemaTooNew  SchemaState = "too_new" // a newer binary migrated it and forbids this one
)

// State returns how the schema stands: no other code compares Version with Target.
func (s SchemaStatus) State() SchemaState {
	switch {
	case s.Oldest > s.Target:
		return SchemaTooNew
	case s.Version > s.Target:
		return SchemaNewer
	case s.Version < s.Target:
		return SchemaOlder
	}
	return SchemaCurrent
}

// up migrates the schema to this binary's version, by the migration library.
func (db *DB) up(ctx context.Context) error {
	fsys, err := fs.Sub(db.build.migrations, db.dialect.migrations)
	if err != nil {
		return err
	}
	opts := []goose.ProviderOption{goose.WithLogger(goose.NopLogger()), goose.WithDisableGlobalRegistry(true)}
	if db.dialect.migrateLock != nil {
		lock, err := db.dialect.migrateLock()
		if err != nil {
			return err
		}
		opts = append(opts, lock)
	}
	conns, release := db.forSchema()
	defer release()
	p, err := goose.NewProvider(goose.Dialect(db.dialect.gooseName), conns, fsys, opts...)
	if err != nil {
		return err
	}
	_, err = p.UpTo(ctx, db.build.schema)
	return err
}

// migrate brings the schema to this binary's version, or if it may not, checks
// that the binary can work on it as it is. Two processes may do so at once.
func (db *DB) migrate(ctx context.Context, apply bool) error {
	for attempt := 1; ; attempt++ {
		err := db.tryMigrate(ctx, apply)
		// Another process may be creating the table of versions, or be a step ahead.
		if err == nil || attempt == 5 || ctx.Err() != nil || errors.Is(err, ErrSchemaNewer) || errors.Is(err, ErrSchemaOlder) {
			return err
		}
	}
}

func (db *DB) tryMigrate(ctx context.Context, apply bool) error {
	status, err := db.SchemaStatus(ctx)
	if err != nil {
		return err
	}
	switch state := status.State(); {
	case state == SchemaTooNew:
		return fmt.Errorf("%w (it has %d, this one knows %d)", ErrSchemaNewer, status.Version, status.Target)
	case state != SchemaOlder:
	case apply:
		if err := db.up(ctx); err != nil {
			return fmt.Errorf("migrate schema from %d to %d: %w", status.Version, status.Target, err)
		}
	case status.Version < db.build.oldest:
		return fmt.Errorf("%w (it has %d, this one needs %d)", ErrSchemaOlder, status.Version, status.Target)
	default:
		db.older = true
	}
	return nil
}

// ReadSchemaStatus tells where a database's schema stands, also where this binary
// can't work on it. It migrates nothing.
func ReadSchemaStatus(ctx context.Context, url string, opts Options) (SchemaStatus, error) {
	db, err := dial(ctx, url, opts)
	if err != nil {
		return SchemaStatus{}, err
	}
	defer db.Close()
	return db.SchemaStatus(ctx)
}

// SchemaStatus tells where the database's schema stands. It changes nothing.
func (db *DB) SchemaStatus(ctx context.Context) (SchemaStatus, error) {
	s := SchemaStatus{Target: db.build.schema}
	// Asked of the catalogue, for a question about a table that isn't there
	// fails like any other that fails.
	exists, err := db.has(ctx, "goose_db_version")
	if err != nil || !exists {
		return s, wrap("read schema version", err)
	}
	version, err := one(ctx, db, scanInt, `SELECT COALESCE(MAX(version_id), 0) FROM goose_db_version WHERE is_applied = 1`)
	if err != nil || version == 0 {
		return s, wrap("read schema version", err)
	}
	s.Version = version
	oldest, err := db.setting(ctx, "oldest_schema")
	if err == nil && oldest != "" {
		s.Oldest, err = strconv.ParseInt(oldest, 10, 64)
	}
	return s, wrap("read schema version", err)
}

// A move leaves out what the database says about its own schema, replicas and moves.
var settingTable = table{name: "settings", columns: columns("name text, value text"),
	where: "name NOT IN ('oldest_schema', '" + markName + "') AND name NOT LIKE 'turn.%'"}

// setting is what the database says about itself, empty if nothing.
func (db *DB) setting(ctx context.Context, name string) (string, error) {
	value, err := one(ctx, db, func(row scanner) (value string, err error) {
		err = row.Scan(&value)
		return value, err
	}, `SELECT value FROM settings WHERE name = ?`, name)
	if errors.Is(err, sql.ErrNoRows) {
		return "", nil
	}
	return value, err
}

// wrap says what was attempted when an error came, if one did.
func wrap(attempted string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", attempted, err)
}
