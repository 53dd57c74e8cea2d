package seal

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"strings"
)

// A token is a message that clients and browsers keep for us and cannot forge:
//
//	prefix base64url( version(1) master-key-id(4) message hmac(32) )
//
// The HMAC covers everything before it except the prefix, under a key derived from the
// named master key for one purpose. The message is not secret.
const (
	tokenVersion = 1
	messageAt    = 1 + len(ID{})
)

// tokenEncoding is strict, so that no token has a second spelling.
var tokenEncoding = base64.RawURLEncoding.Strict()

// Token returns the token of a message for a purpose, a constant of the caller. The
// same message and master key always give the same token. The prefix says what kind of
// token it is.
func (k *Keys) Token(prefix, purpose string, message []byte) string {
	id := k.Primary()
	b := make([]byte, 0, messageAt+len(message)+sha256.Size)
	b = append(b, tokenVersion)
	b = append(b, id[:]...)
	b = append(b, message...)
	mac, _ := k.MAC(id, purpose, b) // the primary key is always there
	return prefix + tokenEncoding.EncodeToString(append(b, mac[:]...))
}

// OpenToken returns the message of a token. ok is false if the token was not made by
// Token with one of these keys for the same prefix and purpose.
func (k *Keys) OpenToken(prefix, purpose, token string) (message []byte, ok bool) {
	text, found := strings.CutPrefix(token, prefix)
	if !found {
		return nil, false
	}
	b, err := tokenEncoding.DecodeString(text)
	// The decoder skips line breaks, which would give a token more spellings.
	if err != nil || len(text) != tokenEncoding.EncodedLen(len(b)) || len(b) < messageAt+sha256.Size || b[0] != tokenVersion {
		return nil, false
	}
	body, sum := b[:len(b)-sha256.Size], b[len(b)-sha256.Size:]
	mac, known := k.MAC(ID(b[1:messageAt]), purpose, body)
	if !known || !hmac.Equal(mac[:], sum) {
		return nil, false
	}
	return body[messageAt:], true
}
