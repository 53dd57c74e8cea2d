package store

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
)

// MoveOptions change how a database is moved.
type MoveOptions struct {
	// Batch is how many rows are copied in one transaction; 0 is DefaultBatch.
	Batch int
	// Restart first empties a copy that this or another move began.
	Restart bool
	// From and To open the two databases; only their connection options count.
	From, To Options
	// Progress, if set, is called often with the progress of the move.
	Progress func(MoveProgress)
}

// DefaultBatch is how many rows a move copies in one transaction unless MoveOptions say
// otherwise.
const DefaultBatch = 5000

// MoveProgress is the progress of a move with a table. The first report about a table
// gives the number of rows copied before.
type MoveProgress struct {
	Verifying   bool // all rows are copied
	Table       string
	Done, Total int64 // rows
}

// A MovedTable reports on a table that was moved.
type MovedTable struct {
	Name   string
	Rows   int64
	SHA256 [32]byte // of all its rows in the order of their keys; the same in every dialect
}

// Reasons why a move can't begin or end.
var (
	// ErrNotEmpty says that the database to move to has rows.
	ErrNotEmpty = errors.New("the database to move to is not empty")
	// ErrOtherMove says that the database to move to belongs to another move.
	ErrOtherMove = errors.New("the database to move to belongs to another move")
	// ErrSameDatabase says that a database can't be moved to itself.
	ErrSameDatabase = errors.New("the database to move to is the one to move from")
	// ErrNotTheSame says that the copy differs from the original.
	ErrNotTheSame = errors.New("the copy differs from the original")
	// ErrNotMoving says that there is no move to give up.
	ErrNotMoving = errors.New("this database is not being moved")
)

// Move copies the database at one URL into the empty database at another, and returns an
// error unless the copy is the same. From the beginning of the move [Open] refuses the
// original and no process can change it, though on SQLite one that has it open can still
// read. Until the end of the move Open refuses the copy. An interrupted move goes on when
// it is called again with the same URLs; [AbandonMove] gives it up.
func Move(ctx context.Context, from, to string, opts MoveOptions) ([]MovedTable, error) {
	opts.Batch = cmp.Or(opts.Batch, DefaultBatch)
	m := &move{opts: opts, fromName: placeOf(from), toName: placeOf(to)}
	var err error
	opts.From.MustExist = true
	if m.from, err = dialToMove(ctx, from, opts.From); err != nil {
		return nil, err
	}
	defer m.from.Close()
	if err := m.checkSource(ctx); err != nil {
		return nil, err
	}
	opts.To.MustExist = m.source.state == left // then it needs its own copy
	if m.to, err = dialToMove(ctx, to, opts.To); errors.Is(err, ErrNoDatabase) {
		return nil, m.source.refusal()
	} else if err != nil {
		return nil, wrap("the database to move to", err)
	}
	defer m.to.Close()
	if err := m.begin(ctx); err != nil {
		return nil, err
	}
	if err := m.to.dialect.move.hurry(ctx, m.to, true); err != nil {
		return nil, err
	}
	for _, t := range movedTables {
		if err := m.copy(ctx, t); err != nil {
			return nil, wrap("copy "+t.name, err)
		}
	}
	if err := m.copyNumbering(ctx); err != nil {
		return nil, wrap("copy the numbering of events", err)
	}
	var moved []MovedTable
	for _, t := range movedTables {
		digest, err := m.verify(ctx, t)
		if err != nil {
			return nil, wrap("verify "+t.name, err)
		}
		moved = append(moved, digest)
	}
	return moved, wrap("finish", m.finish(ctx))
}

// dialToMove opens a database as it is, with no limit on the time of a query: no client
// waits while a move counts all rows.
func dialToMove(ctx context.Context, url string, opts Options) (*DB, error) {
	db, err := dial(ctx, url, opts)
	if err != nil {
		return nil, err
	}
	if conns, _ := db.forSchema(); conns != db.write {
		db.write.Close()
		db.read, db.write = conns, conns
	}
	return db, nil
}

// placeOf returns the name of a database without secrets.
func placeOf(url string) string {
	if source, err := parseMySQL(url); err == nil {
		return source.String()
	}
	_, path, _ := strings.Cut(url, ":")
	if absolute, err := filepath.Abs(path); err == nil {
		path = absolute
	}
	return "sqlite:" + path
}

// move is a move under way.
type move struct {
	opts             MoveOptions
	from, to         *DB
	fromName, toName string
	source, target   mark // as they are now
}

