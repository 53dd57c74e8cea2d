package keys

import (
	"crypto"
	"crypto/sha256"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// ErrInvalidToken is all that a caller may be told about a token that fails to
// verify. The wrapped reason is for the log.
var ErrInvalidToken = errors.New("invalid token")

// maxToken is longer than any token of ours, in bytes. Longer ones are not parsed.
const maxToken = 8 << 10

// Verify checks that this ring signed a JWT, and decodes it into claims, which mean
// nothing unless it returns nil. It is stricter than a resource server has to be
// (RFC 9068 section 4, RFC 8725 section 3): typ and iss must be the ones given, exp must
// be present and gets no leeway, and alg must be the algorithm of the key. It doesn't
// check aud, of which its callers accept more than one. Every failure is an
// ErrInvalidToken.
func (r *Ring) Verify(now time.Time, token, typ, issuer string, claims jwt.Claims) error {
	return r.verify(token, typ, issuer, claims, func(k Key) bool { return k.published(now) },
		jwt.NewValidator(jwt.WithExpirationRequired(), jwt.WithTimeFunc(func() time.Time { return now })).Validate)
}

// VerifyHint checks only that this ring once signed a token. An ID token that a
// client sends back may have expired and may have any audience (OpenID Connect Core
// section 3.1.2.1, RP-Initiated Logout section 2). So VerifyHint checks neither aud
// nor any time, and accepts a key that is no longer published, but no revoked key.
// Such a token says which user is meant; it proves nothing.
func (r *Ring) VerifyHint(token, typ, issuer string, claims jwt.Claims) error {
	return r.verify(token, typ, issuer, claims, Key.unrevoked, func(jwt.Claims) error { return nil })
}

// verify checks what every token of ours must have: the typ, the signature of one of
// our keys for which good holds, and the issuer; valid checks the other claims.
func (r *Ring) verify(token, typ, issuer string, claims jwt.Claims, good func(Key) bool, valid func(jwt.Claims) error) error {
	if issuer == "" {
		panic("keys: verifying needs an issuer")
	}
	if len(token) > maxToken {
		return fmt.Errorf("%w: %d bytes long", ErrInvalidToken, len(token))
	}
	if strings.ContainsAny(token, "\r\n") { // the decoder skips line breaks, which would give a token more spellings
		return fmt.Errorf("%w: it has a line break", ErrInvalidToken)
	}
	if err := r.verifySignature(token, typ, claims, good); err != nil {
		return fmt.Errorf("%w: %w", ErrInvalidToken, err)
	}
	if err := valid(claims); err != nil {
		return fmt.Errorf("%w: %w", ErrInvalidToken, err)
	}
	if iss, err := claims.GetIssuer(); err != nil || iss != issuer {
		return fmt.Errorf("%w: %w", ErrInvalidToken, jwt.ErrTokenInvalidIssuer)
	}
	return nil
}

// parser decodes strictly: each part has one spelling. An ES256 signature has two values
// (RFC 7518 section 3.4 takes both), so a token's text is no name for the token: its jti is.
var parser = jwt.NewParser(jwt.WithStrictDecoding())

// verifySignature decodes a token into claims, and checks its typ and that one of our keys
// for which good holds signed it.
func (r *Ring) verifySignature(token, typ string, claims jwt.Claims, good func(Key) bool) error {
	t, parts, err := parser.ParseUnverified(token, claims)
	if err != nil {
		return err
	}
	key, err := r.view.Load().keyOf(t, typ, good)
	if err != nil {
		return err
	}
	digest := sha256.Sum256([]byte(token))
	if r.signed.has(digest) {
		return nil
	}
	if err := t.Method.Verify(token[:len(parts[0])+1+len(parts[1])], t.Signature, key); err != nil {
		return err
	}
	r.signed.add(digest)
	return nil
}

// keyOf returns the key that t's header names, if the header has the given typ and
// good holds for the key. It also sets t.Method, which checks the signature.
func (v *view) keyOf(t *jwt.Token, typ string, good func(Key) bool) (crypto.PublicKey, error) {
	if err := checkHeader(t.Header, typ); err != nil {
		return nil, err
	}
	kid, _ := t.Header["kid"].(string)
	m := v.byKID[kid]
	switch {
	case m == nil:
		return nil, errors.New("unknown kid")
	case !good(m.Key):
		return nil, errors.New("its key is revoked or expired")
	case t.Method.Alg() != m.Alg:
		return nil, errors.New("alg does not match the key")
	}
	t.Method = algorithms[m.Alg].method // may be stricter than the parser's
	return m.Public, nil
}

// checkHeader refuses another type of token, and header parameters that carry or
// name a key or that the receiver must understand: we never write any of these
// (RFC 7515 section 4.1).
func checkHeader(header map[string]any, typ string) error {
	for _, name := range []string{"crit", "jku", "jwk", "x5u", "x5c"} {
		if _, ok := header[name]; ok {
			return fmt.Errorf("header has %s", name)
		}
	}
	got, _ := header["typ"].(string)
	if !strings.EqualFold(mediaType(got), mediaType(typ)) {
		return errors.New("typ is wrong")
	}
	return nil
}

// mediaType returns the full media type of a typ, which may leave out "application/"
// if it has no other slash (RFC 7515 section 4.1.9).
func mediaType(typ string) string {
	if strings.Contains(typ, "/") {
		return typ
	}
	return "application/" + typ
}
