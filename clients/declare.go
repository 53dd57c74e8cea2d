package clients

import (
	"bytes"
	"context"
	"crypto/hmac"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"countersign/caller"
	"countersign/hashing"
	"countersign/ids"
	"countersign/seal"
	"countersign/secrecy"
)

// Declared is a client of the configuration with its secret, which is empty if the client
// is public.
type Declared struct {
	Client
	Secret secrecy.Text
}

// PutAll is Put for every client of a list. It reads the stored clients at once, and
// touches only those that differ. A chosen secret that has not changed is recognised by its
// SecretMAC and costs no hash, so that a server with a thousand clients starts at once.
// The error names the client.
func (s *Registry) PutAll(ctx context.Context, now time.Time, list []Declared, from caller.Caller) error {
	if err := from.MustBeOperator(); err != nil {
		return err
	}
	stored, err := s.store.Clients(ctx)
	if err != nil {
		return fmt.Errorf("list clients: %w", err)
	}
	old := make(map[ids.Client]*Client, len(stored))
	for i := range stored {
		old[stored[i].ID] = &stored[i]
	}
	for _, d := range list {
		is := old[d.ID]
		if is != nil && s.unchanged(is, d) {
			continue
		}
		if _, err := s.Put(ctx, now, d.Client, d.Secret, from); err != nil {
			return fmt.Errorf("declare client %s: %w", d.ID, err)
		}
	}
	return nil
}

// unchanged reports whether is, as stored, is the client that d declares. It is false where
// only a hash can tell.
func (s *Registry) unchanged(is *Client, d Declared) bool {
	c, err := s.checked(d.Client, d.Secret)
	if err != nil {
		return false
	}
	switch {
	case d.Secret == "":
	case isGenerated(d.Secret):
		c.SecretHash = digestSecret(d.Secret)
	case !s.recognises(is, d.Secret):
		return false
	default:
		c.SecretHash = is.SecretHash
	}
	return is.Same(c) && bytes.Equal(is.SecretMAC, s.secretMAC(&c, d.Secret))
}

// Put creates or changes the client to be as declared. It doesn't touch a client that
// is so already, not even its hash, so that servers that declare their clients at every
// start, several at once, record no changes that are none. *input.Error,
// caller.ErrNotOperator. For many clients PutAll is faster.
func (s *Registry) Put(ctx context.Context, now time.Time, c Client, secret secrecy.Text, from caller.Caller) (Client, error) {
	if err := from.MustBeOperator(); err != nil {
		return Client{}, err
	}
	c, err := s.checked(c, secret)
	if err != nil {
		return Client{}, err
	}
	defer s.recent.forget(c.ID)
	for range maxPuts {
		var old Client
		if old, err = s.store.Client(ctx, c.ID); err != nil && !errors.Is(err, ErrUnknown) {
			return Client{}, fmt.Errorf("find client: %w", err)
		}
		if c.SecretHash, err = s.keepHash(ctx, &old, secret, from); err != nil {
			return Client{}, err
		}
		c.SecretMAC = s.secretMAC(&c, secret)
		c.CreatedAt, c.UpdatedAt = now, now
		var change Change
		change, err = s.store.PutClient(ctx, c, old.SecretHash, clientEvent("", now, c.ID, from))
		if errors.Is(err, ErrStale) {
			continue // another replica has just stored a hash: it may be of the same secret
		}
		switch change {
		case Updated:
			c.CreatedAt = old.CreatedAt
		case Unchanged:
			c = old
		}
		break
	}
	if err != nil {
		return Client{}, fmt.Errorf("put client: %w", err)
	}
	return c, nil
}

// maxPuts bounds how often Put decides again because the secret was changed meanwhile.
const maxPuts = 5

// keepHash returns the stored hash of old if it is of this secret, and else a new hash.
func (s *Registry) keepHash(ctx context.Context, old *Client, secret secrecy.Text, from caller.Caller) (string, error) {
	if hashing.IsHash(old.SecretHash) && secret != "" {
		if s.recognises(old, secret) {
			return old.SecretHash, nil
		}
		var verdict hashing.Verdict
		if err := s.hasher.Do(ctx, from.Party(ids.User{}), func() { verdict, _ = s.hasher.Verify(old.SecretHash, string(secret)) }); err != nil {
			return "", err
		}
		if verdict.Match && !verdict.Outdated {
			return old.SecretHash, nil
		}
	}
	return s.hashSecret(ctx, secret, from)
}

// recognises reports whether c's SecretMAC is of this secret and of c's hash, made at the
// price that is in force.
func (s *Registry) recognises(c *Client, secret secrecy.Text) bool {
	if s.seal == nil || len(c.SecretMAC) < len(seal.ID{}) {
		return false
	}
	mac := s.macUnder(seal.ID(c.SecretMAC[:len(seal.ID{})]), c, secret)
	return mac != nil && hmac.Equal(mac, c.SecretMAC)
}

// secretMAC returns the SecretMAC of c with this secret: under the first master key, which
// is not in the database, for a plain digest of a weak secret could be searched for. There
// is none for a generated secret, which is recognised by its digest.
func (s *Registry) secretMAC(c *Client, secret secrecy.Text) []byte {
	if s.seal == nil || !hashing.IsHash(c.SecretHash) {
		return nil
	}
	return s.macUnder(s.seal.Primary(), c, secret)
}

// macUnder returns the id of a master key and the MAC under it, or nil if that key is not
// given. Every part of the message is preceded by its length.
func (s *Registry) macUnder(key seal.ID, c *Client, secret secrecy.Text) []byte {
	var message []byte
	for _, part := range []string{string(c.ID), fmt.Sprint(s.price), c.SecretHash, string(secret)} {
		message = append(binary.BigEndian.AppendUint32(message, uint32(len(part))), part...)
	}
	mac, ok := s.seal.MAC(key, "declared client secret", message)
	if !ok {
		return nil
	}
	return append(key[:], mac[:]...)
}
