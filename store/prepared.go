package store

import (
	"context"
	"database/sql/driver"
	"strings"
)

// preparing is a connector to SQLite whose connections prepare each statement once.
// Preparing takes longer than running most of ours.
type preparing struct {
	driver.Connector
	steady bool // statements run to their end, whatever becomes of their caller
}

// Connect implements [driver.Connector].
func (c preparing) Connect(ctx context.Context) (driver.Conn, error) {
	conn, err := c.Connector.Connect(ctx)
	if err != nil {
		return nil, err
	}
	return &preparedConn{storeConn: conn.(storeConn), steady: c.steady, known: map[string]*prepared{}}, nil
}

// mostPrepared bounds the statements that one connection keeps. The store has fewer, but
// those with a list of values differ in its length.
const mostPrepared = 200

// preparedConn keeps prepared statements by their text. Like all connections of
// database/sql, it has one user at a time.
type preparedConn struct {
	storeConn
	steady bool
	known  map[string]*prepared
}

// prepared is a kept statement.
type prepared struct {
	stmt driver.Stmt
	busy bool // rows of it are open
}

// statement returns the kept statement for a query, or nil if the query has to run
// without. That is so for scripts and what else has no arguments: each runs once. The ones
// that a group of changes is made of do again and again.
func (c *preparedConn) statement(ctx context.Context, query string, args int) (*prepared, error) {
	if args == 0 && !strings.HasPrefix(query, "SAVEPOINT ") && !strings.HasPrefix(query, "RELEASE ") {
		return nil, nil
	}
	if p := c.known[query]; p != nil {
		if p.busy {
			return nil, nil
		}
		return p, nil
	}
	if len(c.known) >= mostPrepared {
		c.forget()
	}
	stmt, err := c.storeConn.PrepareContext(ctx, query)
	if err != nil {
		return nil, err
	}
	p := &prepared{stmt: stmt}
	c.known[query] = p
	return p, nil
}

// forget closes the statements that no rows are open of.
func (c *preparedConn) forget() {
	for query, p := range c.known {
		if !p.busy {
			p.stmt.Close()
			delete(c.known, query)
		}
	}
}

// context returns the context for a statement. SQLite rolls back a whole transaction when a
// statement in it is interrupted, and others may have changes in it.
func (c *preparedConn) context(ctx context.Context) context.Context {
	if c.steady {
		return context.WithoutCancel(ctx)
	}
	return ctx
}

// ExecContext implements [driver.ExecerContext].
func (c *preparedConn) ExecContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Result, error) {
	ctx = c.context(ctx)
	p, err := c.statement(ctx, query, len(args))
	if err != nil {
		return nil, err
	}
	if p == nil {
		return c.storeConn.ExecContext(ctx, query, args)
	}
	return p.stmt.(driver.StmtExecContext).ExecContext(ctx, args)
}

// QueryContext implements [driver.QueryerContext].
func (c *preparedConn) QueryContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Rows, error) {
	ctx = c.context(ctx)
	p, err := c.statement(ctx, query, len(args))
	if err != nil {
		return nil, err
	}
	if p == nil {
		return c.storeConn.QueryContext(ctx, query, args)
	}
	rows, err := p.stmt.(driver.StmtQueryContext).QueryContext(ctx, args)
	if err != nil {
		return nil, err
	}
	p.busy = true
	return preparedRows{rows, p}, nil
}

// Close implements [driver.Conn].
func (c *preparedConn) Close() error {
	for _, p := range c.known {
		p.stmt.Close()
	}
	c.known = nil
	return c.storeConn.Close()
}

// preparedRows are rows of a kept statement.
type preparedRows struct {
	driver.Rows
	of *prepared
}

// Close implements [driver.Rows].
func (r preparedRows) Close() error {
	err := r.Rows.Close()
	r.of.busy = false
	return err
}
