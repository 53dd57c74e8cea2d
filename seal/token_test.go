package seal_test

import (
	"bytes"
	"encoding/base64"
	"strings"
	"testing"

	"countersign/seal"
)

func TestTokenIsForItsPurposeAndPrefix(t *testing.T) {
	a, b := seal.Generate(), seal.Generate()
	old, both, stranger := parse(t, a), parse(t, b, a), parse(t, b)
	token := old.Token("cs_x_", "purpose", []byte("message"))
	for _, k := range []*seal.Keys{old, both} {
		if message, ok := k.OpenToken("cs_x_", "purpose", token); !ok || string(message) != "message" {
			t.Errorf("opened %q, %v", message, ok)
		}
	}
	for what, open := range map[string]func() ([]byte, bool){
		"another purpose":          func() ([]byte, bool) { return old.OpenToken("cs_x_", "other", token) },
		"another prefix":           func() ([]byte, bool) { return old.OpenToken("cs_y_", "purpose", token) },
		"another prefix, replaced": func() ([]byte, bool) { return old.OpenToken("cs_x_", "purpose", strings.Replace(token, "x", "y", 1)) },
		"another master key":       func() ([]byte, bool) { return stranger.OpenToken("cs_x_", "purpose", token) },
	} {
		if message, ok := open(); ok || message != nil {
			t.Errorf("%s: opened %q, %v", what, message, ok)
		}
	}
}

// FuzzOpenToken checks that no token with changed text or bytes opens, and that a text
// that opens is the only spelling of a token that the server made.
func FuzzOpenToken(f *testing.F) {
	keys := parse(f, "oQhvTlYW2TE8TzfUiUvO8iI8dIERZ+xJe4xcB9ojcmU=")
	token := keys.Token("cs_x_", "purpose", []byte("message"))
	for _, text := range []string{
		"", token, token[:len(token)-1], token + "A", token + "=", token + "\n", " " + token, strings.ToUpper(token), "cs_x_", "cs_x_AAAA",
		keys.Token("cs_x_", "purpose", nil), keys.Token("cs_x_", "other", []byte("message")), "cs_x_" + strings.Repeat("A", 50),
	} {
		f.Add(text, []byte("message"), uint(30), byte(1))
	}
	for at := range len(token) { // the seeds change each character and byte
		f.Add("", []byte("message"), uint(at), byte(4))
	}
	f.Fuzz(func(t *testing.T, text string, message []byte, at uint, flip byte) {
		if got, ok := keys.OpenToken("cs_x_", "purpose", text); ok && keys.Token("cs_x_", "purpose", got) != text {
			t.Errorf("%q opens as %q, whose token is another", text, got)
		}
		token := keys.Token("cs_x_", "purpose", message)
		if got, ok := keys.OpenToken("cs_x_", "purpose", token); !ok || !bytes.Equal(got, message) {
			t.Fatalf("%q opens as %q, %v, want %q", token, got, ok, message)
		}
		if flip == 0 {
			return
		}
		b := []byte(token)
		b[at%uint(len(b))] ^= flip
		if _, ok := keys.OpenToken("cs_x_", "purpose", string(b)); ok {
			t.Errorf("%q opens, made of %q", b, token)
		}
		raw, err := base64.RawURLEncoding.DecodeString(strings.TrimPrefix(token, "cs_x_"))
		if err != nil {
			t.Fatal(err)
		}
		raw[at%uint(len(raw))] ^= flip
		if _, ok := keys.OpenToken("cs_x_", "purpose", "cs_x_"+base64.RawURLEncoding.EncodeToString(raw)); ok {
			t.Errorf("byte %d of %q may be changed", at%uint(len(raw)), token)
		}
	})
}
