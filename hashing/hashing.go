// Package hashing makes and verifies the hashes of passwords and chosen secrets, in a
// bounded number of slots.
package hashing

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"golang.org/x/crypto/argon2"

	"countersign/input"
	"countersign/limits"
)

// Argon2 is the cost of one argon2id hash (RFC 9106). It has no default here: the
// configuration's is OWASP's recommendation for servers.
type Argon2 struct {
	MemoryKiB   uint32
	Iterations  uint32
	Parallelism uint8
}

// The bounds for the configuration and for stored hashes. A caller can't choose a
// stored hash, but a tampered or imported one must not exhaust the server's memory.
const (
	maxMemoryKiB   = 1 << 20 // 1 GiB
	maxIterations  = 64
	maxParallelism = 16

	saltBytes = 16
	tagBytes  = 32
)

// work returns how much memory a hash passes over, in KiB: its cost.
func (p Argon2) work() int64 { return int64(p.MemoryKiB) * int64(p.Iterations) }

// Check returns everything that is wrong with a cost, an *input.Error, or nil.
func (p Argon2) Check() error {
	var bad input.Error
	p.check(&bad)
	return bad.Err()
}

func (p Argon2) check(bad *input.Error) {
	if p.Parallelism < 1 || p.Parallelism > maxParallelism {
		bad.Add("parallelism", input.Invalid, "parallelism must be 1 to %d, not %d.", maxParallelism, p.Parallelism)
	}
	if p.Iterations < 1 || p.Iterations > maxIterations {
		bad.Add("iterations", input.Invalid, "iterations must be 1 to %d, not %d.", maxIterations, p.Iterations)
	}
	if least := 8 * uint32(p.Parallelism); p.MemoryKiB < least || p.MemoryKiB > maxMemoryKiB { // RFC 9106 section 3.1
		bad.Add("memory", input.Invalid, "memory must be %s to %s, not %s.", size(least), size(maxMemoryKiB), size(p.MemoryKiB))
	}
}

// floors are the minimum of memory for each number of iterations in the OWASP Password
// Storage Cheat Sheet. All rows cost an attacker about the same.
var floors = []Argon2{
	{Iterations: 5, MemoryKiB: 7 << 10}, {Iterations: 4, MemoryKiB: 9 << 10}, {Iterations: 3, MemoryKiB: 12 << 10},
	{Iterations: 2, MemoryKiB: 19 << 10}, {Iterations: 1, MemoryKiB: 46 << 10},
}

// checkStrong is check for new hashes of passwords: the cost must also be at least what
// OWASP recommends.
func (p Argon2) checkStrong(bad *input.Error) {
	if p.check(bad); len(bad.Problems) > 0 {
		return
	}
	for _, floor := range floors {
		if p.Iterations >= floor.Iterations {
			if p.MemoryKiB < floor.MemoryKiB {
				bad.AddTogether("memory", []string{"iterations"}, "memory: %s is too little with iterations: %d, OWASP asks for %s at %d; raise it, or keep to 19MiB and 2.",
					size(p.MemoryKiB), p.Iterations, size(floor.MemoryKiB), floor.Iterations)
			}
			break
		}
	}
}

// size writes an amount of memory in the largest unit that divides it.
func size(kib uint32) string {
	switch {
	case kib != 0 && kib%(1<<20) == 0:
		return fmt.Sprintf("%dGiB", kib>>20)
	case kib != 0 && kib%(1<<10) == 0:
		return fmt.Sprintf("%dMiB", kib>>10)
	}
	return fmt.Sprintf("%dKiB", kib)
}

// phc is an argon2id hash. As text it is a PHC string:
// $argon2id$v=19$m=19456,t=2,p=1$<salt>$<tag>.
type phc struct {
	Argon2
	salt, tag []byte
}

var b64 = base64.RawStdEncoding.Strict()

func (h phc) String() string {
	return fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s", argon2.Version,
		h.MemoryKiB, h.Iterations, h.Parallelism, b64.EncodeToString(h.salt), b64.EncodeToString(h.tag))
}

var errHash = errors.New("not an argon2id hash we can verify")

// parsePHC reads exactly what String writes.
func parsePHC(s string) (phc, error) {
	var h phc
	fields := strings.Split(s, "$")
	if len(fields) != 6 {
		return phc{}, errHash
	}
	params := strings.Split(fields[3], ",")
	if len(params) != 3 {
		return phc{}, errHash
	}
	number := func(param, name string, bits int) uint64 {
		n, err := strconv.ParseUint(strings.TrimPrefix(param, name), 10, bits)
		if err != nil {
			return 0 // which Check refuses
		}
		return n
	}
	h.MemoryKiB = uint32(number(params[0], "m=", 32))
	h.Iterations = uint32(number(params[1], "t=", 32))
	h.Parallelism = uint8(number(params[2], "p=", 8))
	if err := h.Check(); err != nil {
		return phc{}, fmt.Errorf("%w: %w", errHash, err)
	}
	h.salt, _ = b64.DecodeString(fields[4])
	h.tag, _ = b64.DecodeString(fields[5])
	if len(h.salt) < 8 || len(h.salt) > 64 || len(h.tag) < 16 || len(h.tag) > 64 {
		return phc{}, errHash
	}
	if h.String() != s { // another scheme or version, signs, leading zeros
		return phc{}, errHash
	}
	return h, nil
}

