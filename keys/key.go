package keys

import (
	"context"
	"crypto"
	"errors"
	"time"

	"countersign/audit"
)

// Sentinels of the key store.
var (
	ErrUnknownKey = errors.New("no such key")
	// ErrTaken says that this generation of this algorithm already exists:
	// another replica was faster.
	ErrTaken = errors.New("key generation exists")
)

// Key is one signing key as stored. Its times are fixed when it is made, so
// every replica knows from the clock alone which key signs.
type Key struct {
	KID        string // RFC 7638 thumbprint of Public
	Alg        string // JWS algorithm: ES256, RS256, PS256, EdDSA
	Generation int64  // 1, 2, 3 ... per algorithm; the unique constraint on (alg, generation) picks one winner

	PublishedFrom  time.Time // in the JWKS from here
	SignsFrom      time.Time
	SignsUntil     time.Time
	PublishedUntil time.Time // out of the JWKS from here: every token it signed has expired
	RevokedAt      time.Time // zero: not revoked

	// Lead is how long the key is published before it signs. It is stored so that
	// the next key can follow the same rules without the configuration.
	Lead time.Duration

	Public crypto.PublicKey
	Sealed []byte // the PKCS #8 private key under the master key
}

// A Store holds the keys of a Ring. Every method is atomic and safe for
// concurrent use.
type Store interface {
	// Keys returns all keys, by algorithm and generation.
	Keys(ctx context.Context) ([]Key, error)
	// InsertKey adds k. It returns ErrTaken if k's generation of its algorithm exists.
	InsertKey(ctx context.Context, k Key, ev audit.Event) error
	// RevokeKey marks a key revoked at now. Revoking a revoked key is a no-op.
	// It returns ErrUnknownKey if there is no such key.
	RevokeKey(ctx context.Context, kid string, now time.Time, ev audit.Event) error
	// ResealKey replaces the sealed private key if it still equals old.
	ResealKey(ctx context.Context, kid string, old, sealed []byte) error
	// DeleteKeys removes keys whose publication ended before the given time,
	// but never the newest generation of an algorithm.
	DeleteKeys(ctx context.Context, publishedUntilBefore time.Time) error
}
