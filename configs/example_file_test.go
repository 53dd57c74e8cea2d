package configs_test

import (
	"os"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"countersign/configs"
)

const exampleFile = "countersign.example.yaml"

func TestExampleFileChangesNothing(t *testing.T) {
	got := load(t, configs.Source{File: exampleFile}).Show()
	if diff := cmp.Diff(load(t, configs.Source{}).Show(), got); diff != "" {
		t.Error(diff)
	}
}

// uncommented is the example file with all its settings in force.
func uncommented(t *testing.T) configs.Source {
	t.Helper()
	text, err := os.ReadFile(exampleFile)
	if err != nil {
		t.Fatal(err)
	}
	setting := regexp.MustCompile(`(?m)^( *)#(\S|  [a-z_]+:)`)
	return configs.Source{File: write(t, setting.ReplaceAllString(string(text), "$1$2")), Serve: true}
}

func TestExampleFileHasEveryKeyAtItsDefault(t *testing.T) {
	got := load(t, uncommented(t))
	examples := []string{"issuer", "master_key_file"} // have no default
	fromEnv := []string{"master_key", "smtp.password"}
	for _, want := range load(t, configs.Source{}).Show() {
		if slices.Contains(fromEnv, want.Key) {
			continue
		}
		s := setting(t, got, want.Key)
		if s.Source != "file" {
			t.Errorf("%s is not in the example file", s.Key)
		}
		if s.Value != want.Value && !slices.Contains(examples, s.Key) {
			t.Errorf("%s = %q, but its default is %q", s.Key, s.Value, want.Value)
		}
	}
}

func TestExampleFileHasEveryKeyOfAClient(t *testing.T) {
	shown := load(t, uncommented(t)).Show()
	for _, f := range reflect.VisibleFields(reflect.TypeFor[configs.Client]()) {
		name := f.Tag.Get("yaml")
		if name != "-" && f.Tag.Get("unused") == "" && name != ",inline" && !slices.ContainsFunc(shown, func(s configs.Setting) bool { return strings.HasSuffix(s.Key, "]."+name) }) {
			t.Errorf("clients: %s is not in the example file", name)
		}
	}
}

func TestExampleFileHasEveryKeyOfAProvider(t *testing.T) {
	shown := load(t, uncommented(t)).Show()
	of := reflect.VisibleFields(reflect.TypeFor[configs.Upstream]())
	for _, f := range of {
		name := f.Tag.Get("yaml")
		if name != ",inline" && !slices.ContainsFunc(shown, func(s configs.Setting) bool {
			return strings.HasPrefix(s.Key, "upstreams[") && strings.HasSuffix(s.Key, "]."+name)
		}) {
			t.Errorf("upstreams: %s is not in the example file", name)
		}
	}
}
