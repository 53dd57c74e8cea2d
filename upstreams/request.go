package upstreams

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"time"

	"golang.org/x/oauth2"
)

// Life is how long a user may take at a provider, and the browser keeps the request.
const Life = 10 * time.Minute

// request is what a browser keeps while its user is at a provider. It is sealed, because the
// verifier is a secret to all who may read the browser's cookies but us.
type request struct {
	Provider string    `json:"provider"`
	State    string    `json:"state"`
	Nonce    string    `json:"nonce"`
	Verifier string    `json:"verifier"` // of PKCE
	Expires  time.Time `json:"expires"`
	Again    bool      `json:"again,omitempty"`
	Note     string    `json:"note,omitempty"`
}

// skew is how much a provider's clock may be behind.
const skew = time.Minute

// begun returns when the browser began the request.
func (q *request) begun() time.Time { return q.Expires.Add(-Life) }

func newRequest(now time.Time, provider string, t Trip) *request {
	return &request{
		Provider: provider, State: rand.Text(), Nonce: rand.Text(), Verifier: oauth2.GenerateVerifier(),
		Expires: now.Add(Life), Again: t.Again, Note: t.Note,
	}
}

// The purposes of what browsers keep for us.
const (
	requestPurpose = "request at a provider"
	claimsPurpose  = "claims of a provider"
)

var encoding = base64.RawURLEncoding.Strict()

// wrap seals a value for a browser to keep.
func (s *Service) wrap(purpose string, value any) string {
	b, err := json.Marshal(value)
	if err != nil {
		panic(err) // plain values always marshal
	}
	return encoding.EncodeToString(s.seal.Seal(purpose, b, nil))
}

// unwrap reads what wrap has sealed.
func (s *Service) unwrap(purpose, text string, into any) bool {
	sealed, err := encoding.DecodeString(text)
	if err != nil {
		return false
	}
	b, err := s.seal.Open(purpose, sealed, nil)
	return err == nil && json.Unmarshal(b, into) == nil
}

func (s *Service) open(kept string) (*request, bool) {
	q := new(request)
	ok := s.unwrap(requestPurpose, kept, q)
	return q, ok && q.State != ""
}

// keptLife is how long a user may take to fill in what a new account lacks, or to sign in to
// an account that the claims are to be linked to.
const keptLife = 15 * time.Minute

// kept are Claims that a browser keeps while its user decides what to do with them.
type kept struct {
	Claims  Claims    `json:"claims"`
	Note    string    `json:"note,omitempty"`
	Expires time.Time `json:"expires"`
}

// Keep returns claims for the browser to keep that has brought them, and a note with them,
// for a quarter of an hour.
func (s *Service) Keep(now time.Time, c Claims, note string) (text string, life time.Duration) {
	return s.wrap(claimsPurpose, kept{c, note, now.Add(keptLife)}), keptLife
}

// Kept returns what Keep was given. ok is false if the text is not Keep's, too old, or of a
// provider that is not in the settings any more.
func (s *Service) Kept(now time.Time, text string) (c Claims, note string, ok bool) {
	var k kept
	if !s.unwrap(claimsPurpose, text, &k) || !now.Before(k.Expires) || s.find(k.Claims.Provider) == nil {
		return Claims{}, "", false
	}
	return k.Claims, k.Note, true
}
