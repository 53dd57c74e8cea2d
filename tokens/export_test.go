package tokens

import "countersign/ids"

// RefreshToken and ParseRefreshToken encode and parse refresh tokens.

func (s *Service) RefreshToken(session ids.Session, counter uint64) string {
	return s.refreshToken(session, counter)
}

func (s *Service) ParseRefreshToken(token string) (ids.Session, uint64, bool) {
	return s.parseRefreshToken(token)
}
