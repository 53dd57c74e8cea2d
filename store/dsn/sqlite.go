package dsn

import (
	"errors"
	"regexp"
	"strings"
	"unicode"
)

var (
	variable = regexp.MustCompile(`(^|/)\$[A-Za-z_]|\$[{(]`)
	escape   = regexp.MustCompile(`%[0-9A-Fa-f]{2}`)
)

// checkPath returns what is wrong with the path after sqlite:, or nil. The path is a file's
// name and nothing else: checkPath refuses what means more to other programs, such as
// options, a host, a variable or an escape, because the operator doesn't mean a file of that
// very name.
func checkPath(path string) error {
	switch {
	case path == "":
		return errors.New("has no path after sqlite: add one, such as sqlite:./countersign.db")
	case strings.TrimSpace(path) != path || strings.ContainsFunc(path, unicode.IsControl):
		return errors.New("has spaces at an end of its path, or control characters: remove them")
	case strings.HasPrefix(path, `"`), strings.HasPrefix(path, "'"):
		return errors.New("has quotes around its path: remove them")
	case strings.Contains(path, ":memory:"), strings.Contains(path, "mode=memory"):
		return errors.New("names a database in memory, which ends with the process: name a file, such as sqlite:./countersign.db")
	case strings.Contains(path, "?"):
		return errors.New("has a ? in its path, and sqlite: takes no options: write sqlite:PATH alone; the server chooses the options itself")
	case strings.HasPrefix(path, "file:"):
		return errors.New("has file: before its path: write sqlite:PATH without it")
	case strings.HasPrefix(path, "//"):
		return errors.New("has // before its path, which may mean a host, the root or this folder: write sqlite:/PATH from the root, or sqlite:./PATH from this folder")
	case strings.HasPrefix(path, "~"):
		return errors.New("has a ~ at the beginning of its path, which only a shell replaces: write the folder's whole path")
	case variable.MatchString(path):
		return errors.New("has a variable in its path, which only a shell replaces: write its value")
	case escape.MatchString(path):
		return errors.New("has a code such as %20 in its path, which is taken as it is: write the character itself")
	case strings.HasSuffix(path, "/"), strings.HasSuffix(path, "/."), strings.HasSuffix(path, "/.."), path == ".", path == "..":
		return errors.New("names a folder: add the name of a file, such as countersign.db")
	}
	for _, end := range []string{"-wal", "-shm", "-journal"} {
		if strings.HasSuffix(path, end) {
			return errors.New("names a file that SQLite keeps beside its database: leave out " + end)
		}
	}
	return nil
}
