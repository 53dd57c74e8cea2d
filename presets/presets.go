// Package presets knows what client libraries need: which settings of a client make a
// library work, and the library's own configuration. Each library has one file in this
// folder, NAME.tmpl: its settings in JSON, a line of three hyphens, and a template of its
// configuration. A test compares them with docs/works-with.md.
package presets

import (
	"bytes"
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"sync"
	"text/template"

	"countersign/clients"
	"countersign/oauth"
	"countersign/uris"
)

// Preset is what one library needs.
type Preset struct {
	Name    string `json:"name"`
	Library string `json:"library"` // and its versions, for people
	// API marks a library that verifies access tokens: the settings are for the
	// applications that call it, and the address is its audience.
	API bool `json:"api,omitempty"`
	// Callback is the path of the redirect URI, below the application's address.
	Callback string `json:"callback,omitempty"`
	// AfterSignOut are the paths that the library may ask to return to after signing out.
	AfterSignOut []string `json:"after_sign_out,omitempty"`
	// Settings are the client's, without what depends on the application's address.
	Settings clients.Settings `json:"settings"`

	configuration *template.Template
}

//go:embed *.tmpl
var files embed.FS

// all reads the presets, which are ordered by name.
var all = sync.OnceValue(func() (all []Preset) {
	entries, err := files.ReadDir(".")
	if err != nil {
		panic(err) // it is part of the program
	}
	for _, entry := range entries {
		text, err := files.ReadFile(entry.Name())
		if err != nil {
			panic(err)
		}
		p, err := parse(strings.TrimSuffix(entry.Name(), ".tmpl"), text)
		if err != nil {
			panic(fmt.Sprintf("presets: %s: %v", entry.Name(), err))
		}
		all = append(all, p)
	}
	slices.SortFunc(all, func(a, b Preset) int { return strings.Compare(a.Name, b.Name) })
	return all
})

func parse(name string, text []byte) (Preset, error) {
	settings, configuration, ok := bytes.Cut(text, []byte("\n---\n"))
	if !ok {
		return Preset{}, errors.New("has no line of three hyphens")
	}
	var p Preset
	strict := json.NewDecoder(bytes.NewReader(settings))
	strict.DisallowUnknownFields()
	if err := strict.Decode(&p); err != nil {
		return p, err
	}
	p.Name = name
	var err error
	p.configuration, err = template.New(name).Funcs(template.FuncMap{"join": strings.Join}).Parse(string(configuration))
	return p, err
}

// All returns the presets by name.
func All() []Preset { return slices.Clone(all()) }

// Named returns the preset of a name, or an error that says which are like it, or all names.
func Named(name string) (Preset, error) {
	var names []string
	for _, p := range all() {
		if p.Name == name {
			return p, nil
		}
		names = append(names, p.Name)
	}
	if meant := near(name); len(meant) > 0 {
		return Preset{}, fmt.Errorf("there is no preset %q: did you mean %s? 'clients presets' lists all", name, strings.Join(meant, " or "))
	}
	return Preset{}, fmt.Errorf("there is no preset %q, but %s", name, strings.Join(names, ", "))
}

// At returns the settings of an application, or an API, at an address such as
// https://app.example.com. Without one they lack what depends on it.
func (p Preset) At(address string) (clients.Settings, error) {
	s := p.Settings
	if address == "" {
		return s, nil
	}
	u, err := uris.Parse(address)
	if err != nil {
		return s, err
	}
	if u.Scheme != "https" && u.Scheme != "http" || u.Host == "" || u.RawQuery != "" || u.ForceQuery {
		return s, errors.New("must be an address like https://app.example.com, without a query")
	}
	address = strings.TrimRight(address, "/")
	if p.API {
		s.Audiences = []string{address}
		return s, nil
	}
	s.RedirectURIs = []string{address + p.Callback}
	for _, path := range p.AfterSignOut {
		s.PostLogoutRedirectURIs = append(s.PostLogoutRedirectURIs, address+path)
	}
	if s.Public { // its code may run in a browser
		s.Origins = []string{u.Scheme + "://" + u.Host}
	}
	return s, nil
}

// Missing says what settings lack that the preset can't know, or returns nil.
func (p Preset) Missing(s clients.Settings) error {
	switch {
	case p.API && len(s.Audiences) == 0:
		return errors.New("needs --app-url, the address of the API, which is its audience then, or --audience")
	case !p.API && len(s.RedirectURIs) == 0 && slices.Contains(s.Grants, oauth.GrantAuthorizationCode):
		return fmt.Errorf("needs --app-url, the address of the application (with https://app.example.com its redirect URI is https://app.example.com%s), or --redirect-uri", p.Callback)
	}
	return nil
}

// Values are what a configuration is made of. Templates also use its methods.
type Values struct {
	clients.Settings
	Issuer string
	ID     string // the client_id
	Secret string // empty for a public client

	callback string
}

// plain are the characters of values that mean nothing in any library's configuration.
var plain = regexp.MustCompile(`^[A-Za-z0-9._~:/?=&@,+%\[\]-]*$`)

// Configuration returns the library's configuration, in lines.
func (p Preset) Configuration(v Values) (string, error) {
	v.callback = p.Callback
	for _, value := range slices.Concat([]string{v.ID, v.Secret, v.Issuer, v.IDTokenAlg, v.AccessTokenAlg}, v.Scopes, v.Audiences, v.RedirectURIs) {
		if !plain.MatchString(value) {
			return "", fmt.Errorf("%q has characters that would mean something else in a configuration: with a preset, use letters, digits and . _ ~ - : / ? = & @ , + %% [ ]", value)
		}
	}
	var b strings.Builder
	err := p.configuration.Execute(&b, v)
	return b.String(), err
}

// RedirectURI returns the first redirect URI.
func (v Values) RedirectURI() string { return first(v.RedirectURIs) }

// RedirectPath returns the path of the redirect URI.
func (v Values) RedirectPath() string {
	u, err := url.Parse(v.RedirectURI())
	if err != nil {
		return ""
	}
	return u.EscapedPath()
}

// AppURL returns the application's address, as the redirect URI has it.
func (v Values) AppURL() string {
	if address, ok := strings.CutSuffix(v.RedirectURI(), v.callback); ok {
		return address
	}
	return strings.TrimSuffix(v.RedirectURI(), v.RedirectPath())
}

// Audience returns the first audience.
func (v Values) Audience() string { return first(v.Audiences) }

// HasOwnTokens reports whether the client can get tokens without a user, as for a first try.
func (v Values) HasOwnTokens() bool { return slices.Contains(v.Grants, oauth.GrantClientCredentials) }

// Scope returns the scopes as a request has them.
func (v Values) Scope() string { return strings.Join(v.Scopes, " ") }

// Others returns the scopes without openid, for libraries that add that one.
func (v Values) Others() []string {
	return slices.DeleteFunc(slices.Clone(v.Scopes), func(s string) bool { return s == oauth.ScopeOpenID })
}

func first(list []string) string {
	if len(list) == 0 {
		return ""
	}
	return list[0]
}
