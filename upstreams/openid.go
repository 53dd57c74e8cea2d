package upstreams

import (
	"context"
	"crypto/subtle"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"github.com/go-jose/go-jose/v4"

	"countersign/secrecy"
)

// standardClaims are those of OpenID Connect Core section 5.1 that we keep, and a few that
// say whom the token is from and about.
type standardClaims struct {
	Subject       string `json:"sub"`
	Email         string `json:"email"`
	EmailVerified truth  `json:"email_verified"`
	Name          string `json:"name"`
	GivenName     string `json:"given_name"`
	FamilyName    string `json:"family_name"`
	Picture       string `json:"picture"`
	Locale        string `json:"locale"`

	Party    string `json:"azp"`
	AuthTime int64  `json:"auth_time"`
	Tenant   string `json:"tid"` // Microsoft's
}

// truth is a JSON boolean, which Apple writes as a string. Anything else is false.
type truth bool

// UnmarshalJSON implements [json.Unmarshaler].
func (t *truth) UnmarshalJSON(b []byte) error {
	*t = string(b) == "true" || string(b) == `"true"`
	return nil
}

// readOpenID checks an ID token (OpenID Connect Core section 3.1.3.7), and asks for what it
// leaves out.
func readOpenID(ctx context.Context, _ time.Time, p *provider, f *found, a *answered) (Claims, error) {
	std, issuer, err := verify(ctx, p, f, a)
	if err != nil {
		return Claims{}, err
	}
	if f.userinfo != "" && (std.Email == "" || std.Name == "") {
		var more standardClaims
		if err := get(ctx, a.client, f.userinfo, a.token.AccessToken, &more); err != nil {
			return Claims{}, err
		}
		if more.Subject != std.Subject { // section 5.3.2: the token may be another user's
			return Claims{}, fmt.Errorf("%w: the user info is about another user than the ID token", ErrAnswer)
		}
		std = std.with(more)
	}
	std.EmailVerified = std.EmailVerified && !truth(p.preset.unverified)
	return std.claims(issuer), nil
}

// verify checks the ID token, and returns its claims and who has signed it.
func verify(ctx context.Context, p *provider, f *found, a *answered) (std standardClaims, issuer string, err error) {
	raw, _ := a.token.Extra("id_token").(string)
	if raw == "" {
		return std, "", fmt.Errorf("%w: there is no ID token", ErrAnswer)
	}
	token, err := f.verifier.Verify(oidc.ClientContext(ctx, a.client), raw)
	if err == nil {
		err = token.Claims(&std)
	}
	switch {
	case err != nil && (ctx.Err() != nil || strings.Contains(err.Error(), "fetching keys")): // the library has no name for it
		return std, "", fmt.Errorf("%w: %w", ErrAway, err)
	case err != nil:
		return std, "", fmt.Errorf("%w: ID token: %w", ErrAnswer, err)
	case subtle.ConstantTimeCompare([]byte(token.Nonce), []byte(a.Nonce)) != 1:
		return std, "", fmt.Errorf("%w: the ID token is for another request", ErrAnswer)
	case (std.Party != "" || len(token.Audience) > 1) && std.Party != p.ClientID:
		return std, "", fmt.Errorf("%w: the ID token is for another client", ErrAnswer)
	case token.AccessTokenHash != "" && token.VerifyAccessToken(a.token.AccessToken) != nil:
		return std, "", fmt.Errorf("%w: the ID token came with another access token", ErrAnswer)
	case a.Again && (std.AuthTime != 0 || p.preset.timed) && time.Unix(std.AuthTime, 0).Before(a.begun().Add(-skew)):
		return std, "", fmt.Errorf("%w: the ID token's auth_time is %d", ErrNotAnew, std.AuthTime)
	}
	issuer = token.Issuer
	if p.manyTenants(f) {
		issuer, err = tenantOf(f, &std, token.Issuer)
	}
	return std, issuer, err
}

// Microsoft's document for all tenants, and what stands for one in its issuer.
const (
	commonTenant = "/common/v2.0"
	anyTenant    = "/{tenantid}/v2.0"
)

// manyTenants reports whether the issuer of each ID token is that of its user's tenant.
func (p *provider) manyTenants(f *found) bool {
	return p.preset.tenants && strings.HasSuffix(f.issuer, anyTenant)
}

var tenantID = regexp.MustCompile(`^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$`)

// tenantOf checks the issuer of a tenant's ID token.
func tenantOf(f *found, std *standardClaims, issuer string) (string, error) {
	if !tenantID.MatchString(std.Tenant) || issuer != strings.TrimSuffix(f.issuer, anyTenant)+"/"+std.Tenant+"/v2.0" {
		return "", fmt.Errorf("%w: the ID token's issuer is not its tenant's", ErrAnswer)
	}
	return issuer, nil
}

// with adds what the user info says. An address and whether it is verified come from one
// place.
func (c standardClaims) with(more standardClaims) standardClaims {
	if c.Email == "" {
		c.Email, c.EmailVerified = more.Email, more.EmailVerified
	}
	for _, pair := range [][2]*string{
		{&c.Name, &more.Name}, {&c.GivenName, &more.GivenName}, {&c.FamilyName, &more.FamilyName}, {&c.Picture, &more.Picture}, {&c.Locale, &more.Locale},
	} {
		if *pair[0] == "" {
			*pair[0] = *pair[1]
		}
	}
	return c
}

func (c standardClaims) claims(issuer string) Claims {
	return Claims{
		Issuer: issuer, Subject: c.Subject, Email: c.Email, EmailVerified: bool(c.EmailVerified),
		Name: c.Name, GivenName: c.GivenName, FamilyName: c.FamilyName, Picture: c.Picture, Locale: c.Locale,
	}
}

const hs256 = string(jose.HS256)

// secretOrKeys verifies ID tokens that are signed with the client's secret, as LINE's are, or
// else by a key set. The secret is no public key, so neither passes for the other.
type secretOrKeys struct {
	secret secrecy.Text
	keys   oidc.KeySet
}

var errSignature = errors.New("the signature is wrong")

// VerifySignature implements [oidc.KeySet].
func (s *secretOrKeys) VerifySignature(ctx context.Context, text string) ([]byte, error) {
	signed, err := jose.ParseSignedCompact(text, []jose.SignatureAlgorithm{jose.HS256})
	if err != nil {
		return s.keys.VerifySignature(ctx, text)
	}
	payload, err := signed.Verify([]byte(s.secret))
	if err != nil {
		return nil, errSignature
	}
	return payload, nil
}
