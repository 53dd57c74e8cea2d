package api

import (
	"countersign/audit"
)

// Event is a security event as operators see it.
type Event struct {
	Time      string `json:"time"`
	Kind      string `json:"kind"`
	UserID    string `json:"user_id,omitempty"`
	ClientID  string `json:"client_id,omitempty"`
	SessionID string `json:"session_id,omitempty"`
	KeyID     string `json:"kid,omitempty"`
	Address   string `json:"address,omitempty"`
	RequestID string `json:"request_id,omitempty"`
}

// DescribeEvent returns the view of a security event.
func DescribeEvent(e audit.Record) Event {
	return Event{
		Time: at(e.Time), Kind: string(e.Kind), UserID: text(e.UserID), ClientID: string(e.ClientID),
		SessionID: text(e.SessionID), KeyID: e.KeyID, Address: e.Address, RequestID: e.RequestID,
	}
}

// text is an id as shown; one that says that there is none is left out.
func text(id interface {
	String() string
	IsZero() bool
}) string {
	if id.IsZero() {
		return ""
	}
	return id.String()
}

// ForUser returns e in the form for the user whom it concerns.
func (e Event) ForUser() Event {
	return Event{Time: e.Time, Kind: e.Kind, ClientID: e.ClientID, Address: e.Address}
}
