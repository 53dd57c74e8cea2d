package configs

import (
	"strings"

	"countersign/store/dsn"
)

// checkDatabase checks the database's keys. It shows nothing of the URL, in which a
// password may be anywhere.
func (c *Config) checkDatabase(r *report) {
	const key, file = "database.url", "database.password_file"
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
	r.ask(db.Pool.Check(), func(field string) string { return "database.pool." + field })
}
