package configs_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"countersign/clients"
	"countersign/configs"
)

// write creates a configuration file named c.yaml, the name in the messages.
func write(t *testing.T, yaml string) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "c.yaml")
	if err := os.WriteFile(name, []byte(yaml), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

func load(t *testing.T, src configs.Source) *configs.Config {
	t.Helper()
	c, err := configs.Load(src)
	if err != nil {
		t.Fatalf("Load: %v", err)
	}
	return c
}

// problems loads an invalid configuration, and returns the lines of the error.
func problems(t *testing.T, src configs.Source) []string {
	t.Helper()
	c, err := configs.Load(src)
	if err == nil {
		t.Fatalf("Load succeeded: %+v", c)
	}
	text := err.Error()
	if src.File != "" {
		text = strings.ReplaceAll(text, filepath.Dir(src.File)+"/", "")
	}
	return strings.Split(text, "\n")
}

// wantProblem loads what has exactly one problem, of which parts are told.
func wantProblem(t *testing.T, src configs.Source, parts ...string) {
	t.Helper()
	lines := problems(t, src)
	if len(lines) != 1 {
		t.Errorf("got %d problems, want 1", len(lines))
	}
	for _, part := range parts {
		if !strings.Contains(lines[0], part) {
			t.Errorf("%q is not in:\n%s", part, strings.Join(lines, "\n"))
		}
	}
}

func TestDefaultsNeedNoSource(t *testing.T) {
	c := load(t, configs.Source{})
	if c.Listen != ":8080" || c.ServiceName != "Countersign" || c.Tokens.AccessTTL != 10*time.Minute ||
		c.Passwords.Argon2.Memory != 19*configs.MiB || !c.Database.AutoMigrate {
		t.Errorf("got %+v", c)
	}
	if c.Issuer != "" || c.MasterKeyFile != "" || len(c.Clients) != 0 {
		t.Errorf("defaults that only --dev has: %+v", c)
	}
}

func TestPrecedenceIsFlagEnvironmentFileDefault(t *testing.T) {
	src := configs.Source{}
	want := func(listen string) {
		t.Helper()
		if got := load(t, src).Listen; got != listen {
			t.Errorf("listen = %q, want %q", got, listen)
		}
	}
	want(":8080")
	src.File = write(t, `listen: ":1"`)
	want(":1")
	src.Environ = []string{"COUNTERSIGN_LISTEN=:2"}
	want(":2")
	src.Listen = ":3"
	want(":3")
}

func TestFileSetsEveryType(t *testing.T) {
	c := load(t, configs.Source{File: write(t, `
service_name: Acme
database: {auto_migrate: false}
tokens: {access_ttl: 5m, audience: [https://a.example, https://b.example]}
passwords:
  min_length: 12
  argon2: {memory: 1GiB}
clients:
- id: app
  public: true
  grants: [refresh_token]
`)})
	if c.ServiceName != "Acme" || c.Database.AutoMigrate || c.Tokens.AccessTTL != 5*time.Minute ||
		c.Passwords.MinLength != 12 || c.Passwords.Argon2.Memory != configs.GiB {
		t.Errorf("got %+v", c)
	}
	if diff := cmp.Diff([]string{"https://a.example", "https://b.example"}, c.Tokens.Audience); diff != "" {
		t.Error(diff)
	}
	want := []configs.Client{{ID: "app", Settings: clients.Settings{Public: true, Grants: []string{"refresh_token"}}}}
	if diff := cmp.Diff(want, c.Clients); diff != "" {
		t.Error(diff)
	}
}

func TestFileWithNothingInItHasDefaults(t *testing.T) {
	want := load(t, configs.Source{}).Show()
	for _, yaml := range []string{"", "\n\n", "# nothing\n", "---\n", "---\n...\n", "{}", "\ufeff", "tokens:\n# access_ttl: 5m\n"} {
		if diff := cmp.Diff(want, load(t, configs.Source{File: write(t, yaml)}).Show()); diff != "" {
			t.Errorf("%q: %s", yaml, diff)
		}
	}
}

func TestBadFile(t *testing.T) {
	for _, test := range []struct{ name, yaml, want string }{
		{"unknown key", "tokens:\n  lifetime: 5m", "c.yaml:2: tokens.lifetime: unknown key"},
		{"unknown section", "\nplugins: {a: b}", "c.yaml:2: plugins: unknown key"},
		{"misspelt key", "tokens: {acess_ttl: 5m}", "did you mean tokens.access_ttl?"},
		{"key in another style", "masterKeyFile: x", "did you mean master_key_file?"},
		{"misspelt section", "token: {access_ttl: 5m}", "did you mean tokens?"},
		{"key in the wrong section", "access_ttl: 5m", "did you mean tokens.access_ttl?"},
		{"flat dotted key", "tokens.access_ttl: 5m", "unknown key; did you mean tokens.access_ttl?"},
		{"key of a client", "clients:\n- id: a\n  public: true\n  grants: [refresh_token]\n  redirect_uri: [b]", "c.yaml:5: clients[0].redirect_uri: unknown key; did you mean clients[0].redirect_uris?"},
		{"key with a line break", `"a\nb": 1`, `"a\nb": unknown key`},
		{"duplicate key", "listen: :1\nissuer: a\nlisten: :2", "c.yaml:3: listen: is here again, after line 1"},
		{"duplicate section", "keys: {}\nkeys: {}", "keys: is here again"},
		{"merge key", "<<: {listen: ':1'}", "<<: unknown key"},
		{"key that is a mapping", "? {a: b}\n: c", "a key must be a plain word, not a mapping"},
		{"number for text", "service_name: 5", `must be text, not "5": if it is meant so, put it in quotes`},
		{"list for text", "service_name: [a]", "must be text, not a list"},
		{"number in a list", "keys:\n  algorithms:\n  - ES256\n  - 7", `c.yaml:4: keys.algorithms[1]: must be text, not "7"`},
		{"text for a list", "cors: {allowed_origins: https://a.example}", "must be a list such as [a, b], not"},
		{"text for a number", "passwords: {min_length: many}", `must be a whole number, not "many"`},
		{"fraction for a number", "passwords: {min_length: 8.5}", `must be a whole number, not "8.5"`},
		{"word for a boolean", "signup: {enabled: yes}", `must be true or false, not "yes"`},
		{"list for a duration", "tokens: {access_ttl: [5m]}", "must be one value, not a list"},
		{"duration without unit", "tokens: {access_ttl: 600}", `must be a duration such as 90s, 15m or 720h, not "600"`},
		{"negative duration", "tokens: {access_ttl: -5m}", "must not be negative"},
		{"endless duration", "audit: {retention: 2000000h}", "must be at most 438000h (50 years)"},
		{"size without unit", "passwords: {argon2: {memory: 19456}}", "must be a size such as 512KiB, 19MiB or 1GiB"},
		{"decimal size", "passwords: {argon2: {memory: 19MB}}", "must be a size such as"},
		{"value for a section", "tokens: 5m", `tokens: must be a mapping of keys to values, not "5m"`},
		{"value for clients", "clients: {id: a}", "must be a list of clients, not a mapping"},
		{"value for a client", "clients: [a]", "clients[0]: must be a mapping"},
		{"no value", "tokens:\n  access_ttl:", "c.yaml:2: tokens.access_ttl: has no value: give it one (such as 10m) or take the key out"},
		{"no list", "clients:", "has no value: give it one ([] for none)"},
		{"alias", "service_name: &a x\nlisten: *a", "must be text, not an alias (*a)"},
		{"tag", "service_name: !x y", "not a value tagged !x"},
		{"secret", "master_key: hunter2", "is a secret, which a file must not hold: set COUNTERSIGN_MASTER_KEY"},
		{"list at the top", "- a", "c.yaml:1: must be a mapping"},
		{"text at the top", "hello", "must be a mapping"},
		{"two documents", "listen: ':1'\n---\nlisten: ':2'", "c.yaml:2: a second document begins here"},
		{"not YAML", "a: b\n  c: d", "c.yaml:2: not YAML: mapping values are not allowed"},
		{"not YAML after the end", "{}\n---\n{", "not YAML"},
		{"not text", "\xff\xfe\xfa", "not YAML"},
		{"control characters", "a: \x00", "not YAML"},
		{"unknown alias", "a: *b", "not YAML: unknown anchor"},
		{"huge", "#" + strings.Repeat(" ", 1<<20), "larger than 1 MiB"},
		{"deep", strings.Repeat("[", 20000), "not YAML: exceeded max depth"},
	} {
		t.Run(test.name, func(t *testing.T) {
			wantProblem(t, configs.Source{File: write(t, test.yaml)}, test.want)
		})
	}
}

func TestAliasBombIsRefusedAtOnce(t *testing.T) {
	bomb := "a0: &a0 [x,x,x,x,x,x,x,x,x]\n"
	for i := range 20 {
		bomb += fmt.Sprintf("a%d: &a%d [%s*a%d]\n", i+1, i+1, strings.Repeat(fmt.Sprintf("*a%d,", i), 8), i)
	}
	problems(t, configs.Source{File: write(t, bomb)})
}

func TestFileThatCantBeReadIsTheOnlyProblem(t *testing.T) {
	for _, yaml := range []string{"a: b: c", "- issuer: https://auth.example.com", "issuer: [", "# " + strings.Repeat("x", 1<<20)} {
		wantProblem(t, configs.Source{Serve: true, File: write(t, yaml)})
	}
}

func TestProblemWithAnItemNamesWhatSetTheList(t *testing.T) {
	src := configs.Source{File: write(t, "keys:\n  algorithms:\n  - ES256\n  - HS256\n")}
	wantProblem(t, src, "c.yaml:4: keys.algorithms[1]: ")
	src.Environ = []string{"COUNTERSIGN_KEYS_ALGORITHMS=RS256,HS384"}
	wantProblem(t, src, "COUNTERSIGN_KEYS_ALGORITHMS: keys.algorithms[1]: ", "HS384")
}

func TestMissingFileIsNamed(t *testing.T) {
	wantProblem(t, configs.Source{File: "/nowhere/c.yaml"}, "configuration file", "c.yaml", "no such file")
}

func TestEveryProblemIsReportedAtOnce(t *testing.T) {
	got := problems(t, configs.Source{
		File: write(t, `listen: "8080"
nonsense: 1
tokens:
  access_ttl: soon
  refresh_idle_ttl: 0s
passwords: {min_length: 4}
clients:
- id: a
  public: true
  grants: [password, client_credentials]
`),
		Environ: []string{"COUNTERSIGN_THROTTLE_WINDOW=x", "COUNTERSIGN_NOPE=1"},
		Serve:   true,
	})
	want := []string{
		"c.yaml:2: nonsense: ", "c.yaml:4: tokens.access_ttl: ",
		"COUNTERSIGN_THROTTLE_WINDOW: throttle.window: ", "COUNTERSIGN_NOPE: ",
		"c.yaml:1: listen: ", "c.yaml:5: tokens.refresh_idle_ttl: ", "c.yaml:6: passwords.min_length: ",
		"c.yaml:10: clients[0].grants[0]: grants: password", "c.yaml:10: clients[0].grants[1]: grants: client_credentials",
		"issuer: ", "master_key_file: ",
	}
	if len(got) != len(want) {
		t.Fatalf("got %d problems, want %d:\n%s", len(got), len(want), strings.Join(got, "\n"))
	}
	for i := range want {
		if !strings.HasPrefix(got[i], want[i]) {
			t.Errorf("problem %d = %q, want %q...", i, got[i], want[i])
		}
	}
}

func TestProblemCanBeTakenApart(t *testing.T) {
	_, err := configs.Load(configs.Source{Environ: []string{"COUNTERSIGN_LISTEN=x"}})
	p, ok := errors.AsType[*configs.Problem](err)
	if !ok || p.Key != "listen" || p.Where != "COUNTERSIGN_LISTEN" || p.Reason == "" {
		t.Errorf("got %+v from %v", p, err)
	}
}

func TestEnvironmentSetsEveryType(t *testing.T) {
	c := load(t, configs.Source{Environ: []string{
		"COUNTERSIGN_SERVICE_NAME=Acme = Co", "COUNTERSIGN_DATABASE_AUTO_MIGRATE=false",
		"COUNTERSIGN_TOKENS_ACCESS_TTL=5m", "COUNTERSIGN_PASSWORDS_ARGON2_MEMORY=64MiB", "COUNTERSIGN_PASSWORDS_MIN_LENGTH=9",
		"COUNTERSIGN_CORS_ALLOWED_ORIGINS=https://a.example, https://b.example", "COUNTERSIGN_MASTER_KEY=hunter2", "HOME=/",
	}})
	if c.ServiceName != "Acme = Co" || c.Database.AutoMigrate || c.Tokens.AccessTTL != 5*time.Minute ||
		c.Passwords.Argon2.Memory != 64*configs.MiB || c.Passwords.MinLength != 9 || string(c.MasterKey) != "hunter2" {
		t.Errorf("got %+v", c)
	}
	if diff := cmp.Diff([]string{"https://a.example", "https://b.example"}, c.CORS.AllowedOrigins); diff != "" {
		t.Error(diff)
	}
}

// Who must have a second factor is read from a word or a list, in the file and from the
// environment alike.
func TestRequiredFactorsAreAWordOrAList(t *testing.T) {
	for _, test := range []struct{ yaml, variable, shown string }{
		{`factors: {required: none}`, "none", "none"},
		{`factors: {required: all}`, "all", "all"},
		{`factors: {required: [admin, staff]}`, "admin, staff", "admin,staff"},
		{`factors: {required: [admin]}`, "admin", "admin"},
		{`factors: {}`, "none", "none"},
	} {
		file := load(t, configs.Source{File: write(t, test.yaml)})
		env := load(t, configs.Source{Environ: []string{"COUNTERSIGN_FACTORS_REQUIRED=" + test.variable}})
		if diff := cmp.Diff(file.Factors, env.Factors); diff != "" {
			t.Errorf("%s: %s", test.yaml, diff)
		}
		if got := setting(t, file, "factors.required").Value; got != test.shown {
			t.Errorf("%s is shown as %q", test.yaml, got)
		}
		for _, roles := range [][]string{nil, {"guest"}, {"guest", "admin"}} {
			must := test.shown == "all" || len(roles) == 2 && test.shown != "none"
			if got := file.Factors.MustHave(roles); got != must {
				t.Errorf("%s: %q must have one: %v", test.yaml, roles, got)
			}
		}
	}
	wantProblem(t, configs.Source{Environ: []string{"COUNTERSIGN_FACTORS_REQUIRED=none,admin"}}, "COUNTERSIGN_FACTORS_REQUIRED: factors.required", "stands alone")
}

func TestEmptyVariableEmptiesAList(t *testing.T) {
	c := load(t, configs.Source{Dev: true, Environ: []string{"COUNTERSIGN_CORS_ALLOWED_ORIGINS="}})
	if len(c.CORS.AllowedOrigins) != 0 {
		t.Errorf("got %q", c.CORS.AllowedOrigins)
	}
}

func TestBadEnvironment(t *testing.T) {
	for _, test := range []struct{ name, entry, want string }{
		{"unknown", "COUNTERSIGN_COLOUR=red", "COUNTERSIGN_COLOUR: unknown variable"},
		{"misspelt", "COUNTERSIGN_TOKEN_ACCESS_TTL=5m", "did you mean COUNTERSIGN_TOKENS_ACCESS_TTL?"},
		{"bad value", "COUNTERSIGN_TOKENS_ACCESS_TTL=5", `COUNTERSIGN_TOKENS_ACCESS_TTL: tokens.access_ttl: must be a duration`},
		{"empty value", "COUNTERSIGN_PASSWORDS_MIN_LENGTH=", "must be a whole number"},
		{"empty item", "COUNTERSIGN_KEYS_ALGORITHMS=ES256,,RS256", "has an empty item"},
		{"clients", "COUNTERSIGN_CLIENTS=a", "can't be set from the environment"},
		{"out of range", "COUNTERSIGN_SMTP_PORT=70000", "COUNTERSIGN_SMTP_PORT: smtp.port: must be at most 65535, not 70000"},
		{"port that isn't Kubernetes'", "COUNTERSIGN_PORT=9000", "unknown variable"},
	} {
		t.Run(test.name, func(t *testing.T) {
			wantProblem(t, configs.Source{Environ: []string{test.entry}}, test.want)
		})
	}
}

func TestVariablesOfOthersAreLeftAlone(t *testing.T) {
	c := load(t, configs.Source{Environ: []string{
		"COUNTERSIGN_SMTP_SERVICE_HOST=10.0.0.3", "COUNTERSIGN_SMTP_PORT=tcp://10.0.0.3:25", "COUNTERSIGN_SMTP_PORT_25_TCP=tcp://10.0.0.3:25",
		"COUNTERSIGN_6_PORT=udp://[fd00::1]:53",
		"COUNTERSIGN_CONFIG=c.yaml", "COUNTERSIGN_DATA=/data",
		"COUNTERSIGN_SERVICE_HOST=10.0.0.1", "COUNTERSIGN_SERVICE_PORT=80", "COUNTERSIGN_SERVICE_PORT_HTTP=80",
		"COUNTERSIGN_PORT=tcp://10.0.0.1:80", "COUNTERSIGN_PORT_80_TCP=tcp://10.0.0.1:80",
		"COUNTERSIGN_PORT_80_TCP_PROTO=tcp", "COUNTERSIGN_PORT_80_TCP_PORT=80", "COUNTERSIGN_PORT_80_TCP_ADDR=10.0.0.1",
		"COUNTERSIGN_ADMIN_SERVICE_HOST=10.0.0.2", "COUNTERSIGN_ADMIN_PORT=tcp://10.0.0.2:90", "COUNTERSIGN_ADMIN_PORT_90_TCP_ADDR=10.0.0.2",
		"COUNTERSIGNER=x", "countersign_x=y",
	}})
	if c.SMTP.Port != 587 || len(c.ServiceLinks) != 15 {
		t.Errorf("smtp.port is %d and %q are not settings, want the default and 15", c.SMTP.Port, c.ServiceLinks)
	}
	c = load(t, configs.Source{Environ: []string{"COUNTERSIGN_SMTP_PORT=2525"}})
	if c.SMTP.Port != 2525 || c.ServiceLinks != nil {
		t.Errorf("smtp.port is %d and %q are not settings", c.SMTP.Port, c.ServiceLinks)
	}
	for _, mistake := range []string{"COUNTERSIGN_SMTP_PORT=http://mail", "COUNTERSIGN_PORT=8080", "COUNTERSIGN_SMTP_PORT=tcp:25"} {
		problems(t, configs.Source{Environ: []string{mistake}})
	}
}

func TestDataFolderDecidesDefaults(t *testing.T) {
	data := t.TempDir()
	c := load(t, configs.Source{Data: data})
	if want := "sqlite:" + data + "/countersign.db"; c.Database.URL != want || c.MasterKeyFile != "" {
		t.Errorf("database.url = %q, want %q; master_key_file = %q, want none", c.Database.URL, want, c.MasterKeyFile)
	}
	if got := load(t, configs.Source{}).Database.URL; got != "sqlite:countersign-data/countersign.db" {
		t.Errorf("without --data: %q", got)
	}
}

func TestMasterKeyInDataFolderIsFound(t *testing.T) {
	data := t.TempDir()
	want := filepath.Join(data, "master.key")
	if got := load(t, configs.Source{Data: data, Dev: true}).MasterKeyFile; got != want {
		t.Errorf("dev, before it exists: %q, want %q", got, want)
	}
	if err := os.WriteFile(want, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if got := load(t, configs.Source{Data: data}).MasterKeyFile; got != want {
		t.Errorf("once it exists: %q, want %q", got, want)
	}
	if got := load(t, configs.Source{Data: data, Environ: []string{"COUNTERSIGN_MASTER_KEY=k"}}).MasterKeyFile; got != "" {
		t.Errorf("beside COUNTERSIGN_MASTER_KEY: %q, want none", got)
	}
}

func TestDevServesWithoutConfiguration(t *testing.T) {
	c := load(t, configs.Source{Dev: true, Serve: true})
	if c.Listen != "127.0.0.1:8080" || c.Issuer != "http://localhost:8080" {
		t.Errorf("listen %q, issuer %q", c.Listen, c.Issuer)
	}
	if diff := cmp.Diff([]string{"http://localhost:*", "http://127.0.0.1:*"}, c.CORS.AllowedOrigins); diff != "" {
		t.Error(diff)
	}
	person := []string{"password", "refresh_token", "authorization_code"}
	scopes := []string{"openid", "profile", "email", "roles", "offline_access", "account"}
	want := []configs.Client{
		{ID: "spa", Settings: clients.Settings{
			Name: "Single-page app", Public: true, FirstParty: true, Grants: person, Scopes: scopes,
			RedirectURIs:           []string{"http://localhost:*", "http://127.0.0.1:*"},
			PostLogoutRedirectURIs: []string{"http://localhost:*", "http://127.0.0.1:*"},
			Origins:                []string{"http://localhost:*", "http://127.0.0.1:*"},
		}},
		{ID: "postman", Settings: clients.Settings{
			Name: "Postman", Public: true, FirstParty: true, Grants: person, Scopes: scopes,
			RedirectURIs: []string{"https://oauth.pstmn.io/v1/callback", "https://oauth.pstmn.io/v1/browser-callback"},
		}},
		{ID: "api", Secret: "dev-secret", Settings: clients.Settings{
			Name: "API", FirstParty: true, Grants: []string{"client_credentials"}, Scopes: []string{"read", "write"}, MayIntrospect: true,
		}},
	}
	if diff := cmp.Diff(want, c.Clients); diff != "" {
		t.Error(diff)
	}
}

func TestDevChangesDefaultsOnly(t *testing.T) {
	c := load(t, configs.Source{Dev: true, Serve: true, File: write(t, `
issuer: https://auth.example.com
listen: ":1"
cors: {allowed_origins: []}
clients: []
`)})
	if c.Issuer != "https://auth.example.com" || c.Listen != ":1" || len(c.CORS.AllowedOrigins) != 0 || len(c.Clients) != 0 {
		t.Errorf("got %+v", c)
	}
}

func TestDevIssuerFollowsThePort(t *testing.T) {
	for listen, want := range map[string]string{"127.0.0.1:9999": "http://localhost:9999", ":0": "", "[::1]:81": "http://localhost:81"} {
		if got := load(t, configs.Source{Dev: true, Serve: true, Listen: listen}).Issuer; got != want {
			t.Errorf("listen %s: issuer %q, want %q", listen, got, want)
		}
	}
}

func TestBadListenIsOneProblemInDev(t *testing.T) {
	wantProblem(t, configs.Source{Dev: true, Serve: true, Listen: "localhost:http"}, "--listen: listen: must be host:port")
}
