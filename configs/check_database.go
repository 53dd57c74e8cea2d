package configs

import (
	"strings"

	"countersign/store/dsn"
)

// checkDatabase checks the database's keys. It shows nothing of the URL, in which a
// password may be anywhere.
func (c *Config) checkDatabase(r *report) {
	const key, file, idle, open = "database.url", "database.password_file", "database.pool.max_idle", "database.pool.max_open"
	db := c.Database
	if err := dsn.Check(db.URL); err != nil {
		r.add(key, "%v", err)
	} else if db.PasswordFile != "" {
		if strings.HasPrefix(db.URL, "sqlite:") {
			r.addPair([]string{file, key}, "is for a mysql:// database.url, and this one is sqlite: remove it")
		} else if m, _ := dsn.ParseMySQL(db.URL); m.Password != "" {
			r.addPair([]string{file, key}, "database.url has a password already: remove one of them")
		}
	}
	if db.Pool.MaxIdle > db.Pool.MaxOpen {
		r.addPair([]string{idle, open}, "%d is more than %s (%d): lower the first or raise the second", db.Pool.MaxIdle, open, db.Pool.MaxOpen)
	}
}
