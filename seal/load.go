package seal

import (
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"unicode"

	"countersign/secrecy"
)

const keySize = 32

// Generate returns a new master key in the form that Parse reads.
func Generate() secrecy.Text {
	key := make([]byte, keySize)
	rand.Read(key)
	return secrecy.Text(base64.StdEncoding.EncodeToString(key))
}

// Parse reads one or more master keys of 32 bytes in base64, standard or URL,
// padded or not, separated by white space or commas. The first one seals.
// An error names a wrong key by its place, never by its content.
func Parse(text secrecy.Text) (*Keys, error) {
	fields := strings.FieldsFunc(string(text), func(r rune) bool { return r == ',' || unicode.IsSpace(r) })
	if len(fields) == 0 {
		return nil, errors.New("no master key given: 32 random bytes in base64 are needed")
	}
	keys := &Keys{}
	for i, field := range fields {
		key, err := decode(field)
		if err != nil {
			return nil, fmt.Errorf("master key %d: %w", i+1, err)
		}
		// A weak key may still open what it has sealed.
		if i == 0 && weak(key) {
			return nil, fmt.Errorf("master key %d: not random, so an attacker can guess it: put a new one before it (head -c 32 /dev/urandom | base64)", i+1)
		}
		m := newMaster(key)
		if _, ok := keys.find(m.id); ok {
			return nil, fmt.Errorf("master key %d: given twice", i+1)
		}
		keys.keys = append(keys.keys, m)
	}
	return keys, nil
}

// weak reports whether a person, not a random generator, has made the key: it has few
// different bytes, as one that repeats a pattern has, counts, or is text, perhaps filled up
// with zeros. Of random keys less than one in 10^13 is so.
func weak(key []byte) bool {
	different := map[byte]bool{}
	counts, text := true, true
	for i, b := range key {
		different[b] = true
		counts = counts && (i < 2 || b-key[i-1] == key[1]-key[0])
		text = text && (b == 0 || b == '\n' || b >= ' ' && b <= '~')
	}
	return len(different) <= len(key)/2 || counts || text
}

func decode(field string) ([]byte, error) {
	field = strings.NewReplacer("+", "-", "/", "_").Replace(strings.TrimRight(field, "="))
	key, err := base64.RawURLEncoding.DecodeString(field)
	if err != nil {
		return nil, errors.New("not base64")
	}
	if len(key) != keySize {
		return nil, fmt.Errorf("%d bytes long, want %d", len(key), keySize)
	}
	return key, nil
}

// LoadFile reads the master keys in a file. It does not check the file's
// permissions: secrets that Kubernetes mounts are readable by their group.
func LoadFile(path string) (*Keys, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("master key file: %w", err)
	}
	keys, err := Parse(secrecy.Read(b))
	if err != nil {
		return nil, fmt.Errorf("master key file %s: %w", path, err)
	}
	return keys, nil
}

// LoadOrCreateFile is LoadFile, but makes the file with a new key if it is
// missing. Its folder must exist. Of processes that race to create the file, one
// wins, and all of them load the winner's key.
func LoadOrCreateFile(path string) (*Keys, error) {
	keys, err := LoadFile(path)
	if !errors.Is(err, fs.ErrNotExist) {
		return keys, err
	}
	if err := create(path); err != nil {
		return nil, fmt.Errorf("create master key file: %w", err)
	}
	return LoadFile(path)
}

// create makes the file unless it exists by now. It first writes and syncs a file
// under another name, then links that into place. Like O_EXCL the link fails if the
// file exists, but no reader ever sees the file half written, not even after a crash.
func create(path string) error {
	dir := filepath.Dir(path)
	f, err := os.CreateTemp(dir, filepath.Base(path)+".*.new") // mode 0600
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	_, err = f.WriteString(string(Generate()) + "\n")
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	if err := os.Link(f.Name(), path); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return syncDir(dir)
}

// syncDir makes the names in dir durable. Windows does so by itself and cannot sync
// a folder.
func syncDir(dir string) error {
	if runtime.GOOS == "windows" {
		return nil
	}
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}
