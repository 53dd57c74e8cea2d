package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"
)

const (
	issuer      = "https://auth.example.com" // as behind a proxy that ends TLS
	application = "https://app.example.com"
	callback    = application + "/callback"
	secret      = "a-secret-of-a-confidential-client"
	password    = "correct horse battery staple"

	// The server's defaults, said once more so that the limits have the same.
	argonMemoryKiB  = 19 << 10
	argonIterations = 2
)

// configuration is what production has, but for budgets that let one machine make all the
// requests. Only the jobs that need to differ in their network send X-Forwarded-For.
const configuration = `
issuer: %[1]s
listen: 127.0.0.1:0
master_key_file: %[2]s/master.key
trusted_proxies: [127.0.0.1]
cors: {allowed_origins: ["%[3]s"]}
passwords:
  argon2: {memory: %[4]dKiB, iterations: %[5]d, parallelism: 1}
throttle: {free_failures: 1000000, strangers_per_account: 1000000, failures_per_network: 1000000}
session_cookie: {client: spa}
clients:
- {id: spa, public: true, first_party: true, grants: [password, refresh_token, authorization_code], redirect_uris: ["%[3]s/callback"],
   scopes: [openid, profile, email, offline_access]}
- {id: web, secret_file: %[2]s/secret, first_party: true, grants: [password, refresh_token], scopes: [openid, profile, email, offline_access]}
- {id: api, secret_file: %[2]s/secret, grants: [client_credentials], scopes: [read, write], may_introspect: true}
`

// environment is where servers run: the binary and the folder with their files.
type environment struct {
	binary, folder string
	callers        int
	profiled       bool // servers have an admin listener for profiles
}

// newEnvironment writes what all servers share into an empty folder.
func newEnvironment(binary, folder string, callers int) (environment, error) {
	key := make([]byte, 32)
	rand.Read(key)
	config := fmt.Sprintf(configuration, issuer, folder, application, argonMemoryKiB, argonIterations)
	return environment{binary: binary, folder: folder, callers: callers}, errors.Join(
		os.WriteFile(filepath.Join(folder, "master.key"), []byte(base64.StdEncoding.EncodeToString(key)), 0o600),
		os.WriteFile(filepath.Join(folder, "secret"), []byte(secret), 0o600),
		os.WriteFile(filepath.Join(folder, "config.yaml"), []byte(config), 0o600),
	)
}

// build makes the binary as it is released, and returns its path.
func build() (string, error) {
	out, err := exec.Command("go", "env", "GOMOD").Output()
	if err != nil {
		return "", err
	}
	root := filepath.Dir(strings.TrimSpace(string(out)))
	if out, err := exec.Command("make", "-C", root, "build").CombinedOutput(); err != nil {
		return "", fmt.Errorf("make build: %w\n%s", err, out)
	}
	return filepath.Join(root, "bin", "countersign"), nil
}

// server is a running countersign serve.
type server struct {
	address string // host:port
	admin   string // the same of the admin listener, if it has one
	cmd     *exec.Cmd
	log     string        // path
	ready   time.Duration // from its start until it served
	idle    int64         // bytes of memory before the first request
	ended   chan struct{}
}

func (s *server) pid() int { return s.cmd.Process.Pid }

// start runs a server on a database and waits until it serves. Its log goes to a file.
func (e environment) start(database string) (*server, error) {
	log, err := os.CreateTemp(e.folder, "log-")
	if err != nil {
		return nil, err
	}
	defer log.Close()
	s := &server{log: log.Name(), ended: make(chan struct{})}
	s.cmd = exec.Command(e.binary, "serve", "--config", filepath.Join(e.folder, "config.yaml"), "--data", e.folder)
	// The server must not see the caller's own configuration.
	s.cmd.Env = slices.DeleteFunc(os.Environ(), func(v string) bool { return strings.HasPrefix(v, "COUNTERSIGN_") })
	s.cmd.Env = append(s.cmd.Env, "COUNTERSIGN_DATABASE_URL="+database)
	if e.profiled {
		s.cmd.Env = append(s.cmd.Env, "COUNTERSIGN_ADMIN_LISTEN=127.0.0.1:0", "COUNTERSIGN_ADMIN_PPROF=true")
	}
	s.cmd.Stderr = log
	began := time.Now()
	if err := s.cmd.Start(); err != nil {
		return nil, err
	}
	go func() {
		s.cmd.Wait()
		close(s.ended)
	}()
	for {
		select {
		case <-s.ended:
			return nil, fmt.Errorf("the server ended before it served:\n%s", s.said())
		case <-time.After(time.Millisecond):
		}
		if time.Since(began) > 30*time.Second {
			s.cmd.Process.Kill()
			return nil, fmt.Errorf("the server doesn't serve:\n%s", s.said())
		}
		for line := range bytes.Lines(s.said()) {
			var record struct {
				Msg, Listen string
				Admin       string `json:"admin_listen"`
			}
			if json.Unmarshal(line, &record) != nil {
				continue
			}
			switch record.Msg {
			case "serving the operator": // comes first
				s.admin = record.Admin
			case "serving":
				s.address, s.ready = record.Listen, time.Since(began)
				s.idle, _ = memory(s.pid())
				return s, nil
			}
		}
	}
}

// said returns the beginning of the server's log.
func (s *server) said() []byte {
	b, _ := os.ReadFile(s.log)
	return b[:min(len(b), 10_000)]
}

func (s *server) stop() {
	s.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-s.ended:
	case <-time.After(30 * time.Second):
		s.cmd.Process.Kill()
		<-s.ended
	}
	os.Remove(s.log)
}

// site is a database with the servers on it.
type site struct {
	servers []*server
	callers int
	name    string // tells its users from those of other sites on the database
}

// startSite starts replicas on one database, and signs up the callers' users.
func (e environment) startSite(ctx context.Context, database string, replicas int) (*site, error) {
	s := &site{callers: e.callers, name: strings.ToLower(rand.Text()[:8])}
	for range replicas {
		one, err := e.start(database)
		if err != nil {
			s.stop()
			return nil, err
		}
		s.servers = append(s.servers, one)
	}
	if _, err := s.once(ctx, []step{signUp(user)}); err != nil {
		s.stop()
		return nil, fmt.Errorf("sign users up: %w", err)
	}
	return s, nil
}

// once has each caller go through steps once. The result has what callers then know.
func (s *site) once(ctx context.Context, steps []step) (result, error) {
	vars := make([]map[string]string, s.callers)
	run := strings.ToLower(rand.Text()[:8])
	for i := range vars {
		vars[i] = map[string]string{"site": s.name, "run": run}
	}
	r, err := runLoad(ctx, load{Addresses: s.addresses(), Callers: s.callers, Steps: steps, Vars: vars, Passes: 1})
	if err == nil && r.Errors > 0 {
		err = errors.New(r.FirstError)
	}
	return r, err
}

func (s *site) addresses() (list []string) {
	for _, one := range s.servers {
		list = append(list, one.address)
	}
	return list
}

func (s *site) pids() (list []int) {
	for _, one := range s.servers {
		list = append(list, one.pid())
	}
	return list
}

func (s *site) stop() {
	for _, one := range s.servers {
		one.stop()
	}
}
