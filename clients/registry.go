package clients

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"countersign/audit"
	"countersign/caller"
	"countersign/hashing"
	"countersign/ids"
	"countersign/input"
	"countersign/limits"
	"countersign/seal"
	"countersign/secrecy"
)

// ErrPublic means that a public client has no secret to replace.
var ErrPublic = errors.New("a public client has no secret")

// Options are the parts of a Registry. Store, Argon2, Slots and Throttle are required.
type Options struct {
	Store Store
	Rules Rules
	// Argon2 is the cost of hashing a secret that an operator chose.
	Argon2 hashing.Argon2
	// Slots bound the hashing of secrets. They must not be the slots for passwords:
	// clients must still be able to authenticate during a flood of sign-ins.
	Slots    *limits.Slots
	Throttle *limits.Throttle
	// Seal recognises the chosen secrets of declared clients, so that a start need not
	// hash them again. Without it, every Put hashes.
	Seal *seal.Keys
	Log  *slog.Logger
}

// Registry registers applications and authenticates them.
type Registry struct {
	store    Store
	rules    Rules
	hasher   *hashing.Hasher
	price    hashing.Argon2
	throttle *limits.Throttle
	seal     *seal.Keys
	log      *slog.Logger
	proven   *proven
	recent   remembered
}

// New returns the clients in a store. It fails if the cost of a hash is out of bounds.
func New(o Options) (*Registry, error) {
	hasher, err := hashing.New(o.Argon2, o.Slots)
	if err != nil {
		return nil, err
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return &Registry{store: o.Store, rules: o.Rules, hasher: hasher, price: o.Argon2, throttle: o.Throttle, seal: o.Seal, log: o.Log, proven: newProven()}, nil
}

// Credentials are what an application presents at the token endpoint.
type Credentials struct {
	ID ids.Client
	// Secret is empty if there is none. An empty secret and an absent one are
	// the same (RFC 6749 sections 2.3.1 and 3.2); HTTP Basic can only send an empty
	// one.
	Secret secrecy.Text
}

// Authenticate returns the client that presents these credentials. A public
// client must present no secret, a confidential one its own; everything else is
// ErrBadCredentials. A caller that guesses too often, by client id and network or by
// network alone, gets a *limits.WaitError. limits.ErrBusy means that too many requests
// wait already.
//
// A client id is no secret (RFC 6749 section 2.2), so the answer may tell which kind of
// client has an id. But an unknown id takes the same work as a secret that an operator
// chose, so guessing ids is no cheaper than guessing secrets.
func (s *Registry) Authenticate(ctx context.Context, now time.Time, cred Credentials, from caller.Caller) (Client, error) {
	client, err := s.recent.get(ctx, s.store, cred.ID)
	known := err == nil
	if err != nil && !errors.Is(err, ErrUnknown) {
		return Client{}, fmt.Errorf("find client: %w", err)
	}
	if cred.Secret == "" || client.Public {
		if known && client.Public && cred.Secret == "" {
			return client, nil
		}
		return Client{}, ErrBadCredentials // nothing was guessed
	}
	key := limits.Key("client secret", string(cred.ID), from.Network())
	if strings.HasPrefix(client.SecretHash, digestPrefix) {
		// An attacker can't guess 256 random bits. So their owner never waits for the
		// guesses of others, not even to read how many there were.
		if verifyDigest(client.SecretHash, cred.Secret) {
			return client, nil
		}
		if _, err := s.throttle.Check(ctx, now, key); err != nil {
			return Client{}, err
		}
		return Client{}, s.refuse(ctx, now, key)
	}

	// The budget is checked before the remembered secrets: if a right guess passed
	// while wrong ones must wait, an attacker could tell it.
	spent, err := s.check(ctx, now, key, from)
	if err != nil {
		return Client{}, err
	}
	if known && s.proven.has(client.ID, client.SecretHash, cred.Secret) {
		return client, s.throttle.Succeeded(ctx, key, spent)
	}
	stored := s.hasher.Dummy()
	if known {
		stored = client.SecretHash
	}
	if busy := s.hasher.Do(ctx, from.Party(ids.User{}), func() { err = s.guess(ctx, now, key, stored, cred, from) }); busy != nil {
		return Client{}, busy
	}
	if err != nil {
		return Client{}, err
	}
	return client, nil
}

// guess verifies a chosen secret. It runs in a slot, from checking the budget
// to charging it, so that parallel guesses can't overdraw it.
func (s *Registry) guess(ctx context.Context, now time.Time, key [32]byte, stored string, cred Credentials, from caller.Caller) error {
	spent, err := s.check(ctx, now, key, from)
	if err != nil {
		return err
	}
	verdict, err := s.hasher.Verify(stored, string(cred.Secret))
	if err != nil {
		s.log.ErrorContext(ctx, "stored secret hash is unusable", "client_id", cred.ID, "err", err)
	}
	if !verdict.Match {
		if err := s.throttle.FailedNetwork(ctx, now, guesses, from.Address); err != nil {
			return err
		}
		return s.refuse(ctx, now, key)
	}
	s.proven.add(cred.ID, stored, cred.Secret)
	return s.throttle.Succeeded(ctx, key, spent)
}

// guesses is the purpose of the budget that guesses at chosen secrets from one network
// share.
const guesses = "client secrets"

// check returns the failures so far at a client's chosen secret, or a *limits.WaitError.
func (s *Registry) check(ctx context.Context, now time.Time, key [32]byte, from caller.Caller) (limits.Failures, error) {
	if err := s.throttle.CheckNetwork(ctx, now, guesses, from.Address); err != nil {
		return limits.Failures{}, err
	}
	return s.throttle.Check(ctx, now, key)
}

// refuse charges the budget for a wrong secret.
func (s *Registry) refuse(ctx context.Context, now time.Time, key [32]byte) error {
	if err := s.throttle.Failed(ctx, now, key); err != nil {
		return err
	}
	return ErrBadCredentials
}

// Create registers a client. A confidential one needs a secret: one from
// GenerateSecret, or a chosen one. Create sets SecretHash and the times. Malformed
// input is an *input.Error with all problems at once; it is also ErrExists if that is
// the only one. caller.ErrNotOperator.
func (s *Registry) Create(ctx context.Context, now time.Time, c Client, secret secrecy.Text, from caller.Caller) (Client, error) {
	if err := from.MustBeOperator(); err != nil {
		return Client{}, err
	}
	c, err := s.checked(c, secret)
	if err != nil {
		return Client{}, err
	}
	if c.SecretHash, err = s.hashSecret(ctx, secret, from); err != nil {
		return Client{}, err
	}
	c.CreatedAt, c.UpdatedAt = now, now
	defer s.recent.forget(c.ID)
	err = s.store.CreateClient(ctx, c, clientEvent(audit.ClientCreated, now, c.ID, from))
	switch {
	case errors.Is(err, ErrExists):
		return Client{}, input.Conflict("id", fmt.Sprintf("id: there is a client %[1]s: 'clients show %[1]s' shows it, 'clients update %[1]s' changes it.", c.ID), err)
	case err != nil:
		return Client{}, fmt.Errorf("create client: %w", err)
	}
	return c, nil
}

// checked returns the client in its stored form, or an error if it breaks a rule.
func (s *Registry) checked(c Client, secret secrecy.Text) (Client, error) {
	if c.Name == "" {
		c.Name = string(c.ID)
	}
	c.Settings = c.Settings.Whole()
	return c, Check(c, secret, s.rules)
}

// RotateSecret gives a confidential client a new generated secret and returns
// it, once all servers go by it. ErrUnknown, ErrPublic, caller.ErrNotOperator.
func (s *Registry) RotateSecret(ctx context.Context, now time.Time, id ids.Client, from caller.Caller) (secrecy.Text, error) {
	if err := from.MustBeOperator(); err != nil {
		return "", err
	}
	c, err := s.store.Client(ctx, id)
	if err != nil {
		return "", fmt.Errorf("rotate secret: %w", err)
	}
	if c.Public {
		return "", ErrPublic
	}
	generated := GenerateSecret()
	defer s.recent.forget(id)
	ev := clientEvent(audit.ClientSecretRotated, now, id, from)
	if err := s.store.SetSecretHash(ctx, id, digestSecret(generated), now, ev); err != nil {
		return "", fmt.Errorf("rotate secret: %w", err)
	}
	settle()
	return generated, nil
}

// Delete removes the client and its sessions, and returns once all servers go by it.
// ErrUnknown, caller.ErrNotOperator.
func (s *Registry) Delete(ctx context.Context, now time.Time, id ids.Client, from caller.Caller) error {
	if err := from.MustBeOperator(); err != nil {
		return err
	}
	defer s.recent.forget(id)
	if err := s.store.DeleteClient(ctx, id, clientEvent(audit.ClientDeleted, now, id, from)); err != nil {
		return fmt.Errorf("delete client: %w", err)
	}
	settle()
	return nil
}

// ByID returns a client. If another process has changed it, ByID, like Authenticate, may
// go by what it was for a tenth of a second more. ErrUnknown.
func (s *Registry) ByID(ctx context.Context, id ids.Client) (Client, error) {
	return s.recent.get(ctx, s.store, id)
}

// List returns all clients by id.
func (s *Registry) List(ctx context.Context) ([]Client, error) {
	return s.store.Clients(ctx)
}

// Origins returns the web origins of all clients.
func (s *Registry) Origins(ctx context.Context) ([]Origin, error) {
	return s.store.Origins(ctx)
}

// hashSecret returns the stored form of a secret, which is empty for none.
func (s *Registry) hashSecret(ctx context.Context, secret secrecy.Text, from caller.Caller) (hash string, err error) {
	switch {
	case secret == "":
		return "", nil
	case isGenerated(secret):
		return digestSecret(secret), nil
	default:
		err = s.hasher.Do(ctx, from.Party(ids.User{}), func() { hash = s.hasher.Hash(string(secret)) })
		return hash, err
	}
}

func clientEvent(kind audit.Kind, now time.Time, id ids.Client, from caller.Caller) audit.Event {
	ev := from.Event(now, kind)
	ev.ClientID = id
	return ev
}
