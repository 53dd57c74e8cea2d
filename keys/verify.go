package keys

import (
	"crypto"
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
		jwt.WithExpirationRequired(), jwt.WithTimeFunc(func() time.Time { return now }))
}

// VerifyHint checks only that this ring once signed a token. An ID token that a
// client sends back may have expired and may have any audience (OpenID Connect Core
// section 3.1.2.1, RP-Initiated Logout section 2). So VerifyHint checks neither aud
// nor any time, and accepts a key that is no longer published, but no revoked key.
// Such a token says which user is meant; it proves nothing.
func (r *Ring) VerifyHint(token, typ, issuer string, claims jwt.Claims) error {
	return r.verify(token, typ, issuer, claims, Key.unrevoked, jwt.WithoutClaimsValidation())
}

// verify checks what every token of ours must have: the typ, the signature of one of
// our keys for which good holds, and the issuer. The options are about the other claims.
func (r *Ring) verify(token, typ, issuer string, claims jwt.Claims, good func(Key) bool, options ...jwt.ParserOption) error {
	if issuer == "" {
		panic("keys: verifying needs an issuer")
	}
	if len(token) > maxToken {
		return fmt.Errorf("%w: %d bytes long", ErrInvalidToken, len(token))
	}
	v := r.view.Load()
	_, err := newParser(options...).ParseWithClaims(token, claims, func(t *jwt.Token) (any, error) {
		return v.keyOf(t, typ, good)
	})
	if err != nil {
		return fmt.Errorf("%w: %w", ErrInvalidToken, err)
	}
	// Not an option: the option that skips times and audience would skip this, too.
	if iss, err := claims.GetIssuer(); err != nil || iss != issuer {
		return fmt.Errorf("%w: %w", ErrInvalidToken, jwt.ErrTokenInvalidIssuer)
	}
	return nil
}

// newParser returns a parser that accepts only our algorithms, and only one spelling
// of a token.
func newParser(options ...jwt.ParserOption) *jwt.Parser {
	return jwt.NewParser(append(options, jwt.WithValidMethods(algorithmNames), jwt.WithStrictDecoding())...)
}

// keyOf returns the key that t's header names, if the header has the given typ and
// good holds for the key. It also sets t.Method, by which the parser then checks the
// signature.
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
