package clients

import (
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"countersign/uris"
)

// Patterns for redirect URIs with any port, path and query on the developer's own
// machine. No other redirect URI has wildcards.
var anyLoopback = []string{"http://localhost:*", "http://127.0.0.1:*"}

// CheckRedirectURI returns what is wrong with a redirect URI that a client wants to
// register, or nil. It must be absolute and without a fragment (RFC 6749 section
// 3.1.2), and one of
//   - https://host...
//   - http:// on a loopback host (RFC 8252 section 7.3), or with AnyLoopback one of the
//     patterns http://localhost:* and http://127.0.0.1:*
//   - com.example.app:/..., a scheme its owner can prove (RFC 8252 section 7.1):
//     the dot keeps out javascript:, data: and all else that browsers obey
//
// It must be written as browsers and libraries write it, because it is compared byte for
// byte: one in another form would never match. And it must leave the parameters of the
// answer to the server, because an application would read its own in their place.
func (r Rules) CheckRedirectURI(uri string) error {
	if slices.Contains(anyLoopback, uri) {
		if r.AnyLoopback {
			return nil
		}
		return errors.New("stands for any page on localhost, which only serve --dev allows: write the URI in full")
	}
	u, err := uris.Parse(uri)
	if err != nil {
		return err
	}
	switch {
	case strings.Contains(uri, "*"):
		return errors.New("must not have a *: it is compared byte for byte, without wildcards; write each URI in full")
	case u.Scheme == "https" || u.Scheme == "http" && uris.IsLoopback(strings.ToLower(u.Hostname())):
		err = uris.CheckHost(u)
	case u.Scheme == "http":
		err = errors.New("must use https: http is for localhost, 127.0.0.1 and [::1]")
	case !strings.Contains(u.Scheme, "."):
		err = errors.New("must have the scheme https, or a private one with a dot in it like com.example.app")
	case u.Host == "" && !strings.HasPrefix(u.Path, "/"):
		err = errors.New("must have a / after the scheme")
	}
	if err == nil {
		err = uris.CheckNormal(uri, u)
	}
	if err == nil {
		err = checkQuery(u)
	}
	return err
}

// answerParameters are the parameters of an answer at a redirect URI: of RFC 6749
// sections 4.1.2 and 4.2.2, RFC 9207, OpenID Connect, its session management and JARM.
// The answer to a sign-out has state.
var answerParameters = []string{
	"code", "state", "iss", "error", "error_description", "error_uri", "id_token", "access_token", "token_type",
	"expires_in", "scope", "refresh_token", "session_state", "response",
}

// checkQuery returns what is wrong with the query of a redirect URI.
func checkQuery(u *url.URL) error {
	query, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return errors.New("must have a query of name=value pairs, percent-encoded")
	}
	for name := range query {
		name, _, _ = strings.Cut(name, "[") // PHP and others read code[]=x as code
		if slices.Contains(answerParameters, name) {
			return fmt.Errorf("must not have %s in its query: that is a parameter of the server's answer", name)
		}
	}
	return nil
}

// matchRedirectURI reports whether a request may redirect to uri if registered is
// registered. Both must be equal, byte for byte (RFC 9700 section 4.1.3), except for
// the port of a loopback URI, which a native app can't choose in advance (RFC 8252
// section 7.3).
func matchRedirectURI(registered, uri string) bool {
	if registered == uri {
		return !slices.Contains(anyLoopback, uri) // a pattern is no address
	}
	u, err := uris.Parse(uri)
	if err != nil || !strings.HasPrefix(uri, "http://") || !uris.IsLoopback(u.Hostname()) || uris.CheckHost(u) != nil {
		return false // url.Parse accepts a scheme in upper case, too
	}
	if registered == "http://"+u.Hostname()+":*" {
		return checkQuery(u) == nil
	}
	r, err := uris.Parse(registered)
	if err != nil || r.Scheme != "http" || r.Hostname() != u.Hostname() {
		return false
	}
	afterR, okR := strings.CutPrefix(registered, "http://"+r.Host)
	afterU, okU := strings.CutPrefix(uri, "http://"+u.Host)
	return okR && okU && afterR == afterU
}
