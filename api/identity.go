package api

import (
	"time"

	"countersign/accounts"
	"countersign/ids"
)

// Identity is a user's account at another provider, which opens the account here.
type Identity struct {
	ID       ids.Identity `json:"id"`
	Provider string       `json:"provider"`        // its id in the settings
	Email    string       `json:"email,omitempty"` // as the provider named it when it was linked
	LinkedAt time.Time    `json:"linked_at"`
}

// DescribeIdentity describes i.
func DescribeIdentity(i accounts.Identity) Identity {
	return Identity{ID: i.ID, Provider: i.Provider, Email: i.Email, LinkedAt: i.LinkedAt}
}
