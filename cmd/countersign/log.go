package main

import (
	"context"
	"io"
	"log/slog"
	"os"
	"sync"
	"time"

	"golang.org/x/term"
)

// newLogger returns a log on w, text for a terminal and JSON otherwise, and a function that
// writes out what it still holds. JSON lines are held for logHeld at most: a system call for
// each request's line would cost more than answering some requests does. Lines of warnings
// and errors, and all before them, go out at once.
func newLogger(w io.Writer) (log *slog.Logger, flush func()) {
	if f, ok := w.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		return slog.New(slog.NewTextHandler(w, nil)), func() {}
	}
	held := &heldLines{w: w}
	held.due = time.AfterFunc(logHeld, held.flush)
	return slog.New(urgentAtOnce{slog.NewJSONHandler(held, nil), held}), held.flush
}

const (
	logHeld  = 50 * time.Millisecond
	mostHeld = 32 << 10 // bytes
)

// urgentAtOnce is a handler that writes to held lines, and has them written out for a
// warning or an error.
type urgentAtOnce struct {
	slog.Handler
	held *heldLines
}

// Handle implements [slog.Handler].
func (h urgentAtOnce) Handle(ctx context.Context, r slog.Record) error {
	err := h.Handler.Handle(ctx, r)
	if r.Level >= slog.LevelWarn {
		h.held.flush()
	}
	return err
}

// WithAttrs implements [slog.Handler].
func (h urgentAtOnce) WithAttrs(attrs []slog.Attr) slog.Handler {
	return urgentAtOnce{h.Handler.WithAttrs(attrs), h.held}
}

// WithGroup implements [slog.Handler].
func (h urgentAtOnce) WithGroup(name string) slog.Handler {
	return urgentAtOnce{h.Handler.WithGroup(name), h.held}
}

// heldLines is a writer that gathers what it is given, for a moment, into fewer writes. It
// never splits one of its writes over two. It is safe for concurrent use.
type heldLines struct {
	w io.Writer

	mu    sync.Mutex
	lines []byte
	due   *time.Timer // runs flush while there are lines
}

// Write implements [io.Writer]. It never fails: a server that has lost its log goes on.
func (h *heldLines) Write(line []byte) (int, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.lines) == 0 {
		h.due.Reset(logHeld)
	}
	h.lines = append(h.lines, line...)
	if len(h.lines) >= mostHeld {
		h.out()
	}
	return len(line), nil
}

// flush writes out all lines.
func (h *heldLines) flush() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.out()
}

func (h *heldLines) out() {
	if len(h.lines) > 0 {
		h.w.Write(h.lines)
		h.lines = h.lines[:0]
		h.due.Stop()
	}
}
