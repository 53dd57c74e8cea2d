package tokens

import (
	"crypto/hmac"
	"encoding/base64"
	"encoding/binary"
	"strings"

	"github.com/google/uuid"

	"countersign/seal"
)

// A refresh token is
//
//	"cs_rt_" base64url( version(1) master-key-id(4) session(16) counter(8) hmac(32) )
//
// The HMAC covers everything before it, under a key derived from the named
// master key. It is what makes the token unguessable: the session id and the
// counter need not be secret, nothing has to be stored per token, and a forged
// one is refused before the database is asked.
const (
	refreshPrefix  = "cs_rt_" // so that secret scanners know one when they see it
	refreshVersion = 1
	refreshPurpose = "refresh token"

	refreshBody = 1 + len(seal.ID{}) + len(uuid.UUID{}) + 8
	refreshSize = refreshBody + 32
)

// refreshEncoding is strict, so that no token has a second spelling.
var refreshEncoding = base64.RawURLEncoding.Strict()

// refreshToken returns the session's refresh token of the given counter. The
// same session, counter and master key always give the same token.
func (s *Service) refreshToken(session uuid.UUID, counter uint64) string {
	id := s.seal.Primary()
	b := make([]byte, 0, refreshSize)
	b = append(b, refreshVersion)
	b = append(b, id[:]...)
	b = append(b, session[:]...)
	b = binary.BigEndian.AppendUint64(b, counter)
	mac, _ := s.seal.MAC(id, refreshPurpose, b) // the primary key is always there
	return refreshPrefix + refreshEncoding.EncodeToString(append(b, mac[:]...))
}

// parseRefreshToken reads a refresh token and reports whether we made it.
func (s *Service) parseRefreshToken(token string) (session uuid.UUID, counter uint64, ok bool) {
	text, found := strings.CutPrefix(token, refreshPrefix)
	if !found || len(text) != refreshEncoding.EncodedLen(refreshSize) {
		return uuid.Nil, 0, false
	}
	b, err := refreshEncoding.DecodeString(text)
	if err != nil || len(b) != refreshSize || b[0] != refreshVersion {
		return uuid.Nil, 0, false
	}
	body, sum := b[:refreshBody], b[refreshBody:]
	mac, known := s.seal.MAC(seal.ID(body[1:5]), refreshPurpose, body)
	if !known || !hmac.Equal(mac[:], sum) {
		return uuid.Nil, 0, false
	}
	return uuid.UUID(body[5:21]), binary.BigEndian.Uint64(body[21:29]), true
}
