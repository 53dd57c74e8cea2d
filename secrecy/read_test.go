package secrecy_test

import (
	"testing"

	"countersign/secrecy"
)

func TestReadLeavesOutWhatEditorsAndShellsAdd(t *testing.T) {
	for in, want := range map[string]secrecy.Text{
		"": "", "\n": "", "\ufeff\r\n": "", "s": "s", "s\n": "s", "s\r\n": "s", "s\n\n": "s", "s\r": "s", "\ufeffs": "s", "\ufeffs\r\n": "s",
		" s \n": " s ", "a\nb\n": "a\nb", "s\ufeff": "s\ufeff", "비밀\n": "비밀",
		"\xff\xfes\x00\r\x00\n\x00": "s", "\xfe\xff\x00s\x00\n": "s", "\xff\xfe\x3d\xd8\x00\xde": "😀", "\xff\xfes": "\xff\xfes",
	} {
		if got := secrecy.Read([]byte(in)); got != want {
			t.Errorf("Read(%q) = %q, want %q", in, string(got), string(want))
		}
	}
}