// Hasher makes and verifies hashes of passwords and chosen secrets. Hash, HashAs, Verify
// and TopUp are expensive: call them in a slot ([Hasher.Do]).
type Hasher struct {
	params Argon2
	slots  *limits.Slots
	memory *collector
	dummy  string
	// Derive is argon2.IDKey. Tests replace it to see the work instead of timing it.
	Derive func(password, salt []byte, time, memory uint32, threads uint8, keyLen uint32) []byte
}

// New returns a Hasher with the given cost and slots. It fails if the cost is out of
// bounds.
func New(params Argon2, slots *limits.Slots) (*Hasher, error) {
	if err := params.Check(); err != nil {
		return nil, err
	}
	dummy := phc{params, random(saltBytes), random(tagBytes)}
	return &Hasher{params: params, slots: slots, memory: newCollector(params.MemoryKiB, slots.Size()), Derive: argon2.IDKey, dummy: dummy.String()}, nil
}

// Do runs fn in a slot for p. Errors are those of [limits.Slots.Do].
func (h *Hasher) Do(ctx context.Context, p limits.Party, fn func()) error {
	return h.slots.Do(ctx, p, fn)
}

// Dummy returns the hash of no password, at the current cost. Callers verify against it
// if there is no hash, so that the time doesn't tell whether an account exists.
func (h *Hasher) Dummy() string { return h.dummy }

// Hash returns the stored form of a password, a PHC string.
func (h *Hasher) Hash(password string) string {
	return h.compute(password, phc{Argon2: h.params, salt: random(saltBytes), tag: make([]byte, tagBytes)}).String()
}

// IsHash reports whether a stored text is a hash that Hash made, at any cost.
func IsHash(stored string) bool { return strings.HasPrefix(stored, "$argon2id$") }

// A Verdict is the result of verifying a password.
type Verdict struct {
	Match    bool   // the password is the right one
	Outdated bool   // Hash would now make the stored hash differently
	Hash     string // of the password, with the stored one's salt and at its cost
}

// Verify compares a password with a stored hash. Other schemes, such as those of imported
// accounts, belong here.
func (h *Hasher) Verify(stored, password string) (Verdict, error) {
	switch {
	case strings.HasPrefix(stored, "$argon2id$"):
		want, err := parsePHC(stored)
		if err != nil {
			return Verdict{}, err
		}
		got := h.compute(password, want)
		return Verdict{
			Match:    subtle.ConstantTimeCompare(got.tag, want.tag) == 1,
			Outdated: want.Argon2 != h.params || len(want.salt) != saltBytes || len(want.tag) != tagBytes,
			Hash:     got.String(),
		}, nil
	default:
		return Verdict{}, errors.New("stored hash is of an unknown scheme")
	}
}

// HashAs is Hash with the salt of like and at its cost, so that one computation
// verifies a password against both. The work is that of Hash, unless hashes
// used to cost more. If like is no hash of ours, HashAs is Hash.
func (h *Hasher) HashAs(like, password string) string {
	model, err := parsePHC(like)
	if err != nil {
		return h.Hash(password)
	}
	hash := h.compute(password, model).String()
	h.TopUp(like, password)
	return hash
}

// Current reports whether Hash would make a hash at the cost of stored.
func (h *Hasher) Current(stored string) bool {
	was, err := parsePHC(stored)
	return err == nil && was.Argon2 == h.params
}

// TopUp does the work that stored, a cheaper hash, lacks compared with the current
// cost. So a wrong password takes the same time for an account with an older hash as
// for one that doesn't exist. If hashes used to cost more, only the next sign-in can
// even that out.
func (h *Hasher) TopUp(stored, password string) {
	old, err := parsePHC(stored)
	if err != nil {
		return
	}
	left := h.params.work() - old.work()
	if left <= 0 {
		return
	}
	rest := Argon2{MemoryKiB: uint32(left / int64(h.params.Iterations)), Iterations: h.params.Iterations, Parallelism: h.params.Parallelism}
	h.derive(password, old.salt, rest, tagBytes)
}

// compute returns like with the tag for password.
func (h *Hasher) compute(password string, like phc) phc {
	like.tag = h.derive(password, like.salt, like.Argon2, uint32(len(like.tag)))
	return like
}

// derive makes a tag, and leaves its memory to the next hash: callers are in a slot.
func (h *Hasher) derive(password string, salt []byte, cost Argon2, bytes uint32) []byte {
	defer h.memory.leave(cost.MemoryKiB)
	return h.Derive([]byte(password), salt, cost.Iterations, cost.MemoryKiB, cost.Parallelism, bytes)
}

// random returns n bytes that no attacker can guess.
func random(n int) []byte {
	b := make([]byte, n)
	rand.Read(b) // never fails: see its documentation
	return b
}
