package clients_test

import (
	"errors"
	"fmt"
	"reflect"
	"testing"
	"time"

	"countersign/caller"
	"countersign/clients"
	"countersign/limits"
	"countersign/secrecy"
)

// A caller that a handler forgot to fill in is a stranger without an address, whose
// guesses at a secret are counted.
func TestZeroCallerIsAStrangerToEveryMethod(t *testing.T) {
	// No endpoint calls these: the command line and the configuration do.
	operators := map[string]bool{"Create": true, "Put": true, "PutAll": true, "RotateSecret": true, "Delete": true, "Update": true}
	for method := range reflect.TypeFor[*clients.Registry]().Methods() {
		for in := range method.Type.Ins() {
			if in == reflect.TypeFor[caller.Caller]() && method.Name != "Authenticate" && !operators[method.Name] {
				t.Errorf("%s takes a Caller: say here whether strangers have a budget for it", method.Name)
			}
		}
	}
	registry := newRegistry(t, open(t))
	guess := func(i int, from caller.Caller) error {
		_, err := registry.Authenticate(t.Context(), time.Now(), clients.Credentials{ID: "api", Secret: secrecy.Text(fmt.Sprint("wrong ", i))}, from)
		return err
	}
	var err error
	for i := 0; i < 30 && !errors.Is(err, limits.ErrThrottled); i++ {
		err = guess(i, caller.Caller{})
	}
	if !errors.Is(err, limits.ErrThrottled) {
		t.Fatalf("the zero Caller may go on and on: %v", err)
	}
	if err := guess(100, caller.Caller{RequestID: "another"}); !errors.Is(err, limits.ErrThrottled) {
		t.Errorf("another stranger without an address: %v", err)
	}
}
