package mail

import (
	"context"
	"slices"
	"sync"
	"time"
)

// A Recorder is a [Sender] that also keeps the latest messages, where a developer can look
// at them.
type Recorder struct {
	Sender
	mu   sync.Mutex
	sent int
	kept []Kept
}

// Kept is a message that was sent at a time.
type Kept struct {
	Message
	At     time.Time
	Number int // counts the messages, from 1
}

// maxKept bounds how many messages a Recorder keeps.
const maxKept = 100

// Send implements [Sender].
func (r *Recorder) Send(ctx context.Context, m Message) error {
	if err := r.Sender.Send(ctx, m); err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.sent++
	r.kept = append(r.kept, Kept{m, time.Now(), r.sent})
	if len(r.kept) > maxKept {
		r.kept = r.kept[1:]
	}
	return nil
}

// Letters returns the messages that it keeps, the latest first. A nil Recorder has none.
func (r *Recorder) Letters() []Kept {
	if r == nil {
		return nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	all := slices.Clone(r.kept)
	slices.Reverse(all)
	return all
}
