package handlers_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"unicode/utf8"

	"countersign/handlers"
)

type input struct {
	Username string `json:"username"`
	Password string `json:"password"`
	Email    string `json:"email"`
}

func read(body []byte) (input, error) {
	r := httptest.NewRequest(http.MethodPost, "/signup", bytes.NewReader(body))
	r.Header.Set("Content-Type", "application/json")
	var in input
	return in, handlers.ReadJSON(r, &in)
}

// FuzzReadJSON looks for a body that we take for something else than another
// reader of JSON would, or that a strict reader would refuse.
func FuzzReadJSON(f *testing.F) {
	for _, seed := range []string{
		`{"username":"alice","password":"x","email":"a@b.c"}`, `{}`, `[]`, `null`, ``, `{"username":null}`,
		`{"username":"a","username":"b"}`, `{"username":"a","USERNAME":"b"}`, `{"user\u006eame":"a"}`, `{"username":"\ud800"}`,
		`{"username":1}`, `{"x":[[[{}]]]}`, `{"username":"a"}x`, `{"username":"a",}`, "\ufeff{}", "{\"username\":\"\xff\"}", `{"username":"a"`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		got, err := read(body)
		if err != nil {
			p, ok := errors.AsType[*handlers.Problem](err)
			if !ok || p.Status < 400 || p.Status > 499 {
				t.Fatalf("%q: %v, want a problem of the caller's", body, err)
			}
			return
		}
		dec := json.NewDecoder(bytes.NewReader(body))
		dec.DisallowUnknownFields()
		var want input
		if err := dec.Decode(&want); err != nil {
			t.Fatalf("%q was accepted, encoding/json says %v", body, err)
		}
		if got != want {
			t.Fatalf("%q was read as %+v, encoding/json reads %+v", body, got, want)
		}
		if !utf8.Valid(body) || !json.Valid(body) || len(body) > 64<<10 {
			t.Fatalf("%q was accepted", body)
		}
		// Every member known to the letter, and there once.
		dec = json.NewDecoder(bytes.NewReader(body))
		dec.Token()
		seen := map[string]bool{}
		for dec.More() {
			name, _ := dec.Token()
			var value any
			dec.Decode(&value)
			key := name.(string)
			if seen[strings.ToLower(key)] || key != "username" && key != "password" && key != "email" {
				t.Fatalf("%q was accepted with the member %q", body, key)
			}
			seen[strings.ToLower(key)] = true
		}
	})
}

// FuzzReadJSONKeepsValues looks for a text that does not arrive as it was sent.
func FuzzReadJSONKeepsValues(f *testing.F) {
	f.Add("alice", "correct horse", "alice@example.net")
	f.Add("", "\u2028\x00\"\\", "\U0010ffff")
	f.Fuzz(func(t *testing.T, username, password, email string) {
		want := input{username, password, email}
		if !utf8.ValidString(username) || !utf8.ValidString(password) || !utf8.ValidString(email) {
			return
		}
		body, err := json.Marshal(want)
		if err != nil || len(body) > 64<<10 {
			return
		}
		if got, err := read(body); err != nil || got != want {
			t.Fatalf("%s was read as %+v, %v", body, got, err)
		}
	})
}
