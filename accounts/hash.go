package accounts

import (
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"golang.org/x/crypto/argon2"
)

// Argon2 is the price of one argon2id hash (RFC 9106). The zero value means
// 19 MiB, two iterations, one lane: OWASP's recommendation for servers.
type Argon2 struct {
	MemoryKiB   uint32
	Iterations  uint32
	Parallelism uint8
}

// What is accepted from the configuration or from a stored hash. A stored hash
// is nobody's input, but a tampered or imported one must not take the server
// down with the memory it asks for.
const (
	maxMemoryKiB   = 1 << 20 // 1 GiB
	maxIterations  = 64
	maxParallelism = 16

	saltBytes = 16
	tagBytes  = 32
)

func (p Argon2) orDefault() Argon2 {
	if p == (Argon2{}) {
		return Argon2{MemoryKiB: 19 * 1024, Iterations: 2, Parallelism: 1}
	}
	return p
}

// work is how much memory a hash passes over, in KiB, which is what it costs.
func (p Argon2) work() int64 { return int64(p.MemoryKiB) * int64(p.Iterations) }

func (p Argon2) validate() error {
	switch {
	case p.Parallelism < 1 || p.Parallelism > maxParallelism:
		return fmt.Errorf("argon2 parallelism: %d is not within 1 and %d", p.Parallelism, maxParallelism)
	case p.Iterations < 1 || p.Iterations > maxIterations:
		return fmt.Errorf("argon2 iterations: %d is not within 1 and %d", p.Iterations, maxIterations)
	case p.MemoryKiB < 8*uint32(p.Parallelism) || p.MemoryKiB > maxMemoryKiB: // RFC 9106 section 3.1
		return fmt.Errorf("argon2 memory: %d KiB is not within %d and %d", p.MemoryKiB, 8*p.Parallelism, maxMemoryKiB)
	}
	return nil
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

// parsePHC reads what String writes, and nothing that only looks like it.
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
			return 0 // which validate refuses
		}
		return n
	}
	h.MemoryKiB = uint32(number(params[0], "m=", 32))
	h.Iterations = uint32(number(params[1], "t=", 32))
	h.Parallelism = uint8(number(params[2], "p=", 8))
	if err := h.validate(); err != nil {
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

// hasher makes and verifies hashes of what people choose. Its methods are
// expensive: call them in a slot.
type hasher struct {
	params Argon2
	derive func(password, salt []byte, time, memory uint32, threads uint8, keyLen uint32) []byte
	// dummy is the hash of no password, at the current price. Verifying
	// against it is the work to do where there is nothing to verify, so that
	// the time doesn't tell whether an account exists.
	dummy string
}

func newHasher(params Argon2) (hasher, error) {
	params = params.orDefault()
	if err := params.validate(); err != nil {
		return hasher{}, err
	}
	dummy := phc{params, random(saltBytes), random(tagBytes)}
	return hasher{params: params, derive: argon2.IDKey, dummy: dummy.String()}, nil
}

// hash returns the stored form of a password.
func (h hasher) hash(password string) string {
	return h.compute(password, phc{Argon2: h.params, salt: random(saltBytes), tag: make([]byte, tagBytes)}).String()
}

// verify reports whether password is the one that was hashed, and whether the
// hash is one that hash would no longer make. This is where schemes that come
// with imported accounts have their place.
func (h hasher) verify(stored, password string) (match, outdated bool, err error) {
	switch {
	case strings.HasPrefix(stored, "$argon2id$"):
		want, err := parsePHC(stored)
		if err != nil {
			return false, false, err
		}
		got := h.compute(password, want)
		outdated := want.Argon2 != h.params || len(want.salt) != saltBytes || len(want.tag) != tagBytes
		return subtle.ConstantTimeCompare(got.tag, want.tag) == 1, outdated, nil
	default:
		return false, false, errors.New("stored hash is of an unknown scheme")
	}
}

// topUp does the rest of the work of a hash at the current price after one like
// stored, which was cheaper, so that a wrong password takes the same time for an
// account with an older hash as for one that doesn't exist. Where hashes used to
// be dearer, nothing can make up for it but the next sign-in.
func (h hasher) topUp(stored, password string) {
	old, err := parsePHC(stored)
	if err != nil {
		return
	}
	left := h.params.work() - old.work()
	if left <= 0 {
		return
	}
	h.derive([]byte(password), old.salt, h.params.Iterations, uint32(left/int64(h.params.Iterations)), h.params.Parallelism, tagBytes)
}

// compute is like, but with the tag that belongs to password.
func (h hasher) compute(password string, like phc) phc {
	like.tag = h.derive([]byte(password), like.salt, like.Iterations, like.MemoryKiB, like.Parallelism, uint32(len(like.tag)))
	return like
}

// random returns n bytes nobody can guess.
func random(n int) []byte {
	b := make([]byte, n)
	rand.Read(b) // never fails: see its documentation
	return b
}
