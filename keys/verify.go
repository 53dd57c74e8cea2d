package keys

import (
	"crypto"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// ErrInvalidToken is all that verifying says to a stranger; the reason wrapped
// with it is for the log.
var ErrInvalidToken = errors.New("invalid token")

// maxToken is more than any token of ours has. Longer ones are not parsed.
const maxToken = 8 << 10

// Verify checks a JWT that this ring should have signed, and decodes its
// claims; they mean nothing unless it returns nil. It is stricter than a
// resource server has to be (RFC 9068 section 4, RFC 8725 section 3): typ, iss
// and aud must be the ones given, exp must be there and gets no leeway, and
// the algorithm is the key's, whatever the header says.
func (r *Ring) Verify(now time.Time, token, typ, issuer, audience string, claims jwt.Claims) error {
	if audience == "" {
		panic("keys: Verify needs an audience") // jwt would skip the check
	}
	return r.verifyAt(now, token, typ, issuer, claims, jwt.WithAudience(audience))
}

// VerifyAnyAudience is Verify for who has to judge the audience by more than one
// name, as introspection does (RFC 7662 section 4): it checks all but that.
func (r *Ring) VerifyAnyAudience(now time.Time, token, typ, issuer string, claims jwt.Claims) error {
	return r.verifyAt(now, token, typ, issuer, claims)
}

// VerifyHint says only that this ring once signed a token. An ID token that is
// sent back to us may have expired and be meant for anybody (OpenID Connect Core
// section 3.1.2.1, RP-Initiated Logout section 2): neither aud nor a time is
// checked, and the key may be out of publication, but not revoked. Such a token
// tells who is meant and proves nothing.
func (r *Ring) VerifyHint(token, typ, issuer string, claims jwt.Claims) error {
	return r.verify(token, typ, issuer, claims, Key.unrevoked, jwt.WithoutClaimsValidation())
}

// verifyAt is verify for a token that must be good now: its times are checked,
// and its key must be published.
func (r *Ring) verifyAt(now time.Time, token, typ, issuer string, claims jwt.Claims, options ...jwt.ParserOption) error {
	options = append(options, jwt.WithExpirationRequired(), jwt.WithTimeFunc(func() time.Time { return now }))
	return r.verify(token, typ, issuer, claims, func(k Key) bool { return k.published(now) }, options...)
}

// verify checks what every token of ours must have: a typ, a signature by one of
// our keys that is good, and our issuer. The options are about the other claims.
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
	// Not by an option: the one that skips times and audience skips this, too.
	if iss, err := claims.GetIssuer(); err != nil || iss != issuer {
		return fmt.Errorf("%w: %w", ErrInvalidToken, jwt.ErrTokenInvalidIssuer)
	}
	return nil
}

// newParser returns a parser that takes our algorithms only, and no token in a second
// spelling.
func newParser(options ...jwt.ParserOption) *jwt.Parser {
	return jwt.NewParser(append(options, jwt.WithValidMethods(algorithmNames), jwt.WithStrictDecoding())...)
}

// keyOf is the key that must have signed a token whose header is t's, if that is of
// the type and the key is good, and sets how the signature is to be checked.
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
		return nil, errors.New("its key is revoked or out of date")
	case t.Method.Alg() != m.Alg:
		return nil, errors.New("alg is not its key's")
	}
	t.Method = algorithms[m.Alg].method // which may be stricter than the parser's
	return m.Public, nil
}

// checkHeader refuses another type of token, and header parameters that bring
// or name a key or that must be understood: we never write any (RFC 7515
// section 4.1).
func checkHeader(header map[string]any, typ string) error {
	for _, name := range []string{"crit", "jku", "jwk", "x5u", "x5c"} {
		if _, ok := header[name]; ok {
			return fmt.Errorf("header has %s", name)
		}
	}
	got, _ := header["typ"].(string)
	if !strings.EqualFold(mediaType(got), mediaType(typ)) {
		return errors.New("typ is another")
	}
	return nil
}

// mediaType is the whole of a typ, whose "application/" may be left out if no
// other slash is in it (RFC 7515 section 4.1.9).
func mediaType(typ string) string {
	if strings.Contains(typ, "/") {
		return typ
	}
	return "application/" + typ
}
