package store

import (
	"context"
	"database/sql/driver"
)

// telling is a connector for tests that look at statements. Its connections tell a function
// of each that they send, also of those that begin and end a transaction.
type telling struct {
	driver.Connector
	tell func(statement string)
}

// telltale returns a connector that tells, or the connector itself if tell is nil.
func telltale(c driver.Connector, tell func(statement string)) driver.Connector {
	if tell == nil {
		return c
	}
	return telling{c, tell}
}

// Connect implements [driver.Connector].
func (c telling) Connect(ctx context.Context) (driver.Conn, error) {
	conn, err := c.Connector.Connect(ctx)
	if err != nil {
		return nil, err
	}
	return &tellingConn{conn.(storeConn), c.tell}, nil
}

// storeConn lists the interfaces that the connections of every dialect implement.
type storeConn interface {
	driver.Conn
	driver.ConnBeginTx
	driver.ConnPrepareContext
	driver.ExecerContext
	driver.QueryerContext
	driver.Pinger
	driver.SessionResetter
	driver.Validator
}

type tellingConn struct {
	storeConn
	tell func(statement string)
}

// BeginTx implements [driver.ConnBeginTx].
func (c *tellingConn) BeginTx(ctx context.Context, opts driver.TxOptions) (driver.Tx, error) {
	c.tell("BEGIN")
	tx, err := c.storeConn.BeginTx(ctx, opts)
	if err != nil {
		return nil, err
	}
	return tellingTx{tx, c.tell}, nil
}

// ExecContext implements [driver.ExecerContext].
func (c *tellingConn) ExecContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Result, error) {
	c.tell(query)
	return c.storeConn.ExecContext(ctx, query, args)
}

// QueryContext implements [driver.QueryerContext].
func (c *tellingConn) QueryContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Rows, error) {
	c.tell(query)
	return c.storeConn.QueryContext(ctx, query, args)
}

type tellingTx struct {
	driver.Tx
	tell func(statement string)
}

// Commit implements [driver.Tx].
func (tx tellingTx) Commit() error {
	tx.tell("COMMIT")
	return tx.Tx.Commit()
}

// Rollback implements [driver.Tx].
func (tx tellingTx) Rollback() error {
	tx.tell("ROLLBACK")
	return tx.Tx.Rollback()
}
