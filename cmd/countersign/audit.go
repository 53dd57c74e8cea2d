package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"time"

	"github.com/google/uuid"

	"countersign/audit"
)

type auditCmd struct {
	printing
	User   string        `placeholder:"U" help:"Only events about this user (name or id; the id also after deletion)."`
	Since  time.Duration `placeholder:"D" help:"Only events of the last D, such as 24h."`
	Follow bool          `help:"Go on with new events until interrupted, one per line."`
}

// eventRecord is a security event as operators see it.
type eventRecord struct {
	Time      string `json:"time"`
	Kind      string `json:"kind"`
	UserID    string `json:"user_id,omitempty"`
	ClientID  string `json:"client_id,omitempty"`
	SessionID string `json:"session_id,omitempty"`
	KeyID     string `json:"kid,omitempty"`
	Address   string `json:"address,omitempty"`
	RequestID string `json:"request_id,omitempty"`
}

var eventColumns = []column[eventRecord]{
	{"time", func(e eventRecord) string { return e.Time }},
	{"kind", func(e eventRecord) string { return e.Kind }},
	{"user_id", func(e eventRecord) string { return e.UserID }},
	{"client_id", func(e eventRecord) string { return e.ClientID }},
	{"session_id", func(e eventRecord) string { return e.SessionID }},
	{"kid", func(e eventRecord) string { return e.KeyID }},
	{"address", func(e eventRecord) string { return e.Address }},
	{"request_id", func(e eventRecord) string { return e.RequestID }},
}

func describeEvent(e audit.Record) eventRecord {
	id := func(id uuid.UUID) string {
		if id == uuid.Nil {
			return ""
		}
		return id.String()
	}
	return eventRecord{
		Time: stamp(e.Time), Kind: string(e.Kind), UserID: id(e.UserID), ClientID: e.ClientID,
		SessionID: id(e.SessionID), KeyID: e.KeyID, Address: e.Address, RequestID: e.RequestID,
	}
}

func (a *auditCmd) Run(ctx context.Context, c *cli, std stdio) error {
	users, db, err := c.openUsers(ctx, nil)
	if err != nil {
		return err
	}
	defer db.Close()
	var filter audit.Filter
	if a.Since > 0 {
		filter.Since = time.Now().Add(-a.Since)
	}
	if a.User != "" {
		if filter.UserID, err = uuid.Parse(a.User); err != nil {
			user, err := findUser(ctx, users, a.User)
			if err != nil {
				return err
			}
			filter.UserID = user.ID
		}
	}
	var all []eventRecord
	for {
		batch, err := db.Events(ctx, filter)
		if err != nil {
			return interrupted(ctx, err)
		}
		for _, e := range batch {
			filter.After = e.Number
			if !a.Follow {
				all = append(all, describeEvent(e))
			} else if err := a.printLine(std.out, describeEvent(e)); err != nil {
				return err
			}
		}
		if len(batch) > 0 {
			continue
		}
		if !a.Follow {
			return printList(a.printing, std.out, all, eventColumns)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(time.Second):
		}
	}
}

// interrupted is nil if the command was told to stop.
func interrupted(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return nil
	}
	return err
}

// printLine prints one event as it comes.
func (a *auditCmd) printLine(w io.Writer, e eventRecord) error {
	if a.JSON {
		return json.NewEncoder(w).Encode(e)
	}
	for i, c := range eventColumns {
		if text := c.text(e); i < 2 {
			fmt.Fprintf(w, "%s ", text)
		} else if text != "" {
			fmt.Fprintf(w, " %s=%s", c.name, text)
		}
	}
	_, err := fmt.Fprintln(w)
	return err
}
