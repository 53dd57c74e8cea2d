package upstreams

import (
	"cmp"
	"errors"
	"maps"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"

	"countersign/input"
	"countersign/uris"
)

// Settings are a provider with which users may sign in. They are an item of upstreams in
// the configuration.
type Settings struct {
	// ID names the provider in addresses (/login/with/ID, /login/callback/ID): 1 to 32 of
	// a-z, 0-9 and -. It never changes, or the users of the provider lose their way in.
	// Required.
	ID string `yaml:"id"`
	// Preset is a provider that this server knows: google, microsoft, apple, github, kakao,
	// naver, line or discord. Default empty: Issuer is an OpenID provider.
	Preset string `yaml:"preset"`
	// Issuer is the https URL of an OpenID provider, by which everything else is found when
	// a user first signs in with it. Required without Preset; with one that is an OpenID
	// provider (google, microsoft, apple, line) it replaces the preset's.
	Issuer string `yaml:"issuer"`
	// ClientID is what the provider knows this server as. Required.
	ClientID string `yaml:"client_id"`
	// Scopes replace those of the preset; without one they default to openid, profile and
	// email.
	Scopes []string `yaml:"scopes"`
	// Name is what users know the provider as. Default: the preset's, or the issuer's host.
	Name string `yaml:"name"`
	// Signup lets users of the provider get an account here, where sign-up is enabled at all.
	// Default true; if false, they sign in to accounts that they have linked.
	Signup bool `yaml:"signup" default:"true"`
	// LinkByEmail says what happens where the provider has verified an address that an
	// account here has: never looks at no account, verified offers to link it, after its
	// own sign-in. Default never.
	LinkByEmail string `yaml:"link_by_email" default:"never"`

	// TeamID and KeyID are Apple's, and required there: of the developer account, and of the
	// key whose file takes the place of a client secret.
	TeamID string `yaml:"team_id"`
	KeyID  string `yaml:"key_id"`

	// These replace addresses of the provider, for one that runs elsewhere, such as GitHub
	// Enterprise. EmailsEndpoint is github's list of addresses. With the first two and
	// JWKSURI, nothing is looked up at an OpenID provider's issuer.
	AuthorizationEndpoint string `yaml:"authorization_endpoint"`
	TokenEndpoint         string `yaml:"token_endpoint"`
	UserInfoEndpoint      string `yaml:"userinfo_endpoint"`
	EmailsEndpoint        string `yaml:"emails_endpoint"`
	JWKSURI               string `yaml:"jwks_uri"`
}

// The values of LinkByEmail.
const (
	LinkNever    = "never"
	LinkVerified = "verified"
)

var validID = regexp.MustCompile(`^[a-z0-9-]{1,32}$`)

