package clients

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/binary"
	"strings"
	"sync"

	"countersign/ids"
	"countersign/input"
	"countersign/secrecy"
)

const (
	secretPrefix    = "cs_secret_" // for secret scanners
	secretBytes     = 32
	minChosenSecret = 8
	maxChosenSecret = 1024
)

var b64url = base64.RawURLEncoding.Strict()

// GenerateSecret returns a client secret with 256 random bits.
func GenerateSecret() secrecy.Text {
	return secrecy.Text(secretPrefix + b64url.EncodeToString(random(secretBytes)))
}

// isGenerated reports whether a secret is one that GenerateSecret makes. An attacker
// can't find such a secret by search, so a plain digest, which costs nothing to verify,
// is enough (digestSecret). Secrets that operators choose are hashed with argon2id.
func isGenerated(secret secrecy.Text) bool {
	encoded, ok := strings.CutPrefix(string(secret), secretPrefix)
	raw, err := b64url.DecodeString(encoded)
	return ok && err == nil && len(raw) == secretBytes
}

const digestPrefix = "$sha256$"

// digestSecret returns the stored form of a generated secret.
func digestSecret(secret secrecy.Text) string {
	sum := sha256.Sum256([]byte(secret))
	return digestPrefix + b64url.EncodeToString(sum[:])
}

// verifyDigest reports whether digest is the stored form of secret.
func verifyDigest(digest string, secret secrecy.Text) bool {
	return subtle.ConstantTimeCompare([]byte(digest), []byte(digestSecret(secret))) == 1
}

// needsEncoding are the characters that mean others where a caller puts them into HTTP
// Basic as they are, because the server decodes what comes there (RFC 6749 section 2.3.1).
// Secrets that are stored may have them, and work for callers that encode.
const needsEncoding = "+%"

// checkChosenSecret adds what is wrong with a secret that an operator chose. RFC 6749
// appendix A.2 limits its characters.
func checkChosenSecret(bad *input.Error, secret secrecy.Text) {
	switch {
	case strings.ContainsAny(string(secret), needsEncoding):
		bad.Add("secret", input.InvalidCharacters, "secret must not have + or %%: many libraries, and curl -u, send them in HTTP Basic without the encoding that RFC 6749 section 2.3.1 asks for; choose another, such as 32 bytes in hexadecimal, or let the server generate it.")
	case strings.ContainsFunc(string(secret), func(r rune) bool { return r < ' ' || r > '~' }):
		bad.Add("secret", input.InvalidCharacters, "secret must have printable ASCII characters only.")
	case len(secret) < minChosenSecret:
		bad.Add("secret", input.TooShort, "secret must have at least %d characters; or let the server generate it.", minChosenSecret)
	case len(secret) > maxChosenSecret:
		bad.Add("secret", input.TooLong, "secret must not be longer than %d characters.", maxChosenSecret)
	}
}

const maxProven = 1024 // entries of 32 bytes

// proven remembers which chosen secrets have verified, because a client sends
// its secret with every request and argon2 each time would be slow. It keeps
// only MACs under a key that dies with the process. They cover the stored hash, too, so
// a replaced secret no longer matches.
type proven struct {
	key  []byte
	mu   sync.Mutex
	seen map[[32]byte]struct{}
}

func newProven() *proven {
	return &proven{key: random(32), seen: make(map[[32]byte]struct{})}
}

func (p *proven) has(id ids.Client, stored string, secret secrecy.Text) bool {
	mac := p.mac(string(id), stored, string(secret))
	p.mu.Lock()
	defer p.mu.Unlock()
	_, ok := p.seen[mac]
	return ok
}

func (p *proven) add(id ids.Client, stored string, secret secrecy.Text) {
	mac := p.mac(string(id), stored, string(secret))
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.seen) >= maxProven {
		for old := range p.seen { // any entry will do: that client pays for argon2 once more
			delete(p.seen, old)
			break
		}
	}
	p.seen[mac] = struct{}{}
}

func (p *proven) mac(parts ...string) [32]byte {
	h := hmac.New(sha256.New, p.key)
	for _, s := range parts {
		h.Write(binary.BigEndian.AppendUint64(nil, uint64(len(s))))
		h.Write([]byte(s))
	}
	return [32]byte(h.Sum(nil))
}

// random returns n bytes that no attacker can guess.
func random(n int) []byte {
	b := make([]byte, n)
	rand.Read(b) // never fails: see its documentation
	return b
}
