package configs_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"countersign/configs"
)

// FuzzLoad holds Load to three promises: no file makes it panic, a problem is
// one line, and Show's output of a valid configuration, as environment variables, gives
// the same configuration, except for the secrets, which Show hides.
func FuzzLoad(f *testing.F) {
	example, err := os.ReadFile(exampleFile)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(example)
	f.Add([]byte(strings.ReplaceAll(string(example), "#", "")))
	f.Add([]byte("issuer: https://a.example\ntokens: {access_ttl: 5m, audience: [a, b]}\n"))
	f.Add([]byte("a: &a [*a]\n<<: *a\n---\n? !!binary x\n: |\n  y\n"))
	f.Add([]byte("clients:\n- {id: a, public: true, grants: [authorization_code], redirect_uris: ['x.y:/']}\n"))
	f.Add([]byte("database: {url: 'mysql://u@h1:3306,[::1]:3307/db?tls=true', password_file: p, pool: {max_open: 4, max_idle: 2}}\n"))
	f.Add([]byte("database: {url: 'mysql://h/db?a_secret=x', password_file: p}\n"))
	f.Add([]byte("database: {url: 'sqlite://u:p@h'}\npasswords: {argon2: {memory: 64MiB}}\n"))
	f.Add([]byte("factors: {required: [admin, staff], remember_browser: 0s, totp: false}\n"))

	const secret = "not-to-be-shown"
	name := filepath.Join(f.TempDir(), "c.yaml")
	f.Fuzz(func(t *testing.T, yaml []byte) {
		if err := os.WriteFile(name, yaml, 0o600); err != nil {
			t.Fatal(err)
		}
		for _, dev := range []bool{false, true} {
			src := configs.Source{File: name, Dev: dev, Environ: []string{"COUNTERSIGN_MASTER_KEY=" + secret}}
			c, err := configs.Load(src)
			if err != nil {
				wantOneLineEach(t, err)
				continue
			}
			again := configs.Source{Dev: dev}
			for _, s := range c.Show() {
				if strings.Contains(s.Value, secret) {
					t.Fatalf("%s shows the secret: %q", s.Key, s.Value)
				}
				variable := "COUNTERSIGN_" + strings.ToUpper(strings.ReplaceAll(s.Key, ".", "_"))
				if s.Key == "database.url" && strings.HasPrefix(s.Value, "mysql:") && strings.Contains(s.Value, "[secret]") {
					s.Value = "mysql://h/db" // a password_file needs one
				}
				if !strings.HasPrefix(s.Key, "clients[") && !strings.Contains(s.Value, "[secret]") {
					again.Environ = append(again.Environ, variable+"="+s.Value)
				}
			}
			if diff := cmp.Diff(values(c), values(load(t, again))); diff != "" {
				t.Fatal(diff)
			}
		}
	})
}

func wantOneLineEach(t *testing.T, err error) {
	t.Helper()
	joined, ok := err.(interface{ Unwrap() []error })
	if !ok {
		t.Fatalf("not a joined error: %v", err)
	}
	if got, want := strings.Count(err.Error(), "\n")+1, len(joined.Unwrap()); got != want {
		t.Fatalf("%d problems on %d lines:\n%v", want, got, err)
	}
}

// values returns the settings that the environment can have.
func values(c *configs.Config) map[string]string {
	m := map[string]string{}
	for _, s := range c.Show() {
		if !strings.HasPrefix(s.Key, "clients[") && !strings.Contains(s.Value, "[secret]") && s.Key != "master_key" && s.Key != "database.url" {
			m[s.Key] = s.Value
		}
	}
	return m
}
