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

// Schema versions. Within a release line migrations only add, so that an operator can
// upgrade replicas one by one, and back, without stopping: a binary works on its own
// schema, on those from oldestSchema on (if told not to migrate them), and on any newer
// one whose setting oldest_schema allows it.
const (
	// Schema is the version of this binary's schema.
	Schema int64 = 19
	// oldestSchema is the oldest version that this binary works on without migrating.
	oldestSchema int64 = 6
)

// build is what a build of countersign knows about schemas.
type build struct {
	migrations     fs.FS // a folder for each dialect
	schema, oldest int64
}

var thisBuild = build{schemas, Schema, oldestSchema}

// ErrSchemaNewer says that the database was written by a newer version.
var ErrSchemaNewer = errors.New("the database's schema is newer than this version of countersign can use: run the newer version")

// ErrSchemaOlder says that the database needs a migration, which Options forbid.
var ErrSchemaOlder = errors.New("the database's schema is older than this version of countersign can use: run 'countersign migrate'")

// errOldSchema says that the schema, which this binary was told not to migrate, lacks a
// table or a column.
var errOldSchema = errors.New("the database's schema is too old for this: run 'countersign migrate'")

// gate returns errOldSchema, with err, if a statement failed because the schema is older
// than this binary's and lacks a table or a column. Every statement's error passes
// here, so queries need not check the version: what is new is unavailable until the schema
// is migrated. Only a query that must also work on the old schema checks db.older.
func (db *DB) gate(err error) error {
	if err != nil && db.older && db.dialect.isUndefined(err) {
		return fmt.Errorf("%w: %w", errOldSchema, err)
	}
	return err
}

// SchemaStatus compares a database's schema with this binary's.
type SchemaStatus struct {
	Version int64 // of the database; 0 is none
	Target  int64 // after a migration
	Oldest  int64 // binaries with an older schema can't work on it
}

// SchemaState compares the schema of a database with that of this binary.
type SchemaState string

// The states of a schema.
const (
	SchemaCurrent SchemaState = "current"
	SchemaOlder   SchemaState = "older"   // this binary may migrate it; unmigrated, this binary works on it from oldestSchema on
	SchemaNewer   SchemaState = "newer"   // a newer binary migrated it; this one can still use it
	SchemaTooNew  SchemaState = "too_new" // a newer binary migrated it and forbids this one
)

// State returns the state of the schema. No other code compares Version with Target.
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

// up migrates the schema to this binary's version with the migration library.
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

// migrate migrates the schema to this binary's version if apply is true, and otherwise
// checks that the binary can work on it as it is. Two processes may do so at once.
func (db *DB) migrate(ctx context.Context, apply bool) error {
	for attempt := 1; ; attempt++ {
		err := db.tryMigrate(ctx, apply)
		// Another process may be creating the table of versions, or be one step ahead.
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

// ReadSchemaStatus returns the status of a database's schema, even if this binary can't
// work on it. It migrates nothing.
func ReadSchemaStatus(ctx context.Context, url string, opts Options) (SchemaStatus, error) {
	db, err := dial(ctx, url, opts)
	if err != nil {
		return SchemaStatus{}, err
	}
	defer db.Close()
	return db.SchemaStatus(ctx)
}

// SchemaStatus returns the status of the database's schema. It changes nothing.
func (db *DB) SchemaStatus(ctx context.Context) (SchemaStatus, error) {
	s := SchemaStatus{Target: db.build.schema}
	// The catalogue tells, because the error of a query of a missing table looks like
	// any other.
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

// settingTable leaves out the settings about the database's own schema, replicas and
// moves, which a move does not copy.
var settingTable = table{name: "settings", columns: columns("name text, value text"),
	where: "name NOT IN ('oldest_schema', '" + markName + "') AND name NOT LIKE 'turn.%'"}

// setting returns a setting of the database, or the empty text if it has no value.
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

// wrap adds what was attempted to an error. A nil error stays nil.
func wrap(attempted string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", attempted, err)
}
