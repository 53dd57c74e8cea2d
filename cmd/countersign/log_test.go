package main

import (
	"bytes"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// Lines are held for a moment; a warning takes all before it along, also by a logger with
// attributes of its own, and what is left goes out at the end.
func TestLogHoldsLinesForAMoment(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out sharedBuffer
		log, flush := newLogger(&out)
		time.Sleep(time.Minute) // nothing is due while there are no lines
		written := func(want string) {
			t.Helper()
			synctest.Wait()
			var got []string
			for line := range strings.Lines(out.String()) {
				_, message, _ := strings.Cut(line, `"msg":"`)
				got = append(got, message[:1])
			}
			if all := strings.Join(got, ""); all != want {
				t.Fatalf("the log has %q, want %q", all, want)
			}
		}
		log.Info("a")
		time.Sleep(logHeld - time.Millisecond)
		log.Info("b")
		written("")
		time.Sleep(time.Millisecond)
		written("ab")
		log.Info("c")
		log.With("x", 1).WithGroup("g").Warn("d")
		written("abcd")
		log.Info("e")
		flush()
		written("abcde")
		time.Sleep(time.Minute)
		written("abcde")
	})
}

// sharedBuffer may be read while a timer writes to it: simulated time alone puts nothing in
// order for the race detector.
type sharedBuffer struct {
	mu sync.Mutex
	bytes.Buffer
}

func (b *sharedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.Buffer.Write(p)
}

func (b *sharedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.Buffer.String()
}

// Each line of goroutines that log at once stays whole, and a full buffer waits for nothing.
func TestLogKeepsLinesWhole(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		log, flush := newLogger(&out)
		long := strings.Repeat("x", 1000)
		var all sync.WaitGroup
		for range 10 {
			all.Go(func() {
				for range 10 {
					log.Info("line", "text", long)
				}
			})
		}
		all.Wait()
		if out.Len() < 2*mostHeld {
			t.Errorf("%d bytes are written, though %d are more than is held", out.Len(), 100*len(long))
		}
		flush()
		lines := 0
		for line := range strings.Lines(out.String()) {
			if lines++; !strings.HasPrefix(line, `{"time":`) || !strings.HasSuffix(line, long+"\"}\n") {
				t.Fatalf("not a whole line: %s", line)
			}
		}
		if lines != 100 {
			t.Errorf("%d lines, want 100", lines)
		}
	})
}
