package store

import (
	"cmp"
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-sql-driver/mysql"
)

const (
	connectTimeout = 3 * time.Second  // for one host to take a connection and be ready
	readTimeout    = 10 * time.Second // for an answer; half as long for a lock
	restTime       = 10 * time.Second // how long a host that failed is tried last
)

// errNoHost says that no host of the database can serve.
var errNoHost = errors.New("no host of the database can serve")

// mysqlConnector connects to the first of several hosts that can serve. Replicas with the
// same order write to the same host as long as it lives, which spares a cluster the
// conflicts of writing everywhere.
type mysqlConnector struct {
	hosts    []driver.Connector
	names    []string
	syncWait bool // reads wait until a Galera node has caught up
	patient  bool // answers have no time limit

	changed func(host string, settings []ChangedSetting) // nil: says nothing
	told    []atomic.Bool                                // whether changed knows of each host

	lost []atomic.Int64 // when each host last lost a connection

	mu     sync.Mutex
	failed []time.Time // when each host last failed
}

// newMySQLConnector returns a connector to the hosts of s. If patient, answers have no
// time limit, for example those to a change of the schema of a large table.
func newMySQLConnector(s mysqlSource, patient bool) (*mysqlConnector, error) {
	configs, err := s.configs()
	if err != nil {
		return nil, err
	}
	for _, config := range configs {
		if patient {
			config.ReadTimeout = 0
		} else {
			config.ReadTimeout = cmp.Or(config.ReadTimeout, readTimeout)
		}
	}
	c := &mysqlConnector{
		lost: make([]atomic.Int64, len(configs)), failed: make([]time.Time, len(configs)), told: make([]atomic.Bool, len(configs)),
		syncWait: !s.Options.Has("wsrep_sync_wait"), patient: patient,
	}
	for _, config := range configs {
		host, err := mysql.NewConnector(config)
		if err != nil {
			return nil, fmt.Errorf("database url: %w", err)
		}
		c.hosts, c.names = append(c.hosts, host), append(c.names, config.Addr)
	}
	return c, nil
}

// Driver implements [driver.Connector].
func (c *mysqlConnector) Driver() driver.Driver { return mysql.MySQLDriver{} }

// Connect implements [driver.Connector].
func (c *mysqlConnector) Connect(ctx context.Context) (driver.Conn, error) {
	var errs []error
	for _, i := range c.order() {
		conn, err := c.connect(ctx, i)
		if err == nil {
			return conn, nil
		}
		if ctx.Err() != nil {
			return nil, err // the caller has given up, which is not the host's fault
		}
		c.mu.Lock()
		c.failed[i] = time.Now()
		c.mu.Unlock()
		errs = append(errs, fmt.Errorf("%s: %w", c.names[i], err))
	}
	if len(errs) == 1 {
		return nil, errs[0]
	}
	// One line, even if the driver's errors have more.
	return nil, fmt.Errorf("%w: %w", errNoHost, oneLine(errs))
}

// order returns the hosts, those that have just failed last.
func (c *mysqlConnector) order() []int {
	c.mu.Lock()
	defer c.mu.Unlock()
	var good, bad []int
	for i, at := range c.failed {
		if time.Since(at) < restTime {
			bad = append(bad, i)
		} else {
			good = append(good, i)
		}
	}
	return append(good, bad...)
}

// connect connects to one host and sets up the session. The time limit also covers a host
// that hangs after it took the connection.
func (c *mysqlConnector) connect(ctx context.Context, i int) (*mysqlConn, error) {
	ctx, cancel := context.WithTimeout(ctx, connectTimeout)
	defer cancel()
	made := time.Now().UnixNano()
	raw, err := c.hosts[i].Connect(ctx)
	if err != nil {
		return nil, err
	}
	conn := &mysqlConn{full: raw.(full), made: made, lost: &c.lost[i]}
	if err := c.prepare(ctx, conn, i); err != nil {
		conn.Close()
		return nil, err
	}
	return conn, nil
}

