package metrics

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func text(m *Metrics) string {
	w := httptest.NewRecorder()
	m.Handler().ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	return w.Body.String()
}

func TestNilMeasuresNothing(t *testing.T) {
	var m *Metrics
	allocs := testing.AllocsPerRun(100, func() {
		m.Requested("/x", "GET", 200, time.Second)
		m.Waited(time.Second)
		m.Stored("x", time.Second)
		m.Grouped(1)
		m.Issued("x", true)
		m.Refused("x")
	})
	if allocs != 0 {
		t.Errorf("%v allocations, want none", allocs)
	}
	m.Expect([]string{"x"}, []string{"x"})
	m.Read(Sources{})
	m.Close()
}

// Labels have few values because all are ours. This is in case one is not.
func TestLabelsAreBounded(t *testing.T) {
	m := New(Build{})
	for i := range 1000 {
		m.Refused(fmt.Sprintf("reason %d", i))
	}
	got := text(m)
	if n := strings.Count(got, "countersign_refusals_total{"); n != 201 {
		t.Errorf("%d reasons, want 200 and the others", n)
	}
	if want := `countersign_refusals_total{reason="other"} 800`; !strings.Contains(got, want) {
		t.Errorf("no %s", want)
	}
}

func TestMeasuringAllocatesNothing(t *testing.T) {
	m := New(Build{})
	if allocs := testing.AllocsPerRun(100, func() { measure(m) }); allocs != 0 {
		t.Errorf("%v allocations, want none", allocs)
	}
}

// measure is what a refresh has measured.
func measure(m *Metrics) {
	m.Requested("/oauth/token", "POST", 200, time.Millisecond)
	m.Stored("Session", time.Millisecond)
	m.Stored("AdvanceSession", time.Millisecond)
	m.Issued("refresh_token", true)
}

func BenchmarkRefreshMeasured(b *testing.B) {
	b.ReportAllocs()
	for name, m := range map[string]*Metrics{"on": New(Build{}), "off": nil} {
		b.Run(name, func(b *testing.B) {
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					measure(m)
				}
			})
		})
	}
}

// sources returns Sources whose sessions are counted by count.
func sources(count func(context.Context) (int64, error)) Sources {
	return Sources{
		HashQueue: func() int { return 0 }, Keys: func() []Keys { return nil }, Sessions: count,
		Letters: func(context.Context) (int64, time.Time, error) { return 0, time.Time{}, nil },
	}
}

// However often it is asked for, a count takes a hundredth of the time at most.
func TestCountingIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := New(Build{})
		counts := 0
		m.Read(sources(func(context.Context) (int64, error) {
			counts++
			time.Sleep(2 * time.Second)
			return int64(counts), nil
		}))
		if strings.Contains(text(m), "\ncountersign_sessions ") {
			t.Error("there is a count before there can be one")
		}
		for range 1000 {
			time.Sleep(time.Second)
			text(m)
		}
		if counts != 5 {
			t.Errorf("counted %d times in 1000 s, want 5", counts)
		}
		if got := text(m); !strings.Contains(got, "\ncountersign_sessions 5\n") {
			t.Error("the last count isn't there")
		}
		m.Close()
	})
}

func TestWhatCannotBeReadIsLeftOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := New(Build{})
		var err error
		m.Read(sources(func(context.Context) (int64, error) { return 7, err }))
		if !strings.Contains(text(m), "\ncountersign_sessions 7\n") {
			t.Error("the count is missing")
		}
		err = errors.New("away")
		time.Sleep(time.Minute)
		if got := text(m); strings.Contains(got, "\ncountersign_sessions ") || !strings.Contains(got, "\ncountersign_mail_queue 0\n") {
			t.Error("the former count is there, or the letters aren't")
		}
	})
}

// An outage hides what it kept from being read, and not long after its end.
func TestWhatCouldNotBeReadIsThereSoonAfter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := New(Build{})
		err := errors.New("away")
		m.Read(sources(func(context.Context) (int64, error) {
			if err != nil {
				time.Sleep(10 * time.Second)
			}
			return 7, err
		}))
		text(m)
		time.Sleep(time.Minute)
		text(m)
		err = nil
		time.Sleep(2 * time.Minute)
		if text(m); !strings.Contains(text(m), "\ncountersign_sessions 7\n") {
			t.Error("the count is still missing two minutes after the outage")
		}
		m.Close()
	})
}

func TestCloseEndsReadings(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := New(Build{})
		ended := false
		m.Read(sources(func(ctx context.Context) (int64, error) {
			<-ctx.Done()
			ended = true
			return 0, ctx.Err()
		}))
		text(m)
		m.Close()
		if !ended {
			t.Error("a reading goes on")
		}
		text(m)
	})
}
