package store

import (
	"context"
	"time"
)

//go:generate go test -run TestObservedHasEveryCall -update .

// Observer is told what the store does.
type Observer struct {
	// Call is told of each call when it has ended, by its method's name, in the caller's
	// goroutine.
	Call func(ctx context.Context, op string, began time.Time)
	// Group is told how many callers' changes SQLite is about to commit together, in the
	// goroutine that commits.
	Group func(changes int)
}

// Observed is a DB whose calls an Observer is told of. Its methods are in observed.go.
type Observed struct {
	*DB
	call func(ctx context.Context, op string, began time.Time)
}

// Observe returns db with an observer, all of whose functions are set.
func Observe(db *DB, o Observer) *Observed {
	if db.group != nil {
		db.group.mu.Lock()
		db.group.observe = o.Group
		db.group.mu.Unlock()
	}
	return &Observed{db, o.Call}
}
