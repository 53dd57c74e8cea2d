package signin

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"strings"
	"time"

	"countersign/ids"
	"countersign/limits"
	"countersign/oauth"
)

// A challenge stands for what a user has proven so far, to the caller that got it. It is a
// seal.Keys.Token of
//
//	binding(32) nonce(16) expires(8) epoch(8) account(16) login(16) class LF methods
//
// with times in milliseconds since 1970, and spaces between the names of the methods. It is
// kept nowhere: a used one is noted until it would have expired.
type challenge struct {
	binding [32]byte
	nonce   [16]byte
	expires int64
	epoch   int64
	user    ids.User
	login   ids.Login     // the user's, in which more is asked for; zero: none
	class   string        // that is asked for; empty: any
	methods oauth.Methods // what the user has proven so far
}

const (
	challengePrefix = "cs_ch_"
	challengeLife   = 5 * time.Minute
	challengeSize   = 32 + 16 + 8 + 8 + 16 + 16 // without the texts
)

// The purposes of challenges. None serves for another.
const (
	factorChallenge  = "challenge for a second factor"
	passkeyChallenge = "challenge for a passkey" // of no user
)

func bound(a attempt) [32]byte { return sha256.Sum256([]byte(a.from.Binding)) }

// write returns a new challenge of a purpose, for the caller.
func (s *Service) write(purpose string, ch challenge, a attempt) string {
	ch.binding, ch.expires = bound(a), a.now.Add(challengeLife).UnixMilli()
	rand.Read(ch.nonce[:])
	b := append(ch.binding[:], ch.nonce[:]...)
	b = binary.BigEndian.AppendUint64(b, uint64(ch.expires))
	b = binary.BigEndian.AppendUint64(b, uint64(ch.epoch))
	b = append(append(b, ch.user[:]...), ch.login[:]...)
	return s.seal.Token(challengePrefix, purpose, append(b, ch.class+"\n"+strings.Join(ch.methods, " ")...))
}

// read returns a challenge that is the caller's and has not expired.
func (s *Service) read(purpose, text string, a attempt) (ch challenge, ok bool) {
	b, ok := s.seal.OpenToken(challengePrefix, purpose, text)
	if !ok || len(b) < challengeSize {
		return ch, false
	}
	class, methods, _ := strings.Cut(string(b[challengeSize:]), "\n")
	ch = challenge{
		binding: [32]byte(b), nonce: [16]byte(b[32:]), expires: int64(binary.BigEndian.Uint64(b[48:])),
		epoch: int64(binary.BigEndian.Uint64(b[56:])), user: ids.User(b[64:]), login: ids.Login(b[80:]),
		class: class, methods: strings.Fields(methods),
	}
	return ch, a.from.Binding != "" && ch.binding == bound(a) && a.now.UnixMilli() < ch.expires
}

func (ch *challenge) key() [32]byte { return limits.Key("used challenge", string(ch.nonce[:])) }

// unused returns ErrBadChallenge if a challenge was used.
func (s *Service) unused(ctx context.Context, ch *challenge, a attempt) error {
	used, err := s.throttle.Noted(ctx, a.now, ch.key())
	if err == nil && used {
		err = ErrBadChallenge
	}
	return err
}

// use uses a challenge. Of several calls, on whichever replicas, one succeeds; the others get
// ErrBadChallenge.
func (s *Service) use(ctx context.Context, ch *challenge, a attempt) error {
	used, err := s.throttle.Note(ctx, a.now, ch.key(), challengeLife)
	if err == nil && used {
		err = ErrBadChallenge
	}
	return err
}
