package upstreams

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"

	"countersign/uris"
)

const (
	callTimeout = 5 * time.Second // of one call; see Patience
	maxBody     = 1 << 20         // of an answer, in bytes
	maxHops     = 3
)

var (
	errTooLarge  = errors.New("the answer is larger than 1 MiB")
	errInsecure  = errors.New("the address is not https")
	errElsewhere = errors.New("it redirects to another host")
)

// newClient returns the one client for all calls to providers. It goes to https alone, with
// dev to http on localhost, too; it follows no redirect to another host, which would get the
// client's secret or a user's token; it reads no large answer.
func newClient(dev bool) *http.Client {
	t := http.DefaultTransport.(*http.Transport).Clone()
	t.MaxResponseHeaderBytes = 64 << 10
	return &http.Client{
		Transport: &guard{t, dev},
		Timeout:   callTimeout,
		CheckRedirect: func(r *http.Request, via []*http.Request) error {
			if len(via) > maxHops || r.URL.Scheme != via[0].URL.Scheme || r.URL.Host != via[0].URL.Host {
				return errElsewhere
			}
			return nil
		},
	}
}

// guard holds calls to the rules of newClient.
type guard struct {
	next http.RoundTripper
	dev  bool
}

func (g *guard) RoundTrip(r *http.Request) (*http.Response, error) {
	if !secure(r.URL, g.dev) {
		return nil, errInsecure
	}
	resp, err := g.next.RoundTrip(r)
	if err == nil {
		resp.Body = &bounded{resp.Body, maxBody}
	}
	return resp, err
}

// secure reports whether a call may go to a URL.
func secure(u *url.URL, dev bool) bool {
	return u.Scheme == "https" || dev && u.Scheme == "http" && uris.IsLoopback(u.Hostname())
}

// bounded is a body that fails after a number of bytes. One that only ended there would pass
// for a whole one.
type bounded struct {
	io.ReadCloser
	left int
}

func (b *bounded) Read(p []byte) (int, error) {
	if b.left <= 0 {
		return 0, errTooLarge
	}
	if len(p) > b.left {
		p = p[:b.left]
	}
	n, err := b.ReadCloser.Read(p)
	b.left -= n
	return n, err
}

// get reads a JSON document with an access token.
func get(ctx context.Context, client *http.Client, address, token string, into any) error {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrAway, err)
	}
	r.Header.Set("Authorization", "Bearer "+token)
	r.Header.Set("Accept", "application/json")
	r.Header.Set("User-Agent", "Countersign") // GitHub requires one
	resp, err := client.Do(r)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrAway, err)
	}
	defer resp.Body.Close()
	switch {
	case resp.StatusCode >= 500 || resp.StatusCode == http.StatusTooManyRequests:
		return fmt.Errorf("%w: %s answers with status %d", ErrAway, r.URL.Path, resp.StatusCode)
	case resp.StatusCode != http.StatusOK:
		return fmt.Errorf("%w: %s answers with status %d", ErrAnswer, r.URL.Path, resp.StatusCode)
	}
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrAway, err)
	}
	if err := json.Unmarshal(body, into); err != nil {
		return fmt.Errorf("%w: %s: %w", ErrAnswer, r.URL.Path, err)
	}
	return nil
}
