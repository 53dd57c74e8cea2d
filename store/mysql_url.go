package store

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/go-sql-driver/mysql"
)

// mysqlSource is what a mysql:// URL says. net/url can't read one with several
// hosts that have ports.
type mysqlSource struct {
	user, password string
	hosts          []string // host:port, in the order they are tried
	socket         string   // path of a Unix socket, instead of hosts
	database       string
	options        url.Values // the driver's, and system variables
	ca, cert, key  string     // files of PEM for TLS
}

// String names the database without secrets.
func (s mysqlSource) String() string {
	where := strings.Join(s.hosts, ",")
	if s.socket != "" {
		where = s.socket
	}
	return fmt.Sprintf("%s at %s", s.database, where)
}

// parseMySQL reads mysql://USER:PASSWORD@HOST:PORT,HOST:PORT/DATABASE?OPTIONS. Its
// errors hold nothing of the URL, in which there may be a password anywhere.
func parseMySQL(text string) (s mysqlSource, err error) {
	rest, ok := strings.CutPrefix(text, "mysql://")
	if !ok {
		return s, errors.New("database url must begin with mysql:// and name a host, as in mysql://countersign@db.example.com:3306/countersign")
	}
	rest, query, _ := strings.Cut(rest, "?")
	authority, database, _ := strings.Cut(rest, "/")
	if i := strings.LastIndexByte(authority, '@'); i >= 0 {
		user, password, _ := strings.Cut(authority[:i], ":")
		var err1, err2 error
		s.user, err1 = url.PathUnescape(user)
		s.password, err2 = url.PathUnescape(password)
		if errors.Join(err1, err2) != nil {
			return s, errors.New("database url: a % in the user or password must be written %25")
		}
		authority = authority[i+1:]
	}
	if s.database, err = url.PathUnescape(database); err != nil || s.database == "" || strings.Contains(s.database, "/") {
		return s, errors.New("database url must name a database after the host, as in mysql://countersign@db.example.com:3306/countersign")
	}
	if s.options, err = url.ParseQuery(query); err != nil {
		return s, errors.New("database url: what is after the ? must be name=value pairs joined by &")
	}
	for name, into := range map[string]*string{"socket": &s.socket, "tls_ca": &s.ca, "tls_cert": &s.cert, "tls_key": &s.key} {
		*into = s.options.Get(name)
		s.options.Del(name)
	}
	if s.socket != "" {
		return s, nil
	}
	for host := range strings.SplitSeq(authority, ",") {
		if host, err = withPort(host); err != nil {
			return s, err
		}
		s.hosts = append(s.hosts, host)
	}
	return s, nil
}

// withPort is a host with MySQL's port if it has none.
func withPort(host string) (string, error) {
	if _, _, err := net.SplitHostPort(host); err != nil {
		host = net.JoinHostPort(strings.Trim(host, "[]"), "3306")
	}
	name, port, err := net.SplitHostPort(host)
	if n, errPort := strconv.ParseUint(port, 10, 16); err != nil || errPort != nil || n == 0 || name == "" {
		return "", errors.New("database url: each host must be HOST or HOST:PORT, joined by commas, an IPv6 address in brackets")
	}
	return host, nil
}

// fixed are the driver's options that the store's promises rest on.
var fixed = []string{
	"clientFoundRows", "interpolateParams", "multiStatements", "parseTime", "loc", "collation", "charset", "columnsWithAlias",
	"timeTruncate", "allowAllFiles", "allowOldPasswords", "rejectReadOnly", "autocommit", "transaction_isolation", "tx_isolation",
	"sql_mode", "foreign_key_checks", "unique_checks",
}

// configs are the driver's configurations, one for each host.
func (s mysqlSource) configs() ([]*mysql.Config, error) {
	for _, name := range fixed {
		if s.options.Has(name) {
			return nil, fmt.Errorf("database url: %s is not yours to set: take it out", name)
		}
	}
	for name := range s.options {
		if s.options.Get(name) == "" {
			return nil, fmt.Errorf("database url: the option %q has no value", name)
		}
	}
	base, err := mysql.ParseDSN("tcp(localhost)/?" + s.options.Encode())
	if err != nil { // the driver's message may quote a value
		return nil, fmt.Errorf("database url: one of the options %s has a value that the driver refuses",
			strings.Join(sortedKeys(s.options), ", "))
	}
	base.User, base.Passwd, base.DBName = s.user, s.password, s.database
	base.ClientFoundRows = true   // a row that was matched counts, also if nothing changed
	base.InterpolateParams = true // one round trip for each statement
	base.ParseTime = true         // for the migration library; we store no dates
	base.Collation = "utf8mb4_bin"
	if err := base.Apply(mysql.Charset("utf8mb4", "utf8mb4_bin")); err != nil {
		return nil, err
	}
	base.Logger = &mysql.NopLogger{} // its errors come back to us anyway
	if s.socket != "" {
		base.Net, base.Addr = "unix", s.socket
		return []*mysql.Config{base}, nil
	}
	var all []*mysql.Config
	for _, host := range s.hosts {
		c := base.Clone()
		c.Addr = host
		if c.TLS, err = s.tls(host, c.TLS); err != nil {
			return nil, err
		}
		all = append(all, c)
	}
	return all, nil
}

// tls is the TLS configuration for a host: with files of our own, the
// certificate is always verified.
func (s mysqlSource) tls(host string, base *tls.Config) (*tls.Config, error) {
	if s.ca == "" && s.cert == "" && s.key == "" {
		if base != nil && base.ServerName == "" && !base.InsecureSkipVerify {
			base = base.Clone()
			base.ServerName, _, _ = net.SplitHostPort(host)
		}
		return base, nil
	}
	name, _, _ := net.SplitHostPort(host)
	c := &tls.Config{ServerName: name, MinVersion: tls.VersionTLS12}
	if s.ca != "" {
		pem, err := os.ReadFile(s.ca)
		if err != nil {
			return nil, fmt.Errorf("database url: tls_ca: %w", err)
		}
		c.RootCAs = x509.NewCertPool()
		if !c.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("database url: tls_ca: %s holds no certificate in PEM", s.ca)
		}
	}
	if s.cert != "" || s.key != "" {
		pair, err := tls.LoadX509KeyPair(s.cert, s.key)
		if err != nil {
			return nil, fmt.Errorf("database url: tls_cert and tls_key: %w", err)
		}
		c.Certificates = []tls.Certificate{pair}
	}
	return c, nil
}

func sortedKeys(values url.Values) []string {
	return slices.Sorted(maps.Keys(values))
}
