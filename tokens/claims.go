package tokens

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"time"

	"countersign/oauth"

	"github.com/golang-jwt/jwt/v5"
)

// The "typ" header tells our kinds of JWT apart, so that none is taken for
// another (RFC 8725 section 3.11).
const (
	accessType = "at+jwt" // RFC 9068 section 2.1
	idType     = "JWT"
)

// audience is an "aud" claim. A single one is written as a plain string, which
// every verifier reads; some trip over a list of one.
type audience []string

func (a audience) MarshalJSON() ([]byte, error) {
	if len(a) == 1 {
		return json.Marshal(a[0])
	}
	return json.Marshal([]string(a))
}

func (a *audience) UnmarshalJSON(b []byte) error {
	return json.Unmarshal(b, (*jwt.ClaimStrings)(a))
}

// common are the claims that all our JWTs have.
type common struct {
	Issuer    string           `json:"iss"`
	Subject   string           `json:"sub"`
	Audience  audience         `json:"aud"`
	ExpiresAt *jwt.NumericDate `json:"exp"`
	IssuedAt  *jwt.NumericDate `json:"iat"`
	AuthTime  *jwt.NumericDate `json:"auth_time,omitempty"`
	SessionID string           `json:"sid,omitempty"`
}

func (c *common) GetExpirationTime() (*jwt.NumericDate, error) { return c.ExpiresAt, nil }
func (c *common) GetIssuedAt() (*jwt.NumericDate, error)       { return c.IssuedAt, nil }
func (c *common) GetNotBefore() (*jwt.NumericDate, error)      { return nil, nil }
func (c *common) GetIssuer() (string, error)                   { return c.Issuer, nil }
func (c *common) GetSubject() (string, error)                  { return c.Subject, nil }
func (c *common) GetAudience() (jwt.ClaimStrings, error)       { return jwt.ClaimStrings(c.Audience), nil }

// accessClaims are an access token's (RFC 9068 section 2.2).
type accessClaims struct {
	common
	ID       string    `json:"jti"`
	ClientID string    `json:"client_id"`
	Scope    string    `json:"scope,omitempty"`
	Roles    *[]string `json:"roles,omitempty"` // pointer: an empty list is said, an ungranted one not
}

// idClaims are an ID token's (OpenID Connect Core section 2).
type idClaims struct {
	common
	AccessTokenHash string `json:"at_hash,omitempty"`
	Nonce           string `json:"nonce,omitempty"`

	asked map[string]any // about the user, as the claims parameter asked
}

// MarshalJSON writes what was asked for beside our own claims, which win.
func (c *idClaims) MarshalJSON() ([]byte, error) {
	type plain idClaims
	own, err := json.Marshal((*plain)(c))
	if err != nil || len(c.asked) == 0 {
		return own, err
	}
	all := maps.Clone(c.asked)
	if err := json.Unmarshal(own, &all); err != nil {
		return nil, err
	}
	return json.Marshal(all)
}

// audienceFor is what an access token for a client is for: of all that the client has,
// those it was granted and those it now asks for, each if there are any (RFC 8707
// section 2). Asking for others is ErrTarget.
func (s *Service) audienceFor(to oauth.Recipient, granted, ask []string) ([]string, error) {
	aud := s.audience
	if len(to.Audiences) > 0 {
		aud = to.Audiences
	}
	if len(granted) > 0 {
		aud = slices.DeleteFunc(slices.Clone(aud), func(a string) bool { return !slices.Contains(granted, a) })
	}
	for _, a := range ask {
		if !slices.Contains(aud, a) {
			return nil, ErrTarget
		}
	}
	if len(ask) > 0 {
		return ask, nil
	}
	if len(aud) == 0 { // the client has lost what was granted
		return nil, ErrTarget
	}
	return aud, nil
}

// accessToken signs an access token for an audience, of a session, or of the client
// alone if that is nil.
func (s *Service) accessToken(now time.Time, to oauth.Recipient, session *Session, scopes oauth.Scopes, aud []string) (string, error) {
	if scopes.Has(oauth.ScopeOpenID) && !slices.Contains(aud, s.issuer) {
		// openid is the right to ask our userinfo endpoint, so we are one
		// of those the token is meant for.
		aud = append(slices.Clone(aud), s.issuer)
	}
	claims := accessClaims{
		common: common{
			Issuer:    s.issuer,
			Subject:   to.ClientID, // RFC 9068 section 2.2: with no user, the client
			Audience:  aud,
			IssuedAt:  jwt.NewNumericDate(now),
			ExpiresAt: jwt.NewNumericDate(now.Add(s.accessTTL)),
		},
		ID:       rand.Text(),
		ClientID: to.ClientID,
		Scope:    scopes.String(),
	}
	if session != nil {
		claims.describe(session)
		if scopes.Has(oauth.ScopeRoles) {
			claims.Roles = new(append([]string{}, session.Roles...))
		}
	}
	return s.signer.Sign(now, "", accessType, &claims)
}

// idToken signs an ID token for the session's user, to be read by the client. One
// that comes of a refresh has no nonce (OpenID Connect Core section 12.2).
func (s *Service) idToken(ctx context.Context, now time.Time, to oauth.Recipient, session *Session, access, nonce string) (string, error) {
	alg := s.idTokenAlg
	if to.IDTokenAlg != "" {
		alg = to.IDTokenAlg
	}
	claims := idClaims{
		common: common{
			Issuer:    s.issuer,
			Audience:  audience{to.ClientID},
			IssuedAt:  jwt.NewNumericDate(now),
			ExpiresAt: jwt.NewNumericDate(now.Add(s.accessTTL)),
		},
		AccessTokenHash: accessTokenHash(alg, access),
		Nonce:           nonce,
	}
	claims.describe(session)
	if names := session.Details.IDTokenClaims; len(names) > 0 && s.claims != nil {
		var err error
		if claims.asked, err = s.claims(ctx, session.UserID, names); err != nil {
			return "", fmt.Errorf("read claims: %w", err)
		}
	}
	return s.signer.Sign(now, alg, idType, &claims)
}

// describe says who signed in, when, and in which session.
func (c *common) describe(session *Session) {
	c.Subject = session.UserID.String()
	c.AuthTime = jwt.NewNumericDate(session.AuthTime)
	c.SessionID = session.ID.String()
}

// accessTokenHash is the "at_hash" claim: the left half of the token's digest
// by the hash of the signature algorithm (OpenID Connect Core section 3.1.3.6).
func accessTokenHash(alg, access string) string {
	var sum []byte
	if alg == "EdDSA" { // Ed25519 hashes with SHA-512
		full := sha512.Sum512([]byte(access))
		sum = full[:]
	} else {
		full := sha256.Sum256([]byte(access))
		sum = full[:]
	}
	return base64.RawURLEncoding.EncodeToString(sum[:len(sum)/2])
}

// Access is what a valid access token says.
type Access struct {
	Subject  string
	ClientID string
	Scopes   oauth.Scopes
	Session  Session // the zero Session if no user is involved
}
