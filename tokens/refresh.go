package tokens

import (
	"encoding/binary"

	"countersign/ids"
)

// A refresh token is the session's id (16 bytes) and a counter (8), as a
// seal.Keys.Token. Its MAC makes it unguessable: id and counter need not be secret, no
// token is stored, and a forged one is refused without a database query.
const (
	refreshPrefix  = "cs_rt_" // lets secret scanners recognise a token
	refreshPurpose = "refresh token"
	refreshSize    = len(ids.Session{}) + 8
)

// refreshToken returns the session's refresh token for counter. The same session, counter
// and master key always give the same token.
func (s *Service) refreshToken(session ids.Session, counter uint64) string {
	message := make([]byte, 0, refreshSize)
	message = append(message, session[:]...)
	message = binary.BigEndian.AppendUint64(message, counter)
	return s.seal.Token(refreshPrefix, refreshPurpose, message)
}

// parseRefreshToken reads a refresh token and reports whether we made it.
func (s *Service) parseRefreshToken(token string) (session ids.Session, counter uint64, ok bool) {
	message, ok := s.seal.OpenToken(refreshPrefix, refreshPurpose, token)
	if !ok || len(message) != refreshSize {
		return ids.Session{}, 0, false
	}
	return ids.Session(message[:16]), binary.BigEndian.Uint64(message[16:]), true
}

// Newest returns those of a browser's refresh tokens that we made, the newest one of each
// session. It asks no database, so it may be given any number of texts.
func (s *Service) Newest(candidates []string) []string {
	type found struct {
		token   string
		counter uint64
	}
	newest := map[ids.Session]found{}
	var order []ids.Session
	for _, token := range candidates {
		id, counter, ok := s.parseRefreshToken(token)
		if !ok {
			continue
		}
		former, known := newest[id]
		if !known {
			order = append(order, id)
		}
		if !known || counter > former.counter {
			newest[id] = found{token, counter}
		}
	}
	var list []string
	for _, id := range order {
		list = append(list, newest[id].token)
	}
	return list
}

// BrowserSession returns the one session that a browser's refresh tokens belong to, live
// or not, or false if they belong to none or to several.
func (s *Service) BrowserSession(candidates []string) (ids.Session, bool) {
	list := s.Newest(candidates)
	if len(list) != 1 {
		return ids.Session{}, false
	}
	id, _, ok := s.parseRefreshToken(list[0])
	return id, ok
}
