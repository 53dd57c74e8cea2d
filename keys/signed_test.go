package keys

import (
	"encoding/binary"
	"testing"
)

// The latest tokens are remembered, and no more than two sets of them.
func TestSignedTokensAreBounded(t *testing.T) {
	var s signedTokens
	digest := func(n int) (d [32]byte) {
		binary.BigEndian.PutUint32(d[:], uint32(n))
		return d
	}
	if s.has(digest(0)) {
		t.Error("the zero value knows a token")
	}
	const many = 3*mostYoung + 1
	for n := range many {
		s.add(digest(n))
	}
	if kept := len(s.young) + len(s.aged); kept > 2*mostYoung {
		t.Errorf("%d tokens are kept, want %d at most", kept, 2*mostYoung)
	}
	if !s.has(digest(many-1)) || !s.has(digest(many-mostYoung)) {
		t.Error("one of the latest is forgotten")
	}
	if s.has(digest(0)) {
		t.Error("the first is still there")
	}
}
