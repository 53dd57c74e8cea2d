package grants_test

import (
	"encoding/base64"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"unicode/utf8"

	"countersign/grants"
	"countersign/oauth"
)

func encodeBasic(id, secret string) string {
	return "Basic " + base64.StdEncoding.EncodeToString([]byte(url.QueryEscape(id)+":"+url.QueryEscape(secret)))
}

// FuzzParseBasic checks that credentials encoded as RFC 6749 section 2.3.1 says are
// parsed unchanged, and that all other credentials that ParseBasic accepts parse the same
// after they are encoded that way.
func FuzzParseBasic(f *testing.F) {
	f.Add(encodeBasic("api", "dev-secret"), "api", "dev-secret")
	f.Add(encodeBasic("odd :%+", "s3cret:with%odd+chars and space"), "odd :%+", ":")
	f.Add("basic "+base64.StdEncoding.EncodeToString([]byte("a:b:c")), "", "")
	f.Add("Basic "+base64.StdEncoding.EncodeToString([]byte("a%zz:b")), "\xff", "\x00")
	f.Add("Basic "+base64.StdEncoding.EncodeToString([]byte("%ff:b")), "한", "글")
	f.Add("Basic YQ==\n", "a", "")
	f.Add("Bearer x", "", "x")
	f.Add("Basic", ":", "%3A")
	f.Fuzz(func(t *testing.T, header, id, secret string) {
		if id, secret, ok := grants.ParseBasic(header); ok {
			if id == "" {
				t.Errorf("%q: read an empty id", header)
			}
			if !utf8.ValidString(id) || !utf8.ValidString(secret) {
				t.Errorf("%q: read what is not UTF-8: %q, %q", header, id, secret)
			}
			if len(id)+len(secret) > len(header) {
				t.Errorf("%q: read more than there is: %q, %q", header, id, secret)
			}
			if scheme, _, _ := strings.Cut(header, " "); !strings.EqualFold(scheme, "Basic") {
				t.Errorf("%q: read another scheme", header)
			}
			againID, againSecret, ok := grants.ParseBasic(encodeBasic(id, secret))
			if !ok || againID != id || againSecret != secret {
				t.Errorf("%q: %q, %q encoded anew are %q, %q, %v", header, id, secret, againID, againSecret, ok)
			}
		} else if id != "" || secret != "" {
			t.Errorf("%q: refused, and yet %q, %q", header, id, secret)
		}

		gotID, gotSecret, ok := grants.ParseBasic(encodeBasic(id, secret))
		if want := id != "" && utf8.ValidString(id) && utf8.ValidString(secret); ok != want {
			t.Errorf("%q, %q encoded: read %v, want %v", id, secret, ok, want)
		}
		if ok && (gotID != id || gotSecret != secret) {
			t.Errorf("%q, %q came out as %q, %q", id, secret, gotID, gotSecret)
		}
	})
}

// FuzzParseForm checks that an accepted form has each parameter once, not empty and in
// UTF-8, that it parses the same after it is encoded again, and that ParseForm refuses it
// with any of its parameters repeated.
func FuzzParseForm(f *testing.F) {
	for _, body := range []string{
		"grant_type=password&client_id=spa&username=alice&password=a+b%20c", "", "&&", "a", "a=", "=", "a=1&a=2", "a=&a=", "%61=1&a=2",
		"a;b", "a=1;b=2", "a=%", "a=%zz", "a=%ff", "%ff=1", "a=\xff", "a=\x00", "a=%00", "a=b=c", "한=글", "?a=b", "a[]=1&a[]=2",
	} {
		f.Add(body)
	}
	f.Fuzz(func(t *testing.T, body string) {
		form, err := grants.ParseForm(body)
		if err != nil {
			say, ok := errors.AsType[*oauth.Error](err)
			if !ok || say.Code != "invalid_request" || say.Status != http.StatusBadRequest || form != nil {
				t.Errorf("%q: %v with %v, want invalid_request and nothing", body, err, form)
			}
			return
		}
		for name, values := range form {
			if len(values) != 1 || values[0] == "" {
				t.Errorf("%q: parameter %q is there with the values %q", body, name, values)
			}
			if !utf8.ValidString(name) || !utf8.ValidString(strings.Join(values, "")) {
				t.Errorf("%q: parameter %q is not UTF-8: %q", body, name, values)
			}
			if twice, err := grants.ParseForm(body + "&" + url.QueryEscape(name) + "=x"); err == nil {
				t.Errorf("%q: parameter %q repeated was read: %v", body, name, twice)
			}
		}
		again, err := grants.ParseForm(form.Encode())
		if err != nil || again.Encode() != form.Encode() {
			t.Errorf("%q: %v encoded anew is %v, %v", body, form, again, err)
		}
	})
}
