// Package seal holds the master keys. It derives a key for every purpose from them,
// and with these seals and authenticates what other packages store.
//
// An operator may give several master keys, so that one can replace another without
// a pause: the first seals, all of them open. A sealed value and a token name their
// master key by its ID, which is derived from the key and is public.
package seal

import (
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"log/slog"
	"sync"

	"golang.org/x/crypto/chacha20poly1305"
)

// The errors of Open.
var (
	// ErrUnknownKey says that the value may be sound, but the master key that
	// sealed it is not among the keys.
	ErrUnknownKey = errors.New("sealed under a master key that is not given; give that key too, after the first")
	// ErrCorrupt says that the value, its purpose or its additional data changed.
	ErrCorrupt = errors.New("sealed value is corrupt")
)

// An ID names a master key without revealing it.
type ID [4]byte

// String returns the ID in hexadecimal.
func (id ID) String() string { return fmt.Sprintf("%x", id[:]) }

// Keys are the master keys of one installation. They are safe for concurrent
// use and print as [secret].
type Keys struct {
	keys []master // in the order given, at least one
}

// master is one master key.
type master struct {
	id ID
	// derive returns the 32-byte key for one use, the same each time. Only this
	// function holds the master key itself, so no code that prints a struct can
	// reach it.
	derive func(use string) []byte
	// macs returns the HMACs under the key for a purpose that are free to be used. Making
	// one costs more than a short message does.
	macs func(purpose string) *sync.Pool
}

func newMaster(secret []byte) master {
	var derived sync.Map // use to []byte; small, because uses are constants in the code
	derive := func(use string) []byte {
		if key, ok := derived.Load(use); ok {
			return key.([]byte)
		}
		// Master keys are uniformly random, so they need no salt (RFC 5869 section 3.1).
		key, err := hkdf.Key(sha256.New, secret, nil, "countersign "+use, 32)
		if err != nil {
			panic(err) // only for more than 255 blocks of output
		}
		derived.Store(use, key)
		return key
	}
	var pools sync.Map // purpose to *sync.Pool of hash.Hash; small, as derived is
	macs := func(purpose string) *sync.Pool {
		pool, ok := pools.Load(purpose)
		if !ok {
			key := derive("mac " + purpose)
			pool, _ = pools.LoadOrStore(purpose, &sync.Pool{New: func() any { return hmac.New(sha256.New, key) }})
		}
		return pool.(*sync.Pool)
	}
	return master{id: ID(derive("id")[:4]), derive: derive, macs: macs}
}

func (m master) aead(purpose string) cipher.AEAD {
	aead, err := chacha20poly1305.NewX(m.derive("seal " + purpose))
	if err != nil {
		panic(err) // only for a key that is not 32 bytes
	}
	return aead
}

func (k *Keys) find(id ID) (master, bool) {
	for _, m := range k.keys {
		if m.id == id {
			return m, true
		}
	}
	return master{}, false
}

// Primary returns the ID of the key that seals.
func (k *Keys) Primary() ID { return k.keys[0].id }

// The layout of a sealed value: version, ID of the master key, nonce, and the
// XChaCha20-Poly1305 ciphertext with its tag. The random nonce is so long that it
// never repeats, however many values one key seals.
const (
	version   = 1
	nonceAt   = 1 + len(ID{})
	contentAt = nonceAt + chacha20poly1305.NonceSizeX
)

// Seal encrypts and authenticates plaintext under the first key. Open returns it only
// for the same purpose, a constant of the caller, and the same additional data, which
// binds the value to its place (the id of its row, say).
func (k *Keys) Seal(purpose string, plaintext, additional []byte) []byte {
	m := k.keys[0]
	sealed := make([]byte, contentAt, contentAt+len(plaintext)+chacha20poly1305.Overhead)
	sealed[0] = version
	copy(sealed[1:], m.id[:])
	rand.Read(sealed[nonceAt:])
	return m.aead(purpose).Seal(sealed, sealed[nonceAt:], plaintext, additional)
}

// Open returns the plaintext that Seal was given. It fails with ErrUnknownKey or ErrCorrupt.
func (k *Keys) Open(purpose string, sealed, additional []byte) ([]byte, error) {
	if len(sealed) < contentAt+chacha20poly1305.Overhead || sealed[0] != version {
		return nil, ErrCorrupt
	}
	id := ID(sealed[1:nonceAt])
	m, ok := k.find(id)
	if !ok {
		return nil, fmt.Errorf("%w (its id is %s)", ErrUnknownKey, id)
	}
	plaintext, err := m.aead(purpose).Open(nil, sealed[nonceAt:contentAt], sealed[contentAt:], additional)
	if err != nil {
		return nil, ErrCorrupt
	}
	return plaintext, nil
}

// Prefix returns what every value begins with that the first key seals, and no other.
func (k *Keys) Prefix() []byte {
	id := k.Primary()
	return append([]byte{version}, id[:]...)
}

// Stale reports whether a value should be sealed again because a key other than the
// first sealed it.
func (k *Keys) Stale(sealed []byte) bool {
	return len(sealed) < nonceAt || ID(sealed[1:nonceAt]) != k.Primary()
}

// MAC returns the HMAC-SHA256 of message under the key that master key id derives for
// purpose. ok is false if that master key is not among the keys. Compare with
// [hmac.Equal].
func (k *Keys) MAC(id ID, purpose string, message []byte) (mac [32]byte, ok bool) {
	m, ok := k.find(id)
	if !ok {
		return mac, false
	}
	free := m.macs(purpose)
	h := free.Get().(hash.Hash)
	defer free.Put(h)
	h.Reset()
	h.Write(message)
	h.Sum(mac[:0])
	return mac, true
}

const masked = "[secret]"

// String, GoString and LogValue keep the keys out of logs and messages.
func (Keys) String() string { return masked }

// GoString is String, for the verb %#v.
func (Keys) GoString() string { return masked }

// LogValue is String, for slog.
func (Keys) LogValue() slog.Value { return slog.StringValue(masked) }
