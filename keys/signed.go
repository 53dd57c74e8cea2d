package keys

import "sync"

// signedTokens remembers by their digests tokens whose signatures were right. A signature
// stays right, because a kid is the thumbprint of its key; whether the key and the token still
// count, Verify checks each time. A token is forgotten after mostYoung to twice as many others.
// It is safe for concurrent use.
type signedTokens struct {
	mu          sync.RWMutex
	young, aged map[[32]byte]struct{}
}

// mostYoung bounds each of the two sets: a megabyte in all.
const mostYoung = 8192

func (s *signedTokens) has(digest [32]byte) bool {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if _, ok := s.young[digest]; ok {
		return true
	}
	_, ok := s.aged[digest]
	return ok
}

func (s *signedTokens) add(digest [32]byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.young == nil || len(s.young) >= mostYoung {
		s.young, s.aged = map[[32]byte]struct{}{}, s.young
	}
	s.young[digest] = struct{}{}
}
