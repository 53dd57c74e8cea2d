// Package secrecytest checks that a struct does not show the secret that it carries.
package secrecytest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"
)

// Hidden prints v and a pointer to it in every way that a log line or a message may, and
// fails the test where secret shows.
func Hidden[T any](t testing.TB, secret string, v T) {
	t.Helper()
	shown := map[string]string{}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q"} {
		shown[verb] = fmt.Sprintf(verb+"\n"+verb, v, &v)
	}
	var text, object bytes.Buffer
	slog.New(slog.NewTextHandler(&text, nil)).Info("x", "value", v, "pointer", &v)
	slog.New(slog.NewJSONHandler(&object, nil)).Info("x", "value", v, "pointer", &v)
	shown["slog text"], shown["slog JSON"] = text.String(), object.String()
	b, err := json.Marshal(v)
	if err != nil {
		t.Errorf("%T: %v", v, err)
	}
	shown["JSON"] = string(b)
	for how, got := range shown {
		if strings.Contains(got, secret) {
			t.Errorf("%T by %s shows its secret:\n%s", v, how, got)
		}
		if got == "" {
			t.Errorf("%T by %s shows nothing", v, how)
		}
	}
}
