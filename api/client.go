package api

import "countersign/clients"

// Client is an application as operators see it. Its settings hold no secret.
type Client struct {
	ID string `json:"id"`
	clients.Settings
	Declared  bool   `json:"declared"`
	CreatedAt string `json:"created_at"`
	UpdatedAt string `json:"updated_at"`

	// Secret is the generated secret, present in one answer only. The caller sets it,
	// because no record has it.
	Secret string `json:"client_secret,omitempty"`
	// Configuration is that of the application's library, ready to paste, present where
	// Secret is if the operator asked for it. The caller sets it.
	Configuration string `json:"configuration,omitempty"`
}

// DescribeClient returns the view of an application, without its secret.
func DescribeClient(c clients.Client) Client {
	settings := c.Settings.Whole()
	settings.RequirePKCE = c.NeedsPKCE() // as it is in force
	return Client{
		ID: string(c.ID), Settings: settings, Declared: c.Declared, CreatedAt: at(c.CreatedAt), UpdatedAt: at(c.UpdatedAt),
	}
}
