package configs_test

import (
	"strings"
	"testing"

	"countersign/configs"
)

func databaseURL(url string) configs.Source {
	return configs.Source{Environ: []string{"COUNTERSIGN_DATABASE_URL=" + url}}
}

func TestGoodDatabaseURLs(t *testing.T) {
	for _, url := range []string{
		"mysql://db/countersign",
		"mysql://countersign@db.example.com/countersign",
		"mysql://countersign:p%40ss%2Fw%3Ard@db.example.com:3306/countersign",
		"mysql://me@corp:p@ss:w@rd@db/countersign", // the last @ ends the password
		"mysql://u@db1:3306,db2:3307,10.0.0.1/countersign?tls=true&timeout=5s",
		"mysql://u@[2001:db8::1]:3306,[2001:db8::2]/countersign",
		"mysql://u:p@localhost/countersign?socket=/run/mysqld/mysqld.sock",
	} {
		if got := load(t, databaseURL(url)).Database.URL; got != url {
			t.Errorf("database.url = %q, want %q", got, url)
		}
	}
}

func TestBadDatabaseURLsAreToldWithoutTheirPassword(t *testing.T) {
	for url, want := range map[string]string{
		"mysql://u:hunter2%zz@db/countersign":          "write it as %25",
		"mysql://hunter2%@db/countersign":              "%25",
		"mysql://u:hunter2@db":                         "name of one database",
		"mysql://u:hunter2@db/?tls=true":               "name of one database",
		"mysql://u:hunter2@db/%zz":                     "name of one database",
		"mysql://u:hunter2@db/a/b":                     "name of one database",
		"mysql://u:12/hunter2@db":                      "write / as %2F",
		"mysql://u:12/a?hunter2@db/countersign":        "NAME=VALUE",
		"mysql://u:hunter2@db/countersign?tls":         "NAME=VALUE",
		"mysql://u:hunter2@db/countersign?tls=%zz":     "NAME=VALUE",
		"mysql://db/countersign?user=u":                "database.password_file",
		"mysql://db/countersign?password=hunter2":      "database.password_file",
		"mysql://u:hunter2@localhost/db?socket=a.sock": "whole path",
		"mysql://u:hunter2@db1,db2/db?socket=/a.sock":  "localhost as its only host",
		"mysql://u:hunter2@/countersign":               "HOST:PORT",
		"mysql://u:hunter2@db1,,db2/countersign":       "HOST:PORT",
		"mysql://u:hunter2@db1,db2,/countersign":       "HOST:PORT",
		"mysql://u:hunter2@db 1/countersign":           "HOST:PORT",
		"mysql://u:hunter2@db:/countersign":            "HOST:PORT",
		"mysql://u:hunter2@db:0/countersign":           "HOST:PORT",
		"mysql://u:hunter2@db:65536/countersign":       "HOST:PORT",
		"mysql://u:hunter2@:3306/countersign":          "HOST:PORT",
		"mysql://u:hunter2@::1/countersign":            "HOST:PORT",
		"mysql://u:hunter2@[::1/countersign":           "HOST:PORT",
		"mysql://u:hunter2@[db]:3306/countersign":      "HOST:PORT",
		"mysql://u:hunter2@[10.0.0.1]/countersign":     "HOST:PORT",
		"mysql://u:hunter2@[::1]x/countersign":         "HOST:PORT",
		"mysql://u:hunter2@tcp(db:3306)/countersign":   "HOST:PORT",
	} {
		t.Run(url, func(t *testing.T) {
			src := databaseURL(url)
			wantProblem(t, src, "COUNTERSIGN_DATABASE_URL: database.url: ", want)
			if text := strings.Join(problems(t, src), ""); strings.Contains(text, "hunter2") {
				t.Error(text)
			}
		})
	}
}

func TestDatabaseSettingsFromTheEnvironment(t *testing.T) {
	db := load(t, configs.Source{Environ: []string{
		"COUNTERSIGN_DATABASE_URL=mysql://u@h/db",
		"COUNTERSIGN_DATABASE_PASSWORD_FILE=/run/secrets/db",
		"COUNTERSIGN_DATABASE_POOL_MAX_OPEN=8",
		"COUNTERSIGN_DATABASE_POOL_MAX_IDLE=4",
		"COUNTERSIGN_DATABASE_POOL_MAX_LIFETIME=1m",
		"COUNTERSIGN_DATABASE_POOL_MAX_IDLE_TIME=30s",
	}}).Database
	if p := db.Pool; db.PasswordFile != "/run/secrets/db" || p.MaxOpen != 8 || p.MaxIdle != 4 ||
		p.MaxLifetime.String() != "1m0s" || p.MaxIdleTime.String() != "30s" {
		t.Errorf("got %+v", db)
	}
}

// FuzzDatabaseURL checks that configs never shows a password, wherever a typing error
// in the URL puts it.
func FuzzDatabaseURL(f *testing.F) {
	f.Add("me", "db1:3306,db2/countersign?tls=true")
	f.Add("me@corp", "[::1]:3306/countersign")
	f.Add("us/er", "h")
	f.Add("h:12/a?x", "db/countersign")
	f.Add("u", "@x@h/db?a=b@c&password=x")
	f.Add("", "localhost/db?socket=/run/mysqld/mysqld.sock")
	const secret = "not-to-be-shown"
	f.Fuzz(func(t *testing.T, user, rest string) {
		c, err := configs.Load(databaseURL("mysql://" + user + ":" + secret + "@" + rest))
		if err != nil {
			wantOneLineEach(t, err)
			if strings.Contains(err.Error(), secret) {
				t.Fatal(err)
			}
			return
		}
		if got := setting(t, c, "database.url").Value; strings.Contains(got, secret) {
			t.Fatal(got)
		}
	})
}
