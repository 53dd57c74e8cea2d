package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime/debug"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/valyala/fasthttp"
)

// A load is what the load generator does to servers: each caller goes through the steps
// again and again, and sends what it got before. The generator is a process of its own,
// so that its cost is known; see [result].
type load struct {
	Addresses []string // of replicas: each request of a caller goes to the next one
	Callers   int
	Steps     []step
	// Vars is what each caller knows at the beginning. The generator adds "caller", a
	// number from 0, and "pass", which counts the caller's passes.
	Vars []map[string]string
	// Passes is how often each caller goes through the steps. If 0, Time decides, after
	// WarmUp, whose passes don't count.
	Passes       int
	WarmUp, Time time.Duration
	// Watch lists processes whose CPU time the result has, by what they are.
	Watch map[string][]int
}

// A step is one request. {name} in its texts is what the caller knows under that name.
type step struct {
	Method, Path string
	Header       map[string]string
	Body         string
	Want         int    // the expected status; any other is an error
	Take         []take // what the caller keeps of the answer
}

// take says where in an answer a value is; one of the last four is set.
type take struct {
	Var      string
	JSON     string // a member that is a string
	Cookie   string // its name
	Header   string
	Location string // a parameter of the URL in Location
}

// result is what a load came to.
type result struct {
	Passes        int
	Took          time.Duration
	Errors        int
	FirstError    string
	P50, P99, Max time.Duration // of a whole pass
	Own           time.Duration // CPU time of the load generator
	Watched       map[string]time.Duration
	Answers       []answer // caller 0's first, one for each step
	Vars          []map[string]string
}

// answer is a recorded answer of a server.
type answer struct {
	Method, Path string // of the request, without its query
	Status       int
	Header       [][2]string
	Body         []byte
}

func (r result) perSecond() float64 { return float64(r.Passes) / r.Took.Seconds() }

// runLoad has a process of its own put the load on servers.
func runLoad(ctx context.Context, l load) (result, error) {
	self, err := os.Executable()
	if err != nil {
		return result{}, err
	}
	in, err := json.Marshal(l)
	if err != nil {
		return result{}, err
	}
	cmd := exec.CommandContext(ctx, self, generatorCommand)
	cmd.Stdin, cmd.Stderr = bytes.NewReader(in), os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return result{}, fmt.Errorf("load generator: %w", err)
	}
	var r result
	return r, json.Unmarshal(out, &r)
}

// generate is the load generator's main function.
func generate(in io.Reader, out io.Writer) error {
	debug.SetGCPercent(800) // its own garbage must not take the servers' CPU
	var l load
	if err := json.NewDecoder(bufio.NewReader(in)).Decode(&l); err != nil {
		return err
	}
	return json.NewEncoder(out).Encode(l.run())
}

// phase is what the passes that end now count as.
type phase = atomic.Int32

const (
	warming int32 = iota
	measuring
	ending
)

func (l *load) run() result {
	var now phase
	if l.Passes > 0 {
		now.Store(measuring)
	}
	callers := make([]*caller, l.Callers)
	for i := range callers {
		callers[i] = newCaller(l, i)
	}
	var running sync.WaitGroup
	began, own, watched := time.Now(), ownCPU(), l.watched()
	for _, c := range callers {
		running.Go(func() { c.run(l.Passes, &now) })
	}
	if l.Passes == 0 {
		time.Sleep(l.WarmUp)
		began, own, watched = time.Now(), ownCPU(), l.watched()
		now.Store(measuring)
		time.Sleep(l.Time)
	} else {
		running.Wait()
	}
	now.Store(ending)
	r := result{Took: time.Since(began), Own: ownCPU() - own, Watched: l.watched()}
	for what, before := range watched {
		r.Watched[what] -= before
	}
	running.Wait()

	var times []time.Duration
	for _, c := range callers {
		times = append(times, c.times...)
		r.Errors += c.errors
		if r.FirstError == "" {
			r.FirstError = c.firstError
		}
		r.Vars = append(r.Vars, c.vars)
	}
	r.Answers = callers[0].answers
	r.Passes = len(times)
	r.P50, r.P99, r.Max = percentile(times, 50), percentile(times, 99), percentile(times, 100)
	return r
}

