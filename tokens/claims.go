package tokens

import (
	"cmp"
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

	"countersign/ids"
	"countersign/oauth"

	"github.com/golang-jwt/jwt/v5"
)

// The "typ" header keeps a verifier from taking one kind of our JWTs for another
// (RFC 8725 section 3.11). Some clients have access tokens with the typ of ID tokens; there
// the claim client_id makes the difference, which every access token has and no ID token.
const (
	accessType = oauth.AccessTokenType
	idType     = oauth.PlainTokenType
)

// audience is an "aud" claim. A single audience is written as a plain string, because
// some verifiers reject a list of one.
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

// common holds the claims that all our JWTs have.
type common struct {
	Issuer    string   `json:"iss"`
	Subject   string   `json:"sub"`
	Audience  audience `json:"aud"`
	ExpiresAt seconds  `json:"exp"`
	IssuedAt  seconds  `json:"iat"`
	AuthTime  seconds  `json:"auth_time,omitempty"`
	Class     string   `json:"acr,omitempty"`
	Methods   []string `json:"amr,omitempty"`
	SessionID string   `json:"sid,omitempty"`
}

// seconds is a time as our JWTs have it: whole seconds since 1970 (RFC 7519 section 2). 0 is
// none.
type seconds int64

func secondsOf(t time.Time) seconds { return seconds(t.Unix()) }

func (s seconds) date() *jwt.NumericDate {
	if s == 0 {
		return nil
	}
	return &jwt.NumericDate{Time: time.Unix(int64(s), 0)}
}

func (c *common) GetExpirationTime() (*jwt.NumericDate, error) { return c.ExpiresAt.date(), nil }
func (c *common) GetIssuedAt() (*jwt.NumericDate, error)       { return c.IssuedAt.date(), nil }
func (c *common) GetNotBefore() (*jwt.NumericDate, error)      { return nil, nil }
func (c *common) GetIssuer() (string, error)                   { return c.Issuer, nil }
func (c *common) GetSubject() (string, error)                  { return c.Subject, nil }
func (c *common) GetAudience() (jwt.ClaimStrings, error)       { return jwt.ClaimStrings(c.Audience), nil }

// accessClaims are the claims of an access token (RFC 9068 section 2.2).
type accessClaims struct {
	common
	ID       string     `json:"jti"`
	ClientID ids.Client `json:"client_id"`
	Scope    string     `json:"scope,omitempty"`
	Roles    []string   `json:"roles,omitempty"` // some verifiers refuse an empty list (RFC 9068 section 2.2.3.1)
	Groups   []string   `json:"groups,omitempty"`
}

// idClaims are the claims of an ID token (OpenID Connect Core section 2).
type idClaims struct {
	common
	AccessTokenHash string `json:"at_hash,omitempty"`
	Nonce           string `json:"nonce,omitempty"`
	// ClientID is never there. A token that has it is an access token.
	ClientID ids.Client `json:"client_id,omitempty"`

	asked map[string]any // about the user, as the claims parameter or the client's setting asks
}

// MarshalJSON writes our own claims and those that the client asked for. Ours win.
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

// audiences returns what the access tokens of a client may be for. The server's own
// audiences are for our applications alone: another client without audiences gets tokens
// that open userinfo, and no resource server.
func (s *Service) audiences(to oauth.Recipient) []string {
	switch {
	case len(to.Audiences) > 0:
		return to.Audiences
	case to.FirstParty:
		return s.settings.Audience
	default:
		return []string{s.issuer + oauth.UserInfoPath}
	}
}

// audienceFor returns the audience of an access token of a client that holds scopes: the
// client's audiences, limited to granted and to ask where those are not empty (RFC 8707
// section 2). A client that holds account may also ask for the issuer. It returns
// ErrTarget if ask names any other.
func (s *Service) audienceFor(to oauth.Recipient, holds oauth.Scopes, granted, ask []string) ([]string, error) {
	usual := s.audiences(to)
	may := s.withAccount(usual, holds)
	if len(granted) > 0 {
		usual = slices.DeleteFunc(may, func(a string) bool { return !slices.Contains(granted, a) })
		may = s.withAccount(usual, holds)
	}
	switch {
	case slices.ContainsFunc(ask, func(a string) bool { return !slices.Contains(may, a) }):
		return nil, ErrTarget
	case len(ask) > 0:
		return ask, nil
	case len(usual) == 0: // the client has lost what was granted
		return nil, ErrTarget
	}
	return usual, nil
}

