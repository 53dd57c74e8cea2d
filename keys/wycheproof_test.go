package keys_test

import (
	"crypto"
	"encoding/base64"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/c2sp/wycheproof"
	"github.com/go-jose/go-jose/v4"
	"github.com/golang-jwt/jwt/v5"
	gocmp "github.com/google/go-cmp/cmp"

	"countersign/keys"
)

// vector is a group of Wycheproof's JOSE vectors: tokens, and the key that verifies them.
type vector struct {
	Comment string
	Public  json.RawMessage // a JWK or a JWK Set; absent if the key is symmetric
	Tests   []struct {
		TcID    int
		Comment string
		JWS     *jws // nil if the vector is about encryption
		Result  string
	}
}

// A jws is a JWS in the compact form, or in a JSON form, which we don't accept.
type jws string

func (j *jws) UnmarshalJSON(b []byte) error {
	if b[0] == '"' {
		return json.Unmarshal(b, (*string)(j))
	}
	*j = jws(b)
	return nil
}

// alg returns the algorithm that the header of a JWS names.
func (j jws) alg() string {
	first, _, _ := strings.Cut(string(j), ".")
	b, _ := base64.RawURLEncoding.DecodeString(first)
	var header struct{ Alg string }
	json.Unmarshal(b, &header) // a malformed header has no alg
	return header.Alg
}

// vectors reads a file of Wycheproof vectors.
func vectors(t *testing.T, name string) []vector {
	t.Helper()
	f, err := wycheproof.TestVectors.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var file struct{ TestGroups []vector }
	if err := json.NewDecoder(f).Decode(&file); err != nil {
		t.Fatal(err)
	}
	return file.TestGroups
}

// publicKey is a JWK and the vector's spelling of it.
type publicKey struct {
	jose.JSONWebKey
	text json.RawMessage
}

// jwks returns the public keys of a group as go-jose parses them. It leaves out those that
// go-jose refuses: points off the curve, and members that don't belong to the kty.
func (v *vector) jwks(t *testing.T) []publicKey {
	t.Helper()
	var set struct{ Keys []json.RawMessage }
	if err := json.Unmarshal(v.Public, &set); err != nil {
		t.Fatal(err)
	}
	if set.Keys == nil {
		set.Keys = []json.RawMessage{v.Public}
	}
	var all []publicKey
	for _, text := range set.Keys {
		k := publicKey{text: text}
		if err := k.UnmarshalJSON(text); err == nil {
			all = append(all, k)
		}
	}
	return all
}

// outOfPlace lists the groups with a fault in the key. A ring has only keys that the
// server made, and never reads a JWK. Code that reads JWKs must refuse them.
var outOfPlace = map[string]string{
	"rsa_encryption":        "the key is for another use",
	"ec_key_for_encryption": "the key is for another use",
	"invalid_use":           "the key is for another use",
	"jws_rsa_roca_key":      "the key can be factored",
	"keysize_too_small":     "the key can be factored",
	"exponentOne":           "the key signs nothing",
}

// TestWycheproofSignatures has a ring verify Wycheproof's JWSs with their keys. A valid
// JWS verifies if we sign with its algorithm and the key's JWK names that algorithm. All
// others don't verify.
//
// It leaves out the groups with symmetric keys, which a ring can't hold (other groups
// cover their confusion with public keys), those with encryption, and outOfPlace.
func TestWycheproofSignatures(t *testing.T) {
	var good, bad, skipped int
	for _, file := range []string{"json_web_signature_test.json", "json_web_crypto_test.json", "json_web_key_test.json"} {
		for _, group := range vectors(t, file) {
			if _, ok := outOfPlace[group.Comment]; ok || group.Public == nil {
				skipped += len(group.Tests)
				continue
			}
			for _, jwk := range group.jwks(t) {
				ring := keys.RingOf(jwk.KeyID, jwk.Algorithm, jwk.Key)
				ours := slices.Contains(keys.AlgorithmNames, jwk.Algorithm)
				for _, test := range group.Tests {
					if test.JWS == nil {
						skipped++
						continue
					}
					err := ring.VerifyJWS(string(*test.JWS))
					// RFC 7520's figure 20 is signed with PS384, by a key whose alg is PS256.
					switch want := test.Result == "valid" && ours && test.JWS.alg() == jwk.Algorithm; {
					case want && err != nil:
						t.Errorf("%s: %d, %s with %s: %v", file, test.TcID, test.Comment, jwk.Algorithm, err)
					case !want && err == nil:
						t.Errorf("%s: %d, %s with %s is accepted", file, test.TcID, test.Comment, jwk.Algorithm)
					case want:
						good++
					default:
						bad++
					}
					// No payload has claims, so Verify must refuse every one as a token.
					now, claims := time.Now(), jwt.MapClaims{}
					for _, err := range []error{
						ring.Verify(now, string(*test.JWS), "", issuer, claims),
						ring.VerifyHint(string(*test.JWS), "", issuer, claims),
					} {
						if !errors.Is(err, keys.ErrInvalidToken) {
							t.Errorf("%s: %d, %s: err = %v, want ErrInvalidToken", file, test.TcID, test.Comment, err)
						}
					}
				}
			}
		}
	}
	t.Logf("%d verified, %d refused, %d left out", good, bad, skipped)
	if good < 15 || bad < 350 {
		t.Error("so few vectors ran that the files must be others than they were")
	}
}

// TestWycheproofKeys encodes Wycheproof's public keys as our JWKS does. Each JWK must
// equal the vector's (RFC 7518 section 6: coordinates of full width, an n without
// leading zeros), and its kid the thumbprint that go-jose computes.
//
// It leaves out the vectors that a reader of JWKs must refuse: we never read a JWK.
func TestWycheproofKeys(t *testing.T) {
	ran := 0
	for _, file := range []string{"json_web_signature_test.json", "json_web_crypto_test.json", "json_web_key_test.json"} {
		for _, group := range vectors(t, file) {
			if group.Public == nil {
				continue
			}
			for _, jwk := range group.jwks(t) {
				text, thumbprint, err := keys.PublicJWK(jwk.Key)
				if err != nil {
					continue // a P-521 or X25519 key
				}
				ran++
				var got, want map[string]any
				if err := errors.Join(json.Unmarshal([]byte(text), &got), json.Unmarshal(jwk.text, &want)); err != nil {
					t.Fatal(err)
				}
				for _, about := range []string{"kid", "alg", "use", "key_ops"} {
					delete(want, about)
				}
				if diff := gocmp.Diff(want, got); diff != "" {
					t.Errorf("%s: %s: JWK (-want +got):\n%s", file, group.Comment, diff)
				}
				sum, err := jwk.Thumbprint(crypto.SHA256)
				if err != nil {
					t.Fatal(err)
				}
				if want := base64.RawURLEncoding.EncodeToString(sum); thumbprint != want {
					t.Errorf("%s: %s: thumbprint = %s, want %s", file, group.Comment, thumbprint, want)
				}
			}
		}
	}
	t.Logf("%d keys", ran)
	if ran < 20 {
		t.Error("so few keys ran that the files must be others than they were")
	}
}
