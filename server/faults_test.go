package server_test

import (
	"context"
	"log/slog"
	"net/http/httptest"
	"net/url"
	"sync"
	"time"

	"countersign/accounts"
	"countersign/clients"
	"countersign/ids"
	"countersign/keys"
	"countersign/limits"
	"countersign/server"
	"countersign/tokens"
)

// faults is a store whose reads and purges can fail, panic or wait.
type faults struct {
	server.Store

	mu   sync.Mutex
	hook func(ctx context.Context, verb string) error
}

// withFaults puts faults between the server and its store.
func withFaults(f *faults) func(*server.Options, *keys.Options) {
	return func(o *server.Options, _ *keys.Options) { f.Store, o.Store = o.Store, f }
}

// set sets the hook that runs before every read from now on, if not nil.
func (f *faults) set(hook func(ctx context.Context, verb string) error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.hook = hook
}

func (f *faults) before(ctx context.Context, verb string) error {
	f.mu.Lock()
	hook := f.hook
	f.mu.Unlock()
	if hook == nil {
		return nil
	}
	return hook(ctx, verb)
}

func (f *faults) Client(ctx context.Context, id ids.Client) (clients.Client, error) {
	if err := f.before(ctx, "Client"); err != nil {
		return clients.Client{}, err
	}
	return f.Store.Client(ctx, id)
}

func (f *faults) Origins(ctx context.Context) ([]clients.Origin, error) {
	if err := f.before(ctx, "Origins"); err != nil {
		return nil, err
	}
	return f.Store.Origins(ctx)
}

func (f *faults) UserByUsername(ctx context.Context, name string) (accounts.User, error) {
	if err := f.before(ctx, "UserByUsername "+name); err != nil {
		return accounts.User{}, err
	}
	return f.Store.UserByUsername(ctx, name)
}

func (f *faults) User(ctx context.Context, id ids.User) (accounts.User, error) {
	if err := f.before(ctx, "User"); err != nil {
		return accounts.User{}, err
	}
	return f.Store.User(ctx, id)
}

func (f *faults) Profile(ctx context.Context, user ids.User) (accounts.Profile, error) {
	if err := f.before(ctx, "Profile"); err != nil {
		return accounts.Profile{}, err
	}
	return f.Store.Profile(ctx, user)
}

func (f *faults) Session(ctx context.Context, id ids.Session, now time.Time) (tokens.Session, error) {
	if err := f.before(ctx, "Session"); err != nil {
		return tokens.Session{}, err
	}
	return f.Store.Session(ctx, id, now)
}

func (f *faults) Failures(ctx context.Context, key [32]byte) (limits.Failures, error) {
	if err := f.before(ctx, "Failures"); err != nil {
		return limits.Failures{}, err
	}
	return f.Store.Failures(ctx, key)
}

func (f *faults) PurgeSessions(ctx context.Context, now time.Time, limit int) (int64, error) {
	if err := f.before(ctx, "PurgeSessions"); err != nil {
		return 0, err
	}
	return f.Store.PurgeSessions(ctx, now, limit)
}

func (f *faults) Ping(ctx context.Context) error {
	if err := f.before(ctx, "Ping"); err != nil {
		return err
	}
	return f.Store.Ping(ctx)
}

var discard = slog.New(slog.DiscardHandler)

// doContext sends a request whose caller may hang up.
func (a *app) doContext(ctx context.Context, method, target string, header ...string) *response {
	r := httptest.NewRequestWithContext(ctx, method, "/", nil)
	r.URL, _ = url.ParseRequestURI(target)
	r.Host = "auth.example.com"
	for i := 0; i < len(header); i += 2 {
		r.Header.Add(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	a.ServeHTTP(w, r)
	return &response{w, a.t}
}

func (f *faults) Login(ctx context.Context, id ids.Login, now time.Time) (tokens.Login, error) {
	if err := f.before(ctx, "Login"); err != nil {
		return tokens.Login{}, err
	}
	return f.Store.Login(ctx, id, now)
}

func (f *faults) CountSessions(ctx context.Context, now time.Time) (int64, error) {
	if err := f.before(ctx, "CountSessions"); err != nil {
		return 0, err
	}
	return f.Store.CountSessions(ctx, now)
}
