package upstreams

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"

	"countersign/secrecy"
)

// Apple has no client secrets. A client signs one for each request, with a key that it
// downloads once (.p8), and the user's name comes beside the code, in the first answer alone.

// appleSecretLife is how long such a secret is good.
const appleSecretLife = 5 * time.Minute

var errKey = errors.New("client_secret_file must have the key of Apple's developer site (AuthKey_….p8), a private key for ES256 in PEM")

// parseKey reads the key file.
func parseKey(text secrecy.Text) (*ecdsa.PrivateKey, error) {
	block, _ := pem.Decode([]byte(text))
	if block == nil {
		return nil, errKey
	}
	parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, errKey
	}
	key, ok := parsed.(*ecdsa.PrivateKey)
	if !ok || key.Curve != elliptic.P256() {
		return nil, errKey
	}
	return key, nil
}

// appleSecret signs a secret.
func (p *provider) appleSecret(now time.Time) (string, error) {
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: jose.JSONWebKey{Key: p.apple, KeyID: p.KeyID}}, nil)
	if err != nil {
		return "", fmt.Errorf("sign the client's secret: %w", err)
	}
	text, err := jwt.Signed(signer).Claims(jwt.Claims{
		Issuer: p.TeamID, Subject: p.ClientID, Audience: jwt.Audience{p.Issuer},
		IssuedAt: jwt.NewNumericDate(now), Expiry: jwt.NewNumericDate(now.Add(appleSecretLife)),
	}).Serialize()
	if err != nil {
		return "", fmt.Errorf("sign the client's secret: %w", err)
	}
	return text, nil
}

// readApple is readOpenID with the user's name, which is not signed: the user may choose it.
func readApple(ctx context.Context, _ time.Time, p *provider, f *found, a *answered) (Claims, error) {
	std, issuer, err := verify(ctx, p, f, a)
	if err != nil {
		return Claims{}, err
	}
	var user struct {
		Name struct {
			First string `json:"firstName"`
			Last  string `json:"lastName"`
		} `json:"name"`
	}
	if json.Unmarshal([]byte(one(a.values, "user")), &user) == nil {
		std.GivenName, std.FamilyName = user.Name.First, user.Name.Last
		std.Name = strings.TrimSpace(user.Name.First + " " + user.Name.Last)
	}
	return std.claims(issuer), nil
}
