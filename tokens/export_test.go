package tokens

import "countersign/ids"

// RefreshToken and ParseRefreshToken write and read the tokens that callers present.

func (s *Service) RefreshToken(session ids.Session, counter uint64) string {
	return s.refreshToken(session, counter)
}

func (s *Service) ParseRefreshToken(token string) (ids.Session, uint64, bool) {
	return s.parseRefreshToken(token)
}
