package browser

import (
	"crypto/hmac"
	"crypto/rand"
	"encoding/base64"
	"encoding/binary"
	"time"

	"countersign/ids"
	"countersign/seal"
)

// Known lists the accounts that users have signed in to with a browser. The browser keeps
// this value as a cookie:
//
//	base64url( version(1) master-key-id(4) browser(16) ( epoch(8) proven-at(8) factors(16) mac(16) )... )
//
// It has one mark for each account: the account's epoch, the Proof that the browser keeps, and
// the MAC of all this, browser and account. So an attacker can neither forge a mark nor use
// another browser's. Times are in milliseconds since 1970; zero is no Proof. Version 2 had no
// Proof, and its marks are as good: their MAC is that of a mark without one.
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
	epoch   int64
	at      int64 // of the Proof; 0: there is none
	factors [16]byte
	mac     [16]byte
}

// A Proof is what a browser keeps of a second factor that a user has proven there and does not
// want to be asked for again.
type Proof struct {
	At time.Time
	// Factors stands for the factors that the account had.
	Factors [16]byte
}

const (
	formerVersion = 2
	knownVersion  = 3
	knownPurpose  = "known browser"
	proofPurpose  = "remembered second factor"
	knownHead     = 1 + len(seal.ID{}) + 16
	formerSize    = 8 + 16 // of a mark
	markSize      = 8 + 8 + 16 + 16
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
	if err != nil || len(raw) < knownHead || raw[0] != knownVersion && raw[0] != formerVersion {
		return value{}, false
	}
	former, size := raw[0] == formerVersion, markSize
	if former {
		size = formerSize
	}
	if rest := len(raw) - knownHead; rest%size != 0 || rest/size > maxMarks {
		return value{}, false
	}
	v.master, v.browser = seal.ID(raw[1:5]), [16]byte(raw[5:knownHead])
	for rest := raw[knownHead:]; len(rest) > 0; rest = rest[size:] {
		m := mark{epoch: int64(binary.BigEndian.Uint64(rest)), mac: [16]byte(rest[size-16:])}
		if !former {
			m.at, m.factors = int64(binary.BigEndian.Uint64(rest[8:])), [16]byte(rest[16:])
		}
		if m.at == 0 && m.factors != [16]byte{} { // the MAC covers no factors without a time
			return value{}, false
		}
		v.marks = append(v.marks, m)
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

// Proof returns the Proof that the browser keeps for the account, and the account's epoch at
// that time.
func (k *Known) Proof(account ids.User) (p Proof, epoch int64, ok bool) {
	for _, v := range k.values {
		if i := k.find(v, account); i >= 0 && v.marks[i].at != 0 {
			m := v.marks[i]
			return Proof{time.UnixMilli(m.at), m.factors}, m.epoch, true
		}
	}
	return Proof{}, 0, false
}

// Remember returns the cookie for the browser to keep after a sign-in to the account,
// which is in epoch. If keep is nil, the browser keeps the Proof that it has of that epoch.
func (k *Known) Remember(account ids.User, epoch int64, keep *Proof) string {
	v := k.values[0]
	for _, other := range k.values {
		if k.find(other, account) >= 0 {
			v = other
			break
		}
	}
	former := k.find(v, account)
	made := mark{epoch: epoch}
	switch {
	case keep != nil:
		made.at, made.factors = keep.At.UnixMilli(), keep.Factors
	case former >= 0 && v.marks[former].epoch == epoch:
		made.at, made.factors = v.marks[former].at, v.marks[former].factors
	}
	if primary := k.keys.Primary(); v.master != primary {
		v.master, v.marks = primary, nil // marks of a retiring key are made again as users sign in
	}
	made.mac, _ = k.mac(v, account, made) // the primary key is always there
	marks := []mark{made}
	for i, m := range v.marks {
		if i != former {
			marks = append(marks, m)
		}
	}

	raw := append([]byte{knownVersion}, v.master[:]...)
	raw = append(raw, v.browser[:]...)
	for _, m := range marks[:min(len(marks), maxMarks)] {
		raw = binary.BigEndian.AppendUint64(raw, uint64(m.epoch))
		raw = binary.BigEndian.AppendUint64(raw, uint64(m.at))
		raw = append(append(raw, m.factors[:]...), m.mac[:]...)
	}
	return encoding.EncodeToString(raw)
}

// mac returns the MAC of a mark, or false if we don't have its key.
func (k *Known) mac(v value, account ids.User, m mark) ([16]byte, bool) {
	b := binary.BigEndian.AppendUint64(append(v.browser[:], account[:]...), uint64(m.epoch))
	purpose := knownPurpose
	if m.at != 0 {
		purpose = proofPurpose
		b = append(binary.BigEndian.AppendUint64(b, uint64(m.at)), m.factors[:]...)
	}
	mac, ok := k.keys.MAC(v.master, purpose, b)
	return [16]byte(mac[:16]), ok
}

// find returns the index of the account's mark, or -1.
func (k *Known) find(v value, account ids.User) int {
	for i, m := range v.marks {
		if mac, ok := k.mac(v, account, m); ok && hmac.Equal(m.mac[:], mac[:]) {
			return i
		}
	}
	return -1
}
