package store

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"maps"
	"net"
	"net/url"
	"os"
	"slices"
	"strings"

	"github.com/go-sql-driver/mysql"

	"countersign/store/dsn"
)

// mysqlSource is what a mysql:// URL says.
type mysqlSource struct{ dsn.MySQL }

// String returns the name of the database without secrets.
func (s mysqlSource) String() string {
	where := strings.Join(s.Hosts, ",")
	if s.Socket != "" {
		where = s.Socket
	}
	return fmt.Sprintf("%s at %s", s.Database, where)
}

// parseMySQL reads a mysql:// URL. Its errors hold nothing of it.
func parseMySQL(text string) (mysqlSource, error) {
	m, err := dsn.ParseMySQL(text)
	if err != nil {
		err = fmt.Errorf("database url %w", err)
	}
	return mysqlSource{m}, err
}

// fixed lists the driver's options that the store's promises rest on, and the variables
// that would take a session's changes out of the cluster or out of time. sessionSettings
// has the others.
var fixed = []string{
	"clientfoundrows", "interpolateparams", "multistatements", "parsetime", "loc", "collation", "charset", "columnswithalias",
	"timetruncate", "allowallfiles", "allowoldpasswords", "rejectreadonly", "character_set_connection", "timestamp", "insert_id",
	"max_join_size", "wsrep_on", "wsrep_osu_method", "wsrep_causal_reads", "skip_replication", "storage_engine",
}

// isFixed reports whether an option of the URL isn't the operator's to set. Servers ignore
// the case of a variable's name.
func isFixed(name string) bool {
	name = strings.ToLower(name)
	return slices.Contains(fixed, name) || isSessionSetting(name)
}

// configs returns the driver's configurations, one for each host.
func (s mysqlSource) configs() ([]*mysql.Config, error) {
	for _, name := range sortedKeys(s.Options) {
		if isFixed(name) {
			return nil, fmt.Errorf("database url: the option %s can't be set: remove it", name)
		}
		if s.Options.Get(name) == "" {
			return nil, fmt.Errorf("database url: the option %q has no value", name)
		}
	}
	base, err := mysql.ParseDSN("tcp(localhost)/?" + s.Options.Encode())
	if err != nil { // the driver's message may quote a value
		return nil, fmt.Errorf("database url: one of the options %s has a value that the driver refuses",
			strings.Join(sortedKeys(s.Options), ", "))
	}
	base.User, base.Passwd, base.DBName = s.User, s.Password, s.Database
	base.ClientFoundRows = true   // a row that was matched counts, also if nothing changed
	base.InterpolateParams = true // one round trip for each statement
	base.ParseTime = true         // for the migration library; we store no dates
	base.Collation = "utf8mb4_bin"
	if err := base.Apply(mysql.Charset("utf8mb4", "utf8mb4_bin")); err != nil {
		return nil, err
	}
	base.Logger = &mysql.NopLogger{} // its errors come back to us anyway
	if s.Socket != "" {
		base.Net, base.Addr = "unix", s.Socket
		return []*mysql.Config{base}, nil
	}
	var all []*mysql.Config
	for _, host := range s.Hosts {
		c := base.Clone()
		c.Addr = host
		if c.TLS, err = s.tls(host, c.TLS); err != nil {
			return nil, err
		}
		all = append(all, c)
	}
	return all, nil
}

// tls returns the TLS configuration for a host. With the URL's own files the certificate
// is always verified.
func (s mysqlSource) tls(host string, base *tls.Config) (*tls.Config, error) {
	if s.CA == "" && s.Cert == "" && s.Key == "" {
		if base != nil && base.ServerName == "" && !base.InsecureSkipVerify {
			base = base.Clone()
			base.ServerName, _, _ = net.SplitHostPort(host)
		}
		return base, nil
	}
	name, _, _ := net.SplitHostPort(host)
	c := &tls.Config{ServerName: name, MinVersion: tls.VersionTLS12}
	if s.CA != "" {
		pem, err := os.ReadFile(s.CA)
		if err != nil {
			return nil, fmt.Errorf("database url: tls_ca: %w", err)
		}
		c.RootCAs = x509.NewCertPool()
		if !c.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("database url: tls_ca: %s holds no certificate in PEM", s.CA)
		}
	}
	if s.Cert != "" || s.Key != "" {
		pair, err := tls.LoadX509KeyPair(s.Cert, s.Key)
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
