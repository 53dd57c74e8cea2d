package oauth

import (
	"errors"
	"net/url"
	"path"
	"strings"

	"countersign/uris"
)

// CheckIssuer says what keeps s from being an issuer (RFC 8414 section 2), and how to
// mend it, or returns nil. dev also allows http on a loopback host, where a developer's
// browser reaches the server without TLS.
func CheckIssuer(s string, dev bool) error {
	u, err := url.Parse(s)
	switch {
	case err != nil || u.Host == "" || u.Hostname() == "" || u.Opaque != "":
		return errors.New("must be a URL such as https://auth.example.com")
	case u.Scheme != "https" && dev && !(u.Scheme == "http" && uris.IsLoopback(u.Hostname())):
		return errors.New("must begin with https://, or with http:// on localhost")
	case u.Scheme != "https" && !dev:
		return errors.New("must begin with https:// (only --dev allows http, on localhost)")
	case !strings.HasPrefix(s, u.Scheme):
		return errors.New("must have its scheme in lower case, as clients that normalise URLs write it")
	case u.User != nil:
		return errors.New("must not have a user or password: remove what is before the @")
	case strings.ContainsAny(s, "?#"):
		return errors.New("must not have a query or fragment: end it before the ? or #")
	case strings.HasSuffix(s, "/"):
		return errors.New("must not end in a slash: remove it")
	case u.Path != "" && (path.Clean(u.Path) != u.Path || u.EscapedPath() != u.Path || strings.ContainsAny(u.Path, "%:*")):
		return errors.New("must have a plain path: no //, no dots between slashes, no colon or star, nothing to percent-encode")
	case strings.ToLower(u.Host) != u.Host || strings.ContainsFunc(u.Host, uris.NotInURI):
		return errors.New("must have its host in lower-case ASCII")
	case u.Scheme == "https" && u.Port() == "443" || u.Scheme == "http" && u.Port() == "80":
		return errors.New("must not name the scheme's default port, which browsers leave out")
	case strings.HasPrefix(u.Path, "/.well-known"):
		return errors.New("must not have a path below /.well-known, where metadata is")
	}
	return uris.CheckHost(u)
}
