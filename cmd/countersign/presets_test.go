package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"unicode"

	"countersign/clients"
	"countersign/presets"
	"countersign/store"
	"countersign/store/storetest"
)

// created runs clients create and returns its exit code and what it prints.
func created(t *testing.T, data string, args ...string) (code int, out, errs string) {
	t.Helper()
	var stdout, stderr bytes.Buffer
	code = run(t.Context(), append([]string{"clients", "create", "--data", data}, args...),
		stdio{in: strings.NewReader("a long chosen secret that nobody guesses\n"), out: &stdout, err: &stderr})
	return code, stdout.String(), stderr.String()
}

// Each preset makes a client that the default configuration takes, and prints a
// configuration that is complete.
func TestPresetsMakeClientsAndConfigurations(t *testing.T) {
	storetest.OnOwnDatabase(t) // commands, on SQLite
	data := t.TempDir()
	t.Setenv("COUNTERSIGN_ISSUER", "https://id.example.org")
	for _, p := range presets.All() {
		id := "my-" + p.Name
		code, out, errs := created(t, data, "--id", id, "--preset", p.Name, "--app-url", "https://app.example.com/", "--json")
		var client struct {
			clients.Settings
			Secret        string `json:"client_secret"`
			Configuration string `json:"configuration"`
		}
		if err := json.Unmarshal([]byte(out), &client); code != 0 || err != nil {
			t.Errorf("%s: exit code %d, %v\n%s", p.Name, code, err, errs)
			continue
		}
		if errs = strings.ReplaceAll(errs, "Keep the client_secret now", ""); strings.Contains(errs, "replace it") {
			t.Errorf("%s: the issuer is configured, but %s", p.Name, errs)
		}
		if (client.Secret == "") != client.Public {
			t.Errorf("%s: public %v, with the secret %q", p.Name, client.Public, client.Secret)
		}
		want := []string{"https://id.example.org", id, client.Secret}
		if p.API {
			want = append(want, "https://app.example.com")
		} else {
			want = append(want, client.RedirectURIs...)
			want = append(want, "profile", "email")
		}
		for _, text := range want {
			if !strings.Contains(client.Configuration, text) {
				t.Errorf("%s: the configuration does not say %q:\n%s", p.Name, text, client.Configuration)
			}
		}
		if strings.ContainsFunc(client.Configuration, func(r rune) bool { return r != '\n' && !unicode.IsPrint(r) }) || strings.Contains(client.Configuration, "<no value>") {
			t.Errorf("%s: the configuration has characters that no terminal shows:\n%q", p.Name, client.Configuration)
		}
		if !p.API && !slices.Equal(client.RedirectURIs, []string{"https://app.example.com" + p.Callback}) {
			t.Errorf("%s: redirect URIs %v", p.Name, client.RedirectURIs)
		}
	}

	// A person gets the same below the table.
	_, out, _ := created(t, data, "--id", "table", "--preset", "django-allauth", "--app-url", "https://app.example.com")
	if !strings.Contains(out, "\n\n# settings.py") || !strings.Contains(out, "client_secret   ") {
		t.Errorf("the table and the configuration:\n%s", out)
	}
}

func TestFlagsWinOverThePreset(t *testing.T) {
	storetest.OnOwnDatabase(t)
	data := t.TempDir()
	code, out, errs := created(t, data, "--id", "app", "--preset", "nextauth", "--secret-stdin", "--json",
		"--redirect-uri", "https://app.example.com/cb", "--scope", "openid", "--grant", "authorization_code", "--grant", "refresh_token",
		"--require-pkce=false", "--claims-in-id-token=false", "--id-token-alg", "ES256", "--access-token-typ", "JWT", "--audience", "https://api.example.com")
	if code != 0 {
		t.Fatal(errs)
	}
	var got struct {
		clients.Settings
		Configuration string `json:"configuration"`
	}
	if err := json.Unmarshal([]byte(out), &got); err != nil {
		t.Fatal(err)
	}
	want := clients.Settings{
		Name: "app", Grants: []string{"authorization_code", "refresh_token"}, Scopes: []string{"openid"}, RedirectURIs: []string{"https://app.example.com/cb"},
		Audiences: []string{"https://api.example.com"}, IDTokenAlg: "ES256", AccessTokenType: "JWT",
	}.Whole()
	if !reflect.DeepEqual(got.Settings, want) {
		t.Errorf("settings\n%+v, want\n%+v", got.Settings, want)
	}
	for _, text := range []string{`"ES256"`, `scope: "openid"`, "https://app.example.com/cb", chosenSecret, unknownIssuer} {
		if !strings.Contains(got.Configuration, text) {
			t.Errorf("the configuration does not say %s:\n%s", text, got.Configuration)
		}
	}
	if strings.Contains(out+errs, "nobody guesses") {
		t.Error("the chosen secret is printed")
	}
	if !strings.Contains(errs, "COUNTERSIGN_ISSUER") {
		t.Errorf("no word about the issuer that isn't known: %s", errs)
	}

	// What an API needs suits clients of any kind.
	code, out, errs = created(t, data, "--id", "spa", "--preset", "spring-resource-server", "--public", "--grant", "authorization_code",
		"--redirect-uri", "https://app.example.com/", "--audience", "https://api.example.com")
	if code != 0 || !strings.Contains(out, "access_token_typ           JWT") || !strings.Contains(out, `audiences: "https://api.example.com"`) || strings.Contains(out, "curl") {
		t.Errorf("exit code %d\n%s%s", code, out, errs)
	}
}

