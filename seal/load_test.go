package seal_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"countersign/seal"
	"countersign/secrecy"
)

func TestParseReadsEveryBase64(t *testing.T) {
	raw := sha256.Sum256([]byte("any key"))
	copy(raw[:], "\xfb\xff\xbf") // has + and / in base64, and - and _ in base64url
	want := parse(t, secrecy.Text(base64.StdEncoding.EncodeToString(raw[:]))).Primary()
	for _, encoding := range []*base64.Encoding{
		base64.StdEncoding, base64.RawStdEncoding, base64.URLEncoding, base64.RawURLEncoding,
	} {
		text := encoding.EncodeToString(raw[:])
		if got := parse(t, secrecy.Text(" "+text+"\r\n")).Primary(); got != want {
			t.Errorf("Parse(%s) has id %s, want %s", text, got, want)
		}
	}
}

// A person's key is refused where it would seal, and still opens what it has sealed.
func TestParseRefusesAKeyThatIsNotRandom(t *testing.T) {
	counting := func(step byte) (key []byte) {
		for i := range 32 {
			key = append(key, byte(i)*step+7)
		}
		return key
	}
	good := seal.Generate()
	random, err := base64.StdEncoding.DecodeString(string(good))
	if err != nil {
		t.Fatal(err)
	}
	for name, raw := range map[string][]byte{
		"zeros":            make([]byte, 32),
		"one byte":         bytes.Repeat([]byte{0xff}, 32),
		"two bytes":        bytes.Repeat([]byte{0xfb, 0x0f}, 16),
		"eight bytes":      bytes.Repeat(random[:8], 4),
		"sixteen bytes":    bytes.Repeat(random[:16], 2),
		"filled up":        append(bytes.Clone(random[:15]), make([]byte, 17)...),
		"ascending":        counting(1),
		"descending":       counting(255),
		"in threes":        counting(3),
		"a word":           append([]byte("changeme"), make([]byte, 24)...),
		"words":            []byte("correct horse battery staple now"),
		"digits":           []byte("01234567890123456789012345678901"),
		"a line":           []byte("The quick brown fox jumps over.\n"),
		"hexadecimal text": []byte("9f86d081884c7d659a2feaa0c55ad015"),
	} {
		text := secrecy.Text(base64.StdEncoding.EncodeToString(raw))
		if _, err := seal.Parse(text + "\n" + good); err == nil || !strings.Contains(err.Error(), "head -c 32 /dev/urandom | base64") {
			t.Errorf("%s: got error %v, want advice", name, err)
		}
		if _, err := seal.Parse(good + "\n" + text); err != nil {
			t.Errorf("%s, after a random key: %v", name, err)
		}
	}
	for range 1000 {
		parse(t, seal.Generate())
	}
}

func TestParseSeparatesByWhiteSpaceAndCommas(t *testing.T) {
	a, b := seal.Generate(), seal.Generate()
	idA, idB := parse(t, a).Primary(), parse(t, b).Primary()
	for _, separator := range []secrecy.Text{" ", "\n", "\r\n", "\t", ",", " ,\n"} {
		keys := parse(t, a+separator+b)
		if keys.Primary() != idA {
			t.Errorf("separator %q: the first key does not seal", string(separator))
		}
		if _, ok := keys.MAC(idB, "test", nil); !ok {
			t.Errorf("separator %q: the second key is not there", string(separator))
		}
	}
}

func TestParseErrorsTellThePlaceButNotTheContent(t *testing.T) {
	good := seal.Generate()
	tests := []struct{ name, text, want string }{
		{"nothing", " \n", "no master key"},
		{"not base64", string(good + " pass%word"), "key 2: not base64"},
		{"too short", "cGFzc3dvcmQ=", "key 1: 8 bytes long"},
		{"too long", string(good + "," + good[:43] + "AAAA"), "key 2"},
		{"twice", string(good + "\n" + good), "key 2: given twice"},
	}
	for _, test := range tests {
		_, err := seal.Parse(secrecy.Text(test.text))
		if err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: err = %v, want %q", test.name, err, test.want)
			continue
		}
		for _, content := range []string{string(good[:8]), "pass", "cGFz"} {
			if strings.Contains(err.Error(), content) {
				t.Errorf("%s: err = %v shows the key", test.name, err)
			}
		}
	}
}

func TestLoadFileNamesTheFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "master.key")
	if _, err := seal.LoadFile(path); !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), path) {
		t.Errorf("missing file: err = %v", err)
	}
	if err := os.WriteFile(path, []byte("x"), 0o440); err != nil {
		t.Fatal(err)
	}
	if _, err := seal.LoadOrCreateFile(path); err == nil || !strings.Contains(err.Error(), path) {
		t.Errorf("malformed file: err = %v", err)
	}
}

func TestLoadFileFollowsKubernetesSymlinks(t *testing.T) {
	dir := t.TempDir()
	target, link := filepath.Join(dir, "data"), filepath.Join(dir, "key")
	if err := os.WriteFile(target, []byte(seal.Generate()), 0o444); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(target, link); err != nil {
		t.Fatal(err)
	}
	if _, err := seal.LoadFile(link); err != nil {
		t.Error(err)
	}
}

func TestLoadOrCreateFileConverges(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "master.key")

	ids := make([]seal.ID, 16)
	var wg sync.WaitGroup
	for i := range ids {
		wg.Go(func() {
			keys, err := seal.LoadOrCreateFile(path)
			if err != nil {
				t.Error(err)
				return
			}
			ids[i] = keys.Primary()
		})
	}
	wg.Wait()
	for _, id := range ids {
		if id != ids[0] {
			t.Fatalf("processes hold different keys: %v", ids)
		}
	}
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if got := info.Mode(); got != 0o600 {
		t.Errorf("mode = %v, want 0600", got)
	}
	left, err := os.ReadDir(dir)
	if err != nil || len(left) != 1 {
		t.Errorf("left in the folder: %v, %v", left, err)
	}
}

func TestLoadOrCreateFileNeedsTheFolder(t *testing.T) {
	if _, err := seal.LoadOrCreateFile(filepath.Join(t.TempDir(), "missing", "master.key")); err == nil {
		t.Error("created a key in a missing folder")
	}
}
