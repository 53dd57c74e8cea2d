package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"
)

// kinds of profiles, by what Go calls them.
var kinds = map[string]string{"cpu": "profile", "allocs": "allocs", "mutex": "mutex", "block": "block"}

// profiled runs a job once more, and saves profiles of the first server. That run doesn't
// count, because being profiled slows a server down.
func (r *runner) profiled(ctx context.Context, s *site, j job) error {
	l, err := r.prepared(ctx, s, j)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(r.profile, 0o755); err != nil {
		return err
	}
	seconds := max(1, int(r.time/time.Second))
	l.Time = time.Duration(seconds)*time.Second + time.Second/2
	saved := make(chan error, len(kinds))
	for kind, path := range kinds {
		go func() {
			url := fmt.Sprintf("http://%s/debug/pprof/%s?seconds=%d", s.servers[0].admin, path, seconds)
			saved <- save(ctx, url, filepath.Join(r.profile, fileName(j.name)+"."+kind+".pprof"))
		}()
	}
	_, err = runLoad(ctx, l)
	for range kinds {
		err = errors.Join(err, <-saved)
	}
	return err
}

// save writes the answer to a GET to a file.
func save(ctx context.Context, url, file string) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	b, err := io.ReadAll(answer.Body)
	if err != nil {
		return err
	}
	if answer.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: status %d: %.300s", url, answer.StatusCode, b)
	}
	return os.WriteFile(file, b, 0o644)
}

var notInName = regexp.MustCompile(`[^a-z0-9]+`)

// fileName makes a job's name one of a file.
func fileName(job string) string {
	return strings.Trim(notInName.ReplaceAllString(strings.ToLower(job), "-"), "-")
}
