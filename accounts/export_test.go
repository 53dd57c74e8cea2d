package accounts

import (
	"encoding/base64"
	"strings"

	"countersign/hashing/hashingtest"
)

// Watch lets tests see the work instead of timing it.
func (u *Users) Watch() *hashingtest.Work { return hashingtest.Watch(u.hasher) }

// OpenDummy makes every password the right one for the hash that stands in where an account
// has none.
func (u *Users) OpenDummy() {
	dummy := u.hasher.Dummy()
	tag, err := base64.RawStdEncoding.DecodeString(dummy[strings.LastIndexByte(dummy, '$')+1:])
	if err != nil {
		panic(err)
	}
	u.hasher.Derive = func(_, _ []byte, _, _ uint32, _ uint8, _ uint32) []byte { return tag }
}

// Internals that get untrusted input or that tests call with exhaustive lists.
var (
	PreparePassword = preparePassword
	IsCommon        = isCommon
)

func CommonPasswords() string { return commonPasswords }

// Check exports check, which reads untrusted input.
func (p *Profile) Check() error { return p.check() }
