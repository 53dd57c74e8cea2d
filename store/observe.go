package store

import (
	"context"
	"time"
)

//go:generate go test -run TestObservedHasEveryCall -update .

// Observer is told what the store does, in the caller's goroutine.
type Observer struct {
	// Call is told of each call when it has ended, by its method's name.
	Call func(ctx context.Context, op string, began time.Time)
	// Group is told of each group of changes that SQLite is about to commit.
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
