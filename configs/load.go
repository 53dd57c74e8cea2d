package configs

import (
	"maps"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"countersign/clients"
)

// Source says where a configuration comes from.
type Source struct {
	File    string   // path of the YAML file; empty: no file
	Environ []string // the environment, in the form of os.Environ
	Dev     bool     // --dev: changes defaults and relaxes a few rules
	Listen  string   // --listen; empty: not given
	Data    string   // --data; empty: not given

	// Serve also checks what only the server needs: an issuer, a master key, and mail if
	// users must prove their addresses.
	Serve bool
}

// Load makes a Config from the defaults, the file, the environment and the flags, of
// which each overrides those before, and checks it. The error, if any, lists all
// problems, one per line; see Problem.
func Load(src Source) (*Config, error) {
	c := &Config{Dev: src.Dev, Data: src.Data, places: places{}}
	if c.Data == "" {
		c.Data = "countersign-data"
	}
	r := &report{places: c.places, bad: map[string]bool{}}

	c.setDefaults()
	if src.File != "" {
		(&file{src.File, r}).load(c)
	}
	c.setEnviron(src.Environ, r)
	if src.Listen != "" {
		c.Listen = src.Listen
		c.places["listen"] = place{"flag", "--listen"}
	}
	c.setDerived()
	r.readDone()

	c.check(r)
	if src.Serve {
		c.checkServe(r)
	}
	if err := r.err(); err != nil {
		return nil, err
	}
	return c, nil
}

func (c *Config) setDefaults() {
	for _, l := range c.leaves() {
		text := l.standard(c.Dev)
		if text == "" {
			continue
		}
		if err := parse(l.value, text); err != nil {
			panic("configs: default of " + l.key + ": " + err.Error())
		}
	}
	c.Database.URL = "sqlite:" + filepath.Join(c.Data, "countersign.db")
	if c.Dev {
		c.Clients = devClients()
	}
}

// setDerived sets the defaults that depend on other keys.
func (c *Config) setDerived() {
	if _, set := c.places["issuer"]; c.Dev && !set {
		if _, p, err := net.SplitHostPort(c.Listen); err == nil && port(p, 1) {
			c.Issuer = "http://localhost:" + p
		}
	}
	if _, set := c.places["master_key_file"]; !set && c.MasterKey == "" {
		name := filepath.Join(c.Data, "master.key")
		if _, err := os.Stat(name); err == nil || c.Dev {
			c.MasterKeyFile = name
		}
	}
}

const envPrefix = "COUNTERSIGN_"

// envElsewhere are the variables that the command line reads itself.
var envElsewhere = []string{envPrefix + "CONFIG", envPrefix + "DATA", envPrefix + "MOVE_TO"}

// fromKubernetes reports whether the variable is one that Kubernetes sets in every pod
// for a service called countersign or countersign-NAME. Such a name may also be a setting's:
// the service countersign-smtp has COUNTERSIGN_SMTP_PORT=tcp://10.0.0.1:25. A value
// like 8080 is an operator's.
func fromKubernetes(name, text string) bool {
	return kubernetesEnv.MatchString(name) || strings.HasSuffix(name, "_PORT") && kubernetesPort.MatchString(text)
}

var (
	kubernetesEnv = regexp.MustCompile(
		`^COUNTERSIGN(_[A-Z0-9_]+)?_(SERVICE_HOST|SERVICE_PORT(_[A-Z0-9_]+)?|PORT_[0-9]+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)$`)
	kubernetesPort = regexp.MustCompile(`^(tcp|udp|sctp)://[^/]+$`)
)

func (c *Config) setEnviron(environ []string, r *report) {
	defer func() { slices.Sort(c.ServiceLinks) }()
	ls := c.leaves()
	var names []string
	for _, l := range ls {
		names = append(names, l.env())
	}
	for _, entry := range environ {
		name, text, _ := strings.Cut(entry, "=")
		if !strings.HasPrefix(name, envPrefix) || slices.Contains(envElsewhere, name) {
			continue
		}
		if fromKubernetes(name, text) {
			c.ServiceLinks = append(c.ServiceLinks, name)
			continue
		}
		i := slices.Index(names, name)
		if i < 0 {
			r.errs = append(r.errs, &Problem{Where: oneLine(name), Reason: "unknown variable" + suggest(name, names)})
			continue
		}
		l := ls[i]
		if l.tag.Get("only") == "file" {
			r.addAt(name, l.key, "can't be set from the environment: declare them in the configuration file")
			continue
		}
		maps.DeleteFunc(r.places, func(key string, _ place) bool { return strings.HasPrefix(key, l.key+"[") }) // drops the places of the file's items
		r.places[l.key] = place{"env", name}
		if err := parse(l.value, text); err != nil {
			r.add(l.key, "%v", err)
		}
	}
}

// devClients are the clients of --dev, ready for a page on localhost, Postman
// and a resource server.
func devClients() []Client {
	person := Client{Settings: clients.Settings{
		Public: true, FirstParty: true,
		Grants: []string{"password", "refresh_token", "authorization_code"},
		Scopes: []string{"openid", "profile", "email", "roles", "offline_access", "account"},
	}}
	spa, postman := person, person
	spa.ID, spa.Name = "spa", "Single-page app"
	spa.RedirectURIs = slices.Clone(localhostPattern)
	spa.PostLogoutRedirectURIs = slices.Clone(localhostPattern)
	spa.Origins = slices.Clone(localhostPattern)
	postman.ID, postman.Name = "postman", "Postman"
	postman.RedirectURIs = []string{
		"https://oauth.pstmn.io/v1/callback",
		"https://oauth.pstmn.io/v1/browser-callback",
	}
	return []Client{spa, postman, {
		ID: "api", Secret: "dev-secret",
		Settings: clients.Settings{
			Name: "API", FirstParty: true, MayIntrospect: true, Grants: []string{"client_credentials"}, Scopes: []string{"read", "write"},
		},
	}}
}

// localhostPattern allows, under --dev, redirect URIs on localhost with any port and
// path. (As CORS origins, which have no path, the patterns allow any port.)
var localhostPattern = []string{"http://localhost:*", "http://127.0.0.1:*"}
