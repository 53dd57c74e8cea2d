package api

import (
	"time"

	"countersign/factors"
	"countersign/ids"
)

// Factor is one that a user has in force.
type Factor struct {
	ID         ids.Factor `json:"id"`
	Kind       string     `json:"kind"` // totp, passkey or recovery_codes
	Name       string     `json:"name,omitempty"`
	CreatedAt  time.Time  `json:"created_at"`
	LastUsedAt *time.Time `json:"last_used_at"`        // null: never
	Remaining  *int       `json:"remaining,omitempty"` // of recovery_codes: how many are left
}

// DescribeFactor describes f.
func DescribeFactor(f factors.Factor) Factor {
	d := Factor{ID: f.ID, Kind: string(f.Kind), Name: f.Name, CreatedAt: f.CreatedAt}
	if !f.LastUsedAt.IsZero() {
		d.LastUsedAt = &f.LastUsedAt
	}
	if f.Kind == factors.RecoveryCodes {
		d.Remaining = &f.Remaining
	}
	return d
}
