package main

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"countersign/test/programs"
)

// TestMain makes the test binary the load generator and the bare handler, too.
func TestMain(m *testing.M) {
	if len(os.Args) == 2 && slices.Contains([]string{generatorCommand, bareCommand}, os.Args[1]) {
		main()
		return
	}
	programs.Main(m)
}

// The jobs that differ most in what the callers keep of answers, for a moment each.
func TestBench(t *testing.T) {
	o := options{
		time: 50 * time.Millisecond, runs: 1, callers: 2, sessions: 100, server: programs.Path(t, "countersign"),
		only: regexp.MustCompile("^SQLite: (jwks, not modified|refresh|session refresh by cookie|authorization code, exchanged)$|^ES256"),
	}
	r, err := run(t.Context(), o, t.Output())
	if err != nil {
		t.Fatal(err)
	}
	if n, first := r.failed(); n > 0 {
		t.Errorf("%d answers weren't the expected ones, the first: %s", n, first)
	}
	if len(r.jobs) != 4 {
		t.Fatalf("got %d jobs, want 4", len(r.jobs))
	}
	for _, j := range r.jobs {
		if j.ours.Passes == 0 || j.bare == nil || j.bare.Passes == 0 || j.ours.Own == 0 {
			t.Errorf("%s: got %+v, bare %+v", j.name, j.ours, j.bare)
		}
	}
	var table strings.Builder
	if err := r.write(&table); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"\n- CPU: ", "\n| SQLite: refresh | ", "| " + sqliteGrouped + " | ", "\n| ES256 signatures | "} {
		if !strings.Contains(table.String(), want) {
			t.Errorf("the table has no %q:\n%s", want, &table)
		}
	}
}

// An answer with another status is an error, and the first one is told.
func TestLoadCountsErrors(t *testing.T) {
	bare, err := startBare([]answer{{Method: "GET", Path: "/", Status: 503, Body: []byte("busy")}})
	if err != nil {
		t.Fatal(err)
	}
	defer bare.stop()
	for _, s := range []step{get("/"), get("/").want(503).taking(take{Var: "token", JSON: "token"}), get("/elsewhere").want(503)} {
		r, err := runLoad(t.Context(), load{Addresses: []string{bare.address}, Callers: 2, Steps: []step{s}, Passes: 3})
		if err != nil || r.Errors != 6 || r.Passes != 0 || !strings.Contains(r.FirstError, "GET "+s.Path) {
			t.Errorf("%+v: got %+v, %v", s, r, err)
		}
	}
}

func TestPercentileAndMedian(t *testing.T) {
	var times []time.Duration
	for i := range 200 {
		times = append(times, time.Duration(200-i))
	}
	for p, want := range map[int]time.Duration{50: 100, 99: 198, 100: 200} {
		if got := percentile(times, p); got != want {
			t.Errorf("percentile %d: got %d, want %d", p, got, want)
		}
	}
	if got := percentile(nil, 99); got != 0 {
		t.Errorf("of none: got %d, want 0", got)
	}
	for _, list := range [][]float64{{2}, {3, 1, 2}, {4, 2, 1, 3}} {
		if got := median(list, func(f float64) float64 { return f }); got != 2 {
			t.Errorf("median of %v: got %v, want 2", list, got)
		}
	}
}

func TestCount(t *testing.T) {
	for f, want := range map[float64]string{7.34: "7.3", 147.2: "147", 1234: "1,230", 9999: "10,000", 45_678: "45,700", 1_234_567: "1,234,600"} {
		if got := count(f); got != want {
			t.Errorf("%v: got %s, want %s", f, got, want)
		}
	}
}