// In a database of serve --dev the issuer is that of the default port.
func TestPresetOfADevelopersServer(t *testing.T) {
	storetest.OnOwnDatabase(t)
	data := t.TempDir()
	db, err := store.Open(t.Context(), "sqlite:"+filepath.Join(data, "countersign.db"), store.Options{Purpose: store.Development})
	if err != nil {
		t.Fatal(err)
	}
	db.Close()
	code, out, errs := created(t, data, "--id", "app", "--preset", "authjs", "--app-url", "http://localhost:3000")
	if code != 0 || !strings.Contains(out, `issuer: "http://localhost:8080"`) || !strings.Contains(errs, "http://localhost:8080") {
		t.Errorf("exit code %d\n%s\n%s", code, out, errs)
	}
}

// A mistake is named, and leaves no client.
func TestPresetsRefuse(t *testing.T) {
	storetest.OnOwnDatabase(t)
	data := t.TempDir()
	storetest.OpenFile(t, filepath.Join(data, "countersign.db")).Close()
	for _, c := range []struct {
		args []string
		code int
		want string
	}{
		{[]string{"--preset", "nothing"}, exitUsage, `there is no preset "nothing", but appauth, authjs,`},
		{[]string{"--preset", "Spring"}, exitUsage, `there is no preset "Spring": did you mean spring or`},
		{[]string{"--preset", "authjs"}, exitUsage, "https://app.example.com/api/auth/callback/countersign"},
		{[]string{"--preset", "pyjwt"}, exitUsage, "--audience"},
		{[]string{"--preset", "authjs", "--public", "--app-url", "https://a.example.com"}, exitUsage, "leave out --public"},
		{[]string{"--preset", "appauth", "--generate-secret", "--app-url", "https://a.example.com"}, exitUsage, "leave out --secret-stdin"},
		{[]string{"--app-url", "https://a.example.com", "--public"}, exitUsage, "--app-url goes with --preset"},
		{[]string{"--preset", "authjs", "--app-url", "a.example.com"}, exitUsage, "--app-url"},
		{[]string{"--preset", "authjs", "--app-url", "https://a.example.com/?x=y"}, exitUsage, "without a query"},
		{[]string{"--preset", "authjs", "--app-url", "https://a.example.com/#x"}, exitUsage, "fragment"},
		{[]string{"--preset", "authjs", "--app-url", "http://a.example.com"}, exitFailed, "must use https"},
		{[]string{"--preset", "authjs", "--app-url", "https://a.example.com/$(id)"}, exitFailed, "would mean something else"},
		{[]string{"--preset", "oauth2-proxy", "--app-url", "https://a.example.com", "--scope", "${x}"}, exitFailed, "would mean something else"},
		{[]string{"--preset", "grafana", "--app-url", "https://a.example.com", "--id-token-alg", "EdDSA"}, exitFailed, "id_token_alg"},
	} {
		code, out, errs := created(t, data, append([]string{"--id", "app"}, c.args...)...)
		if code != c.code || !strings.Contains(errs, c.want) || out != "" {
			t.Errorf("%q: exit code %d, want %d; printed %q and\n%s, want %q", c.args, code, c.code, out, errs, c.want)
		}
	}
	// An id with characters of its own, too.
	if code, _, errs := created(t, data, "--id", "it's", "--preset", "authjs", "--app-url", "https://a.example.com"); code != exitFailed || !strings.Contains(errs, "would mean something else") {
		t.Errorf("a quote in the id: exit code %d, %s", code, errs)
	}
	var list bytes.Buffer
	if run(t.Context(), []string{"clients", "list", "--data", data, "--json"}, stdio{out: &list, err: os.Stderr}); list.String() != "[]\n" {
		t.Errorf("clients afterwards: %s", list.String())
	}
}
