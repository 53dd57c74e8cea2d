// Command bench measures the server beside the limits of the machine, in one run, and
// writes a table of ratios: make bench. docs/testing.md says what is in it.
//
// The server, the bare gin handler and the load generator ([load]) are processes of their
// own, the last two of this program.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"regexp"
	"syscall"
	"time"
)

// The names by which the program starts itself.
const (
	generatorCommand = "generate-load"
	bareCommand      = "serve-bare"
)

// options are the flags.
type options struct {
	time     time.Duration
	runs     int
	callers  int
	only     *regexp.Regexp
	out      string
	profile  string
	sessions int
	server   string
}

func main() {
	if err := dispatch(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func dispatch(args []string) error {
	if len(args) == 1 && args[0] == generatorCommand {
		return generate(os.Stdin, os.Stdout)
	}
	if len(args) == 1 && args[0] == bareCommand {
		return serveBare(os.Stdin, os.Stdout)
	}
	o := options{only: regexp.MustCompile("")}
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	flags.DurationVar(&o.time, "time", 2*time.Second, "how long each run takes")
	flags.IntVar(&o.runs, "runs", 3, "runs of each job and limit; the median counts")
	flags.IntVar(&o.callers, "callers", 16, "callers at once")
	flags.Func("only", "measure only what this `regexp` matches, such as 'SQLite: refresh$'", func(s string) (err error) {
		o.only, err = regexp.Compile(s)
		return err
	})
	flags.StringVar(&o.out, "out", "", "`file` for the table (default bench/results.md, none with -only)")
	flags.IntVar(&o.sessions, "sessions", 0, "`number` of sessions of other users in SQLite's database")
	flags.StringVar(&o.profile, "profile", "", "`folder` for profiles of each job: CPU, allocs, mutex, block. Servers that can be profiled are slower")
	flags.StringVar(&o.server, "server", "", "`path` of the server's binary (default: make build makes it)")
	switch err := flags.Parse(args); {
	case errors.Is(err, flag.ErrHelp):
		return nil
	case err != nil:
		return err
	case flags.NArg() > 0 || o.runs < 1 || o.callers < 1 || o.sessions < 0 || o.time <= 0:
		return errors.New("see -help")
	}
	if o.out == "" && o.only.String() == "" {
		o.out = filepath.Join("bench", "results.md")
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	r, err := run(ctx, o, os.Stderr)
	if err != nil {
		return err
	}
	return o.publish(r)
}

// publish prints and writes the table. It returns an error if answers weren't the expected
// ones.
func (o options) publish(r *report) error {
	writers := []io.Writer{os.Stdout}
	if o.out != "" {
		f, err := os.Create(o.out)
		if err != nil {
			return err
		}
		defer f.Close()
		writers = append(writers, f)
	}
	if err := r.write(io.MultiWriter(writers...)); err != nil {
		return err
	}
	if n, first := r.failed(); n > 0 {
		return fmt.Errorf("%d answers weren't the expected ones, the first: %s", n, first)
	}
	return nil
}
