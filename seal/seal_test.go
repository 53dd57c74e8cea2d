package seal_test

import (
	"bytes"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"

	"countersign/seal"
	"countersign/secrecy"
)

func parse(t testing.TB, texts ...secrecy.Text) *seal.Keys {
	t.Helper()
	var all secrecy.Text
	for _, text := range texts {
		all += text + "\n"
	}
	keys, err := seal.Parse(all)
	if err != nil {
		t.Fatal(err)
	}
	return keys
}

func TestOpenReturnsWhatWasSealed(t *testing.T) {
	keys := parse(t, seal.Generate())
	for _, plaintext := range []string{"", "a", strings.Repeat("long", 1000)} {
		sealed := keys.Seal("test", []byte(plaintext), []byte("row 1"))
		got, err := keys.Open("test", sealed, []byte("row 1"))
		if err != nil || string(got) != plaintext {
			t.Errorf("Open(Seal(%.8q)) = %.8q, %v", plaintext, got, err)
		}
		if len(plaintext) > 3 && bytes.Contains(sealed, []byte(plaintext)) {
			t.Errorf("sealed value shows its plaintext")
		}
	}
}

func TestSealingTwiceDiffers(t *testing.T) {
	keys := parse(t, seal.Generate())
	if bytes.Equal(keys.Seal("test", []byte("x"), nil), keys.Seal("test", []byte("x"), nil)) {
		t.Error("two sealed values are equal, want a fresh nonce each")
	}
}

func TestOpenRefusesWhatWasChanged(t *testing.T) {
	keys := parse(t, seal.Generate())
	sealed := keys.Seal("test", []byte("secret"), []byte("row 1"))

	for i := range sealed {
		changed := bytes.Clone(sealed)
		changed[i] ^= 1
		want := seal.ErrCorrupt
		if i >= 1 && i < 5 {
			want = seal.ErrUnknownKey // these bytes are the id of the master key
		}
		if _, err := keys.Open("test", changed, []byte("row 1")); !errors.Is(err, want) {
			t.Errorf("byte %d changed: err = %v, want %v", i, err, want)
		}
	}
	for n := range sealed {
		if _, err := keys.Open("test", sealed[:n], []byte("row 1")); err == nil {
			t.Errorf("cut to %d bytes: opened", n)
		}
	}
	if _, err := keys.Open("other", sealed, []byte("row 1")); !errors.Is(err, seal.ErrCorrupt) {
		t.Errorf("other purpose: err = %v, want ErrCorrupt", err)
	}
	if _, err := keys.Open("test", sealed, []byte("row 2")); !errors.Is(err, seal.ErrCorrupt) {
		t.Errorf("other additional data: err = %v, want ErrCorrupt", err)
	}
}

func TestMasterKeyIsReplacedStepByStep(t *testing.T) {
	before, after := seal.Generate(), seal.Generate()
	only, both, done := parse(t, before), parse(t, after, before), parse(t, after)

	sealed := only.Seal("test", []byte("x"), nil)
	if only.Stale(sealed) {
		t.Error("stale under the key that sealed it")
	}
	if !both.Stale(sealed) {
		t.Error("not stale although another key comes first")
	}
	plaintext, err := both.Open("test", sealed, nil)
	if err != nil {
		t.Fatal(err)
	}
	again := both.Seal("test", plaintext, nil)
	if both.Stale(again) {
		t.Error("stale although the first key sealed it")
	}
	if _, err := done.Open("test", again, nil); err != nil {
		t.Errorf("new key alone: %v", err)
	}
	_, err = done.Open("test", sealed, nil)
	if !errors.Is(err, seal.ErrUnknownKey) {
		t.Fatalf("old key taken away: err = %v, want ErrUnknownKey", err)
	}
	if !strings.Contains(err.Error(), only.Primary().String()) {
		t.Errorf("error %q does not name the missing key %s", err, only.Primary())
	}
	for _, malformed := range [][]byte{nil, {1}, {1, 2, 3, 4}} {
		if !only.Stale(malformed) {
			t.Errorf("Stale(%v) = false", malformed)
		}
	}
}

