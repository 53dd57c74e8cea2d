package api

import "countersign/tokens"

// Session is a session as its owner and the operator see it.
type Session struct {
	ID         string `json:"id"` // the sid of its tokens
	UserID     string `json:"user_id"`
	ClientID   string `json:"client_id"`
	Scope      string `json:"scope"`
	CreatedAt  string `json:"created_at"`
	LastUsedAt string `json:"last_used_at"`
	ExpiresAt  string `json:"expires_at"`
	Device     string `json:"device"`
}

// DescribeSession returns the view of a session.
func DescribeSession(s tokens.Session) Session {
	return Session{
		ID: s.ID.String(), UserID: s.UserID.String(), ClientID: string(s.ClientID), Scope: s.Scopes.String(),
		CreatedAt: at(s.CreatedAt), LastUsedAt: at(s.LastUsedAt), ExpiresAt: at(s.ExpiresAt), Device: s.Device,
	}
}

// OwnSession is a session in its owner's own list.
type OwnSession struct {
	Session
	Current bool `json:"current"` // the session that asks
}
