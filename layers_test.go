// Package countersign_test keeps the module in order: what may import what.
package countersign_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// layers says which packages of this module each package imports. The map in
// docs/architecture.md says it for readers, with groups of packages. All arrows end in
// the domain and its leaves.
var layers = map[string][]string{
	// Leaves know nothing of the domain.
	"audit":    {"ids"},
	"ids":      {},
	"input":    {},
	"mail":     {"secrecy", "theme", "uris"},
	"metrics":  {},
	"openapi":  {},
	"pages":    {"theme"},
	"theme":    {"input", "uris"},
	"seal":     {"secrecy"},
	"secrecy":  {},
	"spelling": {},
	"tracing":  {},
	"uris":     {},
	"web":      {},
	"browser":  {"ids", "seal"},
	"caller":   {"audit", "browser", "ids", "limits"},
	"hashing":  {"input", "limits"},
	"limits":   {"ids", "input"},
	"oauth":    {"ids", "uris"},
	"origins":  {"uris"},

	// The domain. Its packages do not know each other.
	"accounts": {"audit", "caller", "hashing", "ids", "input", "limits", "seal", "secrecy", "uris"},
	"clients":  {"audit", "caller", "hashing", "ids", "input", "limits", "oauth", "origins", "seal", "secrecy", "uris"},
	"consents": {"audit", "caller", "ids"},
	"tokens":   {"audit", "caller", "ids", "input", "oauth", "seal"},
	"keys":     {"audit", "input", "seal"},
	"factors":  {"audit", "caller", "ids", "input", "limits", "oauth", "seal"},

	"upstreams": {"input", "limits", "seal", "secrecy", "uris"},

	// It asks the owners of rules and adds the place.
	"configs": {"accounts", "clients", "factors", "hashing", "input", "keys", "limits", "oauth", "origins", "secrecy", "spelling", "store/dsn", "theme", "tokens", "upstreams", "uris"},

	"store/dsn":       {"input", "uris"},
	"store":           {"ids", "store/dsn", "accounts", "audit", "clients", "consents", "factors", "keys", "limits", "oauth", "secrecy", "tokens"},
	"store/storetest": {"accounts", "audit", "clients", "consents", "factors", "ids", "keys", "limits", "oauth", "store", "store/dsn", "tokens", "test/mariadb", "test/soak"},

	"signin": {"accounts", "browser", "caller", "clients", "factors", "ids", "limits", "oauth", "seal", "secrecy", "tokens", "upstreams"},

	// Above the domain.
	"refusals":  {"accounts", "clients", "consents", "factors", "input", "limits", "oauth", "signin", "tokens", "upstreams"},
	"grants":    {"accounts", "browser", "caller", "clients", "factors", "ids", "oauth", "refusals", "seal", "secrecy", "signin", "tokens"},
	"authorize": {"caller", "clients", "consents", "ids", "oauth", "refusals", "seal", "signin", "tokens"},
	"presets":   {"clients", "oauth", "spelling", "uris"},
	"api":       {"accounts", "audit", "clients", "consents", "factors", "ids", "keys", "tokens"},
	"handlers":  {"accounts", "api", "audit", "authorize", "browser", "caller", "clients", "consents", "factors", "grants", "ids", "input", "keys", "mail", "oauth", "openapi", "origins", "pages", "refusals", "seal", "secrecy", "signin", "theme", "tokens", "upstreams", "web"},
	"server":    {"accounts", "audit", "authorize", "caller", "clients", "consents", "factors", "grants", "handlers", "hashing", "ids", "keys", "limits", "mail", "metrics", "oauth", "origins", "refusals", "seal", "signin", "theme", "tokens", "tracing", "upstreams", "uris"},

	// It sends what tracing makes.
	"tracing/otlp": {"tracing"},

	"cmd/countersign": {"accounts", "api", "audit", "caller", "clients", "configs", "examples/spa", "factors", "handlers", "ids", "keys", "limits", "mail", "metrics", "oauth", "presets", "seal", "secrecy", "server", "store", "theme", "tokens", "tracing", "tracing/otlp", "upstreams"},

	// For measuring alone.
	"bench": {"test/mariadb"},

	// For tests alone.
	"hashing/hashingtest": {"hashing"},
	"input/inputtest":     {"input"},
	"secrecy/secrecytest": {},
	"uris/uristest":       {},
}

