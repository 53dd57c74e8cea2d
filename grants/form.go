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

// maxForm bounds the body of a request, in bytes.
const maxForm = 64 << 10

// readForm reads the parameters of a request to an OAuth endpoint: from the
// body and nowhere else, each at most once (RFC 6749 section 3.2) but for resource
// (RFC 8707 section 2). Those with an empty value are left out, as if they had not
// been sent.
func readForm(r *http.Request) (url.Values, error) {
	if r.URL.RawQuery != "" || r.URL.ForceQuery {
		// Addresses end up in logs and histories (RFC 6749 section 2.3.1).
		return nil, invalidRequest("parameters belong in the body, not in the URL")
	}
	if types := r.Header.Values("Content-Type"); len(types) != 1 {
		return nil, invalidRequest("Content-Type must be application/x-www-form-urlencoded")
	} else if kind, _, err := mime.ParseMediaType(types[0]); err != nil || kind != "application/x-www-form-urlencoded" {
		return nil, invalidRequest("Content-Type must be application/x-www-form-urlencoded")
	}
	body, err := io.ReadAll(http.MaxBytesReader(nil, r.Body, maxForm))
	if err != nil {
		if _, tooLarge := errors.AsType[*http.MaxBytesError](err); tooLarge {
			return nil, invalidRequest("the body is larger than 64 KiB")
		}
		return nil, invalidRequest("the body could not be read")
	}
	return parseForm(string(body))
}

func parseForm(body string) (url.Values, error) {
	form, err := url.ParseQuery(body)
	if err != nil {
		return nil, invalidRequest("the body is not a valid form")
	}
	for name, values := range form {
		if len(values) > 1 && name != "resource" {
			return nil, invalidRequest(parameterName(name) + " is repeated")
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

// parameters are those we know. The names of others are a stranger's text, which
// an error_description may not hold (RFC 6749 section 5.2).
var parameters = []string{
	"grant_type", "client_id", "client_secret", "username", "password", "refresh_token", "scope",
	"code", "redirect_uri", "code_verifier", "token", "token_type_hint",
}

func parameterName(name string) string {
	if slices.Contains(parameters, name) {
		return name
	}
	return "a parameter"
}
