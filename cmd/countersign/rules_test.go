package main

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"countersign/caller"
	"countersign/clients"
	"countersign/configs"
	"countersign/hashing"
	"countersign/input"
	"countersign/keys"
	"countersign/limits"
	"countersign/store"
	"countersign/store/dsn"
	"countersign/store/storetest"
)

// The configuration file, the command line and the domain are asked the same question
// about a client, and must give the same answer in the same words.
func TestAClientIsJudgedAlikeHoweverItIsRegistered(t *testing.T) {
	storetest.OnOwnDatabase(t) // commands, on SQLite
	long := strings.Repeat("a", 64)
	for _, c := range []struct {
		name, yaml string
		args       []string
		client     clients.Client
		dev        bool
		want       string // empty: it is registered
	}{
		{"longest id", "{id: " + long + ", public: true, grants: [refresh_token]}", []string{"--id", long, "--grant", "refresh_token"},
			clients.Client{ID: long, Settings: clients.Settings{Public: true, Grants: []string{"refresh_token"}}}, false, ""},
		{"too long an id", "{id: " + long + "a, public: true, grants: [refresh_token]}", []string{"--id", long + "a", "--grant", "refresh_token"},
			clients.Client{ID: long + "a", Settings: clients.Settings{Public: true, Grants: []string{"refresh_token"}}}, false,
			"id must not be longer than 64 characters."},
		{"no grants", "{id: a, public: true}", []string{"--id", "a"},
			clients.Client{ID: "a", Settings: clients.Settings{Public: true}}, false,
			"grants: a client needs at least one, unless it may introspect."},
		{"a grant twice", "{id: a, public: true, grants: [refresh_token, refresh_token]}", []string{"--id", "a", "--grant", "refresh_token", "--grant", "refresh_token"},
			clients.Client{ID: "a", Settings: clients.Settings{Public: true, Grants: []string{"refresh_token", "refresh_token"}}}, false,
			`grants: "refresh_token" is here twice.`},
		{"an origin of another scheme", "{id: a, public: true, grants: [refresh_token], origins: ['capacitor://localhost']}",
			[]string{"--id", "a", "--grant", "refresh_token", "--origin", "capacitor://localhost"},
			clients.Client{ID: "a", Settings: clients.Settings{Public: true, Grants: []string{"refresh_token"}, Origins: []string{"capacitor://localhost"}}}, false,
			`origins: "capacitor://localhost" must begin with https:// or http://.`},
		{"any page on localhost, in production", "{id: a, public: true, grants: [refresh_token], redirect_uris: ['http://localhost:*']}",
			[]string{"--id", "a", "--grant", "refresh_token", "--redirect-uri", "http://localhost:*"},
			clients.Client{ID: "a", Settings: clients.Settings{Public: true, Grants: []string{"refresh_token"}, RedirectURIs: []string{"http://localhost:*"}}}, false,
			`redirect_uris: "http://localhost:*" stands for any page on localhost, which only serve --dev allows: write the URI in full.`},
		{"any page on localhost, in development", "{id: a, public: true, grants: [refresh_token], redirect_uris: ['http://localhost:*']}",
			[]string{"--id", "a", "--grant", "refresh_token", "--redirect-uri", "http://localhost:*"},
			clients.Client{ID: "a", Settings: clients.Settings{Public: true, Grants: []string{"refresh_token"}, RedirectURIs: []string{"http://localhost:*"}}}, true, ""},
		{"an audience with a comma", "{id: a, public: true, grants: [refresh_token], audiences: ['x,y']}",
			[]string{"--id", "a", "--grant", "refresh_token", "--audience", "x,y"},
			clients.Client{ID: "a", Settings: clients.Settings{Public: true, Grants: []string{"refresh_token"}, Audiences: []string{"x,y"}}}, false,
			`audiences: "x,y" must be printable ASCII without spaces and commas, such as https://api.example.com.`},
		{"an algorithm without a key", "{id: a, public: true, grants: [refresh_token], id_token_alg: EdDSA}",
			[]string{"--id", "a", "--grant", "refresh_token", "--id-token-alg", "EdDSA"},
			clients.Client{ID: "a", Settings: clients.Settings{Public: true, Grants: []string{"refresh_token"}, IDTokenAlg: "EdDSA"}}, false,
			`id_token_alg: "EdDSA" is none of the algorithms in keys.algorithms (ES256, RS256).`},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			file, data := filepath.Join(dir, "c.yaml"), filepath.Join(dir, "data")
			if err := os.WriteFile(file, []byte("clients:\n- "+c.yaml+"\n"), 0o600); err != nil {
				t.Fatal(err)
			}
			_, err := configs.Load(configs.Source{File: file, Dev: c.dev})
			answers(t, "the file", err, c.want)

			purpose := store.Production
			if c.dev {
				purpose = store.Development
			}
			db, err := store.Open(t.Context(), "sqlite:"+filepath.Join(data, "countersign.db"), store.Options{Purpose: purpose})
			if err != nil {
				t.Fatal(err)
			}
			db.Close()
			var out, errs bytes.Buffer
			code := run(t.Context(), append([]string{"clients", "create", "--data", data, "--public"}, c.args...), stdio{in: strings.NewReader(""), out: &out, err: &errs})
			err = nil
			if code != 0 {
				err = errors.New(errs.String())
			}
			answers(t, "the command line", err, c.want)

			registry, err := clients.New(clients.Options{
				Store: storetest.Open(t), Argon2: hashing.Argon2{MemoryKiB: 8, Iterations: 1, Parallelism: 1}, Slots: limits.NewSlots(1, 1),
				Rules: clients.Rules{AnyLoopback: c.dev, IDTokenAlgs: []string{"ES256", "RS256"}},
			})
			if err != nil {
				t.Fatal(err)
			}
			_, err = registry.Put(t.Context(), time.Now(), c.client, "", caller.Operator())
			answers(t, "the domain", err, c.want)
		})
	}
}