// checkSource refuses an original that is an unfinished copy, or whose schema is not this
// binary's.
func (m *move) checkSource(ctx context.Context) error {
	s, err := m.from.SchemaStatus(ctx)
	if err != nil {
		return err
	}
	switch s.State() {
	case SchemaNewer, SchemaTooNew:
		return fmt.Errorf("the database's schema has version %d, this binary's is %d: use the newer binary", s.Version, s.Target)
	case SchemaOlder:
		return fmt.Errorf("the database's schema has version %d, this binary's is %d: run 'countersign migrate' first", s.Version, s.Target)
	}
	m.source, err = m.from.mark(ctx)
	if err == nil && m.source.state == arriving {
		err = m.source.refusal()
	}
	return err
}

// begin marks both databases as part of this move: the copy first, so that no original is
// without one, and then the original, which it freezes.
func (m *move) begin(ctx context.Context) error {
	s, err := m.to.SchemaStatus(ctx)
	if state := s.State(); err == nil && (state == SchemaNewer || state == SchemaTooNew) {
		err = fmt.Errorf("its schema has version %d, this binary's is %d: use the newer binary", s.Version, s.Target)
	}
	if err == nil {
		m.target, err = m.to.mark(ctx)
	}
	if err != nil {
		return wrap("the database to move to", err)
	}
	resumed := m.target.state == arriving && m.target.id == m.source.id && !m.opts.Restart
	switch {
	case resumed:
	case m.source.state == left:
		return m.source.refusal()
	case m.target.state == arriving && !m.opts.Restart:
		err := m.checkEmpty(ctx)
		if errors.Is(err, ErrNotEmpty) {
			return fmt.Errorf("%w: it is an unfinished copy of %s; --restart empties it first", ErrOtherMove, m.target.other)
		}
		if err != nil {
			return err
		}
	case m.target.state == leaving, m.target.state == left:
		if m.target.id == m.source.id {
			return ErrSameDatabase
		}
		return fmt.Errorf("%w: name an empty database (%w)", ErrOtherMove, m.target.refusal())
	case m.target.state == "":
		if err := m.checkEmpty(ctx); err != nil {
			return err
		}
	}
	if err := m.to.migrate(ctx, true); err != nil {
		return wrap("the database to move to", err)
	}
	if !resumed {
		if err := m.claim(ctx); err != nil {
			return err
		}
	}
	err = m.from.dialect.move.freeze(ctx, m.from)
	if err != nil && m.from.IsUnavailable(err) && ctx.Err() == nil {
		err = fmt.Errorf("another program is at work there, stop the servers: %w", err)
	}
	return wrap("freeze the database to move", err)
}

// checkEmpty refuses a database that has rows.
func (m *move) checkEmpty(ctx context.Context) error {
	for _, t := range movedTables {
		there, err := m.to.has(ctx, t.name)
		empty := !there
		if err == nil && there {
			empty, err = m.to.isEmpty(ctx, t)
		}
		if err != nil {
			return wrap("the database to move to", err)
		}
		if !empty {
			return fmt.Errorf("%w: there are rows in its table %s; name an empty database", ErrNotEmpty, t.name)
		}
	}
	return nil
}

// claim gives both databases the mark of a new move.
func (m *move) claim(ctx context.Context) error {
	id := rand.Text()
	if err := m.setTarget(ctx, mark{arriving, id, m.fromName}); err != nil {
		return wrap("the database to move to", err)
	}
	if m.opts.Restart {
		// The original isn't part of this move yet: if emptying is interrupted, no
		// move takes the rest for the beginning of a copy.
		for i := len(movedTables) - 1; i >= 0; i-- {
			if err := m.to.empty(ctx, movedTables[i], m.opts.Batch); err != nil {
				return wrap("empty the database to move to", err)
			}
		}
	}
	err := m.setSource(ctx, mark{leaving, id, m.toName})
	if errors.Is(err, errMarkChanged) {
		if held, _ := m.from.mark(ctx); held.id == id { // then both are one
			return errors.Join(ErrSameDatabase, m.setTarget(ctx, mark{}))
		}
	}
	return err
}

func (m *move) setSource(ctx context.Context, is mark) error {
	err := m.from.setMark(ctx, m.source, is)
	if err == nil {
		m.source = is
	}
	return err
}

func (m *move) setTarget(ctx context.Context, is mark) error {
	err := m.to.setMark(ctx, m.target, is)
	if err == nil {
		m.target = is
	}
	return err
}

