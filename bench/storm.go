package main

import (
	"context"
	"fmt"
)

// storm is how refreshes fare while passwords are hashed.
type storm struct {
	alone, within, passwords result
	idle, peak               int64 // bytes of memory
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
	found.idle = s.servers[0].idle
	refresh, hash := jobNamed("refresh"), jobNamed("password")
	l, err := r.prepared(ctx, s, refresh)
	if err != nil {
		return found, err
	}
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
		one, err := runLoad(ctx, load{Addresses: s.addresses(), Callers: r.callers, Steps: hash.steps, Vars: l.Vars, WarmUp: r.time / 8, Time: r.time + r.time/4})
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