// A rule about a setting that no command sets is asked of the file and of its owner.
func TestASettingIsJudgedByItsOwner(t *testing.T) {
	for _, c := range []struct {
		name, yaml string
		owner      error
		want       string
	}{
		{"key times", "keys: {rotation_period: 20m}",
			keys.Policy{RotationPeriod: 20 * time.Minute, JWKSMaxAge: 15 * time.Minute, ClockSkew: 30 * time.Second, AccessTTL: 10 * time.Minute}.Check(),
			"rotation_period: 20m is too short"},
		{"key times that just do", "keys: {rotation_period: 1247s}",
			keys.Policy{RotationPeriod: 1247 * time.Second, JWKSMaxAge: 15 * time.Minute, ClockSkew: 30 * time.Second, AccessTTL: 10 * time.Minute}.Check(), ""},
		{"algorithms", "keys: {algorithms: [HS256]}", keys.CheckAlgorithms([]string{"HS256"}), `algorithms: "HS256" is none of`},
		{"price of hashing", "passwords: {argon2: {memory: 12MiB}}", hashing.Argon2{MemoryKiB: 12 << 10, Iterations: 2, Parallelism: 1}.CheckStrong(),
			"memory: 12MiB is too little with iterations: 2"},
		{"least price", "passwords: {argon2: {memory: 7MiB, iterations: 5}}", hashing.Argon2{MemoryKiB: 7 << 10, Iterations: 5, Parallelism: 1}.CheckStrong(), ""},
		{"database", "database: {url: 'mysql://u@db:0/x'}", dsn.Check("mysql://u@db:0/x"), "must have HOST or HOST:PORT"},
		{"database at the store", "database: {url: 'mysql://u@db:0/x'}", store.CheckURL("mysql://u@db:0/x"), "must have HOST or HOST:PORT"},
	} {
		t.Run(c.name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "c.yaml")
			if err := os.WriteFile(file, []byte(c.yaml+"\n"), 0o600); err != nil {
				t.Fatal(err)
			}
			_, err := configs.Load(configs.Source{File: file})
			answers(t, "the file", err, c.want)
			answers(t, "the owner", c.owner, c.want)
			if bad, ok := errors.AsType[*input.Error](c.owner); ok && (err == nil || !strings.Contains(err.Error(), bad.Problems[0].Detail)) {
				t.Errorf("the file says %v, its owner %v", err, c.owner)
			}
		})
	}
}

// answers reports an answer that is not the wanted sentence, or none where none is wanted.
func answers(t *testing.T, who string, err error, want string) {
	t.Helper()
	switch {
	case want == "" && err != nil:
		t.Errorf("%s refuses: %v", who, err)
	case want != "" && err == nil:
		t.Errorf("%s accepts, want %q", who, want)
	case want != "" && !strings.Contains(err.Error(), want):
		t.Errorf("%s says %q, want %q", who, err, want)
	}
}