func (l *load) watched() map[string]time.Duration {
	m := map[string]time.Duration{}
	for what, pids := range l.Watch {
		m[what] = cpuOf(pids)
	}
	return m
}

// caller is one of the generator's callers, with a connection to each replica.
type caller struct {
	clients []*fasthttp.HostClient
	next    int // client
	steps   []*request
	vars    map[string]string

	times      []time.Duration
	errors     int
	firstError string
	answers    []answer
}

func newCaller(l *load, i int) *caller {
	c := &caller{vars: map[string]string{}, next: i}
	if i < len(l.Vars) {
		c.vars = l.Vars[i]
	}
	c.vars["caller"] = strconv.Itoa(i)
	for _, address := range l.Addresses {
		c.clients = append(c.clients, &fasthttp.HostClient{
			Addr: address, MaxConns: 1, NoDefaultUserAgentHeader: true,
			// A second attempt would hide that the first failed.
			MaxIdemponentCallAttempts: 1, RetryIfErr: func(*fasthttp.Request, int, error) (bool, bool) { return false, false },
		})
	}
	for _, s := range l.Steps {
		c.steps = append(c.steps, newRequest(s, l.Addresses[0]))
	}
	return c
}

// run goes through the steps passes times, or until the phase is ending.
func (c *caller) run(passes int, now *phase) {
	for n := 0; passes == 0 || n < passes; n++ {
		c.vars["pass"] = strconv.Itoa(n)
		began := time.Now()
		err := c.pass()
		took := time.Since(began)
		switch p := now.Load(); {
		case p == ending:
			return
		case err != nil: // counts in the warm-up, too
			c.errors++
			if c.firstError == "" {
				c.firstError = err.Error()
			}
			time.Sleep(time.Millisecond)
		case p == measuring:
			c.times = append(c.times, took)
		}
	}
}

// pass goes through the steps once.
func (c *caller) pass() error {
	first := c.answers == nil
	for _, s := range c.steps {
		client := c.clients[c.next%len(c.clients)]
		c.next++
		s.fill(c.vars)
		if err := client.Do(s.out, s.in); err != nil {
			return fmt.Errorf("%s %s: %w", s.Method, s.Path, err)
		}
		if first {
			c.answers = append(c.answers, record(s))
		}
		if got := s.in.StatusCode(); got != s.Want {
			return fmt.Errorf("%s %s: got status %d, want %d: %.300s", s.Method, s.Path, got, s.Want, s.in.Body())
		}
		for _, t := range s.Take {
			value := t.from(s.in)
			if value == "" {
				return fmt.Errorf("%s %s: the answer has no %s: %.300s", s.Method, s.Path, t.Var, s.in.Body())
			}
			c.vars[t.Var] = value
		}
	}
	return nil
}

func record(s *request) answer {
	a := answer{Method: s.Method, Path: string(s.out.URI().Path()), Status: s.in.StatusCode(), Body: bytes.Clone(s.in.Body())}
	for name, value := range s.in.Header.All() {
		a.Header = append(a.Header, [2]string{string(name), string(value)})
	}
	return a
}

// from returns the value in an answer, or the empty text.
func (t take) from(r *fasthttp.Response) string {
	switch {
	case t.JSON != "":
		_, rest, _ := bytes.Cut(r.Body(), []byte(`"`+t.JSON+`":"`))
		value, _, _ := bytes.Cut(rest, []byte(`"`)) // tokens have no quotes
		return string(value)
	case t.Cookie != "":
		_, rest, _ := bytes.Cut(r.Header.PeekCookie(t.Cookie), []byte("="))
		value, _, _ := bytes.Cut(rest, []byte(";"))
		return string(value)
	case t.Header != "":
		return string(r.Header.Peek(t.Header))
	default:
		var u fasthttp.URI
		if u.Parse(nil, r.Header.Peek("Location")) != nil {
			return ""
		}
		return string(u.QueryArgs().Peek(t.Location))
	}
}
