package factors

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"fmt"
	"strings"
	"time"

	"countersign/audit"
	"countersign/caller"
	"countersign/ids"
)

const (
	codeCount = 10
	codeSize  = 10 // bytes of each: no attacker guesses 80 bits, so a fast hash will do
)

// newCodes returns recovery codes, as their user reads them and as they are stored.
func newCodes(user ids.User) (codes []string, digests [][32]byte) {
	for range codeCount {
		raw := make([]byte, codeSize)
		rand.Read(raw)
		text := strings.ToLower(base32s.EncodeToString(raw))
		codes = append(codes, strings.Join([]string{text[:4], text[4:8], text[8:12], text[12:]}, "-"))
		digests = append(digests, digest(user, text))
	}
	return codes, digests
}

// spelled undoes what users do to a code that they type from paper.
var spelled = strings.NewReplacer("-", "", "0", "o", "1", "l", "8", "b")

func digest(user ids.User, code string) [32]byte {
	h := sha256.New()
	h.Write([]byte("recovery code\x00"))
	h.Write(user[:])
	h.Write([]byte(spelled.Replace(strings.ToLower(strings.Join(strings.Fields(code), "")))))
	return [32]byte(h.Sum(nil))
}

// Renew gives a user new recovery codes in place of all others. ErrUnknown if the user has no
// other factor in force, ErrSignedOut.
func (s *Service) Renew(ctx context.Context, now time.Time, user ids.User, at ids.Place, from caller.Caller) ([]string, error) {
	codes, digests := newCodes(user)
	ev := event(audit.RecoveryCodesRenewed, now, user, from)
	letters, err := s.notices(ctx, &ev, from)
	if err != nil {
		return nil, err
	}
	if err := s.o.Store.ReplaceCodes(ctx, user, Codes{ids.New[ids.Factor](), digests}, now, at, ev, letters...); err != nil {
		return nil, fmt.Errorf("renew recovery codes: %w", err)
	}
	return codes, nil
}
