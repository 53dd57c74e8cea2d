package store

import (
	"context"
	"runtime"
	"slices"
	"sync"
	"time"
)

// gathering lets callers that ask at the same time share a statement. A statement to a
// database server costs a round trip and a plan, and a change a flush, whether it is about
// one row or about many.
//
// A caller that comes alone waits for no company. Callers that come while a statement is on
// its way wait for its end, and share the next. So a statement begins after all of its
// callers have asked, and each sees what was acknowledged before. A statement that takes
// long, for example because it waits for another transaction's lock, holds up only its own
// callers, unless mostRunning of them take long: then all wait for the first to end.
//
// A caller that gives up gets its context's error at once. It has no effect if its statement
// has not begun; otherwise the statement goes on for the others.
type gathering[Q, A any] struct {
	do func(all []Q) []gathered[A] // answers each question; no caller's context ends it

	mu      sync.Mutex
	waiting []*question[Q, A]
	running int // statements on their way
	slow    int // those of them that take long
}

const (
	mostGathered = 64                    // questions for one statement, which bounds its length
	mostRunning  = 8                     // statements on their way at once
	patience     = 20 * time.Millisecond // after which a statement takes long
)

type question[Q, A any] struct {
	ctx      context.Context
	asked    Q
	answer   gathered[A]
	panicked any
	done     chan struct{}
}

// gathered is the answer to one question.
type gathered[A any] struct {
	is  A
	err error
}

// ask returns the answer to a question.
func (g *gathering[Q, A]) ask(ctx context.Context, asked Q) (answer A, err error) {
	q := &question[Q, A]{ctx: ctx, asked: asked, done: make(chan struct{})}
	g.mu.Lock()
	g.waiting = append(g.waiting, q)
	g.start()
	g.mu.Unlock()
	select {
	case <-q.done:
	case <-ctx.Done():
		return answer, ctx.Err()
	}
	if q.panicked != nil {
		panic(q.panicked)
	}
	return q.answer.is, q.answer.err
}

// start starts a worker if callers wait and all others take long. The caller holds mu.
func (g *gathering[Q, A]) start() {
	if len(g.waiting) > 0 && g.running == g.slow && g.running < mostRunning {
		g.running++
		go g.work()
	}
}

// work answers questions until no caller waits, or until another worker can: after a while
// in which all statements took long, one worker goes on.
func (g *gathering[Q, A]) work() {
	for {
		runtime.Gosched() // callers that are about to ask, if there are any, share this statement
		g.mu.Lock()
		if len(g.waiting) == 0 || g.running-g.slow > 1 {
			g.running--
			g.mu.Unlock()
			return
		}
		n := min(len(g.waiting), mostGathered)
		group := g.waiting[:n:n]
		if g.waiting = g.waiting[n:]; len(g.waiting) == 0 {
			g.waiting = nil
		}
		g.mu.Unlock()
		g.answer(slices.DeleteFunc(group, func(q *question[Q, A]) bool { return q.ctx.Err() != nil }))
	}
}

// answer answers the questions of a group.
func (g *gathering[Q, A]) answer(group []*question[Q, A]) {
	defer g.watch()()
	defer func() {
		p := recover() // is the callers'
		for _, q := range group {
			q.panicked = p
			close(q.done)
		}
	}()
	all := make([]Q, len(group))
	for i, q := range group {
		all[i] = q.asked
	}
	if len(all) > 0 {
		for i, answer := range g.do(all) {
			group[i].answer = answer
		}
	}
}

// watch lets another worker start if this one's statement takes long. The worker calls done
// at its end.
func (g *gathering[Q, A]) watch() (done func()) {
	var long, over bool
	timer := time.AfterFunc(patience, func() {
		g.mu.Lock()
		defer g.mu.Unlock()
		if !over {
			long = true
			g.slow++
			g.start()
		}
	})
	return func() {
		timer.Stop()
		g.mu.Lock()
		defer g.mu.Unlock()
		over = true
		if long {
			g.slow--
		}
	}
}
