// Package consents remembers what users let clients have that are not ours.
package consents

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"

	"countersign/audit"
	"countersign/caller"
)

var (
	// ErrUnknown says that a user has let a client have nothing.
	ErrUnknown = errors.New("no such consent")
	// ErrGone says that there is no such user or client any more.
	ErrGone = errors.New("the user or the client has gone")
)

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

// Store is the memory for consents. Every method is atomic, safe for concurrent
// use, and writes ev with the change it makes.
type Store interface {
	// Consent finds what a user lets a client have. ErrUnknown.
	Consent(ctx context.Context, user uuid.UUID, client string) (Consent, error)
	// Consents lists those of a user, by client.
	Consents(ctx context.Context, user uuid.UUID) ([]Consent, error)
	// GiveConsent adds c, or its scopes to those that the same user's and client's has:
	// none is lost, however many do so at once. ErrGone if either has gone.
	GiveConsent(ctx context.Context, c Consent, ev audit.Event) error
	// DeleteConsent removes it, with the sessions and codes that the client has of the
	// user. ErrUnknown.
	DeleteConsent(ctx context.Context, user uuid.UUID, client string, ev audit.Event) error
}

// Service remembers what users let clients have that are not ours.
type Service struct{ Store Store }

// Covers reports whether the user has let the client have all of these scopes.
func (s Service) Covers(ctx context.Context, user uuid.UUID, client string, scopes []string) (bool, error) {
	given, err := s.Store.Consent(ctx, user, client)
	if errors.Is(err, ErrUnknown) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("find consent: %w", err)
	}
	return !slices.ContainsFunc(scopes, func(scope string) bool { return !slices.Contains(given.Scopes, scope) }), nil
}

// Give lets the client have these scopes, besides those that it has.
func (s Service) Give(ctx context.Context, now time.Time, user uuid.UUID, client string, scopes []string, from caller.Caller) error {
	id, err := uuid.NewV7()
	if err != nil {
		return fmt.Errorf("make consent id: %w", err)
	}
	c := Consent{ID: id, UserID: user, ClientID: client, Scopes: scopes, CreatedAt: now, UpdatedAt: now}
	if err := s.Store.GiveConsent(ctx, c, consentEvent(audit.ConsentGiven, now, user, client, from)); err != nil {
		return fmt.Errorf("give consent: %w", err)
	}
	return nil
}

// Of lists what a user lets clients have, by client.
func (s Service) Of(ctx context.Context, user uuid.UUID) ([]Consent, error) {
	return s.Store.Consents(ctx, user)
}

// Revoke takes back what a user lets a client have, and ends the client's sessions of
// the user. ErrUnknown.
func (s Service) Revoke(ctx context.Context, now time.Time, user uuid.UUID, client string, from caller.Caller) error {
	return s.Store.DeleteConsent(ctx, user, client, consentEvent(audit.ConsentRevoked, now, user, client, from))
}

func consentEvent(kind audit.Kind, now time.Time, user uuid.UUID, client string, from caller.Caller) audit.Event {
	ev := from.Event(now, kind)
	ev.UserID, ev.ClientID = user, client
	return ev
}
