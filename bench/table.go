package main

import (
	"fmt"
	"io"
	"runtime"
	"strings"
	"time"
)

// report is all that a run has found.
type report struct {
	date   time.Time
	how    string // the run's parameters
	facts  [][2]string
	limits []rate
	jobs   []row
	storm  *storm
	rest   string // about the server before it does anything
	notes  []string
}

// rate is how often something was done in a second.
type rate struct {
	name      string
	perSecond float64
}

// row is what a job came to: the median run.
type row struct {
	name  string
	ours  result
	bare  *result // of the bare gin handler
	limit *rate   // what bounds it more closely
}

// brief says it in a line.
func (r *row) brief() string {
	s := r.name + ": " + count(r.ours.perSecond()) + "/s"
	if r.bare != nil {
		s += ", " + ratio(r.ours.perSecond(), r.bare.perSecond()) + " of the bare gin handler"
	}
	if r.limit != nil {
		s += ", " + ratio(r.ours.perSecond(), r.limit.perSecond) + " of " + r.limit.name
	}
	if r.ours.Errors > 0 {
		s += fmt.Sprintf(", %d ERRORS, the first: %s", r.ours.Errors, r.ours.FirstError)
	}
	return s
}

// failed returns the number of answers that weren't the expected ones, and the first.
func (r *report) failed() (n int, first string) {
	all := []result{}
	for _, j := range r.jobs {
		all = append(all, j.ours)
		if j.bare != nil {
			all = append(all, *j.bare)
		}
	}
	if r.storm != nil {
		all = append(all, r.storm.alone, r.storm.within, r.storm.passwords)
	}
	for _, one := range all {
		if n += one.Errors; first == "" {
			first = one.FirstError
		}
	}
	return n, first
}

func (r *report) write(w io.Writer) error {
	var b strings.Builder
	fmt.Fprintf(&b, "# Benchmark of %s\n\nWritten by `make bench`, which [testing.md](../docs/testing.md) explains. %s\nMachines differ, so compare ratios, not rates.\n\n",
		r.date.Format("2006-01-02 15:04 MST"), r.how)
	for _, f := range r.facts {
		fmt.Fprintf(&b, "- %s: %s\n", f[0], f[1])
	}
	for _, note := range r.notes {
		fmt.Fprintf(&b, "- %s\n", note)
	}
	if len(r.jobs) > 0 {
		b.WriteString("\n## Jobs\n\n| job | a second | bare gin handler | ratio | other limit | a second | ratio |\n| --- | ---: | ---: | ---: | --- | ---: | ---: |\n")
		for _, j := range r.jobs {
			ours := j.ours.perSecond()
			fmt.Fprintf(&b, "| %s | %s |", j.name, count(ours))
			if j.bare != nil {
				fmt.Fprintf(&b, " %s | %s |", count(j.bare.perSecond()), ratio(ours, j.bare.perSecond()))
			} else {
				b.WriteString(" | |")
			}
			if j.limit != nil {
				fmt.Fprintf(&b, " %s | %s | %s |\n", j.limit.name, count(j.limit.perSecond), ratio(ours, j.limit.perSecond))
			} else {
				b.WriteString(" | | |\n")
			}
		}
		b.WriteString("\n| job | p50 | p99 | longest | errors | server's CPU for one | database's | generator's | generator's share of the CPU |\n| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |\n")
		for _, j := range r.jobs {
			writeTimes(&b, j.name, j.ours)
			if j.bare != nil {
				writeTimes(&b, j.name+": bare gin handler", *j.bare)
			}
		}
	}
	if s := r.storm; s != nil {
		fmt.Fprintf(&b, "\n## Refreshes while passwords are hashed\n\n| | a second | p50 | p99 | longest | errors |\n| --- | ---: | ---: | ---: | ---: | ---: |\n")
		for _, one := range []struct {
			name string
			of   result
		}{{"refreshes alone", s.alone}, {"refreshes within the storm", s.within}, {"passwords within the storm", s.passwords}} {
			fmt.Fprintf(&b, "| %s | %s | %s | %s | %s | %d |\n", one.name, count(one.of.perSecond()), short(one.of.P50), short(one.of.P99), short(one.of.Max), one.of.Errors)
		}
		blocks := float64(s.peak-s.idle) / (argonMemoryKiB << 10) / float64(runtime.GOMAXPROCS(0))
		fmt.Fprintf(&b, "\nThe p99 of refreshes is %s times what it is alone. The server's memory: %d MiB idle, %d MiB at most in the storm, which is idle + %.2f x slots x argon2's memory.\n",
			ratio(float64(s.within.P99), float64(s.alone.P99)), s.idle>>20, s.peak>>20, blocks)
	}
	if r.rest != "" {
		fmt.Fprintf(&b, "\n## At rest\n\n%s\n", r.rest)
	}
	if len(r.limits) > 0 {
		b.WriteString("\n## Limits\n\n| limit | a second |\n| --- | ---: |\n")
		for _, l := range r.limits {
			fmt.Fprintf(&b, "| %s | %s |\n", l.name, count(l.perSecond))
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func writeTimes(b *strings.Builder, name string, r result) {
	database := ""
	if cpu, ok := r.Watched[databaseProcess]; ok {
		database = short(each(cpu, r))
	}
	fmt.Fprintf(b, "| %s | %s | %s | %s | %d | %s | %s | %s | %.0f %% |\n", name, short(r.P50), short(r.P99), short(r.Max), r.Errors,
		short(each(r.Watched[serverProcess], r)), database, short(each(r.Own, r)), 100*r.Own.Seconds()/r.Took.Seconds()/float64(runtime.GOMAXPROCS(0)))
}

// each is a pass's part of a CPU time.
func each(cpu time.Duration, r result) time.Duration { return cpu / time.Duration(max(r.Passes, 1)) }

// count writes a rate with three digits.
func count(perSecond float64) string {
	switch {
	case perSecond >= 1000:
		n := int(perSecond+50) / 100 * 100
		if perSecond < 10_000 {
			n = int(perSecond+5) / 10 * 10
		}
		if n < 1_000_000 {
			return fmt.Sprintf("%d,%03d", n/1000, n%1000)
		}
		return fmt.Sprintf("%d,%03d,%03d", n/1_000_000, n/1000%1000, n%1000)
	case perSecond >= 100:
		return fmt.Sprintf("%.0f", perSecond)
	}
	return fmt.Sprintf("%.1f", perSecond)
}

func ratio(a, b float64) string {
	if b == 0 {
		return "-"
	}
	return fmt.Sprintf("%.2f", a/b)
}
