// Package inputtest compares what tests find wrong with an input.
package inputtest

import (
	"errors"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"countersign/input"
)

// Problems are the "field code" pairs in an *input.Error, sorted; nil for no error.
func Problems(t testing.TB, err error) []string {
	t.Helper()
	if err == nil {
		return nil
	}
	bad, ok := errors.AsType[*input.Error](err)
	if !ok {
		t.Fatalf("error is %v (%T), want an *input.Error", err, err)
	}
	var found []string
	for _, p := range bad.Problems {
		if p.Detail == "" {
			t.Errorf("%s %s has no detail", p.Field, p.Code)
		}
		found = append(found, p.Field+" "+p.Code)
	}
	slices.Sort(found)
	return found
}

// Want reports if the problems in err are not these, as "field code".
func Want(t testing.TB, err error, want ...string) {
	t.Helper()
	slices.Sort(want)
	if diff := cmp.Diff(want, Problems(t, err)); diff != "" {
		t.Errorf("problems (-want +got):\n%s%v", diff, err)
	}
}
