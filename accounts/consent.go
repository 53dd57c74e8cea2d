package accounts

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"

	"countersign/audit"
)

// ErrNoConsent says that a user has let a client have nothing.
var ErrNoConsent = errors.New("no such consent")

// Consent is what a user lets a client have that is not ours.
type Consent struct {
	ID        uuid.UUID
	UserID    uuid.UUID
	ClientID  string
	Scopes    []string
	CreatedAt time.Time
	UpdatedAt time.Time

	ClientName string // of the client now; not written
}

// ConsentStore is the memory for consents. Every method is atomic, safe for concurrent
// use, and writes ev with the change it makes.
type ConsentStore interface {
	// Consent finds what a user lets a client have. ErrNoConsent.
	Consent(ctx context.Context, user uuid.UUID, client string) (Consent, error)
	// Consents lists those of a user, by client.
	Consents(ctx context.Context, user uuid.UUID) ([]Consent, error)
	// GiveConsent adds c, or its scopes to those that the same user's and client's has:
	// none is lost, however many do so at once. ErrUnknownUser if either has gone.
	GiveConsent(ctx context.Context, c Consent, ev audit.Event) error
	// DeleteConsent removes it, with the sessions and codes that the client has of the
	// user. ErrNoConsent.
	DeleteConsent(ctx context.Context, user uuid.UUID, client string, ev audit.Event) error
}

// Consents remembers what users let clients have that are not ours.
type Consents struct{ Store ConsentStore }

// Covers reports whether the user has let the client have all of these scopes.
func (s Consents) Covers(ctx context.Context, user uuid.UUID, client string, scopes []string) (bool, error) {
	given, err := s.Store.Consent(ctx, user, client)
	if errors.Is(err, ErrNoConsent) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("find consent: %w", err)
	}
	return !slices.ContainsFunc(scopes, func(scope string) bool { return !slices.Contains(given.Scopes, scope) }), nil
}

// Give lets the client have these scopes, besides those that it has.
func (s Consents) Give(ctx context.Context, now time.Time, user uuid.UUID, client string, scopes []string, origin audit.Origin) error {
	id, err := uuid.NewV7()
	if err != nil {
		return fmt.Errorf("make consent id: %w", err)
	}
	c := Consent{ID: id, UserID: user, ClientID: client, Scopes: scopes, CreatedAt: now, UpdatedAt: now}
	if err := s.Store.GiveConsent(ctx, c, consentEvent(audit.ConsentGiven, now, user, client, origin)); err != nil {
		return fmt.Errorf("give consent: %w", err)
	}
	return nil
}

// Of lists what a user lets clients have, by client.
func (s Consents) Of(ctx context.Context, user uuid.UUID) ([]Consent, error) {
	return s.Store.Consents(ctx, user)
}

// Revoke takes back what a user lets a client have, and ends the client's sessions of
// the user. ErrNoConsent.
func (s Consents) Revoke(ctx context.Context, now time.Time, user uuid.UUID, client string, origin audit.Origin) error {
	return s.Store.DeleteConsent(ctx, user, client, consentEvent(audit.ConsentRevoked, now, user, client, origin))
}

func consentEvent(kind audit.Kind, now time.Time, user uuid.UUID, client string, origin audit.Origin) audit.Event {
	return audit.Event{Time: now, Kind: kind, UserID: user, ClientID: client, Address: origin.Address, RequestID: origin.RequestID}
}