func TestMACDependsOnKeyPurposeAndMessage(t *testing.T) {
	first, second := seal.Generate(), seal.Generate()
	keys := parse(t, first, second)
	a, b := keys.Primary(), parse(t, second).Primary()

	mac := func(id seal.ID, purpose, message string) [32]byte {
		t.Helper()
		m, ok := keys.MAC(id, purpose, []byte(message))
		if !ok {
			t.Fatalf("key %s is unknown", id)
		}
		return m
	}
	want := mac(a, "p", "m")
	if got := mac(a, "p", "m"); got != want {
		t.Error("the same MAC twice differs")
	}
	if got, _ := parse(t, second, first).MAC(a, "p", []byte("m")); got != want {
		t.Error("the MAC depends on the order of the master keys")
	}
	for name, got := range map[string][32]byte{
		"master key": mac(b, "p", "m"), "purpose": mac(a, "q", "m"), "message": mac(a, "p", "n"),
	} {
		if got == want {
			t.Errorf("another %s gives the same MAC", name)
		}
	}
	if _, ok := keys.MAC(seal.ID{}, "p", nil); ok {
		t.Error("MAC under an unknown master key is ok")
	}
}

// No key derivation may change: a change would make all stored values unreadable.
func TestDerivationIsStable(t *testing.T) {
	keys := parse(t, seal.Generate()+" "+secrecy.Text(base64.StdEncoding.EncodeToString(bytes.Repeat([]byte{7}, 32))))
	mac, ok := keys.MAC(seal.ID{0x15, 0x8e, 0x04, 0x49}, "p", []byte("m"))
	if !ok {
		t.Error("the key has another id")
	}
	if got, want := fmt.Sprintf("%x", mac[:8]), "69e676554389ad1a"; got != want {
		t.Errorf("MAC = %s, want %s", got, want)
	}
	sealed, err := base64.RawStdEncoding.DecodeString("ARWOBEmsauBmAkYoKzEFynQrivNZmumyGJEhKFS5wyPTAH9T/NJSj6i/DiGwL80GCaQ")
	if err != nil {
		t.Fatal(err)
	}
	if got, err := keys.Open("p", sealed, []byte("a")); string(got) != "hello" {
		t.Errorf("Open = %q, %v", got, err)
	}
}

func TestKeysDoNotPrint(t *testing.T) {
	raw := bytes.Repeat([]byte("K"), 32)
	keys := parse(t, seal.Generate()+" "+secrecy.Text(base64.StdEncoding.EncodeToString(raw)))
	keys.Seal("test", nil, nil)

	var out bytes.Buffer
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%o", "%t", "%c", "%U"} {
		fmt.Fprintf(&out, verb+verb+verb+"\n", keys, *keys, struct{ k *seal.Keys }{keys})
	}
	slog.New(slog.NewTextHandler(&out, nil)).Info("x", "pointer", keys, "value", *keys)
	slog.New(slog.NewJSONHandler(&out, nil)).Info("x", "pointer", keys, "value", *keys)
	for _, leak := range []string{"KKKK", "4b4b", "4B4B", "75 75", "113 113", "U+004B"} {
		if strings.Contains(out.String(), leak) {
			t.Errorf("output contains %q:\n%s", leak, out.String())
		}
	}
	if got := fmt.Sprint(keys); got != "[secret]" {
		t.Errorf("Sprint = %q", got)
	}
}

func TestKeysAreSafeForConcurrentUse(t *testing.T) {
	keys := parse(t, seal.Generate(), seal.Generate())
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for i := range 50 {
				purpose := fmt.Sprint("purpose ", i%5)
				if _, err := keys.Open(purpose, keys.Seal(purpose, nil, nil), nil); err != nil {
					t.Error(err)
				}
				keys.MAC(keys.Primary(), purpose, nil)
			}
		})
	}
	wg.Wait()
}

func FuzzOpen(f *testing.F) {
	keys := parse(f, seal.Generate())
	genuine := keys.Seal("test", []byte("x"), nil)
	f.Add(genuine)
	f.Add([]byte{})
	f.Add(make([]byte, 45))
	f.Fuzz(func(t *testing.T, sealed []byte) {
		keys.Stale(sealed)
		if _, err := keys.Open("test", sealed, nil); err == nil && !bytes.Equal(sealed, genuine) {
			t.Errorf("opened a forgery: %x", sealed)
		}
	})
}

func BenchmarkMAC(b *testing.B) {
	keys := parse(b, seal.Generate())
	message := make([]byte, 30)
	rand.Read(message)
	b.ReportAllocs()
	for b.Loop() {
		keys.MAC(keys.Primary(), "test", message)
	}
}

func BenchmarkOpen(b *testing.B) {
	keys := parse(b, seal.Generate())
	sealed := keys.Seal("test", make([]byte, 138), nil)
	b.ReportAllocs()
	for b.Loop() {
		keys.Open("test", sealed, nil)
	}
}
