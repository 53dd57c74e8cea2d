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

// newCodes are recovery codes, with what is written beside them.
type newCodes struct {
	shown   []string // as their user reads them
	stored  Codes
	ev      audit.Event
	letters []Notice
}

// newCodes makes recovery codes for a change of a user's factors.
func (s *Service) newCodes(ctx context.Context, now time.Time, user ids.User, about audit.Kind, from caller.Caller) (newCodes, error) {
	n := newCodes{stored: Codes{ID: ids.New[ids.Factor]()}, ev: event(about, now, user, from)}
	for range codeCount {
		raw := make([]byte, codeSize)
		rand.Read(raw)
		text := strings.ToLower(base32s.EncodeToString(raw))
		n.shown = append(n.shown, strings.Join([]string{text[:4], text[4:8], text[8:12], text[12:]}, "-"))
		n.stored.Digests = append(n.stored.Digests, digest(user, text))
	}
	var err error
	n.letters, err = s.notices(ctx, &n.ev, from)
	return n, err
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
	with, err := s.newCodes(ctx, now, user, audit.RecoveryCodesRenewed, from)
	if err != nil {
		return nil, err
	}
	if err := s.o.Store.ReplaceCodes(ctx, user, with.stored, now, at, with.ev, with.letters...); err != nil {
		return nil, fmt.Errorf("renew recovery codes: %w", err)
	}
	return with.shown, nil
}
