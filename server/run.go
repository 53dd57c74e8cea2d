package server

import (
	"context"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"
)

// Run serves on public, and on admin, if not nil, until ctx ends. Then Ready returns an error.
// After the shutdown delay Run takes no more requests, lets those under way end within the
// shutdown timeout, and returns. The admin listener closes last, so that the operator can watch.
func (a *App) Run(ctx context.Context, public, admin net.Listener) error {
	work, stopWork := context.WithCancel(context.WithoutCancel(ctx))
	var wg sync.WaitGroup
	wg.Go(func() { a.Background(work) })
	defer wg.Wait()
	defer stopWork()
	defer a.o.Metrics.Close()

	for _, one := range a.cors.know(ctx) {
		a.o.Log.Warn("a client's origin is kept out: 'countersign cors explain' says why", "client_id", one.ClientID, "origin", one.Pattern)
	}
	failed := make(chan error, 2)
	servers := []*http.Server{a.serve(public, a.engine, requestTimeout, failed)}
	if admin != nil {
		servers = append(servers, a.serve(admin, a.admin, longestProfile, failed))
	}
	defer func() {
		for _, srv := range servers {
			srv.Close()
		}
	}()
	select {
	case err := <-failed:
		return err
	case <-ctx.Done():
	}
	a.draining.Store(true)
	a.o.Log.Info("draining", "delay", a.o.ShutdownDelay.String(), "timeout", a.o.ShutdownTimeout.String())
	select {
	case err := <-failed:
		return err
	case <-time.After(a.o.ShutdownDelay):
	}
	a.end()
	deadline, cancel := context.WithTimeout(context.WithoutCancel(ctx), a.o.ShutdownTimeout)
	defer cancel()
	var err error
	for _, srv := range servers {
		if err == nil {
			err = srv.Shutdown(deadline)
		}
	}
	if err != nil {
		for _, srv := range servers {
			srv.Close()
		}
		a.cutOff()
		a.underWay.Wait() // requests now end at once; the caller closes what they use after that
		a.o.Log.Warn("requests were cut off", "err", err)
	}
	return nil
}

// serve serves handler on ln, and sends the error with which that ends. No answer takes much
// longer than within.
func (a *App) serve(ln net.Listener, handler http.Handler, within time.Duration, failed chan<- error) *http.Server {
	srv := &http.Server{
		Handler:           handler,
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       15 * time.Second,
		WriteTimeout:      within + 10*time.Second,
		IdleTimeout:       a.o.IdleTimeout,
		MaxHeaderBytes:    16 << 10,
		ErrorLog:          slog.NewLogLogger(a.o.Log.Handler(), slog.LevelWarn),
	}
	go func() { failed <- srv.Serve(ln) }()
	return srv
}
