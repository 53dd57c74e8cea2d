package main

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/term"

	"countersign/configs"
	"countersign/store"
)

type moveCmd struct {
	To             string `help:"The empty database to move to: sqlite:PATH or mysql://USER@HOST/DATABASE. A password is better in the environment or a file, because every user of the machine can see command lines." env:"COUNTERSIGN_MOVE_TO" placeholder:"URL"`
	ToPasswordFile string `help:"File with the password of that URL's user." placeholder:"FILE"`
	Batch          int    `help:"Rows copied in one transaction (default: ${batch})." placeholder:"N"`
	Restart        bool   `help:"Empty the unfinished copy there first, and begin anew."`
	Abandon        bool   `help:"Don't move: give up a move that was begun, and stay with this database." xor:"end"`
	GoBack         bool   `help:"Don't move: use this database again, as it was when it was moved." xor:"end"`
	printing
}

// Run moves the configured database.
func (m *moveCmd) Run(ctx context.Context, c *cli, std stdio) error {
	cfg, err := c.load(configs.Source{})
	if err != nil {
		return err
	}
	from, err := storeOptions(cfg)
	if err != nil {
		return err
	}
	if m.Abandon || m.GoBack {
		if err := store.AbandonMove(ctx, cfg.Database.URL, from, m.GoBack); err != nil {
			return err
		}
		_, err := fmt.Fprintln(std.err, "Servers can use this database again. Empty or remove the unfinished copy, if there is one.")
		return err
	}
	opts, err := m.options(from)
	if err != nil {
		return err
	}
	lines := newMoveLines(std.err)
	opts.Progress = lines.show
	moved, err := store.Move(ctx, cfg.Database.URL, m.To, opts)
	lines.end()
	switch {
	case err != nil && ctx.Err() != nil:
		return errors.New("stopped, with nothing lost: run the same command again to go on, or 'countersign move --abandon' to stay with this database")
	case err != nil:
		return err
	}
	if err := printList(m.printing, std.out, movedRecords(moved), movedColumns); err != nil {
		return err
	}
	_, err = fmt.Fprintf(std.err, `
Every row is in the new database. Now:
1. set database.url to it; keep the master key and the issuer
2. start the servers
This database stays as it is, and no server starts on it any more: keep it until you are sure, then remove it.
`)
	return err
}

// options returns the options of a move whose original is opened with from.
func (m *moveCmd) options(from store.Options) (store.MoveOptions, error) {
	to := store.Options{Pool: from.Pool}
	opts := store.MoveOptions{From: from, Batch: m.Batch, Restart: m.Restart}
	switch {
	case m.To == "":
		return opts, fmt.Errorf("name the database to move to with --to or COUNTERSIGN_MOVE_TO: %w", errUsage)
	case m.Batch < 0 || m.Batch > 1_000_000:
		return opts, fmt.Errorf("--batch must be from 1 to 1000000: %w", errUsage)
	}
	if err := store.CheckURL(m.To); err != nil {
		return opts, fmt.Errorf("--to: %s: %w", strings.TrimPrefix(err.Error(), "database url: "), errUsage)
	}
	if m.ToPasswordFile != "" {
		password, err := readPassword("--to-password-file", m.ToPasswordFile)
		if err != nil {
			return opts, err
		}
		to.Password = password
	}
	opts.To = to
	return opts, nil
}

// movedRecord is a table that was moved, as operators see it.
type movedRecord struct {
	Table  string `json:"table"`
	Rows   int64  `json:"rows"`
	SHA256 string `json:"sha256"` // of the rows, equal in both databases
}

var movedColumns = []column[movedRecord]{
	{"table", func(r movedRecord) string { return r.Table }, cut},
	{"rows", func(r movedRecord) string { return strconv.FormatInt(r.Rows, 10) }, cut},
	{"sha256", func(r movedRecord) string { return r.SHA256 }, cut},
}

func movedRecords(tables []store.MovedTable) (records []movedRecord) {
	for _, t := range tables {
		records = append(records, movedRecord{t.Name, t.Rows, hex.EncodeToString(t.SHA256[:])})
	}
	return records
}

// moveLines prints the progress of a move: at a terminal in one line that changes,
// otherwise in a line for each table.
type moveLines struct {
	w        io.Writer
	terminal bool
	at       store.MoveProgress // what the last line says
	began    time.Time          // when the move began with that table
	begun    int64              // rows that were in the copy at that time
	written  time.Time
}

func newMoveLines(w io.Writer) *moveLines {
	f, ok := w.(*os.File)
	return &moveLines{w: w, terminal: ok && term.IsTerminal(int(f.Fd()))}
}

// show prints a report.
func (l *moveLines) show(p store.MoveProgress) {
	now := time.Now()
	first := p.Table != l.at.Table || p.Verifying != l.at.Verifying
	if first {
		l.began, l.begun = now, p.Done
	}
	l.at = p
	switch {
	case !l.terminal && first:
		fmt.Fprintln(l.w, l.beginning())
	case l.terminal && (first || p.Done == p.Total || now.Sub(l.written) > 100*time.Millisecond):
		l.written = now
		fmt.Fprintf(l.w, "\r\x1b[K%s", l.line(now))
	}
}

// end ends a terminal's changing line.
func (l *moveLines) end() {
	if l.terminal && l.at != (store.MoveProgress{}) {
		fmt.Fprint(l.w, "\r\x1b[K")
	}
}

func (l *moveLines) verb() string {
	if l.at.Verifying {
		return "verifying"
	}
	return "copying"
}

// beginning returns the first line for a table.
func (l *moveLines) beginning() string {
	line := fmt.Sprintf("%s %s: %d rows", l.verb(), l.at.Table, l.at.Total)
	if l.begun > 0 {
		line += fmt.Sprintf(", %d of them are there already", l.begun)
	}
	return line
}

// line returns the line that changes.
func (l *moveLines) line(now time.Time) string {
	line := fmt.Sprintf("%s %s: %d of %d rows", l.verb(), l.at.Table, l.at.Done, l.at.Total)
	if l.at.Total > 0 {
		line += fmt.Sprintf(" (%d %%)", 100*l.at.Done/l.at.Total)
	}
	if took := now.Sub(l.began); took > time.Second {
		line += fmt.Sprintf(", %.0f rows/s", float64(l.at.Done-l.begun)/took.Seconds())
	}
	return line
}
