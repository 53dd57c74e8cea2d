package keys

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// ErrInvalidToken is all that Verify says to a stranger; the reason wrapped
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
	if issuer == "" || audience == "" {
		panic("keys: Verify needs an issuer and an audience") // jwt would skip the check
	}
	if len(token) > maxToken {
		return fmt.Errorf("%w: %d bytes long", ErrInvalidToken, len(token))
	}
	v := r.view.Load()
	parser := jwt.NewParser(
		jwt.WithValidMethods(algorithmNames),
		jwt.WithIssuer(issuer),
		jwt.WithAudience(audience),
		jwt.WithExpirationRequired(),
		jwt.WithTimeFunc(func() time.Time { return now }),
		jwt.WithStrictDecoding(),
	)
	_, err := parser.ParseWithClaims(token, claims, func(t *jwt.Token) (any, error) {
		if err := checkHeader(t.Header, typ); err != nil {
			return nil, err
		}
		kid, _ := t.Header["kid"].(string)
		m := v.byKID[kid]
		switch {
		case m == nil:
			return nil, errors.New("unknown kid")
		case !m.published(now):
			return nil, errors.New("its key is revoked or out of date")
		case t.Method != algorithms[m.Alg].method:
			return nil, errors.New("alg is not its key's")
		}
		return m.Public, nil
	})
	if err != nil {
		return fmt.Errorf("%w: %w", ErrInvalidToken, err)
	}
	return nil
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
