package main

import (
	"context"
	"fmt"
	"io"
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
	r := &runner{options: o, progress: progress, limits: limits(folder), report: &report{
		date: time.Now(),
		how:  fmt.Sprintf("%d callers; the median of %d runs of %s.", callers, o.runs, o.time),
	}}
	if r.env, err = newEnvironment(o.server, folder); err != nil {
		return nil, err
	}
	if r.report.facts, err = machine(o.server, folder, min(o.time, time.Second)); err != nil {
		return nil, err
	}
	began := time.Now()
	for _, part := range []func(context.Context) error{r.onSQLite, r.inStorm, r.onMariaDB} {
		if err := part(ctx); err != nil {
			return nil, err
		}
	}
	for _, l := range r.limits { // those that no job has needed
		if r.only.MatchString(l.name) {
			if _, err := r.limit(ctx, l.name); err != nil {
				return nil, err
			}
		}
	}
	place := map[string]int{}
	for i, l := range r.limits {
		place[l.name] = i
	}
	slices.SortFunc(r.report.limits, func(a, b rate) int { return place[a.name] - place[b.name] })
	r.report.facts = append(r.report.facts, [2]string{"measured in", time.Since(began).Round(time.Second).String()})
	return r.report, nil
}

func (r *runner) say(format string, args ...any) { fmt.Fprintf(r.progress, format+"\n", args...) }

// limit returns a limit, which it measures the first time.
func (r *runner) limit(ctx context.Context, name string) (*rate, error) {
	for _, found := range r.report.limits {
		if found.name == name {
			return &found, nil
		}
	}
	for _, l := range r.limits {
		if l.name != name {
			continue
		}
		var rates []float64
		for range r.runs {
			if err := ctx.Err(); err != nil {
				return nil, err
			}
			one, err := l.measure(min(r.time, time.Second))
			if err != nil {
				return nil, fmt.Errorf("%s: %w", name, err)
			}
			rates = append(rates, one)
		}
		found := rate{name, median(rates, func(f float64) float64 { return f })}
		r.say("%s: %s/s", name, count(found.perSecond))
		r.report.limits = append(r.report.limits, found)
		return &found, nil
	}
	return nil, fmt.Errorf("there is no limit %s", name)
}

// wanted returns the jobs that were asked for, named by where they run.
func (r *runner) wanted(where string, all []job) (list []job) {
	for _, j := range all {
		if j.name = where + ": " + j.name; r.only.MatchString(j.name) {
			list = append(list, j)
		}
	}
	return list
}

func (r *runner) sqlite() string { return "sqlite:" + filepath.Join(r.env.folder, "countersign.db") }

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
		if err := r.measure(ctx, s, j, true, sqliteGrouped); err != nil {
			return err
		}
	}
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
	r.limits = append(r.limits, mariaLimits(db)...)
	if err := db.CreateDatabase("bench"); err != nil {
		return err
	}
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
			if err := r.measure(ctx, s, j, !j.durable, mariaCallers); err != nil {
				s.stop()
				return err
			}
		}
		s.stop()
	}
	for _, l := range mariaLimits(db) { // while the database is there
		if r.only.MatchString(l.name) {
			if _, err := r.limit(ctx, l.name); err != nil {
				return err
			}
		}
	}
	return nil
}

// measure measures a job beside its limits, taking turns so that what else the machine does
// strikes both alike.
func (r *runner) measure(ctx context.Context, s *site, j job, besideBare bool, durable string) error {
	row := row{name: j.name}
	var ours, bare []result
	var handler *bareServer
	for range r.runs {
		prepared, err := s.once(ctx, j.prepare)
		if err != nil {
			return fmt.Errorf("%s: prepare: %w", j.name, err)
		}
		l := load{Addresses: s.addresses(), Watch: s.pids(), Callers: callers, Steps: j.steps, Vars: prepared.Vars, WarmUp: r.time / 8, Time: r.time}
		one, err := runLoad(ctx, l)
		if err != nil {
			return err
		}
		ours = append(ours, one)
		if !besideBare || j.hashes {
			continue
		}
		if handler == nil {
			if handler, err = startBare(one.Answers); err != nil {
				return err
			}
			defer handler.stop()
		}
		l.Addresses, l.Watch = []string{handler.address}, []int{handler.pid}
		if one, err = runLoad(ctx, l); err != nil {
			return err
		}
		bare = append(bare, one)
	}
	row.ours = middle(ours)
	if bare != nil {
		m := middle(bare)
		row.bare = &m
	}
	var err error
	switch {
	case j.hashes:
		row.limit, err = r.limit(ctx, argonLimit)
	case j.durable:
		row.limit, err = r.limit(ctx, durable)
	}
	if err != nil {
		return err
	}
	r.say("%s: %s/s, errors %d %s", j.name, count(row.ours.perSecond()), row.ours.Errors, row.ours.FirstError)
	r.report.jobs = append(r.report.jobs, row)
	return nil
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

// inStorm measures refreshes alone and beside sign-ins with passwords, on a server that has
// done nothing else.
func (r *runner) inStorm(ctx context.Context) error {
	const name = "SQLite: refresh in a password storm"
	if !r.only.MatchString(name) {
		return nil
	}
	var runs []storm
	for range r.runs {
		one, err := r.oneStorm(ctx)
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		runs = append(runs, one)
	}
	m := median(runs, func(s storm) float64 { return float64(s.within.P99) / float64(max(s.alone.P99, 1)) })
	for _, one := range runs {
		m.peak = max(m.peak, one.peak)
	}
	r.say("%s: p99 %s, alone %s", name, short(m.within.P99), short(m.alone.P99))
	r.report.storm = &m
	return nil
}

func (r *runner) oneStorm(ctx context.Context) (found storm, err error) {
	s, err := r.env.startSite(ctx, r.sqlite(), 1)
	if err != nil {
		return found, err
	}
	defer s.stop()
	pid := s.pids()[0]
	found.idle = s.idle
	refresh, hash := jobNamed("refresh"), jobNamed("password")
	prepared, err := s.once(ctx, refresh.prepare)
	if err != nil {
		return found, err
	}
	l := load{Addresses: s.addresses(), Watch: s.pids(), Callers: callers, Steps: refresh.steps, Vars: prepared.Vars, WarmUp: r.time / 8, Time: r.time}
	if found.alone, err = runLoad(ctx, l); err != nil {
		return found, err
	}
	forgetPeak(pid)
	type outcome struct {
		result
		err error
	}
	passwords := make(chan outcome, 1)
	go func() {
		one, err := runLoad(ctx, load{Addresses: s.addresses(), Callers: callers, Steps: hash.steps, Vars: prepared.Vars, WarmUp: r.time / 8, Time: r.time + r.time/4})
		passwords <- outcome{one, err}
	}()
	l.Vars, l.WarmUp = found.alone.Vars, r.time/4
	found.within, err = runLoad(ctx, l)
	last := <-passwords
	found.passwords = last.result
	_, found.peak = memory(pid)
	if err == nil {
		err = last.err
	}
	return found, err
}
