package main

import (
	"context"
	"strconv"
	"time"

	"countersign/api"
)

type mailCmd struct {
	Status mailStatusCmd `cmd:"" help:"List the letters that wait or were refused, and the mail server's last words."`
}

// letterColumns are those that a list has room for. The last error stands below.
var letterColumns = []column[api.Letter]{
	{"state", func(l api.Letter) string { return l.State }, whole},
	{"kind", func(l api.Letter) string { return l.Kind }, whole},
	{"to", func(l api.Letter) string { return l.To }, cut},
	{"since", func(l api.Letter) string { return l.Since }, whole},
	{"attempts", func(l api.Letter) string { return strconv.Itoa(l.Attempts) }, whole},
	{"next_at", func(l api.Letter) string { return l.NextAt }, whole},
}

// mostLetters bounds the list. More letters than that have one cause.
const mostLetters = 1000

type mailStatusCmd struct{ printing }

func (s *mailStatusCmd) Run(ctx context.Context, c *cli, std stdio) error {
	cfg, db, err := c.open(ctx, nil)
	if err != nil {
		return err
	}
	defer db.Close()
	letters, err := db.Backlog(ctx, time.Now(), mostLetters)
	if err != nil {
		return err
	}
	if cfg.SMTP.Host == "" {
		std.note("smtp.host is not set in the configuration that this command reads: a server with that configuration sends no mail (with --dev it prints it).")
		if len(letters) == 0 && !s.JSON {
			return nil
		}
	}
	if len(letters) == mostLetters {
		std.note("There may be more than these %d letters.", mostLetters)
	}
	list := newListPrinter(s.printing, std.out, letterColumns)
	list.below = func(l api.Letter) string { return l.LastError }
	return list.all(api.List(letters, api.DescribeLetter))
}
