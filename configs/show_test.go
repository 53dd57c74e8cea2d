package configs_test

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"countersign/configs"
)

func setting(t *testing.T, c *configs.Config, key string) configs.Setting {
	t.Helper()
	for _, s := range c.Show() {
		if s.Key == key {
			return s
		}
	}
	t.Fatalf("no %s in %v", key, c.Show())
	return configs.Setting{}
}

func TestShowTellsValueAndSource(t *testing.T) {
	c := load(t, configs.Source{
		File:    write(t, "tokens: {access_ttl: 300s, audience: [a, b]}\nkeys: {algorithms: [ES256]}\nclients: [{id: x, public: true, grants: [refresh_token]}]"),
		Environ: []string{"COUNTERSIGN_KEYS_ALGORITHMS=EdDSA, RS256", "COUNTERSIGN_MASTER_KEY=hunter2"},
		Listen:  ":99",
	})
	for _, want := range []configs.Setting{
		{Key: "issuer", Value: "", Source: "default"},
		{Key: "listen", Value: ":99", Source: "flag"},
		{Key: "master_key", Value: "[secret]", Source: "env"},
		{Key: "tokens.access_ttl", Value: "5m", Source: "file"},
		{Key: "tokens.audience", Value: "a,b", Source: "file"},
		{Key: "tokens.refresh_idle_ttl", Value: "720h", Source: "default"},
		{Key: "keys.algorithms", Value: "EdDSA,RS256", Source: "env"},
		{Key: "passwords.argon2.memory", Value: "19MiB", Source: "default"},
		{Key: "clients[0].public", Value: "true", Source: "file"},
	} {
		if diff := cmp.Diff(want, setting(t, c, want.Key)); diff != "" {
			t.Error(diff)
		}
	}
}

func TestShowKeepsTheOrderOfConfig(t *testing.T) {
	got := load(t, configs.Source{Dev: true}).Show()
	if got[0].Key != "issuer" || got[1].Key != "service_name" || !strings.HasPrefix(got[len(got)-1].Key, "clients[2].") {
		t.Errorf("got %v", got)
	}
}

func TestSecretsAreNeverShown(t *testing.T) {
	c := load(t, configs.Source{Dev: true, Environ: []string{
		"COUNTERSIGN_MASTER_KEY=hunter2",
		"COUNTERSIGN_DATABASE_URL=mysql://me:hun:t@er2@host/x",
	}})
	var log strings.Builder
	slog.New(slog.NewTextHandler(&log, nil)).Info("x", "key", c.MasterKey)
	asJSON, err := json.Marshal(c.MasterKey)
	if err != nil {
		t.Fatal(err)
	}
	client := c.Clients[2]
	shown := fmt.Sprintf("%v\n%+v\n%#v\n%v\n%s\n%s", c.Show(), client, client, c.MasterKey, asJSON, log.String())
	for _, secret := range []string{"hunter2", "hun:t", "dev-secret"} {
		if strings.Contains(shown, secret) {
			t.Errorf("%s is in:\n%s", secret, shown)
		}
	}
	if got := setting(t, c, "database.url").Value; got != "mysql://me:[secret]@host/x" {
		t.Errorf("database.url = %q", got)
	}
}

func TestShowMasksPasswordsInURLs(t *testing.T) {
	for url, want := range map[string]string{
		"mysql://me:hun@ter2@h1:3306,h2:3307/db?tls=true":        "mysql://me:[secret]@h1:3306,h2:3307/db?tls=true",
		"mysql://me@corp:hunter2@h/db":                           "mysql://me@corp:[secret]@h/db",
		"mysql://me@h1:3306,h2:3307/db":                          "mysql://me@h1:3306,h2:3307/db",
		"mysql://h1:3306,[::1]:3307/db?tls_key=/k":               "mysql://h1:3306,[::1]:3307/db?tls_key=/k",
		"mysql://h/db?a=1&ssl_Password=hunter2&b=2&my_token=x=y": "mysql://h/db?a=1&ssl_Password=[secret]&b=2&my_token=[secret]",
	} {
		if got := setting(t, load(t, databaseURL(url)), "database.url").Value; got != want {
			t.Errorf("database.url = %q, want %q", got, want)
		}
	}
}

func TestProblemsDontTellPasswords(t *testing.T) {
	got := problems(t, configs.Source{Serve: true, Environ: []string{
		"COUNTERSIGN_DATABASE_URL=postgres://me@corp:hunter2@h/db",
		"COUNTERSIGN_ISSUER=https://me:hunter2@h",
		"COUNTERSIGN_LISTEN=postgres://me:hunter2@h",
		"COUNTERSIGN_MASTER_KEYS=hunter2",
	}})
	if text := strings.Join(got, "\n"); strings.Contains(text, "hunter2") {
		t.Error(text)
	}
}

func TestUnusedNamesWhatHasNoEffect(t *testing.T) {
	if got := load(t, configs.Source{Dev: true}).Unused(); len(got) != 0 {
		t.Errorf("defaults: %q", got)
	}
	c := load(t, configs.Source{File: write(t, `
session_cookie: {client: spa, same_site: lax}
throttle: {strangers_per_account: 5, max_wait: 1m}
clients:
- {id: a, secret_file: /s, grants: [refresh_token], require_pkce: true}
- {id: b, secret_file: /s, grants: [refresh_token], pkce_optional: true}
`)})
	want := []string{"clients[1].pkce_optional"}
	if diff := cmp.Diff(want, c.Unused()); diff != "" {
		t.Error(diff)
	}
}
