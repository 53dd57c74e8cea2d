package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"maps"
	"time"

	"countersign/api"
	"countersign/audit"
	"countersign/ids"
	"countersign/store"
)

type auditCmd struct {
	printing
	User   string        `placeholder:"U" help:"Only events about this user (name, id or e-mail address; the id also after deletion)."`
	Since  time.Duration `placeholder:"D" help:"Only events of the last D, such as 24h."`
	Follow bool          `help:"Keep printing new events, one per line, until interrupted."`
}

// eventColumns are what a line of an event has.
var eventColumns = []column[api.Event]{
	{"time", func(e api.Event) string { return e.Time }, cut},
	{"kind", func(e api.Event) string { return e.Kind }, cut},
	{"user_id", func(e api.Event) string { return e.UserID }, cut},
	{"client_id", func(e api.Event) string { return e.ClientID }, cut},
	{"session_id", func(e api.Event) string { return e.SessionID }, cut},
	{"kid", func(e api.Event) string { return e.KeyID }, cut},
	{"address", func(e api.Event) string { return e.Address }, cut},
	{"request_id", func(e api.Event) string { return e.RequestID }, cut},
}

// eventListColumns are those that a list has room for.
var eventListColumns = []column[api.Event]{
	{"time", func(e api.Event) string { return e.Time }, whole},
	{"kind", func(e api.Event) string { return e.Kind }, whole},
	{"about", func(e api.Event) string {
		switch {
		case e.UserID != "":
			return e.UserID
		case e.ClientID != "":
			return "client " + e.ClientID
		default:
			return cmp.Or(e.KeyID, e.SessionID)
		}
	}, whole},
	{"address", func(e api.Event) string { return e.Address }, cut},
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
		if filter.UserID, err = ids.Parse[ids.User](a.User); err != nil {
			user, err := findUser(ctx, users, a.User)
			if err != nil {
				return err
			}
			filter.UserID = user.ID
		}
	}
	if a.Follow {
		return interrupted(ctx, a.follow(ctx, db, filter, std.out))
	}
	var all []api.Event
	err = eachEvent(ctx, db, filter, func(e audit.Record) error {
		all = append(all, api.DescribeEvent(e))
		return nil
	})
	if err != nil {
		return interrupted(ctx, err)
	}
	return printList(a.printing, std.out, all, eventListColumns)
}

// eachEvent calls fn with each event that filter selects.
func eachEvent(ctx context.Context, db *store.DB, filter audit.Filter, fn func(audit.Record) error) error {
	for {
		batch, err := db.Events(ctx, filter)
		if err != nil || len(batch) == 0 {
			return err
		}
		for _, e := range batch {
			if err := fn(e); err != nil {
				return err
			}
			filter.After = e.Place()
		}
	}
}

// lateness is how much later than newer events an event may appear: its request may
// take that long, and the clocks of replicas may differ.
const lateness = 2 * time.Minute

// follow prints events as they appear, each once, until ctx ends.
func (a *auditCmd) follow(ctx context.Context, db *store.DB, filter audit.Filter, w io.Writer) error {
	printed := map[int64]time.Time{} // time by number, of events that the next query may return again
	var newest time.Time
	for {
		err := eachEvent(ctx, db, filter, func(e audit.Record) error {
			if _, done := printed[e.Number]; done {
				return nil
			}
			if e.Time.After(newest) {
				newest = e.Time
			}
			printed[e.Number] = e.Time
			return a.printLine(w, api.DescribeEvent(e))
		})
		if err != nil {
			return err
		}
		if from := newest.Add(-lateness); from.After(filter.Since) {
			filter.Since = from
		}
		maps.DeleteFunc(printed, func(_ int64, at time.Time) bool { return at.Before(filter.Since) })
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(time.Second):
		}
	}
}

// interrupted returns nil if err came because the command was told to stop.
func interrupted(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return nil
	}
	return err
}

// printLine prints one event as soon as it appears.
func (a *auditCmd) printLine(w io.Writer, e api.Event) error {
	if a.JSON {
		return encoder(w).Encode(e)
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
