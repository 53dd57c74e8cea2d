package keys

import (
	"crypto"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// OpenUnchecked is Open with a policy that Check may refuse.
var OpenUnchecked = open

// RingOf returns a ring that verifies with one key and has no store.
func RingOf(kid, alg string, public crypto.PublicKey) *Ring {
	m := &member{Key: Key{KID: kid, Alg: alg, Public: public, PublishedUntil: time.Now().Add(time.Hour)}}
	r := &Ring{}
	r.view.Store(&view{keys: map[string][]*member{alg: {m}}, byKID: map[string]*member{kid: m}})
	return r
}

// VerifyJWS is verify for a JWS without a typ whose payload need not be claims; the
// parser would refuse it. It makes all other checks of verify, in the same order.
func (r *Ring) VerifyJWS(text string) error {
	parts := strings.Split(text, ".")
	if len(parts) != 3 {
		return errors.New("not of three parts")
	}
	var decoded [3][]byte
	for i, part := range parts {
		var err error
		if decoded[i], err = parser.DecodeSegment(part); err != nil {
			return err
		}
	}
	token := &jwt.Token{}
	if err := json.Unmarshal(decoded[0], &token.Header); err != nil {
		return err
	}
	alg, _ := token.Header["alg"].(string)
	if !slices.Contains(algorithmNames, alg) {
		return errors.New("alg is not one of ours")
	}
	token.Method = jwt.GetSigningMethod(alg)
	key, err := r.view.Load().keyOf(token, "", Key.unrevoked)
	if err != nil {
		return err
	}
	return token.Method.Verify(parts[0]+"."+parts[1], decoded[2], key)
}

// PublicJWK is how the JWKS writes a key, and its kid.
func PublicJWK(public crypto.PublicKey) (text, thumbprint string, err error) {
	jwk, err := newPublicJWK(public)
	if err != nil {
		return "", "", err
	}
	b, err := json.Marshal(jwk)
	return string(b), jwk.thumbprint(), err
}

// AlgorithmNames are the names of all algorithms.
var AlgorithmNames = algorithmNames
