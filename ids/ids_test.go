package ids_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"reflect"
	"strings"
	"testing"

	"github.com/google/uuid"

	"countersign/ids"
)

// Rows, tickets, logs and programs contain ids in the form of UUIDs.
func TestIDsLookAsUUIDsDo(t *testing.T) {
	const text = "01a220a2-1cf2-7812-aed6-fbbd87b5b301"
	id, err := ids.Parse[ids.User](text)
	if err != nil {
		t.Fatal(err)
	}
	u := uuid.MustParse(text)
	same := func(what string, got, want any) {
		t.Helper()
		if got != want {
			t.Errorf("%s: %v, want %v", what, got, want)
		}
	}
	written := func(v any) string {
		var out bytes.Buffer
		drop := func(_ []string, a slog.Attr) slog.Attr {
			if a.Key == slog.TimeKey {
				return slog.Attr{}
			}
			return a
		}
		options := &slog.HandlerOptions{ReplaceAttr: drop}
		slog.New(slog.NewJSONHandler(&out, options)).Info("x", "subject", v)
		slog.New(slog.NewTextHandler(&out, options)).Info("x", "subject", v)
		b, err := json.Marshal(map[string]any{"id": v})
		if err != nil {
			t.Fatal(err)
		}
		return out.String() + string(b) + fmt.Sprintf("%v %s %q %+v", v, v, v, v)
	}
	same("String", id.String(), text)
	same("bytes", string(id[:]), string(u[:]))
	same("written", written(id), written(u))
	same("zero, written", written(ids.User{}), written(uuid.Nil))
	same("client, written", written(ids.Client(`a "b" é`)), written(`a "b" é`))

	var read struct{ ID ids.User }
	if err := json.Unmarshal([]byte(`{"ID":"`+text+`"}`), &read); err != nil || read.ID != id {
		t.Errorf("read back: %v, %v", read.ID, err)
	}
	if err := json.Unmarshal([]byte(`{"ID":"`+text[1:]+`"}`), &read); err == nil {
		t.Error("a malformed id is read from JSON")
	}
	for _, odd := range []string{"nonsense", "", "{" + text + "}", "x" + text + "x", "urn:uuid:" + text, strings.ReplaceAll(text, "-", ""), text + " "} {
		if id, err := ids.Parse[ids.User](odd); err == nil || !id.IsZero() {
			t.Errorf("%q is read as %v, %v", odd, id, err)
		}
		if err := read.ID.UnmarshalText([]byte(odd)); err == nil {
			t.Errorf("%q is read as text", odd)
		}
	}
}

func TestIDsAreReadFromColumns(t *testing.T) {
	want := ids.New[ids.Session]()
	got := ids.New[ids.Session]()
	if err := got.Scan(want[:]); err != nil || got != want {
		t.Errorf("16 bytes: %v, %v, want %v", got, err, want)
	}
	if err := got.Scan(nil); err != nil || !got.IsZero() {
		t.Errorf("NULL: %v, %v, want the zero id", got, err)
	}
	for _, odd := range []any{want[:15], []byte{}, want.String(), int64(1)} {
		if err := got.Scan(odd); err == nil {
			t.Errorf("%#v is read as %v", odd, got)
		}
	}
}

func TestNewIDsDiffer(t *testing.T) {
	a, b := ids.New[ids.User](), ids.New[ids.User]()
	if a == b || a.IsZero() || bytes.Compare(a[:], b[:]) > 0 {
		t.Errorf("%v, then %v: want one that sorts after it", a, b)
	}
	if c, d := ids.NewRandom[ids.Letter](), ids.NewRandom[ids.Letter](); c == d || uuid.UUID(c).Version() != 4 {
		t.Errorf("%v, then %v: want two random ones", c, d)
	}
}

// That one kind is not another's type is what the compiler goes by.
func TestKindsAreTypesOfTheirOwn(t *testing.T) {
	seen := map[reflect.Type]bool{reflect.TypeFor[uuid.UUID](): true, reflect.TypeFor[string](): true}
	for _, kind := range []reflect.Type{
		reflect.TypeFor[ids.User](), reflect.TypeFor[ids.Session](), reflect.TypeFor[ids.Login](),
		reflect.TypeFor[ids.Consent](), reflect.TypeFor[ids.Letter](), reflect.TypeFor[ids.Client](),
	} {
		if seen[kind] {
			t.Errorf("%s is the type of two kinds", kind)
		}
		seen[kind] = true
	}
}
