package accounts

import (
	"slices"
	"sync"
)

// Hashes records the work that a hasher does.
type Hashes struct {
	mu     sync.Mutex
	prices []Argon2
	// Before runs before each hash, in its slot.
	Before func()
}

// Watch lets tests see the work instead of timing it.
func (u *Users) Watch() *Hashes   { return u.hasher.watch() }
func (s *Clients) Watch() *Hashes { return s.hasher.watch() }

func (h *hasher) watch() *Hashes {
	w, derive := &Hashes{}, h.derive
	h.derive = func(password, salt []byte, time, memory uint32, threads uint8, keyLen uint32) []byte {
		if w.Before != nil {
			w.Before()
		}
		w.mu.Lock()
		w.prices = append(w.prices, Argon2{memory, time, threads})
		w.mu.Unlock()
		return derive(password, salt, time, memory, threads, keyLen)
	}
	return w
}

// Take returns the prices paid since the last Take.
func (w *Hashes) Take() []Argon2 {
	w.mu.Lock()
	defer w.mu.Unlock()
	taken := slices.Clone(w.prices)
	w.prices = nil
	return taken
}

// The inside that a stranger's bytes or an exhaustive list reach.
var (
	PreparePassword = preparePassword
	IsCommon        = isCommon
	MaxProven       = maxProven
)

func CommonPasswords() string { return commonPasswords }

// ParsePHC returns the price in a stored hash, and the hash written anew.
func ParsePHC(s string) (Argon2, string, error) {
	h, err := parsePHC(s)
	return h.Argon2, h.String(), err
}

// Prove makes the clients remember a secret, and returns how many they do.
func (s *Clients) Prove(id, secret string) int {
	s.proven.add(id, "hash", secret)
	return len(s.proven.seen)
}

// Check is check, which reads what strangers say of themselves.
func (p *Profile) Check() error { return p.check() }
