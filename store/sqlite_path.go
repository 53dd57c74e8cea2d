package store

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// checkSQLitePath returns an error if there is something at path that can't be a database.
func checkSQLitePath(path string) error {
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return fileError(err)
	case info.IsDir():
		return fmt.Errorf("%s is a folder: add the name of a file, such as %s", path, filepath.Join(path, "countersign.db"))
	case !info.Mode().IsRegular():
		return fmt.Errorf("%s is not a regular file: name another one", path)
	}
	return nil
}

// fileError adds advice to an error of the file system.
func fileError(err error) error {
	advice := ""
	switch {
	case errors.Is(err, fs.ErrPermission):
		advice = fmt.Sprintf(": this process runs as user %d: let that user read and write there (chown)", os.Geteuid())
	case errors.Is(err, syscall.EROFS):
		advice = ": mount the file system so that it can be written, or choose another folder"
	case errors.Is(err, syscall.ENOTDIR):
		advice = ": a part of the path is a file, not a folder"
	case errors.Is(err, fs.ErrNotExist):
		advice = ": make the folder, or correct the path"
	}
	return fmt.Errorf("%w%s", err, advice)
}

// sqliteFault returns what the file system says where SQLite says only that it can't open or
// write a file, or err if it says nothing. SQLite needs the database, the two files beside it and
// the folder.
func sqliteFault(path string, err error) error {
	if !isSQLiteAway(err) {
		return err
	}
	for _, name := range []string{path, path + "-wal", path + "-shm"} {
		f, err := os.OpenFile(name, os.O_RDWR, 0)
		if err == nil {
			f.Close()
		} else if !errors.Is(err, fs.ErrNotExist) {
			return fileError(err)
		}
	}
	f, fault := os.CreateTemp(filepath.Dir(path), ".countersign-*")
	if fault != nil {
		return fileError(fault)
	}
	f.Close()
	os.Remove(f.Name())
	return err
}
