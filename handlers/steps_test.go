package handlers

import (
	"testing"

	"countersign/authorize"
)

// Each step has either a page or an answer; the zero Step has neither.
func TestEveryStepHasItsPage(t *testing.T) {
	answered := map[authorize.Step]bool{authorize.Answer: true, authorize.Refuse: true}
	for _, step := range authorize.Steps() {
		if _, paged := stepPaths[step]; paged == answered[step] {
			t.Errorf("%v: page %v, answer %v; want one of them", step, paged, answered[step])
		}
	}
	if path, ok := stepPaths[0]; ok {
		t.Errorf("the zero Step leads to %s", path)
	}
}