// prepare checks that the host can serve, and sets the session's rules regardless of the
// server's defaults. The first time, it reports those that differed.
func (c *mysqlConnector) prepare(ctx context.Context, conn *mysqlConn, i int) error {
	variables, err := conn.settings(ctx)
	if err != nil {
		return err
	}
	if len(c.hosts) > 1 && isOn(variables["read_only"]) {
		return errors.New("the host is read-only")
	}
	changed, err := conn.setOurs(ctx, variables, c.patient)
	if err != nil {
		return err
	}
	if len(changed) > 0 && c.changed != nil && !c.told[i].Swap(true) {
		c.changed(c.names[i], changed)
	}
	if !isOn(variables["wsrep_on"]) {
		return nil
	}
	status, err := conn.pairs(ctx, `SHOW STATUS LIKE 'wsrep_ready'`)
	if err != nil {
		return err
	}
	if !isOn(status["wsrep_ready"]) {
		return errors.New("the host is a Galera node outside of its cluster")
	}
	if c.syncWait {
		// A read and the beginning of a transaction wait until this node has
		// applied what any node has acknowledged: our decisions rest on reads.
		_, err = conn.ExecContext(ctx, `SET SESSION wsrep_sync_wait = 1`, nil)
	}
	return err
}

func isOn(value string) bool  { return strings.EqualFold(value, "ON") || value == "1" }
func isOff(value string) bool { return strings.EqualFold(value, "OFF") || value == "0" }

// oneLine joins errors by semicolons.
func oneLine(errs []error) error {
	texts := make([]string, len(errs))
	for i, err := range errs {
		texts[i] = err.Error()
	}
	return errors.New(strings.Join(texts, "; "))
}

// full lists the interfaces that a connection of the driver implements.
type full interface {
	driver.Conn
	driver.ConnBeginTx
	driver.ConnPrepareContext
	driver.ExecerContext
	driver.QueryerContext
	driver.NamedValueChecker
	driver.Pinger
	driver.SessionResetter
	driver.Validator
}

// mysqlConn leaves the pool when its host says that it can't serve any more: a node that
// lost its cluster, or a primary that became a replica, keeps its connections open. It
// also leaves if another connection to its host has been lost since it was made: a machine
// that is cut off closes no connection, and each would make one request wait.
type mysqlConn struct {
	full
	unfit bool
	made  int64
	lost  *atomic.Int64 // when a connection to the same host was lost
}

var isMySQLUnfit = isMySQLCode(mysqlUnfit)

func (c *mysqlConn) note(err error) {
	c.unfit = c.unfit || isMySQLUnfit(err)
	if errors.Is(err, mysql.ErrInvalidConn) {
		c.lost.Store(time.Now().UnixNano())
	}
}

// ResetSession implements [driver.SessionResetter].
func (c *mysqlConn) ResetSession(ctx context.Context) error {
	if c.lost.Load() >= c.made {
		return driver.ErrBadConn
	}
	return c.full.ResetSession(ctx)
}

// IsValid implements [driver.Validator].
func (c *mysqlConn) IsValid() bool { return !c.unfit && c.full.IsValid() }

// BeginTx implements [driver.ConnBeginTx].
func (c *mysqlConn) BeginTx(ctx context.Context, opts driver.TxOptions) (driver.Tx, error) {
	tx, err := c.full.BeginTx(ctx, opts)
	c.note(err)
	return tx, err
}

// ExecContext implements [driver.ExecerContext].
func (c *mysqlConn) ExecContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Result, error) {
	res, err := c.full.ExecContext(ctx, query, args)
	c.note(err)
	return res, err
}

// QueryContext implements [driver.QueryerContext].
func (c *mysqlConn) QueryContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Rows, error) {
	rows, err := c.full.QueryContext(ctx, query, args)
	c.note(err)
	return rows, err
}

// pairs reads rows of a name and a value.
func (c *mysqlConn) pairs(ctx context.Context, query string) (map[string]string, error) {
	rows, err := c.QueryContext(ctx, query, nil)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	found := map[string]string{}
	for row := make([]driver.Value, len(rows.Columns())); ; {
		if err := rows.Next(row); err != nil {
			if errors.Is(err, io.EOF) {
				return found, nil
			}
			return nil, err
		}
		found[strings.ToLower(text(row[0]))] = text(row[1])
	}
}

func text(v driver.Value) string {
	if b, ok := v.([]byte); ok {
		return string(b)
	}
	return fmt.Sprint(v)
}
