package metrics

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Sources are what the gauges are read from when they are asked for.
type Sources struct {
	// HashQueue returns how many callers wait for a hashing slot.
	HashQueue func() int
	// Keys returns the signing keys by algorithm and state, states without a key included.
	Keys func() []Keys
	// Sessions counts the sessions that have not expired. It is called no more often than a
	// hundred times what it took the last time, so that a hundredth of a core bounds its cost.
	Sessions func(context.Context) (int64, error)
	// Letters counts the letters that wait, and says since when the oldest does. It is
	// called no more often than that.
	Letters func(context.Context) (waiting int64, since time.Time, err error)
}

// Keys are the keys of one algorithm.
type Keys struct {
	Alg     string
	ByState map[string]int
	// Late says that the key that signs next should exist by now, and doesn't.
	Late bool
}

var (
	hashQueue = prometheus.NewDesc("countersign_hash_queue_depth", "How many callers wait for a slot to hash a password or a client's secret.", nil, nil)
	keys      = prometheus.NewDesc("countersign_keys", "Signing keys, by state and algorithm.", []string{"state", "alg"}, nil)
	keysLate  = prometheus.NewDesc("countersign_keys_late", "1 if the key that signs next should exist by now and doesn't, else 0.", []string{"alg"}, nil)
	sessions  = prometheus.NewDesc("countersign_sessions", "Sessions in the database that have not expired. Every server sees the same ones: don't add them up. A few seconds old, or minutes if there are very many.", nil, nil)
	mailQueue = prometheus.NewDesc("countersign_mail_queue", "Letters in the database that wait to be sent. Every server sees the same ones: don't add them up.", nil, nil)
	clock     = prometheus.NewDesc("countersign_time_seconds", "The server's clock at the scrape, in Unix time.", nil, nil)
	mailWait  = prometheus.NewDesc("countersign_mail_wait_seconds", "How long the oldest letter has waited to be sent; 0 if none waits.", nil, nil)
)

// readings is the collector of the gauges.
type readings struct {
	from     atomic.Pointer[Sources]
	sessions kept[int64]
	letters  kept[waiting]

	ctx    context.Context // of what is being read
	stop   context.CancelFunc
	mu     sync.Mutex // guards closed
	closed bool
	wg     sync.WaitGroup
}

// waiting are letters that wait, the oldest of them since a time.
type waiting struct {
	letters int64
	since   time.Time
}

func newReadings() *readings {
	r := new(readings)
	r.ctx, r.stop = context.WithCancel(context.Background())
	return r
}

func (r *readings) close() {
	r.mu.Lock()
	r.closed = true
	r.mu.Unlock()
	r.stop()
	r.wg.Wait()
}

// begin runs fn beside the caller, and reports whether it does.
func (r *readings) begin(fn func()) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.closed {
		r.wg.Go(fn)
	}
	return !r.closed
}

// Describe implements [prometheus.Collector].
func (r *readings) Describe(to chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{hashQueue, keys, keysLate, sessions, mailQueue, mailWait, clock} {
		to <- d
	}
}

// Collect implements [prometheus.Collector]. A gauge that can't be read is left out.
func (r *readings) Collect(to chan<- prometheus.Metric) {
	from := r.from.Load()
	if from == nil {
		return
	}
	gauge := func(d *prometheus.Desc, value float64, labels ...string) {
		to <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, value, labels...)
	}
	gauge(clock, float64(time.Now().UnixMilli())/1000)
	gauge(hashQueue, float64(from.HashQueue()))
	for _, k := range from.Keys() {
		for state, n := range k.ByState {
			gauge(keys, float64(n), state, k.Alg)
		}
		late := 0.0
		if k.Late {
			late = 1
		}
		gauge(keysLate, late, k.Alg)
	}
	n, knowSessions := r.sessions.get(r, from.Sessions)
	if knowSessions {
		gauge(sessions, float64(n))
	}
	mail, knowMail := r.letters.get(r, func(ctx context.Context) (w waiting, err error) {
		w.letters, w.since, err = from.Letters(ctx)
		return w, err
	})
	if knowMail {
		gauge(mailQueue, float64(mail.letters))
		oldest := time.Duration(0)
		if !mail.since.IsZero() {
			oldest = max(0, time.Since(mail.since))
		}
		gauge(mailWait, oldest.Seconds())
	}
}

const (
	freshFor = time.Second // a value is not read more often than this
	restsFor = 100         // nor than this many times what reading it took
	readTime = time.Minute // a reading that takes longer is given up
	patience = 250 * time.Millisecond

	restsAfterFailure = time.Minute
)

// A kept value is read from the database only so often. While it is being read, or can't be,
// a scrape doesn't wait for it: an operator wants the other measurements most when the
// database is in trouble.
type kept[T any] struct {
	mu      sync.Mutex
	value   T
	known   bool
	next    time.Time     // it is not read before
	reading chan struct{} // closed when it has been read; nil if it isn't being read
}

// get returns the value, the last one if a reading takes long.
func (k *kept[T]) get(r *readings, read func(context.Context) (T, error)) (T, bool) {
	k.mu.Lock()
	if k.reading == nil && !time.Now().Before(k.next) && r.begin(func() { k.refresh(r.ctx, read) }) {
		k.reading = make(chan struct{})
	}
	reading := k.reading
	k.mu.Unlock()
	if reading != nil {
		select {
		case <-reading:
		case <-time.After(patience):
		}
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.value, k.known
}

func (k *kept[T]) refresh(ctx context.Context, read func(context.Context) (T, error)) {
	ctx, cancel := context.WithTimeout(ctx, readTime)
	defer cancel()
	began := time.Now()
	value, err := read(ctx)
	took := time.Since(began)
	k.mu.Lock()
	defer k.mu.Unlock()
	k.value, k.known = value, err == nil
	rest := restsFor * took
	if err != nil { // an outage must not hide the value long after its end
		rest = min(rest, restsAfterFailure)
	}
	k.next = time.Now().Add(max(freshFor, rest))
	close(k.reading)
	k.reading = nil
}
