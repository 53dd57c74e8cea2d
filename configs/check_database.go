package configs

import (
	"net/netip"
	"net/url"
	"regexp"
	"strings"
)

// checkDatabase shows nothing of the URL, in which a password may be anywhere.
func (c *Config) checkDatabase(r *report) {
	const key, file, idle, open = "database.url", "database.password_file", "database.pool.max_idle", "database.pool.max_open"
	db := c.Database
	if path, ok := strings.CutPrefix(db.URL, "sqlite:"); ok {
		if path == "" {
			r.add(key, "has no path after sqlite: add one, such as sqlite:./countersign.db")
		}
		if db.PasswordFile != "" {
			r.addPair([]string{file, key}, "is for a mysql:// database.url, and this one is sqlite: take it out")
		}
	} else if rest, ok := strings.CutPrefix(db.URL, "mysql://"); ok {
		u := cutMySQL(rest)
		if fault := u.fault(); fault != "" {
			r.add(key, "%s", fault)
		}
		if db.PasswordFile != "" && u.password != "" {
			r.addPair([]string{file, key}, "database.url has a password already: take one of them out")
		}
	} else {
		r.add(key, "must begin with sqlite: and have the path of a file after it, such as sqlite:./countersign.db, or be like mysql://USER@HOST:3306/DATABASE")
	}
	if db.Pool.MaxIdle > db.Pool.MaxOpen {
		r.addPair([]string{idle, open}, "%d is more than %s (%d): lower the one or raise the other", db.Pool.MaxIdle, open, db.Pool.MaxOpen)
	}
}

// mysqlURL is a mysql:// URL in its parts, as they are written.
type mysqlURL struct {
	user, password  string
	hosts           []string
	database, query string
}

// cutMySQL takes apart what follows mysql:// in a URL. It goes by hand, for
// net/url refuses several hosts with ports.
func cutMySQL(rest string) (u mysqlURL) {
	rest, u.query, _ = strings.Cut(rest, "?")
	authority, database, _ := strings.Cut(rest, "/")
	if i := strings.LastIndexByte(authority, '@'); i >= 0 {
		u.user, u.password, _ = strings.Cut(authority[:i], ":")
		authority = authority[i+1:]
	}
	u.hosts, u.database = strings.Split(authority, ","), database
	return u
}

// fault says what keeps u from being the URL of a database, and how to mend it.
// What the options mean is the store's to check.
func (u mysqlURL) fault() string {
	name, _ := url.PathUnescape(u.database) // "" if it can't be
	query, errQuery := url.ParseQuery(u.query)
	socket := query.Get("socket")
	switch {
	case !escaped(u.user) || !escaped(u.password):
		return "has a % in its user or password that begins no code such as %40: write it as %25"
	case name == "" || strings.ContainsAny(u.database, "/@"): // with an @, the slash was in the password
		return "must have the name of one database after the hosts, as in mysql://USER@HOST:3306/DATABASE; within a password, write / as %2F, ? as %3F and % as %25"
	case errQuery != nil || u.query != "" && !options.MatchString(u.query):
		return "must have options as NAME=VALUE joined by & after the ?; within a password, write / as %2F, ? as %3F and % as %25"
	case query.Has("user") || query.Has("password"):
		return "must have user and password before the host and not after the ?: mysql://USER:PASSWORD@HOST:3306/DATABASE, or the password in database.password_file"
	case socket != "" && !strings.HasPrefix(socket, "/"):
		return "must have the whole path of the socket, as in ?socket=/run/mysqld/mysqld.sock"
	case socket != "" && strings.Join(u.hosts, ",") != "localhost":
		return "names a socket, and so must have localhost as its only host: mysql://USER@localhost/DATABASE?socket=/run/mysqld/mysqld.sock"
	}
	for _, host := range u.hosts {
		if !mysqlHost(host) {
			return "must have HOST or HOST:PORT, several joined by commas and an IPv6 address in brackets, as in mysql://USER@db1:3306,db2:3306/DATABASE"
		}
	}
	return ""
}

// options is the form of a query. Names must be plain, for messages name them.
var options = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_.]*=[^&]*(&[A-Za-z_][A-Za-z0-9_.]*=[^&]*)*$`)

func escaped(s string) bool {
	_, err := url.PathUnescape(s)
	return err == nil
}

// mysqlHost reports whether s is HOST or HOST:PORT.
func mysqlHost(s string) bool {
	if i := strings.LastIndexByte(s, ':'); i > strings.LastIndexByte(s, ']') {
		if !port(s[i+1:], 1) {
			return false
		}
		s = s[:i]
	}
	if strings.HasPrefix(s, "[") && strings.HasSuffix(s, "]") {
		addr, err := netip.ParseAddr(s[1 : len(s)-1])
		return err == nil && addr.Is6()
	}
	return dnsName.MatchString(s)
}
