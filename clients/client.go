// Package clients knows the applications that ask for tokens: the rules that they are
// registered by, how they prove who they are, and where answers to them may go.
//
// It promises that a secret is at rest only as a hash or a digest and never in an error
// or a log, that guesses at it are budgeted (limits.Throttle), and that an unknown id
// costs as much work as a wrong secret.
//
// Start with Registry.Authenticate.
package clients

import (
	"context"
	"errors"
	"time"

	"countersign/audit"
	"countersign/oauth"
)

// What can be wrong with a client, apart from malformed input (see input.Error).
var (
	ErrUnknown = errors.New("no such client")
	ErrExists  = errors.New("a client with this id exists")
	// ErrStale says that another caller has changed the client's secret meanwhile.
	ErrStale = errors.New("the client has changed meanwhile")
	// ErrBadCredentials covers an unknown client, a wrong or missing secret and
	// a secret where none belongs, so that no caller can tell them apart.
	ErrBadCredentials = errors.New("client authentication failed")
)

// Client is an application that asks for tokens.
type Client struct {
	ID         string
	SecretHash string // of a confidential client: see GenerateSecret; empty if public
	Settings

	// Declared marks a client that comes from the configuration, which wins
	// over the database at every start.
	Declared  bool
	CreatedAt time.Time
	UpdatedAt time.Time
}

// Change is what a PutClient did.
type Change int

// The changes.
const (
	Created Change = iota + 1
	Updated
	Unchanged
)

// Origin is a web origin, or a pattern of them, that a client is registered with.
type Origin struct{ Pattern, ClientID string }

// Store is the memory for clients. Every method is
// atomic, safe for concurrent use, and writes ev with the change it makes.
type Store interface {
	// CreateClient adds c. ErrExists.
	CreateClient(ctx context.Context, c Client, ev audit.Event) error
	// PutClient adds c, or replaces all of the client but CreatedAt, or leaves alone
	// one that is the same but for its times, and says which. It writes ev, whose Kind
	// it sets, unless nothing changed. seen is the hash that the caller decided
	// c.SecretHash by, empty for none: where another is stored now, nothing happens
	// and the error is ErrStale.
	PutClient(ctx context.Context, c Client, seen string, ev audit.Event) (Change, error)
	// Client finds a client by id. ErrUnknown.
	Client(ctx context.Context, id string) (Client, error)
	// Clients lists all clients by id.
	Clients(ctx context.Context) ([]Client, error)
	// Origins lists the web origins of all clients, by client id.
	Origins(ctx context.Context) ([]Origin, error)
	// SetSecretHash replaces the secret. ErrUnknown.
	SetSecretHash(ctx context.Context, id, hash string, now time.Time, ev audit.Event) error
	// DeleteClient removes the client and its sessions. ErrUnknown.
	DeleteClient(ctx context.Context, id string, ev audit.Event) error
}

// Recipient is the client as one that is given tokens.
func (c *Client) Recipient() oauth.Recipient {
	return oauth.Recipient{
		ClientID: c.ID, Scopes: c.Scopes, Audiences: c.Audiences, IDTokenAlg: c.IDTokenAlg,
		Refresh: c.AllowsGrant(oauth.GrantRefreshToken),
	}
}