// frozen returns the present name of one of the original's tables.
func (m *move) frozen(t table) string { return m.from.dialect.move.frozenName(t.name) }

func (m *move) report(p MoveProgress) {
	if m.opts.Progress != nil {
		m.opts.Progress(p)
	}
}

// copy copies the missing rows. Both databases order keys by their bytes, and the original
// doesn't change, so the copy always has the original's first rows, and copying goes on
// after the last of them.
func (m *move) copy(ctx context.Context, t table) error {
	total, err1 := m.from.count(ctx, t, m.frozen(t))
	done, err2 := m.to.count(ctx, t, t.name)
	after, err3 := m.to.last(ctx, t)
	if err := errors.Join(err1, err2, err3); err != nil {
		return err
	}
	m.report(MoveProgress{false, t.name, done, total})
	type read struct {
		page []row
		err  error
	}
	ahead := make(chan read, 1) // the next page, read while one is written
	next := func(after any) {
		page, err := m.from.page(ctx, t, m.frozen(t), after, m.opts.Batch)
		ahead <- read{page, err}
	}
	go next(after)
	for {
		r := <-ahead
		if r.err != nil || len(r.page) == 0 {
			return r.err
		}
		go next(r.page[len(r.page)-1][0])
		if err := m.to.insert(ctx, t, m.target, r.page); err != nil {
			<-ahead
			return err
		}
		done += int64(len(r.page))
		m.report(MoveProgress{false, t.name, done, total})
	}
}

// copyNumbering continues the numbers of events where the original ended.
func (m *move) copyNumbering(ctx context.Context) error {
	want, err := m.from.dialect.move.nextEvent(ctx, m.from, m.from.dialect.move.frozenName(eventTable.name))
	if err != nil {
		return err
	}
	next, err := m.to.dialect.move.nextEvent(ctx, m.to, eventTable.name)
	if err != nil || next >= want {
		return err
	}
	return m.to.dialect.move.setNextEvent(ctx, m.to, eventTable.name, want)
}

// verify reads a table on both sides in parallel and compares the digests.
func (m *move) verify(ctx context.Context, t table) (MovedTable, error) {
	total, err := m.from.count(ctx, t, m.frozen(t))
	if err != nil {
		return MovedTable{}, err
	}
	m.report(MoveProgress{true, t.name, 0, total})
	var original, copied MovedTable
	var err1, err2 error
	var wg sync.WaitGroup
	wg.Go(func() { copied, err2 = m.to.digest(ctx, t, t.name, m.opts.Batch, nil) })
	original, err1 = m.from.digest(ctx, t, m.frozen(t), m.opts.Batch, func(n int64) {
		m.report(MoveProgress{true, t.name, n, total})
	})
	wg.Wait()
	switch err := errors.Join(err1, err2); {
	case err != nil:
		return original, err
	case original.Rows != copied.Rows:
		return original, fmt.Errorf("%w: %d rows became %d; --restart copies everything again", ErrNotTheSame, original.Rows, copied.Rows)
	case original != copied:
		return original, fmt.Errorf("%w: some of the %d rows differ; --restart copies everything again", ErrNotTheSame, original.Rows)
	}
	return original, nil
}

// finish releases the copy for use. It closes the original permanently first, so that both
// are never in use.
func (m *move) finish(ctx context.Context) error {
	if m.source.state == leaving {
		if err := m.setSource(ctx, mark{left, m.source.id, m.toName}); err != nil {
			return err
		}
	}
	if err := m.to.dialect.move.hurry(ctx, m.to, false); err != nil {
		return err
	}
	return m.setTarget(ctx, mark{})
}

// AbandonMove makes the original of an unfinished move usable again. The copy stays
// unusable. After a finished move the sessions go on in the copy, so AbandonMove then
// refuses unless goBack is true.
func AbandonMove(ctx context.Context, url string, opts Options, goBack bool) error {
	opts.MustExist = true
	db, err := dialToMove(ctx, url, opts)
	if err != nil {
		return err
	}
	defer db.Close()
	m, err := db.mark(ctx)
	switch {
	case err != nil:
		return err
	case m.state == "":
		// A move that was killed may have frozen the database after it was given up.
		return errors.Join(db.dialect.move.thaw(ctx, db), ErrNotMoving)
	case m.state == arriving, m.state == left && !goBack:
		return m.refusal()
	}
	if err := db.dialect.move.thaw(ctx, db); err != nil {
		return wrap("make the database writable again", err)
	}
	return db.setMark(ctx, m, mark{})
}
