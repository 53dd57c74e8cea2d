package spelling_test

import (
	"testing"

	"countersign/spelling"
)

func TestDistance(t *testing.T) {
	for _, c := range []struct {
		a, b string
		want int
	}{
		{"", "", 0}, {"", "abc", 3}, {"abc", "", 3}, {"issuer", "issuer", 0},
		{"isuer", "issuer", 1}, {"issuers", "issuer", 1}, {"isseur", "issuer", 2}, {"kitten", "sitting", 3},
	} {
		if got := spelling.Distance(c.a, c.b); got != c.want {
			t.Errorf("from %q to %q: %d, want %d", c.a, c.b, got, c.want)
		}
	}
}
