package handlers

import "testing"

func TestAccepts(t *testing.T) {
	for header, want := range map[string]bool{
		"gzip": true, "GZip": true, "deflate, gzip;q=1.0, *;q=0.5": true, "br;q=1, gzip; q=0.001": true, "gzip;q=1 ": true,
		"": false, "identity": false, "gzip;q=0": false, "gzip; q=0.000": false, "x-gzip": false, "gzip;q=": false, "gzip;q=much": false, "*": false,
	} {
		if got := accepts([]string{header}, "gzip"); got != want {
			t.Errorf("%q: %v", header, got)
		}
	}
	for header, want := range map[string]bool{
		"text/html": true, "text/html;charset=utf-8;q=0.1": true, "TEXT/HTML;Q=1": true, "application/json, text/html ; q=0.9": true,
		"*/*": false, "text/*": false, "text/html;level=1;q=0": false, "text/htmlx": false,
	} {
		if got := accepts([]string{header}, "text/html"); got != want {
			t.Errorf("%q: %v", header, got)
		}
	}
	if !accepts([]string{"br", "gzip"}, "gzip") {
		t.Error("not in the second header")
	}
}
