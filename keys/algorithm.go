package keys

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math/big"
	"slices"

	"github.com/golang-jwt/jwt/v5"
)

// algorithm is one way to sign.
type algorithm struct {
	method   jwt.SigningMethod
	generate func() (crypto.Signer, error)
}

// algorithms are those of RFC 7518 section 3.1 and RFC 8037 that we sign with,
// by JWS name. None is symmetric.
var algorithms = map[string]algorithm{
	"ES256": {jwt.SigningMethodES256, func() (crypto.Signer, error) { return ecdsa.GenerateKey(elliptic.P256(), rand.Reader) }},
	"RS256": {jwt.SigningMethodRS256, generateRSA},
	"PS256": {ps256, generateRSA},
	"EdDSA": {jwt.SigningMethodEdDSA, func() (crypto.Signer, error) {
		_, private, err := ed25519.GenerateKey(rand.Reader)
		return private, err
	}},
}

func generateRSA() (crypto.Signer, error) { return rsa.GenerateKey(rand.Reader, 2048) }

// ps256 is jwt.SigningMethodPS256, but it also verifies only signatures whose salt is
// as long as the hash (RFC 7518 section 3.5).
var ps256 = &jwt.SigningMethodRSAPSS{
	SigningMethodRSA: jwt.SigningMethodPS256.SigningMethodRSA,
	Options:          &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash},
}

// algorithmNames are the names of the algorithms, in alphabetical order.
var algorithmNames = slices.Sorted(maps.Keys(algorithms))

// publicJWK is a public key as a JWK (RFC 7517, RFC 7518 section 6, RFC 8037
// section 2). It has only the required members, in alphabetical order, so its
// JSON is what RFC 7638 section 3 hashes.
type publicJWK struct {
	Crv string `json:"crv,omitempty"`
	E   string `json:"e,omitempty"`
	Kty string `json:"kty"`
	N   string `json:"n,omitempty"`
	X   string `json:"x,omitempty"`
	Y   string `json:"y,omitempty"`
}

func newPublicJWK(public crypto.PublicKey) (publicJWK, error) {
	encode := base64.RawURLEncoding.EncodeToString
	switch public := public.(type) {
	case *ecdsa.PublicKey:
		point, err := public.Bytes() // 4, X, Y: fixed in width, as RFC 7518 section 6.2.1.2 asks
		if err != nil || public.Curve != elliptic.P256() {
			return publicJWK{}, errors.New("not a P-256 public key")
		}
		return publicJWK{Kty: "EC", Crv: "P-256", X: encode(point[1:33]), Y: encode(point[33:])}, nil
	case *rsa.PublicKey:
		e := big.NewInt(int64(public.E)).Bytes()
		return publicJWK{Kty: "RSA", N: encode(public.N.Bytes()), E: encode(e)}, nil
	case ed25519.PublicKey:
		return publicJWK{Kty: "OKP", Crv: "Ed25519", X: encode(public)}, nil
	}
	return publicJWK{}, fmt.Errorf("unsupported public key %T", public)
}

// thumbprint is the kid of a key (RFC 7638).
func (j publicJWK) thumbprint() string {
	text, err := json.Marshal(j)
	if err != nil {
		panic(err) // strings always marshal
	}
	hash := sha256.Sum256(text)
	return base64.RawURLEncoding.EncodeToString(hash[:])
}
