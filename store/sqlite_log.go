package store

import (
	"context"
	"database/sql"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"sync"
)

// A server that is killed leaves its write-ahead log beside the database, and SQLite moves
// the log's pages into whatever database file it finds there at the next start. If an
// operator has put a copy in the file's place, the result is neither of the two. So a server
// marks the database at its start, and a command that writes much before its first
// checkpoint, and every opening compares the mark with the log:
//
//   - user_version is the log's first salt. SQLite picks it at random for a new log and adds
//     one each time it begins the log again, so the mark of an older copy is far from it.
//   - application_id is markID. A copy that SQLite's backup or VACUUM INTO made of a running
//     server's database has both numbers, but is a file of its own, whose change counter is
//     1. That of a database in WAL mode is 2 or more, and doesn't move.
//
// The mark must be in the database file before a log depends on it. A log whose sequence
// number is 0 says nothing: it is from before the mark.

const (
	markID      = 0x43736967 // "Csig"
	logsPerMark = 1 << 20    // logs that begin before the mark is renewed; and as many again
)

// ErrOtherLog says that a write-ahead log doesn't belong to the database beside it.
var ErrOtherLog = errors.New("the log beside it belongs to another copy of the database")

// sqliteFiles is what the beginnings of a database and of its write-ahead log say.
type sqliteFiles struct {
	exists         bool // the database has content
	clean          bool // there is no log
	changes        uint32
	mark, id       uint32
	logged         bool // the log has content
	sequence, salt uint32
}

// opened counts this process's open databases by path. To close any handle of a file
// releases the process's locks on it, so an open database is read only through SQLite.
var opened struct {
	sync.Mutex
	paths map[string]int
}

// look reads the beginnings of both files, if this process doesn't have the database open,
// and notes that it will. The caller must call leave in the end.
func look(path string) (files sqliteFiles, err error) {
	opened.Lock()
	defer opened.Unlock()
	if opened.paths == nil {
		opened.paths = map[string]int{}
	}
	if opened.paths[path]++; opened.paths[path] > 1 {
		return files, nil
	}
	head, err := beginning(path, os.O_RDWR, 100) // SQLite opens what it can't write, and leaves files beside it
	if err != nil {
		return files, err
	}
	if files.exists = head != nil; files.exists {
		files.changes, files.mark, files.id = number(head, 24), number(head, 60), number(head, 68)
	}
	if log, err := beginning(path+"-wal", os.O_RDONLY, 0); err == nil {
		files.clean = log == nil
	}
	log, err := beginning(path+"-wal", os.O_RDONLY, 33) // the header, and something after it
	if files.logged = log != nil; files.logged {
		files.sequence, files.salt = number(log, 12), number(log, 16)
	}
	return files, err
}

func leave(path string) {
	opened.Lock()
	defer opened.Unlock()
	opened.paths[path]--
}

func number(b []byte, at int) uint32 { return binary.BigEndian.Uint32(b[at:]) }

// beginning returns the first n bytes of a file, or nil if it is missing or shorter.
func beginning(path string, flag, n int) ([]byte, error) {
	f, err := os.OpenFile(path, flag, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b := make([]byte, n)
	switch _, err := io.ReadFull(f, b); {
	case err == nil:
		return b, nil
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return nil, nil
	default:
		return nil, err
	}
}

// hasLog reports whether there is a log with content beside path.
func hasLog(path string) bool {
	log, _ := beginning(path+"-wal", os.O_RDONLY, 33)
	return log != nil
}

// check returns ErrOtherLog, with advice, if SQLite would mix two databases.
func (f sqliteFiles) check(path string) error {
	switch {
	case !f.logged:
		return nil
	case !f.exists:
		return fmt.Errorf("%s is missing or empty, but its log %[1]s-wal is there: put the database back beside it, or remove %[1]s-wal and %[1]s-shm to begin anew: %w",
			path, ErrOtherLog)
	case f.sequence == 0, f.id != markID:
		return nil
	case f.changes < 2, f.salt-f.mark >= 2*logsPerMark:
		return fmt.Errorf("%s was put beside an older log: to go on with this copy, remove %[1]s-wal and %[1]s-shm; to go on with the former database, put it back: %w",
			path, ErrOtherLog)
	}
	return nil
}

// adopt makes a copy that SQLite wrote look like a database of its own, so that copies of it
// look different from it. Where another process uses the database, it stays as it is.
func adopt(ctx context.Context, write *sql.DB) error {
	var mode string
	return errors.Join(
		write.QueryRowContext(ctx, `PRAGMA journal_mode = delete`).Scan(&mode),
		write.QueryRowContext(ctx, `PRAGMA journal_mode = wal`).Scan(&mode))
}

// markLog marks the database by its log, unless the mark is good.
func markLog(ctx context.Context, write *sql.DB, path string) error {
	for range 3 { // another process may begin the log again meanwhile
		var mark, id int64
		err := errors.Join(
			write.QueryRowContext(ctx, `PRAGMA user_version`).Scan(&mark),
			write.QueryRowContext(ctx, `PRAGMA application_id`).Scan(&id))
		if err != nil {
			return err
		}
		log, err := beginning(path+"-wal", os.O_RDONLY, 33)
		if err != nil {
			return err
		}
		if log != nil && number(log, 12) > 0 && id == markID && number(log, 16)-uint32(mark) < logsPerMark {
			return nil
		}
		if _, err := write.ExecContext(ctx, fmt.Sprintf(`PRAGMA application_id = %d`, markID)); err != nil { // now there is a log
			return err
		}
		if log, err = beginning(path+"-wal", os.O_RDONLY, 33); err != nil || log == nil {
			return err
		}
		set := fmt.Sprintf(`PRAGMA user_version = %d`, int32(number(log, 16)))
		if _, err := write.ExecContext(ctx, set); err != nil {
			return err
		}
		// The checkpoint takes the mark into the file. If readers keep it waiting, a later
		// one does. The next write begins the next log, on the connection that knows its
		// sequence number.
		var busy, pages, done int
		if err := write.QueryRowContext(ctx, `PRAGMA wal_checkpoint(TRUNCATE)`).Scan(&busy, &pages, &done); err != nil || busy != 0 {
			return err
		}
		if _, err := write.ExecContext(ctx, set); err != nil {
			return err
		}
	}
	return nil
}
