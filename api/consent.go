package api

import (
	"strings"

	"countersign/consents"
)

// Consent is what a user lets a client have, as that user sees it.
type Consent struct {
	ClientID   string `json:"client_id"`
	ClientName string `json:"client_name"`
	Scope      string `json:"scope"`
	CreatedAt  string `json:"created_at"`
	UpdatedAt  string `json:"updated_at"`
}

// DescribeConsent returns the view of a consent.
func DescribeConsent(c consents.Consent) Consent {
	return Consent{
		ClientID: string(c.ClientID), ClientName: c.ClientName, Scope: strings.Join(c.Scopes, " "),
		CreatedAt: at(c.CreatedAt), UpdatedAt: at(c.UpdatedAt),
	}
}