// owners says which packages alone may import a library, so that it can be
// replaced in one place. bench measures some libraries without us.
var owners = map[string][]string{
	"github.com/alecthomas/kong":          {"cmd/countersign"},
	"github.com/mileusna/useragent":       {"browser"},
	"github.com/pquerna/otp":              {"factors"},
	"github.com/coreos/go-oidc/v3":        {"upstreams"},
	"github.com/go-jose/go-jose/v4":       {"upstreams"},
	"golang.org/x/oauth2":                 {"upstreams"},
	"github.com/go-webauthn/webauthn":     {"factors"},
	"github.com/boombuler/barcode":        {"pages"},
	"github.com/wneessen/go-mail":         {"mail"},
	"go.yaml.in/yaml/v3":                  {"configs"},
	"github.com/gin-gonic/gin":            {"server", "handlers", "bench"},
	"github.com/gin-contrib/cors":         {"server"},
	"github.com/go-oauth2/oauth2/v4":      {"grants"},
	"go.opentelemetry.io/otel":            {"tracing", "tracing/otlp"},
	"github.com/prometheus/client_golang": {"metrics"},
	"github.com/golang-jwt/jwt/v5":        {"tokens", "keys"},
	"github.com/google/uuid":              {"ids"},
	"golang.org/x/crypto":                 {"hashing", "seal", "bench"},
	"github.com/valyala/fasthttp":         {"bench"},
	"database/sql":                        {"store", "bench"},
	"modernc.org/sqlite":                  {"store", "bench"},
	"github.com/go-sql-driver/mysql":      {"store", "bench"},
	"github.com/pressly/goose/v3":         {"store"},
}

func TestLayers(t *testing.T) {
	out, err := exec.CommandContext(t.Context(), "go", "list", "-f", "{{.ImportPath}} {{join .Imports \" \"}}", "./...").Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	for line := range strings.Lines(string(out)) {
		paths := strings.Fields(line)
		name := strings.TrimPrefix(paths[0], "countersign/")
		if name == "countersign" || strings.HasPrefix(name, "examples/") || strings.HasPrefix(name, "test/") {
			continue
		}
		allowed, known := layers[name]
		if !known {
			t.Errorf("package %s is not in the map: give it its place", name)
			continue
		}
		for _, may := range allowed {
			if !slices.Contains(paths[1:], "countersign/"+may) {
				t.Errorf("%s may import %s and does not: the map has an arrow too many", name, may)
			}
		}
		for _, path := range paths[1:] {
			if ours, ok := strings.CutPrefix(path, "countersign/"); ok && !slices.Contains(allowed, ours) {
				t.Errorf("%s imports %s, which the map does not allow", name, ours)
			}
			for library, may := range owners {
				if (path == library || strings.HasPrefix(path, library+"/")) && !slices.Contains(may, name) {
					t.Errorf("%s imports %s, which only %v may", name, path, may)
				}
			}
		}
	}
}

// The map in docs/architecture.md allows every import, and names none that isn't there.
func TestArchitectureShowsTheLayers(t *testing.T) {
	text, err := os.ReadFile("docs/architecture.md")
	if err != nil {
		t.Fatal(err)
	}
	groups := map[string][]string{"the domain": {"accounts", "factors", "upstreams", "clients", "consents", "tokens", "keys"}}
	mayImport := map[string][]string{} // package: words of the column
	for line := range strings.Lines(string(text)) {
		cells := strings.Split(line, " | ")
		if len(cells) != 4 || !strings.HasPrefix(line, "| `") {
			continue
		}
		names, _, leaves := strings.Cut(strings.Trim(cells[0], "| "), " (lea")
		for _, name := range words(names) {
			mayImport[name] = words(cells[2])
			if leaves {
				groups["leaves"] = append(groups["leaves"], name)
			}
		}
	}
	for name, imports := range layers {
		column, shown := mayImport[name]
		switch {
		case !shown && strings.HasSuffix(name, "test"):
			continue // helpers of one package's tests
		case !shown:
			t.Errorf("docs/architecture.md doesn't show package %s", name)
			continue
		case slices.Equal(column, []string{"anything"}):
			continue
		}
		var allowed []string
		for _, word := range column {
			group, ok := groups[word]
			if !ok && word != "nothing" && !slices.Contains(imports, word) {
				t.Errorf("docs/architecture.md: %s doesn't import %s", name, word)
			}
			allowed = append(append(allowed, word), group...)
		}
		for _, path := range imports {
			if !slices.Contains(allowed, path) {
				t.Errorf("docs/architecture.md: %s imports %s, which its row doesn't allow", name, path)
			}
		}
	}
}

// words splits a list in a cell of a table: "`ids`, `seal`".
func words(cell string) []string { return strings.Split(strings.ReplaceAll(cell, "`", ""), ", ") }

// A file is one noun or one endpoint: a longer one is two. Generated ones are not read.
func TestFilesAreShort(t *testing.T) {
	const most = 400 // lines
	out, err := exec.CommandContext(t.Context(), "go", "list", "-f", "{{.ImportPath}} {{.Doc | len}} {{.Dir}}{{range .GoFiles}} {{.}}{{end}}", "./...").Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	for line := range strings.Lines(string(out)) {
		fields := strings.Fields(line)
		name := strings.TrimPrefix(fields[0], "countersign/")
		if len(fields) == 3 || strings.HasPrefix(name, "test/") || name == "store/storetest" {
			continue // tests, and what is for tests alone
		}
		if fields[1] == "0" {
			t.Errorf("package %s has no comment that says what it is", name)
		}
		for _, file := range fields[3:] {
			b, err := os.ReadFile(filepath.Join(fields[2], file))
			if err != nil {
				t.Fatal(err)
			}
			if n := strings.Count(string(b), "\n"); n > most && !strings.HasPrefix(string(b), "// Code generated ") {
				t.Errorf("%s/%s has %d lines, want at most %d", name, file, n, most)
			}
		}
	}
}
