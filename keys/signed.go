package keys

import "sync"

// signedTokens remembers by their digests tokens whose signatures were right. That is so for
// good, whatever becomes of the key and the token, which are looked at each time; and
// checking it takes longer than all the rest. It keeps the latest tokens, so many that
// clients which ask again and again find theirs. It is safe for concurrent use.
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
