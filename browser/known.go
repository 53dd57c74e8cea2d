package browser

import (
	"crypto/hmac"
	"crypto/rand"
	"encoding/base64"

	"countersign/seal"
)

// A Known browser has been used to sign in to some accounts. Its value, which it
// keeps as a cookie, is
//
//	base64url( version(1) master-key-id(4) browser(16) mark(16)... )
//
// with one mark for each account: the MAC of browser and account, so that nobody
// makes one, and one browser's is of no use to another.
type Known struct {
	keys   *seal.Keys
	master seal.ID
	id     [16]byte
	marks  [][16]byte // the latest first
}

const (
	knownVersion = 1
	knownPurpose = "known browser"
	knownHead    = 1 + len(seal.ID{}) + 16
	// maxMarks is how many accounts a browser remembers, the latest.
	maxMarks = 8
)

var encoding = base64.RawURLEncoding.Strict()

// Recognize reads what a browser keeps. What is malformed or of another
// installation is a browser that knows nobody.
func Recognize(keys *seal.Keys, value string) *Known {
	k := &Known{keys: keys, master: keys.Primary()}
	raw := make([]byte, encoding.DecodedLen(len(value)))
	if len(value) > encoding.EncodedLen(knownHead+16*maxMarks) {
		raw = nil
	} else if _, err := encoding.Decode(raw, []byte(value)); err != nil {
		raw = nil
	}
	if len(raw) < knownHead || (len(raw)-knownHead)%16 != 0 || raw[0] != knownVersion {
		rand.Read(k.id[:])
		return k
	}
	k.master = seal.ID(raw[1:5])
	k.id = [16]byte(raw[5:knownHead])
	for rest := raw[knownHead:]; len(rest) > 0; rest = rest[16:] {
		k.marks = append(k.marks, [16]byte(rest[:16]))
	}
	return k
}

// ID returns the browser's id if somebody has signed in to the account with it,
// and empty otherwise.
func (k *Known) ID(account string) string {
	mark, ok := k.mark(account)
	if !ok || k.find(mark) < 0 {
		return ""
	}
	return encoding.EncodeToString(k.id[:])
}

// Remember returns what the browser is to keep once somebody has signed in to the
// account with it.
func (k *Known) Remember(account string) string {
	if primary := k.keys.Primary(); k.master != primary {
		k.master, k.marks = primary, nil // marks of a key on its way out are made again as people sign in
	}
	mark, _ := k.mark(account) // the primary key is always there
	if i := k.find(mark); i >= 0 {
		k.marks = append(k.marks[:i], k.marks[i+1:]...)
	}
	k.marks = append([][16]byte{mark}, k.marks...)
	k.marks = k.marks[:min(len(k.marks), maxMarks)]

	raw := append([]byte{knownVersion}, k.master[:]...)
	raw = append(raw, k.id[:]...)
	for _, m := range k.marks {
		raw = append(raw, m[:]...)
	}
	return encoding.EncodeToString(raw)
}

func (k *Known) mark(account string) (mark [16]byte, ok bool) {
	mac, ok := k.keys.MAC(k.master, knownPurpose, append(k.id[:], account...))
	return [16]byte(mac[:16]), ok
}

// find is the index of a mark, or -1.
func (k *Known) find(mark [16]byte) int {
	for i := range k.marks {
		if hmac.Equal(k.marks[i][:], mark[:]) {
			return i
		}
	}
	return -1
}
