package main

import (
	"context"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"time"

	"countersign/test/mariadb"
)

// runner measures what was asked for.
type runner struct {
	options
	env      environment
	progress io.Writer
	report   *report
	limits   []limit
	rates    map[string][]float64 // of each limit
}

// run measures everything.
func run(ctx context.Context, o options, progress io.Writer) (*report, error) {
	folder, err := os.MkdirTemp("", "countersign-bench-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(folder)
	if o.server == "" {
		if o.server, err = build(); err != nil {
			return nil, err
		}
	}
	r := &runner{options: o, progress: progress, limits: limits(folder, o.callers), rates: map[string][]float64{}, report: &report{
		date: time.Now(),
		how:  fmt.Sprintf("%d callers; the median of %d runs of %s.", o.callers, o.runs, o.time),
	}}
	if r.env, err = newEnvironment(o.server, folder, o.callers); err != nil {
		return nil, err
	}
	if o.sessions > 0 {
		r.report.how += fmt.Sprintf(" SQLite's database has %d sessions of %d other users.", o.sessions, (o.sessions+1)/2)
	}
	r.env.profiled = o.profile != ""
	if r.report.facts, err = machine(o.server, folder, min(o.time, time.Second)); err != nil {
		return nil, err
	}
	began := time.Now()
	for _, part := range []func(context.Context) error{r.crowd, r.onSQLite, r.inStorm, r.atRest, r.onMariaDB} {
		if err := part(ctx); err != nil {
			return nil, err
		}
	}
	if err := r.others(ctx, r.limits); err != nil {
		return nil, err
	}
	for _, l := range r.limits {
		if r.rates[l.name] != nil {
			r.report.limits = append(r.report.limits, rate{l.name, middleRate(r.rates[l.name])})
		}
	}
	r.report.facts = append(r.report.facts, [2]string{"measured in", time.Since(began).Round(time.Second).String()})
	return r.report, nil
}

func (r *runner) say(format string, args ...any) { fmt.Fprintf(r.progress, format+"\n", args...) }

// once measures a limit once, and keeps what it found.
func (r *runner) once(ctx context.Context, name string) (float64, error) {
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	i := slices.IndexFunc(r.limits, func(l limit) bool { return l.name == name })
	found, err := r.limits[i].measure(min(r.time, time.Second))
	if err != nil {
		return 0, fmt.Errorf("%s: %w", name, err)
	}
	r.rates[name] = append(r.rates[name], found)
	return found, nil
}

// others measures the limits of a list that were asked for and that no job has needed.
func (r *runner) others(ctx context.Context, list []limit) error {
	for _, l := range list {
		if r.rates[l.name] != nil || !r.only.MatchString(l.name) {
			continue
		}
		for range r.runs {
			if _, err := r.once(ctx, l.name); err != nil {
				return err
			}
		}
		r.say("%s: %s/s", l.name, count(middleRate(r.rates[l.name])))
	}
	return nil
}

func middleRate(rates []float64) float64 { return median(rates, func(f float64) float64 { return f }) }

// wanted returns the jobs that were asked for, named by where they run.
func (r *runner) wanted(where string, all []job) (list []job) {
	for _, j := range all {
		if j.name = where + ": " + j.name; r.only.MatchString(j.name) {
			list = append(list, j)
		}
	}
	return list
}

func (r *runner) databaseFile() string { return filepath.Join(r.env.folder, "countersign.db") }

func (r *runner) sqlite() string { return "sqlite:" + r.databaseFile() }

func (r *runner) onSQLite(ctx context.Context) error {
	list := r.wanted("SQLite", jobs())
	if len(list) == 0 {
		return nil
	}
	s, err := r.env.startSite(ctx, r.sqlite(), 1)
	if err != nil {
		return err
	}
	defer s.stop()
	for _, j := range list {
		if err := r.measure(ctx, s, j, nil, boundsOf(j, sqliteGrouped)); err != nil {
			return err
		}
	}
	return nil
}

// atRest measures a server's start on a database that is there, and what it then has.
func (r *runner) atRest(context.Context) error {
	const name = "server at rest"
	if !r.only.MatchString(name) {
		return nil
	}
	binary, err := os.Stat(r.env.binary)
	if err != nil {
		return err
	}
	var starts []*server
	for range r.runs + 1 {
		s, err := r.env.start(r.sqlite())
		if err != nil {
			return err
		}
		s.stop()
		starts = append(starts, s)
	}
	m := median(starts[1:], func(s *server) float64 { return s.ready.Seconds() }) // the first may have made the database
	r.report.rest = fmt.Sprintf("A server on SQLite is ready %s after its start, and then has %.1f MiB of memory. Its binary has %.1f MiB.",
		short(m.ready), float64(m.idle)/(1<<20), float64(binary.Size())/(1<<20))
	r.say("%s", r.report.rest)
	return nil
}

// onMariaDB measures what the database decides, with one server and with two.
func (r *runner) onMariaDB(ctx context.Context) error {
	var durable []job
	for _, j := range jobs() {
		switch j.name {
		case "refresh", "session refresh by cookie", "userinfo", "password":
			durable = append(durable, j)
		}
	}
	if len(r.wanted("MariaDB", durable)) == 0 && len(r.wanted("MariaDB, 2 replicas", durable)) == 0 && !r.only.MatchString(mariaCallers) {
		return nil
	}
	if err := mariadb.Available(); err != nil {
		r.report.notes = append(r.report.notes, fmt.Sprintf("MariaDB: left out, because %v", err))
		return nil
	}
	db, err := mariadb.Start("--innodb-buffer-pool-size=256M")
	if err != nil {
		return err
	}
	defer db.Close()
	maria := mariaLimits(db, r.callers)
	r.limits = append(r.limits, maria...)
	if err := db.CreateDatabase("bench"); err != nil {
		return err
	}
	database := map[string][]int{databaseProcess: {db.Process()}}
	for replicas, where := range []string{1: "MariaDB", 2: "MariaDB, 2 replicas"} {
		list := r.wanted(where, durable)
		if where == "" || len(list) == 0 {
			continue
		}
		s, err := r.env.startSite(ctx, db.URL("bench"), replicas)
		if err != nil {
			return err
		}
		for _, j := range list {
			if err := r.measure(ctx, s, j, database, boundsOf(j, mariaCallers)); err != nil {
				s.stop()
				return err
			}
		}
		s.stop()
	}
	return r.others(ctx, maria) // while the database is there
}

// The names of processes whose CPU time is measured.
const (
	serverProcess   = "server"
	databaseProcess = "database"
)

// prepared returns the load of a job on servers, for callers that have prepared it.
func (r *runner) prepared(ctx context.Context, s *site, j job) (load, error) {
	found, err := s.once(ctx, j.prepare)
	for tries := 1; err != nil; tries++ {
		if tries == 4 {
			return load{}, fmt.Errorf("%s: prepare: %w", j.name, err)
		}
		time.Sleep(2 * time.Second) // the machine may still be busy with what came before
		found, err = s.once(ctx, j.prepare)
	}
	return load{
		Addresses: s.addresses(), Watch: map[string][]int{serverProcess: s.pids()}, Callers: r.callers,
		Steps: j.steps, Vars: found.Vars, WarmUp: r.time / 8, Time: r.time,
	}, nil
}

// measure measures a job beside its limits, taking turns so that what else the machine does
// strikes all alike. besides are more processes to watch.
func (r *runner) measure(ctx context.Context, s *site, j job, besides map[string][]int, bounds bounds) error {
	var ours, bare []result
	var rates []float64
	var handler *bareServer
	for range r.runs {
		l, err := r.prepared(ctx, s, j)
		if err != nil {
			return err
		}
		maps.Copy(l.Watch, besides)
		one, err := runLoad(ctx, l)
		if err != nil {
			return err
		}
		ours = append(ours, one)
		if bounds.limit != "" {
			rate, err := r.once(ctx, bounds.limit)
			if err != nil {
				return err
			}
			rates = append(rates, rate)
		}
		if !bounds.bare {
			continue
		}
		if handler == nil {
			if handler, err = startBare(one.Answers); err != nil {
				return err
			}
			defer handler.stop()
		}
		l.Addresses, l.Watch = []string{handler.address}, map[string][]int{serverProcess: {handler.pid}}
		if one, err = runLoad(ctx, l); err != nil {
			return err
		}
		bare = append(bare, one)
	}
	if r.profile != "" {
		if err := r.profiled(ctx, s, j); err != nil {
			return fmt.Errorf("%s: profile: %w", j.name, err)
		}
	}
	row := row{name: j.name, ours: middle(ours)}
	if bare != nil {
		m := middle(bare)
		row.bare = &m
	}
	if rates != nil {
		row.limit = &rate{bounds.limit, middleRate(rates)}
	}
	r.say("%s", row.brief())
	r.report.jobs = append(r.report.jobs, row)
	return nil
}

// bounds say what a job is compared with.
type bounds struct {
	bare  bool   // the bare gin handler
	limit string // a limit, if set
}

// boundsOf returns a job's on a database whose limit of durable writes is given.
func boundsOf(j job, durable string) bounds {
	switch {
	case j.hashes:
		return bounds{limit: argonLimit}
	case j.durable:
		return bounds{bare: durable == sqliteGrouped, limit: durable}
	}
	return bounds{bare: true}
}

// middle returns the run with the median rate, with the errors of all.
func middle(runs []result) result {
	m := median(runs, result.perSecond)
	m.Errors, m.FirstError = 0, ""
	for _, one := range runs {
		if m.Errors += one.Errors; m.FirstError == "" {
			m.FirstError = one.FirstError
		}
	}
	return m
}
