package browser

import (
	"crypto/hmac"
	"crypto/rand"
	"encoding/base64"
	"encoding/binary"

	"countersign/ids"
	"countersign/seal"
)

// Known lists the accounts that users have signed in to with a browser. The browser keeps
// this value as a cookie:
//
//	base64url( version(1) master-key-id(4) browser(16) ( epoch(8) mac(16) )... )
//
// It has one mark for each account: the account's epoch, and the MAC of epoch, browser and
// account. So an attacker can neither forge a mark nor use another browser's.
type Known struct {
	keys   *seal.Keys
	values []value // never empty; another host of the domain may have planted some
}

type value struct {
	master  seal.ID
	browser [16]byte
	marks   []mark // the latest first
}

type mark struct {
	epoch int64
	mac   [16]byte
}

const (
	knownVersion = 2
	knownPurpose = "known browser"
	knownHead    = 1 + len(seal.ID{}) + 16
	markSize     = 8 + 16
	// maxMarks is the number of accounts that a browser remembers: the latest.
	maxMarks = 8
)

var encoding = base64.RawURLEncoding.Strict()

// Recognize reads a browser's cookies: more than one where another host of the domain has
// set its own. A malformed cookie or another installation's knows no account.
func Recognize(keys *seal.Keys, cookies []string) *Known {
	k := &Known{keys: keys}
	for _, cookie := range cookies {
		if v, ok := parseValue(cookie); ok {
			k.values = append(k.values, v)
		}
	}
	if len(k.values) == 0 {
		fresh := value{master: keys.Primary()}
		rand.Read(fresh.browser[:])
		k.values = append(k.values, fresh)
	}
	return k
}

func parseValue(cookie string) (v value, ok bool) {
	if len(cookie) > encoding.EncodedLen(knownHead+markSize*maxMarks) {
		return value{}, false
	}
	raw, err := encoding.DecodeString(cookie)
	if err != nil || len(raw) < knownHead || (len(raw)-knownHead)%markSize != 0 || raw[0] != knownVersion {
		return value{}, false
	}
	v.master, v.browser = seal.ID(raw[1:5]), [16]byte(raw[5:knownHead])
	for rest := raw[knownHead:]; len(rest) > 0; rest = rest[markSize:] {
		v.marks = append(v.marks, mark{int64(binary.BigEndian.Uint64(rest)), [16]byte(rest[8:])})
	}
	return v, true
}

// Knows returns the browser's id and the account's epoch at the last sign-in with this
// browser. The id is empty if there was none.
func (k *Known) Knows(account ids.User) (id string, epoch int64) {
	for _, v := range k.values {
		if i := k.find(v, account); i >= 0 {
			return encoding.EncodeToString(v.browser[:]), v.marks[i].epoch
		}
	}
	return "", 0
}

// Remember returns the cookie for the browser to keep after a sign-in to the account,
// which is in epoch.
func (k *Known) Remember(account ids.User, epoch int64) string {
	v := k.values[0]
	for _, other := range k.values {
		if k.find(other, account) >= 0 {
			v = other
			break
		}
	}
	former := k.find(v, account)
	if primary := k.keys.Primary(); v.master != primary {
		v.master, v.marks = primary, nil // marks of a retiring key are made again as users sign in
	}
	mac, _ := k.mac(v, account, epoch) // the primary key is always there
	marks := []mark{{epoch, mac}}
	for i, m := range v.marks {
		if i != former {
			marks = append(marks, m)
		}
	}

	raw := append([]byte{knownVersion}, v.master[:]...)
	raw = append(raw, v.browser[:]...)
	for _, m := range marks[:min(len(marks), maxMarks)] {
		raw = binary.BigEndian.AppendUint64(raw, uint64(m.epoch))
		raw = append(raw, m.mac[:]...)
	}
	return encoding.EncodeToString(raw)
}

// mac returns the MAC of a mark, or false if we don't have its key.
func (k *Known) mac(v value, account ids.User, epoch int64) ([16]byte, bool) {
	b := binary.BigEndian.AppendUint64(append(v.browser[:], account[:]...), uint64(epoch))
	mac, ok := k.keys.MAC(v.master, knownPurpose, b)
	return [16]byte(mac[:16]), ok
}

// find returns the index of the account's mark, or -1.
func (k *Known) find(v value, account ids.User) int {
	for i, m := range v.marks {
		if mac, ok := k.mac(v, account, m.epoch); ok && hmac.Equal(m.mac[:], mac[:]) {
			return i
		}
	}
	return -1
}
