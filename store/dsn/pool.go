package dsn

import (
	"time"

	"countersign/input"
)

// Pool bounds the connections of one server, that is of each replica, to a mysql://
// database. It has no effect for sqlite. It is the section database.pool of the
// configuration, which reads the defaults from the tags; the store has none.
type Pool struct {
	// MaxOpen is how many connections are open at a time; further requests wait. The
	// number of replicas times MaxOpen must stay below the database's max_connections.
	// Default 32; at least 2, because a migration needs two.
	MaxOpen int `yaml:"max_open" default:"32"`
	// MaxIdle is how many idle connections are kept; at most MaxOpen. Default 16.
	MaxIdle int `yaml:"max_idle" default:"16"`
	// MaxLifetime is the age at which a connection is replaced. The new one may go back
	// to an earlier host in the URL, or follow a load balancer. Default 3m.
	MaxLifetime time.Duration `yaml:"max_lifetime" default:"3m"`
	// MaxIdleTime is how long a connection may be idle before it is closed. Default 1m.
	MaxIdleTime time.Duration `yaml:"max_idle_time" default:"1m"`
}

// Check returns all that is wrong with the pool, an *input.Error, or nil.
func (p Pool) Check() error {
	var bad input.Error
	for _, n := range []struct {
		field        string
		value, least int
	}{{"max_open", p.MaxOpen, 2}, {"max_idle", p.MaxIdle, 1}} {
		if n.value < n.least {
			bad.Add(n.field, input.Invalid, "%s must be at least %d, not %d.", n.field, n.least, n.value)
		}
	}
	for _, d := range []struct {
		field string
		value time.Duration
	}{{"max_lifetime", p.MaxLifetime}, {"max_idle_time", p.MaxIdleTime}} {
		if d.value < time.Second {
			bad.Add(d.field, input.TooShort, "%s must be at least 1s, not %s.", d.field, input.Duration(d.value))
		}
	}
	if p.MaxIdle > p.MaxOpen {
		bad.AddTogether("max_idle", []string{"max_open"}, "max_idle: %d is more than max_open (%d): lower the first or raise the second.", p.MaxIdle, p.MaxOpen)
	}
	return bad.Err()
}
