// Package dsn has the settings of a database, and their rules: its URL, sqlite:PATH or
// mysql://, and its connections. It opens no database.
//
// The errors about a URL show nothing of it, because a password may be anywhere in it.
// They are phrases whose subject is the URL.
package dsn

import (
	"errors"
	"net"
	"net/url"
	"regexp"
	"strings"

	"countersign/uris"
)

// Check returns what is wrong with a database URL, or nil. The store checks the
// driver's options.
func Check(text string) error {
	path, isSQLite := strings.CutPrefix(text, "sqlite:")
	switch {
	case isSQLite:
		return checkPath(path)
	}
	_, err := ParseMySQL(text)
	return err
}

// MySQL is the content of a mysql:// URL.
type MySQL struct {
	User, Password string
	Hosts          []string // host:port, in the order they are tried
	Socket         string   // path of a Unix socket, instead of hosts
	Database       string
	Options        url.Values // the driver's, and system variables
	CA, Cert, Key  string     // files of PEM for TLS
}

// options is the form of a query. Names must be plain, because messages show them.
var options = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_.]*=[^&]*(&[A-Za-z_][A-Za-z0-9_.]*=[^&]*)*$`)

// ParseMySQL reads mysql://USER:PASSWORD@HOST:PORT,HOST:PORT/DATABASE?OPTIONS. It
// parses by hand, because net/url refuses several hosts with ports.
func ParseMySQL(text string) (m MySQL, err error) {
	rest, ok := strings.CutPrefix(text, "mysql://")
	if !ok {
		return m, errors.New("must begin with sqlite: and have the path of a file after it, such as sqlite:./countersign.db, or be like mysql://USER@HOST:3306/DATABASE")
	}
	rest, query, _ := strings.Cut(rest, "?")
	authority, database, _ := strings.Cut(rest, "/")
	if i := strings.LastIndexByte(authority, '@'); i >= 0 {
		user, password, _ := strings.Cut(authority[:i], ":")
		var err1, err2 error
		m.User, err1 = url.PathUnescape(user)
		m.Password, err2 = url.PathUnescape(password)
		if errors.Join(err1, err2) != nil {
			return m, errors.New("has a % in its user or password that begins no code such as %40: write it as %25")
		}
		authority = authority[i+1:]
	}
	m.Database, err = url.PathUnescape(database)
	if err != nil || m.Database == "" || strings.ContainsAny(database, "/@") { // with an @, the slash was in the password
		return m, errors.New("must have the name of one database after the hosts, as in mysql://USER@HOST:3306/DATABASE; within a password, write / as %2F, ? as %3F and % as %25")
	}
	m.Options, err = url.ParseQuery(query)
	switch {
	case err != nil, query != "" && !options.MatchString(query):
		return m, errors.New("must have options as NAME=VALUE joined by & after the ?; within a password, write / as %2F, ? as %3F and % as %25")
	case m.Options.Has("user") || m.Options.Has("password"):
		return m, errors.New("must have user and password before the host and not after the ?: mysql://USER:PASSWORD@HOST:3306/DATABASE, or the password in database.password_file")
	}
	for name, into := range map[string]*string{"socket": &m.Socket, "tls_ca": &m.CA, "tls_cert": &m.Cert, "tls_key": &m.Key} {
		*into = m.Options.Get(name)
		m.Options.Del(name)
	}
	switch {
	case m.Socket != "" && !strings.HasPrefix(m.Socket, "/"):
		return m, errors.New("must have the whole path of the socket, as in ?socket=/run/mysqld/mysqld.sock")
	case m.Socket != "" && authority != "localhost":
		return m, errors.New("names a socket, and so must have localhost as its only host: mysql://USER@localhost/DATABASE?socket=/run/mysqld/mysqld.sock")
	case m.Socket != "":
		return m, nil
	}
	for host := range strings.SplitSeq(authority, ",") {
		u := &url.URL{Host: host}
		if uris.CheckHost(u) != nil {
			return m, errors.New("must have HOST or HOST:PORT, several joined by commas and an IPv6 address in brackets, as in mysql://USER@db1:3306,db2:3306/DATABASE")
		}
		if u.Port() == "" {
			host = net.JoinHostPort(u.Hostname(), "3306")
		}
		m.Hosts = append(m.Hosts, host)
	}
	return m, nil
}
