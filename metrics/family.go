package metrics

import (
	"maps"
	"sync"
	"sync/atomic"
)

// other is the label of what would be one value too many.
const other = "other"

// A family is a metric with labels. It keeps the member for each combination of labels: the
// library looks it up in more time than all else takes.
type family[K comparable, M any] struct {
	make  func(K) M
	most  int // members; the values of labels are all ours, so this is only in case of a mistake
	other K   // the labels of all that come after that

	mu    sync.Mutex
	known atomic.Pointer[map[K]M] // never changed, but replaced
}

func newFamily[K comparable, M any](most int, other K, make func(K) M) *family[K, M] {
	f := &family[K, M]{make: make, most: most, other: other}
	f.known.Store(&map[K]M{})
	return f
}

// of returns the member with these labels.
func (f *family[K, M]) of(labels K) M {
	if m, ok := (*f.known.Load())[labels]; ok {
		return m
	}
	return f.add(labels)
}

func (f *family[K, M]) add(labels K) M {
	f.mu.Lock()
	defer f.mu.Unlock()
	known := *f.known.Load()
	if len(known) >= f.most {
		labels = f.other
	}
	if m, ok := known[labels]; ok {
		return m
	}
	m := f.make(labels)
	known = maps.Clone(known)
	known[labels] = m
	f.known.Store(&known)
	return m
}