// Check returns what is wrong with the settings, an *input.Error, or nil. secret says that
// there is one, and dev that the provider may be on localhost without TLS.
func (s *Settings) Check(secret, dev bool) error {
	var bad input.Error
	required := func(field, value, why string) {
		if value == "" {
			bad.Add(field, input.Required, "is missing: %s", why)
		}
	}
	if s.ID == "" {
		required("id", "", "it names the provider in addresses, such as google")
	} else if !validID.MatchString(s.ID) {
		bad.Add("id", input.Invalid, "must be 1 to 32 of a-z, 0-9 and -, not %q", s.ID)
	}
	known, there := presets[s.Preset]
	switch {
	case s.Preset != "" && !there:
		bad.Add("preset", input.Invalid, "must be one of %s, not %q: leave it out for any other OpenID provider, and give its issuer", strings.Join(Presets(), ", "), s.Preset)
	case s.Preset == "" && s.Issuer == "":
		required("issuer", "", "set it to the https URL of the OpenID provider, or preset to one of "+strings.Join(Presets(), ", "))
	case there && known.issuer == "" && s.Issuer != "":
		bad.AddTogether("issuer", []string{"preset"}, "%s is no OpenID provider, so it has no issuer: take it out", s.Preset)
	}
	required("client_id", s.ClientID, "set it to what the provider knows this server as")
	if !secret && there {
		required("client_secret_file", "", "set it to the file with the secret that the provider gave you")
	}
	s.checkPreset(&bad)
	s.checkAddresses(&bad, dev)
	for i, scope := range s.Scopes {
		if scope == "" || !input.Printable(scope) || strings.ContainsAny(scope, `"\`) || !uris.IsASCII(scope) {
			bad.AddItem("scopes", i, input.Invalid, "%q must be the name of a scope", scope)
		}
	}
	if len(s.Scopes) > 0 && (s.Preset == "" || known.issuer != "") && !slices.Contains(s.Scopes, "openid") {
		bad.Add("scopes", input.Required, "must have openid: without it an OpenID provider says nothing about the user")
	}
	if n := utf8.RuneCountInString(s.Name); n > 64 || n > 0 && !input.Printable(strings.ReplaceAll(s.Name, " ", "")) || strings.TrimSpace(s.Name) != s.Name {
		bad.Add("name", input.Invalid, "must be at most 64 printable characters without spaces around them, not %q", s.Name)
	}
	if !slices.Contains([]string{"", LinkNever, LinkVerified}, s.LinkByEmail) {
		bad.Add("link_by_email", input.Invalid, "must be never or verified, not %q", s.LinkByEmail)
	}
	return bad.Err()
}

// checkPreset adds what is wrong with settings that only one preset has.
func (s *Settings) checkPreset(bad *input.Error) {
	apple := s.Preset == presetApple
	for _, one := range []struct {
		field, value, example string
		taken, required       bool
	}{
		{"team_id", s.TeamID, "the ten characters of your team at developer.apple.com", apple, apple},
		{"key_id", s.KeyID, "the id of the key whose file is client_secret_file", apple, apple},
		{"emails_endpoint", s.EmailsEndpoint, "", s.Preset == presetGitHub, false},
	} {
		switch {
		case one.required && one.value == "":
			bad.Add(one.field, input.Required, "is missing: set it to %s", one.example)
		case !one.taken && one.value != "":
			bad.Add(one.field, input.NotAllowed, "is for another preset: take it out")
		}
	}
	if p := presets[s.Preset]; s.Preset != "" && p.issuer == "" && s.JWKSURI != "" {
		bad.Add("jwks_uri", input.NotAllowed, "is for OpenID providers: take it out")
	}
}

var errAddress = errors.New("must be an https URL without a fragment")

// checkAddresses adds what is wrong with addresses of the provider.
func (s *Settings) checkAddresses(bad *input.Error, dev bool) {
	for _, one := range []struct{ field, value string }{
		{"issuer", s.Issuer}, {"authorization_endpoint", s.AuthorizationEndpoint}, {"token_endpoint", s.TokenEndpoint},
		{"userinfo_endpoint", s.UserInfoEndpoint}, {"emails_endpoint", s.EmailsEndpoint}, {"jwks_uri", s.JWKSURI},
	} {
		if one.value == "" {
			continue
		}
		u, err := uris.Parse(one.value)
		if err == nil {
			err = uris.CheckHost(u)
		}
		if err == nil && !secure(u, dev) {
			err = errAddress
		}
		if err == nil && one.field == "issuer" && u.RawQuery != "" {
			err = errors.New("must not have a query")
		}
		if err != nil {
			bad.Add(one.field, input.Invalid, "%v, not %q", err, one.value)
		}
	}
}

// Presets returns the names of all presets.
func Presets() []string { return slices.Sorted(maps.Keys(presets)) }

// name is what users know the provider as.
func (p *provider) name() string {
	u, err := url.Parse(p.Issuer)
	if err != nil {
		return p.ID
	}
	return cmp.Or(p.Name, p.preset.name, u.Hostname(), p.ID)
}

// scopes are those that are asked for.
func (p *provider) scopes() []string {
	if len(p.Scopes) > 0 {
		return p.Scopes
	}
	return p.preset.scopes
}
