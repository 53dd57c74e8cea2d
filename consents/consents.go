// Package consents records which scopes users let third-party clients have.
package consents

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"countersign/audit"
	"countersign/caller"
	"countersign/ids"
)

var (
	// ErrUnknown says that the user has given the client no consent.
	ErrUnknown = errors.New("no such consent")
	// ErrGone says that the user or the client no longer exists, or that the user was signed
	// out everywhere by a new password while deciding.
	ErrGone = errors.New("the user or the client is no longer what it was")
)

// Consent records the scopes that a user lets a third-party client have.
type Consent struct {
	ID        ids.Consent
	UserID    ids.User
	ClientID  ids.Client
	Scopes    []string
	CreatedAt time.Time
	UpdatedAt time.Time

	Epoch int64 // the account's when the user decided; in another, the decision is void. Not read back

	ClientName string // of the client now; not written
}

// Store stores consents. Every method is atomic, safe for concurrent use, and writes ev
// with its change.
type Store interface {
	// Consent returns what a user lets a client have, or ErrUnknown.
	Consent(ctx context.Context, user ids.User, client ids.Client) (Consent, error)
	// Consents lists a user's consents, by client.
	Consents(ctx context.Context, user ids.User) ([]Consent, error)
	// GiveConsent adds c, or adds its scopes to the consent that the user has given the
	// client. No scope is lost to concurrent calls. It writes ev unless the client has all
	// of the scopes already. It returns ErrGone if the client no longer exists, or the user
	// in c's epoch.
	GiveConsent(ctx context.Context, c Consent, ev audit.Event) error
	// DeleteConsent removes a consent and the client's sessions and codes of the user, or
	// returns ErrUnknown if there is none.
	DeleteConsent(ctx context.Context, user ids.User, client ids.Client, ev audit.Event) error
}

// Service gives, lists and revokes consents.
type Service struct{ Store Store }

// Covers reports whether the user has let the client have all of these scopes.
func (s Service) Covers(ctx context.Context, user ids.User, client ids.Client, scopes []string) (bool, error) {
	given, err := s.Store.Consent(ctx, user, client)
	if errors.Is(err, ErrUnknown) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("find consent: %w", err)
	}
	return !slices.ContainsFunc(scopes, func(scope string) bool { return !slices.Contains(given.Scopes, scope) }), nil
}

// Give lets the client have these scopes in addition to those it already has. epoch is
// the account's when the user signed in. ErrGone.
func (s Service) Give(ctx context.Context, now time.Time, user ids.User, epoch int64, client ids.Client, scopes []string, from caller.Caller) error {
	c := Consent{ID: ids.New[ids.Consent](), UserID: user, Epoch: epoch, ClientID: client, Scopes: scopes, CreatedAt: now, UpdatedAt: now}
	if err := s.Store.GiveConsent(ctx, c, consentEvent(audit.ConsentGiven, now, user, client, from)); err != nil {
		return fmt.Errorf("give consent: %w", err)
	}
	return nil
}

// Of lists a user's consents, by client.
func (s Service) Of(ctx context.Context, user ids.User) ([]Consent, error) {
	return s.Store.Consents(ctx, user)
}

// Revoke removes the user's consent to a client and ends the client's sessions of the
// user. It returns ErrUnknown if there is no such consent.
func (s Service) Revoke(ctx context.Context, now time.Time, user ids.User, client ids.Client, from caller.Caller) error {
	return s.Store.DeleteConsent(ctx, user, client, consentEvent(audit.ConsentRevoked, now, user, client, from))
}

func consentEvent(kind audit.Kind, now time.Time, user ids.User, client ids.Client, from caller.Caller) audit.Event {
	ev := from.Event(now, kind)
	ev.UserID, ev.ClientID = user, client
	return ev
}
