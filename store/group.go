package store

import (
	"cmp"
	"context"
	"database/sql"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
)

// grouping commits the changes of concurrent callers together: SQLite has one writer at a
// time, and most of a lone change's time is the disk's flush. Callers that come while a
// group is on its way form the next one, so a lone caller waits for no company.
//
// Each caller gets its own result and its own error, and gets it when the group is durable.
// A change that fails is undone alone. A caller that gives up before its change has begun
// makes none; after that, the change goes on and the caller waits for its end.
type grouping struct {
	pool *sql.DB // has one connection

	mu      sync.Mutex
	waiting []*change
	running bool
	closed  bool
	observe func(changes int) // told of each group; nil: nothing is

	worker sync.WaitGroup // of running
}

// mostInGroup bounds a group, so that the first of it doesn't wait for too many others.
const mostInGroup = 64

// A change is what one caller has the database do.
type change struct {
	do     func(tx *sql.Tx) error
	single bool // do is one statement, which a failure leaves without effect

	taken    atomic.Bool // by the group, or by the caller who gives up
	done     chan struct{}
	err      error
	panicked any
}

// run makes a change as part of a group.
func (g *grouping) run(ctx context.Context, single bool, do func(tx *sql.Tx) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	c := &change{do: do, single: single, done: make(chan struct{})}
	g.mu.Lock()
	if g.closed {
		g.mu.Unlock()
		return sql.ErrConnDone
	}
	g.waiting = append(g.waiting, c)
	if !g.running {
		g.running = true
		g.worker.Go(g.work)
	}
	g.mu.Unlock()
	select {
	case <-c.done:
	case <-ctx.Done():
		if c.taken.CompareAndSwap(false, true) {
			return ctx.Err()
		}
		<-c.done
	}
	if c.panicked != nil {
		panic(c.panicked)
	}
	return c.err
}

// close takes no more changes, and returns when all that it took have ended. Even one whose
// callers have all given up may still wait for another process's lock.
func (g *grouping) close() {
	g.mu.Lock()
	g.closed = true
	g.mu.Unlock()
	g.worker.Wait()
}

// work commits group after group until no caller waits.
func (g *grouping) work() {
	for {
		runtime.Gosched() // callers that can run come first, and the group is larger
		g.mu.Lock()
		n, observe := min(len(g.waiting), mostInGroup), g.observe
		group := g.waiting[:n:n]
		g.waiting = g.waiting[n:]
		if n == 0 {
			g.running, g.waiting = false, nil
		}
		g.mu.Unlock()
		if n == 0 {
			return
		}
		if observe != nil {
			observe(n)
		}
		g.finish(group)
	}
}

// finish makes the changes of a group, and tells their callers.
func (g *grouping) finish(group []*change) {
	tx, away := g.pool.BeginTx(context.Background(), nil)
	group = slices.DeleteFunc(group, func(c *change) bool { return !c.taken.CompareAndSwap(false, true) })
	var lost error
	if away == nil {
		lost = commit(tx, group)
	}
	for _, c := range group {
		if lost != nil && len(group) > 1 && away == nil { // what one change met has undone all: each gets a transaction of its own
			if tx, away = g.pool.BeginTx(context.Background(), nil); away == nil {
				c.err = cmp.Or(commit(tx, []*change{c}), c.err)
			}
		} else if lost != nil {
			c.err = lost
		}
		if away != nil { // they don't wait for the lock one after the other
			c.err = away
		}
		close(c.done)
	}
}

// commit makes changes and commits those that succeed. It returns an error if the
// transaction is lost, and with it all of them.
func commit(tx *sql.Tx, group []*change) error {
	defer tx.Rollback() // after Commit it does nothing
	alone := len(group) == 1
	for _, c := range group {
		if err := c.make(tx, alone); err != nil {
			return err
		}
	}
	if alone && group[0].failed() {
		return nil
	}
	return tx.Commit()
}

func (c *change) failed() bool { return c.err != nil || c.panicked != nil }

// make makes a change in a transaction that other changes may be part of, and undoes it if
// it fails. It returns an error if the whole transaction is lost.
func (c *change) make(tx *sql.Tx, alone bool) (broken error) {
	isolated := !alone && !c.single
	if isolated {
		if _, err := tx.Exec("SAVEPOINT change"); err != nil {
			return err
		}
	}
	c.err, c.panicked = nil, nil
	func() {
		defer func() {
			if p := recover(); p != nil {
				c.panicked = p
			}
		}()
		c.err = c.do(tx)
	}()
	switch {
	case alone:
		return nil
	case isSQLiteAway(c.err): // SQLite may have rolled back everything
		return c.err
	case c.failed() && isolated:
		if _, err := tx.Exec("ROLLBACK TO change"); err != nil {
			return fmt.Errorf("undo a change: %w", err)
		}
	}
	if isolated {
		if _, err := tx.Exec("RELEASE change"); err != nil {
			return fmt.Errorf("end a change: %w", err)
		}
	}
	return nil
}
