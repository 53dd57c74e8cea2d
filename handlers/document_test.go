package handlers

import "testing"

func TestTakesGzip(t *testing.T) {
	for header, want := range map[string]bool{
		"gzip": true, "GZip": true, "deflate, gzip;q=1.0, *;q=0.5": true, "br;q=1, gzip; q=0.001": true, "gzip;q=1 ": true,
		"": false, "identity": false, "gzip;q=0": false, "gzip; q=0.000": false, "x-gzip": false, "gzip;q=": false, "gzip;q=much": false, "*": false,
	} {
		if got := takesGzip([]string{header}); got != want {
			t.Errorf("%q: %v", header, got)
		}
	}
	if !takesGzip([]string{"br", "gzip"}) {
		t.Error("not in the second header")
	}
}
