// Package clients keeps the applications that ask for tokens: the rules for registering
// them, how they authenticate, and where answers to them may go.
//
// It stores a secret only as a hash or a digest, and never puts it into an error or a
// log. Guesses at a secret have a budget (limits.Throttle), and an unknown id costs as
// much work as a wrong guess at a secret that an operator chose.
//
// Start with Registry.Authenticate.
package clients

import (
	"context"
	"errors"
	"time"

	"countersign/audit"
	"countersign/ids"
	"countersign/oauth"
)

// The errors about a client, apart from malformed input (see input.Error).
var (
	ErrUnknown = errors.New("no such client")
	ErrExists  = errors.New("a client with this id exists")
	// ErrStale means that another caller has changed the client's secret meanwhile.
	ErrStale = errors.New("the client has changed meanwhile")
	// ErrBadCredentials covers an unknown client, a wrong or missing secret and
	// a secret for a public client, so that no caller can tell them apart.
	ErrBadCredentials = errors.New("client authentication failed")
)

// Client is an application that asks for tokens.
type Client struct {
	ID         ids.Client
	SecretHash string // of a confidential client: see GenerateSecret; empty if public
	// SecretMAC recognises the chosen secret that was hashed into SecretHash without
	// hashing it again: see Registry.PutAll. Empty if there is none.
	SecretMAC []byte
	Settings

	// Declared marks a client from the configuration, which overrides the database at
	// every start.
	Declared  bool
	CreatedAt time.Time
	UpdatedAt time.Time
}

// Change is the effect of a PutClient.
type Change int

// The changes.
const (
	Created Change = iota + 1
	Updated
	Unchanged
)

// Origin is a registered web origin of a client, or a pattern of origins.
type Origin struct {
	Pattern    string
	ClientID   ids.Client
	FirstParty bool // the client is
}

// Store stores clients. Every method is atomic, safe for concurrent use, and writes ev
// with its change.
type Store interface {
	// CreateClient adds c. ErrExists.
	CreateClient(ctx context.Context, c Client, ev audit.Event) error
	// PutClient adds c, or replaces all of the client except CreatedAt, or changes
	// nothing but SecretMAC if only that and the times differ, and returns which. It
	// writes ev, whose Kind it sets, unless nothing changed. seen is the stored hash from which the caller
	// derived c.SecretHash, empty for none: if another is stored now, PutClient changes
	// nothing and returns ErrStale.
	PutClient(ctx context.Context, c Client, seen string, ev audit.Event) (Change, error)
	// ChangeClient replaces the settings and the secret of a client by what change makes of
	// it, or changes nothing if that is the same, and returns the client as it is then. It
	// writes ev with a Kind for the settings, for the secret, or both. An error of change is
	// returned; it may be called several times. ErrUnknown.
	ChangeClient(ctx context.Context, id ids.Client, change func(Client) (Client, error), now time.Time, ev audit.Event) (Client, Change, error)
	// Client returns a client by id. ErrUnknown.
	Client(ctx context.Context, id ids.Client) (Client, error)
	// Clients lists all clients by id.
	Clients(ctx context.Context) ([]Client, error)
	// Origins lists the web origins of all clients, by client id.
	Origins(ctx context.Context) ([]Origin, error)
	// SetSecretHash replaces the secret, without a SecretMAC. ErrUnknown.
	SetSecretHash(ctx context.Context, id ids.Client, hash string, now time.Time, ev audit.Event) error
	// DeleteClient removes the client and its sessions. ErrUnknown.
	DeleteClient(ctx context.Context, id ids.Client, ev audit.Event) error
}

// Recipient returns the client as the recipient of tokens.
func (c *Client) Recipient() oauth.Recipient {
	scopes := oauth.Scopes(c.Scopes)
	if !c.FirstParty {
		scopes = scopes.Without(ownScopes)
	}
	return oauth.Recipient{
		ClientID: c.ID, FirstParty: c.FirstParty, Scopes: scopes, Audiences: c.Audiences, IDTokenAlg: c.IDTokenAlg,
		AccessTokenAlg: c.AccessTokenAlg, AccessTokenType: c.AccessTokenType, ClaimsInIDToken: c.ClaimsInIDToken,
		RequireACR: c.RequireACR, Refresh: c.AllowsGrant(oauth.GrantRefreshToken),
	}
}
