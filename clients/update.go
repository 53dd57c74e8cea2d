package clients

import (
	"context"
	"fmt"
	"time"

	"countersign/caller"
	"countersign/ids"
	"countersign/input"
	"countersign/secrecy"
)

// Update changes a client to what edit makes of its settings, for the operator, and returns
// once all servers go by it. edit may be called several times, and must leave the lists
// that it is given as they are. A secret, if there is one, replaces the client's; a client
// that becomes public loses its own, one that becomes confidential needs one. Sessions go
// on, with what the client may have from now on. What edit returns if it fails, and
// *input.Error, ErrUnknown, caller.ErrNotOperator, limits.ErrBusy.
func (s *Registry) Update(ctx context.Context, now time.Time, id ids.Client, edit func(Settings) (Settings, error), secret secrecy.Text, from caller.Caller) (Client, Change, error) {
	if err := from.MustBeOperator(); err != nil {
		return Client{}, 0, err
	}
	var bad input.Error
	if secret != "" && !isGenerated(secret) {
		checkChosenSecret(&bad, secret)
	}
	if err := bad.Err(); err != nil {
		return Client{}, 0, err
	}
	hash, err := s.hashSecret(ctx, secret, from)
	if err != nil {
		return Client{}, 0, err
	}
	defer s.recent.forget(id)
	c, change, err := s.store.ChangeClient(ctx, id, func(c Client) (Client, error) {
		var err error
		if c.Settings, err = edit(c.Settings); err != nil {
			return c, err
		}
		if c.Name == "" {
			c.Name = string(c.ID)
		}
		c.Settings = c.Settings.Whole()
		switch {
		case secret != "":
			c.SecretHash, c.SecretMAC = hash, nil
		case c.Public:
			c.SecretHash, c.SecretMAC = "", nil
		}
		var bad input.Error // not about the id: older versions allowed others
		checkSecretKind(&bad, c.Public, c.SecretHash != "")
		checkSettings(&bad, c.Settings, s.rules)
		return c, bad.Err()
	}, now, clientEvent("", now, id, from))
	if err != nil {
		return Client{}, 0, fmt.Errorf("update client: %w", err)
	}
	if change == Updated {
		settle()
	}
	return c, change, nil
}
