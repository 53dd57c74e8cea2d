package tokens_test

import (
	"encoding/base64"
	"encoding/binary"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/uuid"

	"countersign/ids"
	"countersign/oauth"
	"countersign/seal"
	"countersign/tokens"
)

// FuzzParseScopes checks that an accepted scope is a set of scope-tokens (RFC 6749
// section 3.3), and that it parses the same again.
func FuzzParseScopes(f *testing.F) {
	for _, text := range []string{
		"", " ", "openid", "openid profile", "openid  profile", " openid", "openid ", "openid openid", "a\tb", "a\nb", `a"`, `a\`,
		"!#$%&'()*+,-./:;<=>?@[]^_`{|}~", "\x7f", "\x00", "\xff", "한", strings.Repeat("a ", 200), strings.TrimSpace(strings.Repeat("a ", 200)),
	} {
		f.Add(text)
	}
	grammar := regexp.MustCompile(`^[\x21\x23-\x5B\x5D-\x7E]+( [\x21\x23-\x5B\x5D-\x7E]+)*$`)
	f.Fuzz(func(t *testing.T, text string) {
		set, err := oauth.ParseScopes(text)
		switch wellFormed := text == "" || grammar.MatchString(text); {
		case err != nil && set != nil:
			t.Fatalf("%q: refused with %v, and yet %q", text, err, set)
		case err == nil && !wellFormed:
			t.Fatalf("%q: not well-formed, and yet %q", text, set)
		case err != nil && wellFormed && strings.Count(text, " ") < 100:
			t.Fatalf("%q: well-formed and short, and yet %v", text, err)
		case err != nil:
			return
		}
		if len(set) > 100 {
			t.Errorf("%q: %d scopes", text, len(set))
		}
		for i, scope := range set {
			if slices.Contains(set[:i], scope) {
				t.Errorf("%q: %q is there twice", text, scope)
			}
		}
		for scope := range strings.FieldsSeq(text) {
			if !set.Has(scope) {
				t.Errorf("%q: %q got lost", text, scope)
			}
		}
		again, err := oauth.ParseScopes(set.String())
		if err != nil || !slices.Equal(again, set) {
			t.Errorf("%q: %q read again is %q, %v", text, set, again, err)
		}
		if !set.Within(set) || !slices.Equal(set.And(set), set) || len(set.And(nil)) != 0 {
			t.Errorf("%q: %q is no set", text, set)
		}
	})
}

// FuzzParseRefreshToken checks that no token with changed text or bytes verifies, and that
// every token that verifies has the spelling that the server issued.
func FuzzParseRefreshToken(f *testing.F) {
	master, err := seal.Parse("oQhvTlYW2TE8TzfUiUvO8iI8dIERZ+xJe4xcB9ojcmU=")
	if err != nil {
		f.Fatal(err)
	}
	stranger, err := seal.Parse("3mVw0t7oYq1c5xkP9sJdLr8uTgHn2aZbQeXfKiWyOvA=")
	if err != nil {
		f.Fatal(err)
	}
	service, err := tokens.New(tokens.Options{Seal: master, Settings: settings})
	noError(f, err)
	foreign, err := tokens.New(tokens.Options{Seal: stranger, Settings: settings})
	noError(f, err)
	session := ids.Session(uuid.MustParse("019a0000-0000-7000-8000-000000000001"))
	sid := session[:]
	token := service.RefreshToken(session, 0)
	for _, text := range []string{
		token, token[:len(token)-1], token + "A", token + "=", " " + token, strings.ToUpper(token), strings.TrimPrefix(token, "cs_rt_"),
		"cs_rt_", "", foreign.RefreshToken(session, 0), service.RefreshToken(ids.Session(uuid.Max), 1<<64-1),
	} {
		f.Add(text, sid, uint64(7), uint(30), byte(1))
	}
	for at := range len(token) { // the seeds change each character and byte
		f.Add("", sid, uint64(1), uint(at), byte(4))
	}
	f.Fuzz(func(t *testing.T, text string, sid []byte, counter uint64, at uint, flip byte) {
		if id, n, ok := service.ParseRefreshToken(text); ok && service.RefreshToken(id, n) != text {
			t.Errorf("%q verifies as session %v, counter %d, whose token is %q", text, id, n, service.RefreshToken(id, n))
		} else if !ok && (!id.IsZero() || n != 0) {
			t.Errorf("%q: refused, and yet %v, %d", text, id, n)
		}

		var session ids.Session
		copy(session[:], sid)
		token := service.RefreshToken(session, counter)
		if id, n, ok := service.ParseRefreshToken(token); !ok || id != session || n != counter {
			t.Fatalf("%q: read %v, %d, %v, want %v, %d", token, id, n, ok, session, counter)
		}
		if _, _, ok := foreign.ParseRefreshToken(token); ok {
			t.Errorf("%q verifies under another master key", token)
		}
		if flip == 0 {
			return
		}
		// The text changes.
		b := []byte(token)
		b[at%uint(len(b))] ^= flip
		if _, _, ok := service.ParseRefreshToken(string(b)); ok {
			t.Errorf("%q verifies, made of %q", b, token)
		}
		// The bytes change.
		raw, err := base64.RawURLEncoding.DecodeString(strings.TrimPrefix(token, "cs_rt_"))
		if err != nil {
			t.Fatal(err)
		}
		raw[at%uint(len(raw))] ^= flip
		if forged := "cs_rt_" + base64.RawURLEncoding.EncodeToString(raw); forged != token {
			if _, _, ok := service.ParseRefreshToken(forged); ok {
				t.Errorf("%q verifies, made of %q", forged, token)
			}
		}
		// The MAC is that of another counter.
		raw, _ = base64.RawURLEncoding.DecodeString(strings.TrimPrefix(token, "cs_rt_"))
		binary.BigEndian.PutUint64(raw[21:], counter+1+uint64(flip))
		if _, _, ok := service.ParseRefreshToken("cs_rt_" + base64.RawURLEncoding.EncodeToString(raw)); ok {
			t.Errorf("counter %d verifies with the MAC of %d", counter+1+uint64(flip), counter)
		}
	})
}
