package api

import "countersign/accounts"

// User is an account as its owner and the operator see it.
type User struct {
	ID            string   `json:"id"`
	Username      string   `json:"username,omitempty"`
	Email         string   `json:"email,omitempty"`
	EmailVerified bool     `json:"email_verified"`
	Roles         []string `json:"roles"`
	Disabled      bool     `json:"disabled"`
	CreatedAt     string   `json:"created_at"`
}

// DescribeUser returns the view of an account.
func DescribeUser(u accounts.User) User {
	return User{
		ID: u.ID.String(), Username: u.Username, Email: u.Email, EmailVerified: u.EmailVerified,
		Roles: texts(u.Roles), Disabled: u.Disabled(), CreatedAt: at(u.CreatedAt),
	}
}

// UserWithProfile is an account with its second factors in force and its user's profile.
type UserWithProfile struct {
	User
	Factors []Factor         `json:"factors"`
	Profile accounts.Profile `json:"profile"`
	// Identities are the accounts at other providers that open this one.
	Identities []Identity `json:"identities,omitempty"`
}
