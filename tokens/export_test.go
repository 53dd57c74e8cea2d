package tokens

import "github.com/google/uuid"

// RefreshToken and ParseRefreshToken write and read the tokens that callers present.

func (s *Service) RefreshToken(session uuid.UUID, counter uint64) string {
	return s.refreshToken(session, counter)
}

func (s *Service) ParseRefreshToken(token string) (uuid.UUID, uint64, bool) {
	return s.parseRefreshToken(token)
}
