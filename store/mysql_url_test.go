package store_test

import (
	"strings"
	"testing"

	"countersign/store"
)

func TestCheckURL(t *testing.T) {
	for _, url := range []string{
		"sqlite:./countersign.db",
		"mysql://countersign@db.example.com/countersign",
		"mysql://countersign:p%40ss%2Fw%3Ard@db.example.com:3306/countersign",
		"mysql://countersign:p@ss:w@rd@db.example.com:3306/countersign", // as operators write it
		"mysql://db1:3306,db2:3307,db3/countersign?tls=true",
		"mysql://u@[2001:db8::1]:3306,[2001:db8::2]/countersign",
		"mysql://u@localhost/countersign?socket=/run/mysqld/mysqld.sock",
		"mysql://u@db/countersign?tls=skip-verify&timeout=5s&maxAllowedPacket=0&wsrep_sync_wait=7",
	} {
		if err := store.CheckURL(url); err != nil {
			t.Errorf("%s: %v", url, err)
		}
	}
	for url, word := range map[string]string{
		"sqlite:":                                                 "no path",
		"sqlite:./x.db?mode=ro":                                   "takes no options",
		"sqlite:x.db?cache=shared":                                "takes no options",
		"sqlite:x.db?":                                            "takes no options",
		"sqlite::memory:":                                         "in memory",
		"sqlite:file::memory:?cache=shared":                       "in memory",
		"sqlite:file:x.db":                                        "without it",
		"sqlite:~/x.db":                                           "shell",
		"sqlite:~root/x.db":                                       "shell",
		"sqlite:$HOME/x.db":                                       "shell",
		"sqlite:/data/${NAME}.db":                                 "shell",
		"sqlite://host/x.db":                                      "sqlite:/PATH",
		"sqlite:///var/lib/x.db":                                  "sqlite:/PATH",
		"sqlite:////var/lib/x.db":                                 "sqlite:/PATH",
		"sqlite:my%20data/x.db":                                   "%20",
		"sqlite: ./x.db":                                          "spaces",
		"sqlite:./x.db\n":                                         "spaces",
		"sqlite:'./x.db'":                                         "quotes",
		"sqlite:/var/lib/countersign/":                            "names a folder",
		"sqlite:.":                                                "names a folder",
		"sqlite:/var/lib/countersign.db-wal":                      "leave out -wal",
		"mysql:u:hunter2@db/countersign":                          "be like mysql://",
		"mysql://u:hunter2@db":                                    "name of one database",
		"mysql://u:hunter2@db/":                                   "name of one database",
		"mysql://u:hunter2@db/a/b":                                "name of one database",
		"mysql://u:hunter2@/countersign":                          "HOST",
		"mysql://u:hunter2@db1,,db2/countersign":                  "HOST",
		"mysql://u:hunter2@db:port/countersign":                   "HOST",
		"mysql://u:hunter2@db:0/countersign":                      "HOST",
		"mysql://u:hunter2@db:99999/countersign":                  "HOST",
		"mysql://u:hunter2%zz@db/countersign":                     "%25",
		"mysql://u:hunter2@db/countersign?tls=%zz":                "NAME=VALUE",
		"mysql://u@db/countersign?timeout=hunter2":                "timeout",
		"mysql://u@db/countersign?tls=hunter2":                    "tls",
		"mysql://u@db/countersign?tls":                            "NAME=VALUE",
		"mysql://u:hunter2@db/countersign?clientFoundRows=0":      "clientFoundRows",
		"mysql://u:hunter2@db/countersign?sql_mode=''":            "sql_mode",
		"mysql://u:hunter2@db/countersign?multiStatements=true":   "multiStatements",
		"mysql://u:hunter2@db/countersign?AutoCommit=0":           "AutoCommit",
		"mysql://u:hunter2@db/countersign?completion_type=1":      "completion_type",
		"mysql://u:hunter2@db/countersign?tls=true&SQL_LOG_BIN=0": "SQL_LOG_BIN",
		"mysql://u:hunter2@db/countersign?sql_select_limit=10":    "sql_select_limit",
		"mysql://u:hunter2@db/countersign?charset=latin1":         "charset",
		"mysql://u:hunter2@db/countersign?time_zone='%2B09:00'":   "time_zone",
		"mysql://u:hunter2@db/countersign?wsrep_on=0":             "wsrep_on",
		"mysql://u:hunter2@db/countersign?tls_ca=/no/such/file":   "tls_ca",
	} {
		err := store.CheckURL(url)
		switch {
		case err == nil:
			t.Errorf("%s: got no error", url)
		case !strings.Contains(err.Error(), word) || strings.Contains(err.Error(), "\n") || strings.Contains(err.Error(), "hunter2"):
			t.Errorf("%s: error is not one line with %q and without secrets: %v", url, word, err)
		}
	}
}

func FuzzCheckURL(f *testing.F) {
	f.Add("mysql://u:p@h1:3306,h2/db?tls=true&timeout=3s")
	f.Add("mysql://[::1]/db?socket=/s&tls_ca=x")
	f.Fuzz(func(t *testing.T, url string) {
		if strings.Contains(url, "tls_") || strings.Contains(url, "serverPubKey") {
			return // these options make the store read files
		}
		if err := store.CheckURL(url); err != nil && strings.Contains(err.Error(), "\n") {
			t.Errorf("error is not one line: %q", err)
		}
	})
}
