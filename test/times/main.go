// Times runs go test, prints what it prints, and then where the time went: the time of
// each package and the slowest tests.
//
//	go run ./test/times go test ./...
//
// It exits with the code of go test.
package main

import (
	"bufio"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"time"
)

// slowest is how many tests are listed.
const slowest = 50

func main() {
	if len(os.Args) < 3 || os.Args[1] != "go" || os.Args[2] != "test" {
		fmt.Fprintln(os.Stderr, "usage: times go test [arguments]")
		os.Exit(2)
	}
	code, err := run(os.Args[3:], os.Stdout)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(code)
}

// run runs go test and returns its exit code.
func run(args []string, out io.Writer) (code int, err error) {
	cmd := exec.Command("go", append([]string{"test", "-json"}, args...)...)
	cmd.Stderr = os.Stderr
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return 0, err
	}
	began := time.Now()
	if err := cmd.Start(); err != nil {
		return 0, err
	}
	r := newReport(out)
	errRead := r.read(stdout)
	err = cmd.Wait()
	r.sum(time.Since(began))
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		return max(exit.ExitCode(), 1), errRead // -1 is a signal
	}
	return 0, errors.Join(err, errRead)
}

// event is a line of go test -json, see go doc test2json.
type event struct {
	Action, Package, Test, Output string
	Elapsed                       float64 // seconds
}

// report turns events into what go test prints, and keeps the times.
type report struct {
	out   io.Writer
	said  map[string][]event // what a package's tests have printed, by package, until it ends
	ended map[test]string    // how tests ended
	took  map[test]float64   // seconds; of whole packages, too
}

// test is the name of a test, or of a package if name is empty.
type test struct{ pkg, name string }

func newReport(out io.Writer) *report {
	return &report{out: out, said: map[string][]event{}, ended: map[test]string{}, took: map[test]float64{}}
}

func (r *report) read(events io.Reader) error {
	lines := bufio.NewReader(events)
	for {
		line, err := lines.ReadBytes('\n')
		var e event
		switch {
		case len(line) == 0:
		case json.Unmarshal(line, &e) != nil:
			r.out.Write(line) // go test itself prints this line
		default:
			r.take(e)
		}
		if err != nil {
			if errors.Is(err, io.EOF) {
				err = nil
			}
			return err
		}
	}
}

func (r *report) take(e event) {
	of := test{e.Package, e.Test}
	switch e.Action {
	case "build-output":
		io.WriteString(r.out, e.Output)
	case "output":
		r.said[e.Package] = append(r.said[e.Package], e)
	case "pass", "fail", "skip":
		r.ended[of], r.took[of] = e.Action, e.Elapsed
		if e.Test == "" {
			r.show(e.Package, e.Action)
		}
	}
}

// show prints the result of a package that has ended: its last line, and all output of tests
// that didn't pass. Those include tests without an end, in which the package broke off.
func (r *report) show(pkg, how string) {
	said := r.said[pkg]
	delete(r.said, pkg)
	for _, e := range said {
		print := strings.HasPrefix(e.Output, "ok  \t") || strings.HasPrefix(e.Output, "?   \t")
		if end := r.ended[test{pkg, e.Test}]; how == "fail" {
			print = end != "pass" && end != "skip" && !strings.HasPrefix(e.Output, "=== ")
		}
		if print {
			io.WriteString(r.out, e.Output)
		}
	}
}

// sum prints the times.
func (r *report) sum(whole time.Duration) {
	own := map[test]float64{} // without sub-tests, which are listed themselves
	var packages, tests []test
	for one, took := range r.took {
		if one.name == "" {
			packages = append(packages, one)
			own[one] = took
			continue
		}
		tests = append(tests, one)
		own[one] += took
		if i := strings.LastIndexByte(one.name, '/'); i >= 0 {
			own[test{one.pkg, one.name[:i]}] -= took
		}
	}
	bySlowness := func(a, b test) int {
		return cmp.Or(cmp.Compare(own[b], own[a]), cmp.Compare(a.pkg, b.pkg), cmp.Compare(a.name, b.name))
	}
	slices.SortFunc(packages, bySlowness)
	slices.SortFunc(tests, bySlowness)

	fmt.Fprintf(r.out, "\nThe packages, in seconds:\n")
	for _, one := range packages {
		fmt.Fprintf(r.out, "%8.1f  %s\n", own[one], one.pkg)
	}
	fmt.Fprintf(r.out, "\nThe slowest tests, in seconds, without the time of their sub-tests:\n")
	for _, one := range tests[:min(slowest, len(tests))] {
		fmt.Fprintf(r.out, "%8.1f  %s %s\n", max(0, own[one]), one.pkg, one.name)
	}
	fmt.Fprintf(r.out, "\nAll of it took %v.\n", whole.Round(time.Second))
}
