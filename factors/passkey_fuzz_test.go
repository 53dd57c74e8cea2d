package factors_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"testing"

	"countersign/caller"
	"countersign/factors"
	"countersign/ids"
)

// What a browser sends as a passkey is refused or an error that says so, whatever it is: none
// of it is by a key that the user has.
func FuzzPasskeys(f *testing.F) {
	r := newRig(f)
	s := service(f, factors.Options{
		Store: r.db, Seal: r.master, Throttle: r.throttle, Issuer: "Acme",
		RelyingParty: factors.RelyingParty{ID: "localhost", Takes: func(context.Context, string) bool { return true }},
	})
	options, err := s.CreationOptions(f.Context(), now, r.alice, "alice", r.here)
	noError(f, err)
	var asked struct{ Challenge string }
	noError(f, json.Unmarshal(options, &asked))
	b64 := base64.RawURLEncoding.EncodeToString
	credential := func(response map[string]any) []byte {
		b, err := json.Marshal(map[string]any{"id": "AQ", "rawId": "AQ", "type": "public-key", "response": response})
		noError(f, err)
		return b
	}
	client := func(does string) string {
		b, err := json.Marshal(map[string]any{"type": does, "challenge": asked.Challenge, "origin": "http://localhost:8080"})
		noError(f, err)
		return b64(b)
	}
	for _, seed := range [][]byte{
		nil, []byte("null"), []byte("{}"), []byte(`{"id":"AQ","rawId":"AQ","type":"public-key"}`),
		credential(map[string]any{"clientDataJSON": client("webauthn.get"), "authenticatorData": b64(make([]byte, 37)), "signature": "AA", "userHandle": b64(r.alice[:])}),
		credential(map[string]any{"clientDataJSON": client("webauthn.create"), "attestationObject": b64([]byte("\xa3cfmtdnonegattStmt\xa0hauthDataX%0123456789012345678901234567890123456"))}),
		credential(map[string]any{"clientDataJSON": client("webauthn.create"), "attestationObject": b64([]byte("\xa3cfmtfpackedgattStmt\xa2calg&csig@hauthDataX%0123456789012345678901234567890123456"))}),
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, sent []byte) {
		if _, err := s.ProvePasskey(t.Context(), now, "cs_ch_x", sent, ids.User{}, caller.Caller{}); !errors.Is(err, factors.ErrBadPasskey) {
			t.Errorf("proven by %q: %v", sent, err)
		}
		p, _, err := s.AddPasskey(t.Context(), now, r.alice, "", sent, r.here, caller.Caller{})
		if err == nil {
			// A browser can make any key, and sign nothing with attestation none. It is the one
			// that it has sent, and it is verified that the user was there.
			if len(p.CredentialID) == 0 || len(p.PublicKey) == 0 {
				t.Errorf("a passkey without a key: %q", sent)
			}
			return
		}
		if !errors.Is(err, factors.ErrBadPasskey) && !errors.Is(err, factors.ErrTooMany) {
			t.Errorf("added %q: %v", sent, err)
		}
	})
}
