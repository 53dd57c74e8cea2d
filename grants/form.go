package grants

import (
	"errors"
	"io"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"unicode/utf8"
)

// MaxBody bounds the body of a request, in bytes, at every endpoint of the server.
const MaxBody = 64 << 10

// readForm reads the parameters of a request to an OAuth endpoint: from the
// body and nowhere else, each at most once (RFC 6749 section 3.2) except resource (RFC
// 8707 section 2). It drops parameters with an empty value, as if the client had not
// sent them. known are the names of parameters that an error may quote.
func readForm(r *http.Request, known []string) (url.Values, error) {
	if r.URL.RawQuery != "" || r.URL.ForceQuery {
		// Addresses end up in logs and histories (RFC 6749 section 2.3.1).
		return nil, invalidRequest("parameters belong in the body, not in the URL")
	}
	if types := r.Header.Values("Content-Type"); len(types) != 1 {
		return nil, invalidRequest("Content-Type must be application/x-www-form-urlencoded")
	} else if !isForm(types[0]) {
		return nil, invalidRequest("Content-Type must be application/x-www-form-urlencoded")
	}
	body, err := io.ReadAll(http.MaxBytesReader(nil, r.Body, MaxBody))
	if err != nil {
		if _, tooLarge := errors.AsType[*http.MaxBytesError](err); tooLarge {
			return nil, invalidRequest("the body is larger than 64 KiB")
		}
		return nil, invalidRequest("the body could not be read")
	}
	return parseForm(string(body), known)
}

// isForm reports whether a Content-Type is that of a form, with any parameters.
func isForm(contentType string) bool {
	const form = "application/x-www-form-urlencoded"
	if contentType == form { // as most clients send it
		return true
	}
	kind, _, err := mime.ParseMediaType(contentType)
	return err == nil && kind == form
}

func parseForm(body string, known []string) (url.Values, error) {
	form, err := url.ParseQuery(body)
	if err != nil {
		return nil, invalidRequest("the body is not a valid form")
	}
	for name, values := range form {
		if len(values) > 1 && name != "resource" {
			return nil, invalidRequest(parameterName(name, known) + " is repeated")
		}
		if !utf8.ValidString(name) || slices.ContainsFunc(values, func(v string) bool { return !utf8.ValidString(v) }) {
			return nil, invalidRequest("the body is not UTF-8")
		}
		if values = slices.DeleteFunc(values, func(v string) bool { return v == "" }); len(values) > 0 {
			form[name] = values
		} else {
			delete(form, name)
		}
	}
	return form, nil
}

// shared are the parameters that don't belong to one grant.
var shared = []string{"grant_type", "client_id", "client_secret", "scope", "token", "token_type_hint"}

// parameterName names a parameter to a client. The name of one that we don't know is the
// caller's text, which an error_description may not hold (RFC 6749 section 5.2).
func parameterName(name string, known []string) string {
	if slices.Contains(known, name) {
		return name
	}
	return "a parameter"
}