// withAccount returns the audiences, with the issuer if the scopes have account.
func (s *Service) withAccount(audiences []string, holds oauth.Scopes) []string {
	audiences = slices.Clone(audiences)
	if holds.Has(oauth.ScopeAccount) && !slices.Contains(audiences, s.issuer) {
		audiences = append(audiences, s.issuer)
	}
	return audiences
}

// aim returns the scopes and the audience of one access token, for a client that holds
// some scopes and wants these of them; see audienceFor. The scope account is only in a
// token for this server alone, so that no resource server ever sees a token that opens
// /account. If nothing else is wanted, that is ErrAccountScope.
func (s *Service) aim(to oauth.Recipient, holds, wants oauth.Scopes, granted, ask []string) (oauth.Scopes, []string, error) {
	aud, err := s.audienceFor(to, holds, granted, ask)
	if err != nil {
		return nil, nil, err
	}
	if wants.Has(oauth.ScopeAccount) && !s.oursAlone(aud) {
		if wants = wants.Without(oauth.Scopes{oauth.ScopeAccount}); len(wants) == 0 {
			return nil, nil, ErrAccountScope
		}
	}
	return wants, aud, nil
}

// oursAlone reports whether a token with the audience is for this server and no other.
func (s *Service) oursAlone(aud []string) bool { return len(aud) == 1 && aud[0] == s.issuer }

// accessToken signs an access token of session for aud. A nil session means that the
// token is the client's own.
func (s *Service) accessToken(now time.Time, to oauth.Recipient, session *Session, scopes oauth.Scopes, aud []string) (string, error) {
	claims := accessClaims{
		common: common{
			Issuer:    s.issuer,
			Subject:   string(to.ClientID), // RFC 9068 section 2.2: with no user, the client
			Audience:  aud,
			IssuedAt:  secondsOf(now),
			ExpiresAt: secondsOf(now.Add(s.settings.AccessTTL)),
		},
		ID:       rand.Text(),
		ClientID: to.ClientID,
		Scope:    scopes.String(),
	}
	if session != nil {
		claims.describe(session)
		if scopes.Has(oauth.ScopeRoles) {
			claims.Roles = session.Roles
		}
		if scopes.Has(oauth.ScopeGroups) {
			claims.Groups = session.Roles
		}
	}
	return s.signer.Sign(now, to.AccessTokenAlg, cmp.Or(to.AccessTokenType, accessType), &claims)
}

// idToken signs an ID token that tells the client about the session's user. The ID token
// of a refresh has no nonce (OpenID Connect Core section 12.2).
func (s *Service) idToken(ctx context.Context, now time.Time, to oauth.Recipient, session *Session, scopes oauth.Scopes, access, nonce string) (string, error) {
	alg := cmp.Or(to.IDTokenAlg, s.idTokenAlg)
	claims := idClaims{
		common: common{
			Issuer:    s.issuer,
			Audience:  audience{string(to.ClientID)},
			IssuedAt:  secondsOf(now),
			ExpiresAt: secondsOf(now.Add(s.settings.AccessTTL)),
		},
		AccessTokenHash: accessTokenHash(alg, access),
		Nonce:           nonce,
	}
	claims.describe(session)
	may, err := entitled(to, session.Consent)
	if err != nil {
		return "", err
	}
	names := within(session.Details.IDTokenClaims, may)
	if to.ClaimsInIDToken {
		names = slices.Concat(names, scopes.Claims())
	}
	if len(names) > 0 && s.claims != nil {
		if claims.asked, err = s.claims(ctx, session.UserID, names); err != nil {
			return "", fmt.Errorf("read claims: %w", err)
		}
	}
	return s.signer.Sign(now, alg, idType, &claims)
}

// describe sets the claims that name the user, the sign-in and the session.
func (c *common) describe(session *Session) {
	c.Subject = session.UserID.String()
	c.AuthTime = secondsOf(session.AuthTime)
	c.Class, c.Methods = session.Methods.Class(), session.Methods
	c.SessionID = session.ID.String()
}

// accessTokenHash returns the "at_hash" claim: the left half of the token's digest under
// the hash of the signature algorithm (OpenID Connect Core section 3.1.3.6).
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
