package handlers_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"countersign/accounts"
	"countersign/handlers"
	"countersign/refusals"
)

type input struct {
	Username string `json:"username"`
	Password string `json:"password"`
	Email    string `json:"email"`
}

func read[T any](body []byte) (into T, err error) {
	r := httptest.NewRequest(http.MethodPost, "/signup", bytes.NewReader(body))
	r.Header.Set("Content-Type", "application/json")
	err = handlers.ReadJSON(r, &into)
	return into, err
}

// FuzzReadJSON looks for a body that readJSON accepts although a strict parser refuses it
// or reads other values from it.
func FuzzReadJSON(f *testing.F) {
	for _, seed := range []string{
		`{"username":"alice","password":"x","email":"a@b.c"}`, `{}`, `[]`, `null`, ``, `{"username":null}`,
		`{"username":"a","username":"b"}`, `{"username":"a","USERNAME":"b"}`, `{"user\u006eame":"a"}`, `{"username":"\ud800"}`,
		`{"username":1}`, `{"x":[[[{}]]]}`, `{"username":"a"}x`, `{"username":"a",}`, "\ufeff{}", "{\"username\":\"\xff\"}", `{"username":"a"`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) { readStrictly[input](t, body, "username", "password", "email") })
}

// FuzzReadProfile is FuzzReadJSON for a body with a nested object.
func FuzzReadProfile(f *testing.F) {
	for _, seed := range []string{
		`{"name":"Alice","address":{"formatted":"1 Main Street\nSeoul","country":"KR"}}`, `{"address":{}}`, `{"address":null}`, `{"address":[]}`,
		`{"address":"x"}`, `{"address":{"country":{}}}`, `{"address":{"Country":"KR"}}`, `{"Address":{"country":"KR"}}`, `{"address":{"country":"KR","country":"DE"}}`,
		`{"address":{"country":"KR"},"address":{}}`, `{"address":{"country":"\udc00"}}`, `{"address":{"country":"KR"}`, `{"address":{"country":"KR",}}`, `{"address.country":"KR"}`,
		`{"address":{"address":{"country":"KR"}}}`, `{"addre\u0073s":{"co\u0075ntry":"KR"}}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		readStrictly[accounts.Profile](t, body, append(accounts.ProfileClaims(), "address")...)
	})
}

// readStrictly reads a body, and fails the test if it is accepted and is not a plain
// object of the known members.
func readStrictly[T comparable](t *testing.T, body []byte, known ...string) {
	got, err := read[T](body)
	if err != nil {
		p, ok := errors.AsType[*refusals.Problem](err)
		if !ok || p.Status < 400 || p.Status > 499 {
			t.Fatalf("%q: %v, want a problem of the caller's", body, err)
		}
		return
	}
	dec := json.NewDecoder(bytes.NewReader(body))
	dec.DisallowUnknownFields()
	var want T
	if err := dec.Decode(&want); err != nil {
		t.Fatalf("%q was accepted, encoding/json says %v", body, err)
	}
	if got != want {
		t.Fatalf("%q was read as %+v, encoding/json reads %+v", body, got, want)
	}
	if !utf8.Valid(body) || !json.Valid(body) || len(body) > 64<<10 {
		t.Fatalf("%q was accepted", body)
	}
	eachOnce(t, body, "", known)
}

// eachOnce fails the test unless every member of an object, and of the objects in it, has
// exactly a known name and occurs once.
func eachOnce(t *testing.T, object []byte, prefix string, known []string) {
	dec := json.NewDecoder(bytes.NewReader(object))
	dec.Token()
	seen := map[string]bool{}
	for dec.More() {
		name, _ := dec.Token()
		var value json.RawMessage
		dec.Decode(&value)
		key := prefix + name.(string)
		if seen[strings.ToLower(key)] || !slices.Contains(known, key) || strings.Contains(name.(string), ".") {
			t.Fatalf("%q was accepted with the member %q", object, key)
		}
		seen[strings.ToLower(key)] = true
		if value[0] == '{' {
			eachOnce(t, value, key+".", known)
		}
	}
}

// FuzzReadJSONKeepsValues looks for a text that readJSON changes.
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
		if got, err := read[input](body); err != nil || got != want {
			t.Fatalf("%s was read as %+v, %v", body, got, err)
		}
	})
}
