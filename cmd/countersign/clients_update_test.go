package main

import (
	"reflect"
	"testing"

	"countersign/clients"
)

// Each list of a client can be added to and removed from, and the flags are named after
// that of the list.
func TestEachListOfAClientHasItsFlags(t *testing.T) {
	changes := reflect.TypeFor[listChanges]()
	lists := 0
	for field := range reflect.TypeFor[clients.Settings]().Fields() {
		if field.Type != reflect.TypeFor[[]string]() {
			continue
		}
		lists++
		for verb, prefix := range map[string]string{"Add": "add-", "Remove": "remove-"} {
			change, ok := changes.FieldByName(verb + field.Name)
			if want := prefix + field.Tag.Get("name"); !ok || change.Tag.Get("name") != want || change.Tag.Get("sep") != field.Tag.Get("sep") {
				t.Errorf("%s: listChanges has the flag %q, want %q", field.Name, change.Tag.Get("name"), want)
			}
		}
	}
	if changes.NumField() != 2*lists {
		t.Errorf("listChanges has %d fields for %d lists", changes.NumField(), lists)
	}
}
